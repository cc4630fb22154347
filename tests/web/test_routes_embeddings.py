"""`POST /v1/embeddings` over scripted providers: answers, other routes, and one record for each."""

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

from actors.outcome import Mode, Reason, Usage
from actors.providers.base import FailureKind, Route, UpstreamFailure
from actors.providers.embeddings import EmbeddingAsk, Embeddings
from store.records import FinalRecord
from tests.actors.fakes import ScriptedProvider, Trouble
from tests.web.house import House, in_a_moment, open_house
from web.json_responses import json_response

Line = float | UpstreamFailure
VECTOR = Embeddings((Raw(b"[0.5,1]"),), Usage(input_tokens=1_000_000, output_tokens=0))


class ScriptedEmbedder:
    """Waits or fails, first instead of the head and then instead of the answer."""

    def __init__(
        self, *heads: Line, then: Line = 0.0, answer: Embeddings = VECTOR, name: str = "main"
    ) -> None:
        self.name = name
        self._heads = list(heads)
        self._then = then
        self._answer = answer
        self.asked: list[tuple[EmbeddingAsk, str]] = []
        self.released = 0
        self.closed = 0

    async def embed(
        self, ask: EmbeddingAsk, upstream_model: str, *, connect_s: float
    ) -> "ScriptedEmbedder":
        self.asked.append((ask, upstream_model))
        await _play(self._heads.pop(0) if self._heads else 0.0)
        return self

    async def read(self) -> Embeddings:
        await _play(self._then)
        return self._answer

    def release(self) -> None:
        self.released += 1

    def close(self) -> None:
        self.closed += 1


async def _play(line: Line) -> None:
    if isinstance(line, UpstreamFailure):
        await trio.lowlevel.checkpoint()
        raise line
    await trio.sleep(line)


def failing(
    status: int | None = 503, kind: FailureKind = FailureKind.SERVER_ERROR, **more: str
) -> UpstreamFailure:
    return UpstreamFailure(kind, "oh no", status=status, **more)  # type: ignore[arg-type]  # texts


@asynccontextmanager
async def house_of(
    *embedders: ScriptedEmbedder, mode: Mode = Mode.ATTACHED, **sections: dict[str, object]
) -> AsyncIterator[House]:
    names = [embedder.name for embedder in embedders]
    models: dict[str, object] = {
        "large": {
            "routes": [f"{name}/{name}-model" for name in names],
            "price": {"input": 0.02, "output": 5},
        }
    }
    providers = [ScriptedProvider(name=name) for name in names]
    async with open_house(
        *providers, mode=mode, embedders=embedders, models=models, **sections
    ) as house:
        yield house


async def ask(house: House, **changes: object) -> httpx.Response:
    return await house.post("/v1/embeddings", json={"model": "large", "input": "Hello"} | changes)


def only_record(house: House) -> FinalRecord:
    (record,) = house.store.records
    assert list(house.store.begun) == [record.turn.id]
    return record


def results(record: FinalRecord) -> list[tuple[str, str]]:
    return [
        (attempt.provider, attempt.result) for step in record.steps for attempt in step.attempts
    ]


async def test_an_answer_and_its_record(autojump_clock: MockClock) -> None:
    embedder = ScriptedEmbedder(2.0, then=3.0)
    async with house_of(embedder) as house:
        response = await ask(house, dimensions=2, user="u")
        record = only_record(house)
    assert response.status_code == 200
    assert response.json() == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}],
        "model": "main-model",
        "usage": {"prompt_tokens": 1_000_000, "total_tokens": 1_000_000},
    }
    assert response.headers["X-Turn-Id"] == record.turn.id
    assert response.headers["X-Trouper-Route"] == "main/main-model"
    ((asked, model),) = embedder.asked
    assert (asked.input, asked.parameters, model) == (
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
async def test_only_a_short_answer_is_written_at_once(
    numbers: int, inline: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def noted(*args: Any, **options: Any) -> Response:
        threads.append(threading.get_ident())
        return json_response(*args, **options)

    monkeypatch.setattr("web.routes.embeddings.json_response", noted)
    vector = [0.5] * numbers
    answer = Embeddings((Raw(json.dumps(vector).encode()),), VECTOR.usage)
    async with house_of(ScriptedEmbedder(answer=answer)) as house:
        response = await ask(house)
    assert response.json()["data"][0]["embedding"] == vector
    assert [thread == threading.get_ident() for thread in threads] == [inline]


async def test_usage_that_nobody_tells_is_estimated(autojump_clock: MockClock) -> None:
    embedder = ScriptedEmbedder(answer=Embeddings(VECTOR.vectors, None))
    async with house_of(embedder) as house:
        response = await ask(house, input=[1, 2, 3])
        usage = only_record(house).usage
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
async def test_another_route_answers(failure: UpstreamFailure, autojump_clock: MockClock) -> None:
    embedders = ScriptedEmbedder(*[failure] * 3), ScriptedEmbedder(name="spare")
    async with house_of(*embedders) as house:
        response = await ask(house)
        record = only_record(house)
    assert response.status_code == 200
    assert response.json()["model"] == "spare-model"
    assert response.headers["X-Trouper-Route"] == "spare/spare-model"
    assert results(record)[-1] == ("spare", "answered")
    assert {result for name, result in results(record) if name == "main"} == {failure.kind.value}


@pytest.mark.parametrize(
    "then", [failing(None, FailureKind.TRUNCATED), failing(200, FailureKind.MALFORMED), 1e6]
)
async def test_an_answer_that_does_not_come_whole_is_asked_for_elsewhere(
    then: Line, autojump_clock: MockClock
) -> None:
    broken, spare = ScriptedEmbedder(then=then), ScriptedEmbedder(name="spare")
    async with house_of(broken, spare) as house:
        response = await ask(house)
    assert response.json()["model"] == "spare-model"
    assert (broken.closed, broken.released) == (len(broken.asked), 0)


async def test_what_the_client_did_wrong_is_told_to_it(autojump_clock: MockClock) -> None:
    refusal = failing(400, FailureKind.REJECTED, param="dimensions", code="too_many")
    spare = ScriptedEmbedder(name="spare")
    async with house_of(ScriptedEmbedder(refusal), spare) as house:
        response = await ask(house)
        record = only_record(house)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["message"], error["param"], error["code"]) == ("oh no", "dimensions", "too_many")
    assert response.headers["X-Turn-Id"] == record.turn.id
    assert (record.status, record.reason, record.usage) == ("failed", "upstream_rejected", None)
    assert spare.asked == []


async def test_routes_that_make_none_are_skipped(autojump_clock: MockClock) -> None:
    embedder = ScriptedEmbedder(name="spare")
    providers = ScriptedProvider(), ScriptedProvider(name="spare")
    async with open_house(*providers, embedders=[embedder]) as house:
        response = await ask(house)
        record = only_record(house)
    assert response.status_code == 200
    assert results(record) == [("main", "skipped"), ("spare", "answered")]
    assert record.steps[0].attempts[0].message == "no_embeddings"
    assert providers[0].calls == []


async def test_a_model_that_makes_none(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider()) as house:
        response = await ask(house)
        assert house.store.begun == {}
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("no_embeddings", "model")
    assert "main/main-model" in error["message"]


async def test_bad_requests_begin_nothing(autojump_clock: MockClock) -> None:
    async with house_of(ScriptedEmbedder()) as house:
        assert (await ask(house, input=[])).json()["error"]["param"] == "input"
        assert (await ask(house, model="nobody")).status_code == 404
        house.registry.draining = True
        assert (await ask(house)).json()["error"]["code"] == "draining"
        assert house.store.begun == {}


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("script", [(1e6, 0.0), (0.0, 1e6)])
async def test_a_client_that_leaves_ends_it_in_every_mode(
    mode: Mode, script: tuple[float, float], autojump_clock: MockClock
) -> None:
    embedder = ScriptedEmbedder(script[0], then=script[1])
    async with house_of(embedder, mode=mode) as house:
        left_at = 0.0
        with trio.move_on_after(1):
            left_at = trio.current_time() + 1
            await ask(house)
        await house.registry.wait_empty()
        assert trio.current_time() - left_at < 0.1
        record = only_record(house)
    assert (record.status, record.reason) == ("incomplete", "client_disconnected")
    assert record.disconnect_stage == "before_first_token"
    assert results(record) == [("main", "cancelled")]
    assert embedder.closed == (script[0] == 0.0)
    if embedder.closed:
        assert record.usage is not None
        assert record.usage.estimated
        assert record.usage.input_tokens > 0


async def test_the_time_budget_ends_it(autojump_clock: MockClock) -> None:
    timeouts: dict[str, object] = {"total_s": 5}
    async with house_of(ScriptedEmbedder(1e6), timeouts=timeouts) as house:
        response = await ask(house)
        record = only_record(house)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "time_budget")
    assert record.reason == "time_budget"


async def test_a_shutdown_ends_it(autojump_clock: MockClock) -> None:
    async with house_of(ScriptedEmbedder(1e6)) as house, trio.open_nursery() as nursery:
        nursery.start_soon(_expect, house, 503, "server_shutdown")
        await trio.sleep(1)
        house.registry.stop_all(Reason.SERVER_SHUTDOWN)
        await house.registry.wait_empty()
        assert only_record(house).reason == "server_shutdown"


async def _expect(house: House, status: int, code: str) -> None:
    response = await ask(house)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_it_can_be_cancelled_and_has_no_events(autojump_clock: MockClock) -> None:
    async with house_of(ScriptedEmbedder(1e6)) as house, trio.open_nursery() as nursery:
        nursery.start_soon(_expect, house, 409, "cancel_requested")
        await in_a_moment()
        live = await house.get("/v1/turns/turn_1/events")
        assert (live.status_code, live.json()["error"]["code"]) == (400, "no_events")
        cancelled = await house.post("/v1/turns/turn_1/cancel")
        assert cancelled.json()["reason"] == "cancel_requested"
        stored = await house.get("/v1/turns/turn_1/events")
        assert (stored.status_code, stored.json()["error"]["code"]) == (400, "no_events")
        assert (await house.get("/v1/turns/turn_1")).json()["text"] == ""
        only_record(house)


async def test_a_record_that_the_store_does_not_take_is_spooled(autojump_clock: MockClock) -> None:
    async with house_of(ScriptedEmbedder()) as house:
        house.store.trouble["finalise"] = Trouble.REFUSES
        response = await ask(house)
        assert response.status_code == 200
        assert response.headers["X-Turn-Stored"] == "spooled"
        assert [record.turn.dialect for record in house.store.spooled] == ["embeddings"]


async def test_nothing_is_asked_that_cannot_be_recorded(autojump_clock: MockClock) -> None:
    embedder = ScriptedEmbedder()
    async with house_of(embedder) as house:
        house.store.trouble["begin"] = Trouble.REFUSES
        response = await ask(house)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "store_unavailable")
    assert embedder.asked == []


async def test_an_embedding_closes_the_breaker_that_it_probes(autojump_clock: MockClock) -> None:
    route = Route("main", "main-model")
    async with house_of(ScriptedEmbedder(*[failing()] * 3)) as house:
        for _ in range(2):
            assert (await ask(house)).status_code == 503
        board = house.service.board
        assert board.status(route).breaker.state == "open"
        assert (await ask(house)).status_code == 503
        await trio.sleep(board.status(route).breaker.retry_in_s or 0.0)
        assert (await ask(house)).status_code == 200
        assert board.status(route).breaker.state == "closed"


async def test_large_bodies_and_answers(autojump_clock: MockClock) -> None:
    vectors = tuple(Raw(json.dumps([number / 7] * 300).encode()) for number in range(100))
    embedder = ScriptedEmbedder(answer=Embeddings(vectors, None))
    async with house_of(embedder) as house:
        response = await ask(house, input=["word " * 100] * 100)
    assert [item["embedding"][0] for item in response.json()["data"]] == [n / 7 for n in range(100)]
