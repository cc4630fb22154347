"""How a simulated model goes on with an answer that was cut: by prefill, or when told to."""

from collections.abc import Sequence

from msgspec import Struct

from actors.providers.simulated.behaviour import Resume
from actors.providers.simulated.messages import Message, ends_with, text_of
from actors.providers.simulated.prose import pieces

_OVERLAP = 5
"""Pieces that `Resume.OVERLAP` says again."""


class Cut(Struct, frozen=True):
    """An answer that stands in the messages: what was asked, what is there, how to go on."""

    question: Sequence[Message]
    said: str
    how: Resume
    prefill: bool


def find_cut(messages: Sequence[Message], resume: Resume) -> Cut | None:
    """The answer to go on with: the last message, or the one before a user's last message."""
    if ends_with(messages, "assistant"):
        return Cut(messages[:-1], text_of(messages[-1]), Resume.ON, True)
    if resume is Resume.NEW or not ends_with(messages, "user"):
        return None
    if not ends_with(messages[:-1], "assistant"):
        return None
    return Cut(messages[:-2], text_of(messages[-2]), resume, False)


def remainder(cut: Cut, whole: Sequence[str]) -> Sequence[str] | None:
    """What is said next of the `whole` answer; None if the cut text is no beginning of it."""
    said = cut.said.rstrip()
    text = "".join(whole)
    if not text.startswith(said) or (said == text and not cut.prefill):
        return None
    rest = text[len(said) :]
    match cut.how:
        case Resume.AGAIN:
            return whole
        case Resume.OVERLAP:
            return ["".join(pieces(said)[-_OVERLAP:]).lstrip(), rest]
        case _:
            # A prefill goes on inside the message; a new message does not begin with a space.
            return [rest if cut.prefill else rest.lstrip()]
