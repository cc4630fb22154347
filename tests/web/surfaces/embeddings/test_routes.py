"""`POST /v1/embeddings` with scripted providers: answers, failover, and one record for each."""

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from msgspec import Raw
from quart import Response
from trio.testing import MockClock

from actors.providers.embedding_provider import OpenEmbedding
from actors.providers.formats.embeddings import EmbeddingCall, Embeddings
from actors.turn.model_call import FailureKind, Route, UpstreamFailure
from actors.turn.outcome import Mode, Reason, Usage
from store.records.turn_records import FinalRecord
from tests.support.edge_harness import EdgeHarness, brief_pause, open_harness
from tests.support.turn_fakes import ScriptedProvider, StoreFault
from web.http.responses import json_response

Line = float | UpstreamFailure
VECTOR = Embeddings((Raw(b"[0.5,1]"),), Usage(input_tokens=1_000_000, output_tokens=0))


class ScriptedEmbedder:
    """A provider that waits or fails in place of its head, then in place of its answer."""

    def __init__(
        self, *heads: Line, then: Line = 0.0, answer: Embeddings = VECTOR, name: str = "main"
    ) -> None:
        self.name = name
        self._heads = list(heads)
        self._then = then
        self._answer = answer
        self.calls: list[tuple[EmbeddingCall, str]] = []
        self.released = 0
        self.closed = 0

    async def embed(
        self, ask: EmbeddingCall, upstream_model: str, *, connect_s: float
    ) -> OpenEmbedding:
        self.calls.append((ask, upstream_model))
        await _wait_or_raise(self._heads.pop(0) if self._heads else 0.0)
        return OpenEmbedding(self.read, self.release, self.close)

    async def read(self) -> Embeddings:
        await _wait_or_raise(self._then)
        return self._answer

    def release(self) -> None:
        self.released += 1

    def close(self) -> None:
        self.closed += 1


async def _wait_or_raise(line: Line) -> None:
    if isinstance(line, UpstreamFailure):
        await trio.lowlevel.checkpoint()
        raise line
    await trio.sleep(line)


def failing(
    status: int | None = 503, kind: FailureKind = FailureKind.SERVER_ERROR, **more: str
) -> UpstreamFailure:
    return UpstreamFailure(kind, "oh no", status=status, **more)  # type: ignore[arg-type]  # texts


@asynccontextmanager
async def open_embedding_harness(
    *embedders: ScriptedEmbedder, mode: Mode = Mode.ATTACHED, **sections: dict[str, object]
) -> AsyncIterator[EdgeHarness]:
    names = [embedder.name for embedder in embedders]
    models: dict[str, object] = {
        "large": {
            "routes": [f"{name}/{name}-model" for name in names],
            "price": {"input": 0.02, "output": 5},
        }
    }
    providers = [ScriptedProvider(name=name) for name in names]
    async with open_harness(
        *providers, mode=mode, embedders=embedders, models=models, **sections
    ) as harness:
        yield harness


async def ask(harness: EdgeHarness, **changes: object) -> httpx.Response:
    return await harness.post("/v1/embeddings", json={"model": "large", "input": "Hello"} | changes)


def only_record(harness: EdgeHarness) -> FinalRecord:
    (record,) = harness.store.records
    assert list(harness.store.begun) == [record.turn.id]
    return record


def results(record: FinalRecord) -> list[tuple[str, str]]:
    return [
        (attempt.provider, attempt.result) for step in record.steps for attempt in step.attempts
    ]


async def test_answer_and_record(autojump_clock: MockClock) -> None:
    embedder = ScriptedEmbedder(2.0, then=3.0)
    async with open_embedding_harness(embedder) as harness:
        response = await ask(harness, dimensions=2, user="u")
        record = only_record(harness)
    assert response.status_code == 200
    assert response.json() == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}],
        "model": "main-model",
        "usage": {"prompt_tokens": 1_000_000, "total_tokens": 1_000_000},
    }
    assert response.headers["X-Turn-Id"] == record.turn.id
    assert response.headers["X-Trouper-Route"] == "main/main-model"
    ((call, model),) = embedder.calls
    assert (call.input, call.parameters, model) == (
        "Hello",
        {"dimensions": 2, "user": "u"},
        "main-model",
    )
    assert (embedder.released, embedder.closed) == (1, 0)
    assert (record.status, record.reason) == ("completed", "stop")
    assert (record.turn.dialect, record.turn.keep_text) == ("embeddings", False)
    assert (record.text, record.segment) == ("", None)
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.estimated) == (1_000_000, False)
    assert record.usage.cost_micros == 20_000
    assert results(record) == [("main", "answered")]


@pytest.mark.parametrize(("numbers", "inline"), [(10, True), (20_000, False)])
async def test_only_short_answers_are_encoded_inline(
    numbers: int, inline: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def recording(*args: Any, **options: Any) -> Response:
        threads.append(threading.get_ident())
        return json_response(*args, **options)

    monkeypatch.setattr("web.surfaces.embeddings.routes.json_response", recording)
    vector = [0.5] * numbers
    answer = Embeddings((Raw(json.dumps(vector).encode()),), VECTOR.usage)
    async with open_embedding_harness(ScriptedEmbedder(answer=answer)) as harness:
        response = await ask(harness)
    assert response.json()["data"][0]["embedding"] == vector
    assert [thread == threading.get_ident() for thread in threads] == [inline]


async def test_missing_usage_is_estimated(autojump_clock: MockClock) -> None:
    embedder = ScriptedEmbedder(answer=Embeddings(VECTOR.vectors, None))
    async with open_embedding_harness(embedder) as harness:
        response = await ask(harness, input=[1, 2, 3])
        usage = only_record(harness).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (3, 0, True)
    assert response.json()["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize(
    "failure",
    [
        failing(503),
        failing(429, FailureKind.REJECTED),
        failing(401, FailureKind.REJECTED),
        failing(None, FailureKind.REFUSED),
        failing(None, FailureKind.CONNECT_TIMEOUT),
    ],
    ids=str,
)
async def test_next_route_answers_after_a_failure(
    failure: UpstreamFailure, autojump_clock: MockClock
) -> None:
    embedders = ScriptedEmbedder(*[failure] * 3), ScriptedEmbedder(name="spare")
    async with open_embedding_harness(*embedders) as harness:
        response = await ask(harness)
        record = only_record(harness)
    assert response.status_code == 200
    assert response.json()["model"] == "spare-model"
    assert response.headers["X-Trouper-Route"] == "spare/spare-model"
    assert results(record)[-1] == ("spare", "answered")
    assert {result for name, result in results(record) if name == "main"} == {failure.kind.value}


@pytest.mark.parametrize(
    "then", [failing(None, FailureKind.TRUNCATED), failing(200, FailureKind.MALFORMED), 1e6]
)
async def test_incomplete_answer_fails_over(then: Line, autojump_clock: MockClock) -> None:
    broken, spare = ScriptedEmbedder(then=then), ScriptedEmbedder(name="spare")
    async with open_embedding_harness(broken, spare) as harness:
        response = await ask(harness)
    assert response.json()["model"] == "spare-model"
    assert (broken.closed, broken.released) == (len(broken.calls), 0)


async def test_client_error_is_passed_on(autojump_clock: MockClock) -> None:
    refusal = failing(400, FailureKind.REJECTED, param="dimensions", code="too_many")
    spare = ScriptedEmbedder(name="spare")
    async with open_embedding_harness(ScriptedEmbedder(refusal), spare) as harness:
        response = await ask(harness)
        record = only_record(harness)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["message"], error["param"], error["code"]) == ("oh no", "dimensions", "too_many")
    assert response.headers["X-Turn-Id"] == record.turn.id
    assert (record.status, record.reason, record.usage) == ("failed", "upstream_rejected", None)
    assert spare.calls == []


async def test_routes_without_embeddings_are_skipped(autojump_clock: MockClock) -> None:
    embedder = ScriptedEmbedder(name="spare")
    providers = ScriptedProvider(), ScriptedProvider(name="spare")
    async with open_harness(*providers, embedders=[embedder]) as harness:
        response = await ask(harness)
        record = only_record(harness)
    assert response.status_code == 200
    assert results(record) == [("main", "skipped"), ("spare", "answered")]
    assert record.steps[0].attempts[0].message == "no_embeddings"
    assert providers[0].calls == []


async def test_model_without_embeddings_is_400(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider()) as harness:
        response = await ask(harness)
        assert harness.store.begun == {}
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("no_embeddings", "model")
    assert "main/main-model" in error["message"]


async def test_invalid_requests_start_no_turn(autojump_clock: MockClock) -> None:
    async with open_embedding_harness(ScriptedEmbedder()) as harness:
        assert (await ask(harness, input=[])).json()["error"]["param"] == "input"
        assert (await ask(harness, model="nobody")).status_code == 404
        harness.registry.draining = True
        assert (await ask(harness)).json()["error"]["code"] == "draining"
        assert harness.store.begun == {}


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("script", [(1e6, 0.0), (0.0, 1e6)])
async def test_disconnect_ends_it_in_every_mode(
    mode: Mode, script: tuple[float, float], autojump_clock: MockClock
) -> None:
    embedder = ScriptedEmbedder(script[0], then=script[1])
    async with open_embedding_harness(embedder, mode=mode) as harness:
        left_at = 0.0
        with trio.move_on_after(1):
            left_at = trio.current_time() + 1
            await ask(harness)
        await harness.registry.wait_empty()
        assert trio.current_time() - left_at < 0.1
        record = only_record(harness)
    assert (record.status, record.reason) == ("incomplete", "client_disconnected")
    assert record.disconnect_stage == "before_first_token"
    assert results(record) == [("main", "cancelled")]
    assert embedder.closed == (script[0] == 0.0)
    if embedder.closed:
        assert record.usage is not None
        assert record.usage.estimated
        assert record.usage.input_tokens > 0


async def test_time_budget_ends_it(autojump_clock: MockClock) -> None:
    timeouts: dict[str, object] = {"total_s": 5}
    async with open_embedding_harness(ScriptedEmbedder(1e6), timeouts=timeouts) as harness:
        response = await ask(harness)
        record = only_record(harness)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "time_budget")
    assert record.reason == "time_budget"


async def test_shutdown_ends_it(autojump_clock: MockClock) -> None:
    async with (
        open_embedding_harness(ScriptedEmbedder(1e6)) as harness,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_expect, harness, 503, "server_shutdown")
        await trio.sleep(1)
        harness.registry.stop_all(Reason.SERVER_SHUTDOWN)
        await harness.registry.wait_empty()
        assert only_record(harness).reason == "server_shutdown"


async def _expect(harness: EdgeHarness, status: int, code: str) -> None:
    response = await ask(harness)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_it_can_be_cancelled_and_has_no_events(autojump_clock: MockClock) -> None:
    async with (
        open_embedding_harness(ScriptedEmbedder(1e6)) as harness,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_expect, harness, 409, "cancel_requested")
        await brief_pause()
        live = await harness.get("/v1/turns/turn_1/events")
        assert (live.status_code, live.json()["error"]["code"]) == (400, "no_events")
        cancelled = await harness.post("/v1/turns/turn_1/cancel")
        assert cancelled.json()["reason"] == "cancel_requested"
        stored = await harness.get("/v1/turns/turn_1/events")
        assert (stored.status_code, stored.json()["error"]["code"]) == (400, "no_events")
        assert (await harness.get("/v1/turns/turn_1")).json()["text"] == ""
        only_record(harness)


async def test_record_that_the_store_refuses_is_spooled(autojump_clock: MockClock) -> None:
    async with open_embedding_harness(ScriptedEmbedder()) as harness:
        harness.store.trouble["finalise"] = StoreFault.REFUSES
        response = await ask(harness)
        assert response.status_code == 200
        assert response.headers["X-Turn-Stored"] == "spooled"
        assert [record.turn.dialect for record in harness.store.spooled] == ["embeddings"]


async def test_no_request_is_sent_that_cannot_be_recorded(autojump_clock: MockClock) -> None:
    embedder = ScriptedEmbedder()
    async with open_embedding_harness(embedder) as harness:
        harness.store.trouble["begin"] = StoreFault.REFUSES
        response = await ask(harness)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "store_unavailable")
    assert embedder.calls == []


async def test_successful_probe_closes_the_breaker(autojump_clock: MockClock) -> None:
    route = Route("main", "main-model")
    async with open_embedding_harness(ScriptedEmbedder(*[failing()] * 10)) as harness:
        for number in range(5):
            assert (await ask(harness, input=f"text {number}")).status_code == 503
        board = harness.service.board
        assert board.status(route).breaker.state == "open"
        refused = await ask(harness)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert "main/main-model (breaker_open)" in refused.json()["error"]["message"]
        await trio.sleep(1)
        assert (await ask(harness)).status_code == 200
        assert board.status(route).breaker.state == "closed"


async def test_large_bodies_and_answers(autojump_clock: MockClock) -> None:
    vectors = tuple(Raw(json.dumps([number / 7] * 300).encode()) for number in range(100))
    embedder = ScriptedEmbedder(answer=Embeddings(vectors, None))
    async with open_embedding_harness(embedder) as harness:
        response = await ask(harness, input=["word " * 100] * 100)
    assert [item["embedding"][0] for item in response.json()["data"]] == [n / 7 for n in range(100)]
