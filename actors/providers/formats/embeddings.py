"""Builds and parses embedding requests in OpenAI's shape, which all supported providers use.

Pure. Source: OpenAI's API reference, "Create embeddings". Vectors are passed on as the JSON text
received, unless the client wants the other encoding: numbers, or base64 of little-endian 32-bit
floats.
"""

import base64
import binascii
import sys
from array import array
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from actors.providers.formats.base import RequestParts
from actors.providers.formats.lenient_fields import NULL, read_or_none
from actors.providers.formats.reader import in_stream_failure
from actors.providers.formats.token_usage import UsageFields, read_counts
from actors.providers.redaction import Scrub
from actors.turn.messages import UserMessage
from actors.turn.model_call import JSON, FailureKind, ModelCall, UpstreamFailure
from actors.turn.outcome import Usage

_Count = Annotated[int, Meta(ge=0, le=2**53)]


class EmbeddingCall(Struct, frozen=True, kw_only=True):
    """One embedding call: the inputs and the encoding of the vectors."""

    input: JSON
    """A text, a list of texts, a list of tokens or a list of token lists, as the client sent it."""
    texts: tuple[str, ...]
    """One text per input, for estimating tokens. Token inputs get a text of similar length."""
    as_base64: bool
    parameters: dict[str, JSON]
    """All other parameters that the client sent, including `encoding_format`."""

    def as_call(self) -> ModelCall:
        """Return a chat call of the same length, which differs if the embedding calls differ."""
        # In one parameter of its own: the names of the others mean something in a chat.
        embedding: JSON = {"input": self.input, **self.parameters}
        parameters = {"embedding": embedding}
        return ModelCall(messages=tuple(map(UserMessage, self.texts)), parameters=parameters)


class Embeddings(Struct, frozen=True):
    """An answer: one vector per input, in the order of the inputs and the requested encoding."""

    vectors: tuple[Raw, ...]
    usage: Usage | None
    """Usage, or None if the provider sent none or an invalid one."""


class _Item(Struct):
    embedding: Raw
    index: _Count | None = None


class _Document(Struct):
    data: list[_Item] | None = None
    error: Raw = NULL


class _Figures(Struct):
    usage: UsageFields = None


_read_document = msgspec.json.Decoder(_Document).decode
_read_figures = msgspec.json.Decoder(_Figures).decode
_read_floats = msgspec.json.Decoder(list[float]).decode
_read_text = msgspec.json.Decoder(str).decode


def embedding_parts(
    request: EmbeddingCall, path: str, upstream_model: str, key: str | None
) -> RequestParts:
    """Return the request, without credentials if `key` is None."""
    headers = [("content-type", "application/json"), ("accept", "application/json")]
    if key is not None:
        headers.append(("authorization", f"Bearer {key}"))
    body = {**request.parameters, "model": upstream_model, "input": request.input}
    return RequestParts(path, tuple(headers), msgspec.json.encode(body))


def read_embeddings(data: bytes, request: EmbeddingCall, scrub: Scrub) -> Embeddings:
    """Parse the answer in `data`. Raises `UpstreamFailure`."""
    try:
        document = _read_document(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed("an answer that is not one of embeddings") from None
    if document.error != NULL:
        raise in_stream_failure(data, scrub)
    items = document.data or []
    if len(items) != len(request.texts):
        raise _malformed(f"{len(items)} embeddings for {len(request.texts)} inputs")
    if any(item.index is not None for item in items):
        items = sorted(items, key=lambda item: item.index or 0)
        if [item.index or 0 for item in items] != list(range(len(items))):
            raise _malformed("embeddings that are not numbered from 0 without gaps")
    vectors = tuple(_in_encoding(item.embedding, as_base64=request.as_base64) for item in items)
    return Embeddings(vectors, _usage(data))


def _in_encoding(vector: Raw, *, as_base64: bool) -> Raw:
    start = bytes(memoryview(vector)[:1])
    if start not in (b"[", b'"'):
        raise _malformed("an embedding that is neither numbers nor base64")
    if (start == b'"') == as_base64:
        return vector
    return to_base64(_decode_numbers(vector)) if as_base64 else to_numbers(_decode_base64(vector))


def to_base64(floats: "array[float]") -> Raw:
    """Return a vector as a JSON string: base64 (RFC 4648 §4) of little-endian 32-bit floats."""
    return Raw(b'"%b"' % base64.b64encode(_little_endian(floats).tobytes()))


def to_numbers(floats: "array[float]") -> Raw:
    """Return a vector as a JSON list of numbers with 9 digits, enough for any 32-bit float."""
    return Raw(b"[%b]" % ",".join([f"{number:.9g}" for number in floats]).encode())


def _decode_numbers(vector: Raw) -> "array[float]":
    try:
        return array("f", _read_floats(vector))
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError):
        raise _malformed("an embedding that is no list of numbers") from None


def _decode_base64(vector: Raw) -> "array[float]":
    floats = array("f")
    try:
        floats.frombytes(base64.b64decode(_read_text(vector), validate=True))
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError):
        raise _malformed("an embedding that is not base64 of 32-bit floats") from None
    floats = _little_endian(floats)
    # NaN and infinities can't be JSON numbers; for both, x - x is NaN.
    if any(number - number != 0.0 for number in floats):
        raise _malformed("an embedding with something in it that is no number")
    return floats


def _little_endian(floats: "array[float]") -> "array[float]":
    """Convert between this machine's byte order and that of the wire, in either direction."""
    if sys.byteorder == "big":
        floats = floats[:]
        floats.byteswap()
    return floats


def _usage(data: bytes) -> Usage | None:
    figures = read_or_none(_read_figures, Raw(data)) or _Figures()
    counts = read_counts(figures.usage)
    tokens = counts.get("input", counts.get("total"))
    return None if tokens is None else Usage(input_tokens=tokens, output_tokens=0)


def _malformed(what: str) -> UpstreamFailure:
    return UpstreamFailure(FailureKind.MALFORMED, f"the provider sent {what}")
