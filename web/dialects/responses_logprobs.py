"""Logprobs as Responses spells them, made of those of Chat Completions that a journal holds.

In a delta a token has no bytes; in an item each has them, and they may not be missing.
"""

from collections.abc import Callable, Iterable

import msgspec
from msgspec import Raw, Struct

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


class _Choice(Struct, gc=False):
    token: str
    logprob: float


class _Token(_Choice):
    top_logprobs: list[_Choice]


class _ChoiceWithBytes(_Choice, kw_only=True):
    bytes: list[int]


class _TokenWithBytes(_ChoiceWithBytes, kw_only=True):
    top_logprobs: list[_ChoiceWithBytes]


class _GivenChoice(_Choice):
    bytes: list[int] | None = None


class _GivenToken(_GivenChoice):
    top_logprobs: list[_GivenChoice] | None = None


class _InDelta(Struct):
    content: list[_Token]


class _InPart(Struct):
    content: list[_TokenWithBytes]


class _Given(Struct):
    content: list[_GivenToken] | None = None


_in_delta = msgspec.json.Decoder(_InDelta).decode
_in_part = msgspec.json.Decoder(_InPart).decode
_given = msgspec.json.Decoder(_Given).decode


class SpelledLogprobs:
    """The logprobs of one text, which may come in pieces."""

    __slots__ = ("_delta", "_part")

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._delta: list[bytes] = []
        self._part: list[bytes] = []
        for piece in given:
            self.add(piece)

    def add(self, given: str) -> Raw:
        """Take the next piece, a provider's object as JSON text; it returns as a delta shows it.

        Nothing where the provider made it up wrongly: the answer is whole without.
        """
        tokens, with_bytes = _read(given)
        if not tokens:
            return _array([])
        in_delta = _encode(tokens)[1:-1]
        self._delta.append(in_delta)
        self._part.append(_encode(with_bytes)[1:-1])
        return _array([in_delta])

    @property
    def in_delta(self) -> Raw:
        """All of them, as a delta shows them."""
        return _array(self._delta)

    @property
    def in_part(self) -> Raw:
        """All of them, as an item shows them."""
        return _array(self._part)


def _array(members: list[bytes]) -> Raw:
    return Raw(b"[%b]" % b",".join(members))


def _read(given: str) -> tuple[list[_Token], list[_TokenWithBytes]]:
    try:
        return _in_delta(given).content, _in_part(given).content
    except msgspec.DecodeError:
        return _read_with_care(given)


def _read_with_care(given: str) -> tuple[list[_Token], list[_TokenWithBytes]]:
    """The same where the provider left something out."""
    try:
        tokens = _given(given).content or []
    except msgspec.DecodeError:
        return [], []
    return [_without_bytes(token) for token in tokens], [_with_bytes(token) for token in tokens]


def _without_bytes(token: _GivenToken) -> _Token:
    top = [_Choice(choice.token, choice.logprob) for choice in token.top_logprobs or ()]
    return _Token(token.token, token.logprob, top)


def _with_bytes(token: _GivenToken) -> _TokenWithBytes:
    top = [
        _ChoiceWithBytes(choice.token, choice.logprob, bytes=_bytes(choice))
        for choice in token.top_logprobs or ()
    ]
    return _TokenWithBytes(token.token, token.logprob, bytes=_bytes(token), top_logprobs=top)


def _bytes(choice: _GivenChoice) -> list[int]:
    return list(choice.token.encode()) if choice.bytes is None else choice.bytes
