"""Embedder that sends calls over HTTP."""

from functools import partial

import httpx

from actors.providers.embedding_provider import OpenEmbedding
from actors.providers.formats.body_kind import DOCUMENT, UNSPECIFIC
from actors.providers.formats.embeddings import (
    EmbeddingCall,
    Embeddings,
    embedding_parts,
    read_embeddings,
)
from actors.providers.http.failures import cut_failure, not_an_answer
from actors.providers.http.provider import HttpProvider, OpenResponse
from actors.providers.http.response import ResponseBody
from actors.runtime.offload import Cost, is_much, off_loop
from actors.turn.model_call import FailureKind, UpstreamFailure

MAX_ANSWER = 64 * 1024 * 1024
"""Maximum number of bytes of an answer; 2048 vectors of 3072 numbers take about as many."""


class HttpEmbedder:
    """An `Embedder` over HTTP; `path` is below the base URL of `provider`."""

    def __init__(self, provider: HttpProvider, path: str) -> None:
        self.name = provider.name
        """Name of the provider in the configuration."""
        self._provider = provider
        self._path = path

    async def embed(
        self, request: EmbeddingCall, upstream_model: str, *, connect_s: float
    ) -> OpenEmbedding:
        """See `actors.providers.embedding_provider.Embedder.embed`."""
        build = partial(embedding_parts, request, self._path, upstream_model)
        large = is_much(sum(map(len, request.texts)), Cost.VECTOR)
        opened = await self._provider.send_request(build, large=large, connect_s=connect_s)
        if opened.media_type not in (DOCUMENT, *UNSPECIFIC):
            opened.body.close()
            raise not_an_answer(opened.media_type, self._provider.scrub)
        read = partial(self._read, opened, request)
        return OpenEmbedding(read, opened.body.release, opened.body.close)

    async def _read(self, opened: OpenResponse, request: EmbeddingCall) -> Embeddings:
        try:
            data = await _read_all(opened.body)
            read = partial(read_embeddings, data, request, self._provider.scrub)
            large = is_much(len(data), Cost.VECTOR)
            return await off_loop(large, self._provider.threads, read)
        except UpstreamFailure as failure:
            opened.record_failure(failure)
            raise


async def _read_all(body: ResponseBody) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        while data := await body.receive():
            parts.append(data)
            size += len(data)
            if size > MAX_ANSWER:
                text = f"the provider sent an answer of over {MAX_ANSWER} bytes"
                raise UpstreamFailure(FailureKind.MALFORMED, text)
    except httpx.TransportError as error:
        raise cut_failure(error) from error
    return b"".join(parts)
