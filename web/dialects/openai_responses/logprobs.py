"""Converts the Chat Completions logprobs of a journal to those of the Responses API.

In a delta a token has no `bytes`. In an item `bytes` is required.
"""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct, convert

T = TypeVar("T")

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

    def __post_init__(self) -> None:
        if self.bytes is None:
            self.bytes = list(self.token.encode())


class _GivenToken(_GivenChoice):
    top_logprobs: list[_GivenChoice] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.top_logprobs = self.top_logprobs or []


class _Logprobs(Struct, Generic[T]):
    content: T


_in_delta = msgspec.json.Decoder(_Logprobs[list[_Token]]).decode
_in_part = msgspec.json.Decoder(_Logprobs[list[_TokenWithBytes]]).decode
_given = msgspec.json.Decoder(_Logprobs[list[_GivenToken]]).decode


class EncodedLogprobs:
    """The encoded logprobs of one text, which may arrive in pieces."""

    __slots__ = ("_delta", "_part")

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._delta: list[bytes] = []
        self._part: list[bytes] = []
        for piece in given:
            self.add(piece)

    def add(self, given: str) -> Raw:
        """Add a provider's logprobs object, as JSON, and return it in the form of a delta.

        A malformed object counts as empty: it must not fail a complete answer.
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
        """All logprobs in the form of a delta."""
        return _array(self._delta)

    @property
    def in_part(self) -> Raw:
        """All logprobs in the form of an item, with `bytes`."""
        return _array(self._part)


def _array(members: list[bytes]) -> Raw:
    return Raw(b"[%b]" % b",".join(members))


def _read(given: str) -> tuple[list[_Token], list[_TokenWithBytes]]:
    # Decoding straight into the target types needs no Python code per token.
    try:
        return _in_delta(given).content, _in_part(given).content
    except msgspec.DecodeError:
        return _read_leniently(given)


def _read_leniently(given: str) -> tuple[list[_Token], list[_TokenWithBytes]]:
    """Decode logprobs in which the provider left out optional fields."""
    try:
        tokens = _given(given).content
    except msgspec.DecodeError:
        return [], []
    in_delta = convert(tokens, list[_Token], from_attributes=True)
    return in_delta, convert(tokens, list[_TokenWithBytes], from_attributes=True)
