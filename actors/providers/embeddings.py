"""Embeddings on the wire, in OpenAI's shape, which all that have them speak. Pure.

Source: OpenAI's API reference, "Create embeddings". A vector stays the JSON text that it came as,
unless the client wants the other spelling: numbers, or base64 of little-endian 32-bit floats.
"""

import base64
import binascii
import sys
from array import array
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from actors.outcome import Usage
from actors.providers.base import JSON, FailureKind, ModelCall, UpstreamFailure
from actors.providers.error_body import read_error
from actors.providers.formats import RequestParts
from actors.providers.scrub import Scrub

_NULL = Raw(b"null")
_Count = Annotated[int, Meta(ge=0, le=2**53)]


class EmbeddingAsk(Struct, frozen=True, kw_only=True):
    """What is to be embedded, and how the client wants the vectors."""

    input: JSON
    """A text, a list of texts, a list of tokens, or a list of those; as the client sent it."""
    texts: tuple[str, ...]
    """One for each input. For tokens something of about their length: it is only measured."""
    as_base64: bool
    parameters: dict[str, JSON]
    """All else that the client sent, `encoding_format` among it."""

    def as_call(self) -> ModelCall:
        """A call that is as long, for whatever counts its tokens."""
        messages: list[dict[str, JSON]] = [{"role": "user", "content": t} for t in self.texts]
        return ModelCall(upstream_model="", messages=messages, parameters={})


class Embeddings(Struct, frozen=True):
    """An answer: a vector for each input, in its order and in the spelling that was asked for."""

    vectors: tuple[Raw, ...]
    usage: Usage | None
    """None where the provider said nothing, or something that is no number of tokens."""


class _Usage(Struct):
    prompt_tokens: _Count | None = None
    total_tokens: _Count | None = None


class _Item(Struct):
    embedding: Raw
    index: _Count | None = None


class _Document(Struct):
    data: list[_Item] | None = None
    error: Raw = _NULL


class _Figures(Struct):
    usage: _Usage | None = None


_read_document = msgspec.json.Decoder(_Document).decode
_read_figures = msgspec.json.Decoder(_Figures).decode
_read_floats = msgspec.json.Decoder(list[float]).decode
_read_text = msgspec.json.Decoder(str).decode


def embedding_parts(
    ask: EmbeddingAsk, path: str, upstream_model: str, key: str | None
) -> RequestParts:
    """The request; keyless where `key` is None."""
    headers = [("content-type", "application/json"), ("accept", "application/json")]
    if key is not None:
        headers.append(("authorization", f"Bearer {key}"))
    body = {**ask.parameters, "model": upstream_model, "input": ask.input}
    return RequestParts(path, tuple(headers), msgspec.json.encode(body))


def read_embeddings(data: bytes, ask: EmbeddingAsk, scrub: Scrub) -> Embeddings:
    """The answer in `data`; raises `UpstreamFailure`."""
    try:
        document = _read_document(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed("an answer that is not one of embeddings") from None
    if document.error != _NULL:
        raise _reported(data, scrub)
    items = document.data or []
    if len(items) != len(ask.texts):
        raise _malformed(f"{len(items)} embeddings for {len(ask.texts)} inputs")
    if any(item.index is not None for item in items):
        items = sorted(items, key=lambda item: item.index or 0)
        if [item.index or 0 for item in items] != list(range(len(items))):
            raise _malformed("embeddings that are not numbered from 0 without gaps")
    vectors = tuple(_spelled(item.embedding, as_base64=ask.as_base64) for item in items)
    return Embeddings(vectors, _usage(data))


def _spelled(vector: Raw, *, as_base64: bool) -> Raw:
    start = bytes(memoryview(vector)[:1])
    if start not in (b"[", b'"'):
        raise _malformed("an embedding that is neither numbers nor base64")
    if (start == b'"') == as_base64:
        return vector
    return to_base64(_floats(vector)) if as_base64 else to_numbers(_packed(vector))


def to_base64(floats: "array[float]") -> Raw:
    """A vector as base64 (RFC 4648 §4) of little-endian 32-bit floats, as JSON."""
    return Raw(b'"%b"' % base64.b64encode(_little_endian(floats).tobytes()))


def to_numbers(floats: "array[float]") -> Raw:
    """A vector as a JSON list of numbers, each with the digits that a 32-bit float has."""
    return Raw(b"[%b]" % ",".join([f"{number:.9g}" for number in floats]).encode())


def _floats(vector: Raw) -> "array[float]":
    try:
        return array("f", _read_floats(vector))
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError):
        raise _malformed("an embedding that is no list of numbers") from None


def _packed(vector: Raw) -> "array[float]":
    floats = array("f")
    try:
        floats.frombytes(base64.b64decode(_read_text(vector), validate=True))
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError):
        raise _malformed("an embedding that is not base64 of 32-bit floats") from None
    floats = _little_endian(floats)
    if any(number - number != 0.0 for number in floats):
        raise _malformed("an embedding with something in it that is no number")
    return floats


def _little_endian(floats: "array[float]") -> "array[float]":
    """From this machine's order to the wire's, or back."""
    if sys.byteorder == "big":
        floats = floats[:]
        floats.byteswap()
    return floats


def _usage(data: bytes) -> Usage | None:
    try:
        usage = _read_figures(data).usage
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if usage is None:
        return None
    tokens = usage.total_tokens if usage.prompt_tokens is None else usage.prompt_tokens
    return None if tokens is None else Usage(input_tokens=tokens, output_tokens=0)


def _reported(data: bytes, scrub: Scrub) -> UpstreamFailure:
    error = read_error(data)
    if error is None:
        return UpstreamFailure(FailureKind.IN_STREAM_ERROR, "the provider reported an error")
    return UpstreamFailure(
        FailureKind.IN_STREAM_ERROR,
        scrub(error.message),
        status=error.status,
        code=error.code and scrub(error.code),
        type=error.type and scrub(error.type),
    )


def _malformed(what: str) -> UpstreamFailure:
    return UpstreamFailure(FailureKind.MALFORMED, f"the provider sent {what}")
