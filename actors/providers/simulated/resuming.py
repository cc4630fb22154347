"""Continuation of interrupted answers by a simulated model: by prefill, or on request."""

from collections.abc import Sequence

from msgspec import Struct

from actors.providers.simulated.behaviour import Resume
from actors.providers.simulated.messages import Message, ends_with, text_of
from actors.providers.simulated.prose import pieces

_OVERLAP = 5
"""Pieces that `Resume.OVERLAP` repeats."""


class PartialAnswer(Struct, frozen=True):
    """An incomplete answer found in the messages, with its question and the way to continue it."""

    question: Sequence[Message]
    text: str
    resume: Resume
    prefill: bool


def find_partial_answer(messages: Sequence[Message], resume: Resume) -> PartialAnswer | None:
    """Return the answer to continue, or None.

    It is the last message, or the one before the user's last message.
    """
    if ends_with(messages, "assistant"):
        return PartialAnswer(messages[:-1], text_of(messages[-1]), Resume.ON, True)
    if resume is Resume.NEW or not ends_with(messages, "user"):
        return None
    if not ends_with(messages[:-1], "assistant"):
        return None
    return PartialAnswer(messages[:-2], text_of(messages[-2]), resume, False)


def remainder(partial: PartialAnswer, whole: Sequence[str]) -> Sequence[str] | None:
    """Return the pieces that follow in the `whole` answer, or None if it starts differently."""
    shown = partial.text.rstrip()
    text = "".join(whole)
    if not text.startswith(shown) or (shown == text and not partial.prefill):
        return None
    rest = text[len(shown) :]
    match partial.resume:
        case Resume.AGAIN:
            return whole
        case Resume.OVERLAP:
            return ["".join(pieces(shown)[-_OVERLAP:]).lstrip(), rest]
        case _:
            # A prefill continues inside the message; a new message doesn't begin with a space.
            return [rest if partial.prefill else rest.lstrip()]
