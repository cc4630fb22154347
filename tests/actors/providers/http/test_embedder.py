"""Tests of the HTTP embedder over scripted connections: answers, failures and connection reuse."""

import threading
from typing import Any

import httpx
import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.providers.embedding_provider import OpenEmbedding
from actors.providers.formats.base import RequestParts
from actors.providers.formats.embeddings import (
    EmbeddingCall,
    Embeddings,
    embedding_parts,
    read_embeddings,
)
from actors.providers.http import embedder as http_embedder
from actors.providers.http.embedder import HttpEmbedder
from actors.providers.http.provider import HttpProvider
from actors.runtime import offload
from actors.runtime.offload import Cost
from actors.turn.model_call import FailureKind, UpstreamFailure
from tests.support.scripted_connections import SILENCE, Line, MemoryWire, Peer, credentials_of, head

ASK = EmbeddingCall(input="a", texts=("a",), as_base64=False, parameters={})
ANSWER = b'{"data":[{"index":0,"embedding":[0.5]}]}'
OK = head(200, "content-type: application/json; charset=utf-8", f"content-length: {len(ANSWER)}")


class Setting:
    """An embedder whose only connection follows a script."""

    def __init__(self, *script: Line) -> None:
        self.wire = MemoryWire(*script)
        self.client = Peer(self.wire).client()
        provider = HttpProvider("p", "http://up/v1", credentials_of("topsecret"), self.client)
        self.embedder = HttpEmbedder(provider, "/embeddings")

    async def embed(self) -> OpenEmbedding:
        return await self.embedder.embed(ASK, "m", connect_s=5.0)

    async def embed_and_read(self) -> None:
        answer = await self.embed()
        await answer.read()

    async def failure(self) -> UpstreamFailure:
        with pytest.raises(UpstreamFailure) as caught:
            await self.embed_and_read()
        return caught.value


async def test_answer_in_pieces_is_joined() -> None:
    setting = Setting(OK + ANSWER[:7], ANSWER[7:20], ANSWER[20:])
    answer = await setting.embed()
    found = await answer.read()
    answer.release()
    assert bytes(found.vectors[0]) == b"[0.5]"
    assert setting.embedder.name == "p"
    assert setting.wire.sent.startswith(b"POST /v1/embeddings HTTP/1.1\r\n")
    assert b'"input":"a"' in setting.wire.sent
    assert not setting.wire.closed, "its connection is kept"


@pytest.mark.parametrize(("spare", "inline"), [(0, True), (-1, False)])
async def test_long_answers_are_parsed_in_a_thread(
    spare: int, inline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def noted(*args: Any) -> Embeddings:
        threads.append(threading.get_ident())
        return read_embeddings(*args)

    monkeypatch.setattr(offload, "BUDGET", (len(ANSWER) + spare) * Cost.VECTOR)
    monkeypatch.setattr(http_embedder, "read_embeddings", noted)
    answer = await Setting(OK + ANSWER).embed()
    assert bytes((await answer.read()).vectors[0]) == b"[0.5]"
    assert [thread == threading.get_ident() for thread in threads] == [inline]


@pytest.mark.parametrize(("spare", "inline"), [(0, True), (-1, False)])
async def test_large_requests_are_built_in_a_thread(
    spare: int, inline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def noted(*args: Any) -> RequestParts:
        threads.append(threading.get_ident())
        return embedding_parts(*args)

    monkeypatch.setattr(offload, "BUDGET", (len(ASK.texts[0]) + spare) * Cost.VECTOR)
    monkeypatch.setattr(http_embedder, "embedding_parts", noted)
    await Setting(OK + ANSWER).embed()
    assert [thread == threading.get_ident() for thread in threads] == [inline]


async def test_oversized_answer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_embedder, "MAX_ANSWER", len(ANSWER) - 1)
    failure = await Setting(OK + ANSWER).failure()
    assert failure.kind is FailureKind.MALFORMED
    assert "over" in failure.message


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([OK + ANSWER[:9], b""], FailureKind.TRUNCATED),
        ([OK + ANSWER[:9], httpx.ReadError("reset")], FailureKind.TRUNCATED),
        ([b""], FailureKind.REFUSED),
        ([head(200, "content-type: text/html", "content-length: 0")], FailureKind.SERVER_ERROR),
        (
            [head(200, "content-type: application/json", "content-encoding: gzip")],
            FailureKind.SERVER_ERROR,
        ),
        ([head(429, "content-length: 0")], FailureKind.REJECTED),
        ([head(503, "content-length: 0")], FailureKind.SERVER_ERROR),
    ],
)
async def test_failure_kinds(script: list[Line], kind: FailureKind) -> None:
    assert (await Setting(*script).failure()).kind is kind


async def test_refused_key_is_paused() -> None:
    said = msgspec.json.encode({"error": {"message": "no topsecret for you"}})
    length = f"content-length: {len(said)}"
    setting = Setting(head(401, "content-type: application/json", length) + said)
    failure = await setting.failure()
    assert (failure.status, failure.message) == (401, "no [secret] for you")
    assert (await setting.failure()).code == "no_usable_key"


async def test_key_is_paused_if_a_200_answer_reports_no_credit() -> None:
    said = b'{"error":{"message":"No.","code":"insufficient_quota"}}'
    length = f"content-length: {len(said)}"
    setting = Setting(head(200, "content-type: application/json", length) + said)
    assert (await setting.failure()).code == "insufficient_quota"
    assert (await setting.failure()).code == "no_usable_key"


async def test_a_cancelled_reader_closes_its_connection(autojump_clock: MockClock) -> None:
    setting = Setting(OK + ANSWER[:9], SILENCE, b"")
    answer = await setting.embed()
    with trio.move_on_after(1):
        try:
            await answer.read()
        finally:
            answer.close()
    assert setting.wire.closed


async def test_unexpected_content_type_closes_the_connection() -> None:
    setting = Setting(head(200, "content-type: text/event-stream", "content-length: 5"))
    failure = await setting.failure()
    assert "text/event-stream instead of an answer" in failure.message
    assert setting.wire.closed
