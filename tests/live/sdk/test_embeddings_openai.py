"""Embeddings through the official `openai` SDK: vectors, cost, records, failover and errors."""

import time
from collections.abc import Iterator

import openai
import pytest
import trio
from openai.types import CreateEmbeddingResponse

from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import JSON, ended_turn, fetch, reports, turn
from tests.support.live.openai_clients import async_sdk

SETTINGS = """
grace_s = 0
drain_s = 1
[providers.lama]
format = "ollama"
base_url = "http://127.0.0.1:{port}"
[providers.claude]
format = "anthropic"
base_url = "http://127.0.0.1:{port}/v1"
[providers.within]
format = "simulated"
[models.vectors]
routes = ["up/v"]
price = {{ input = 2 }}
[models.spread]
routes = ["claude/v", "up/v:error=503", "lama/v"]
[models.talk]
routes = ["claude/v"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """Run a server with routes that support embeddings and routes that do not."""
    directory = tmp_path_factory.mktemp("embeddings")
    settings = SETTINGS.format(port=upstream.port)
    with serving(directory, write_config(directory, upstream.port, settings)) as process:
        yield process


def outcomes(server: Server, model: str) -> list[tuple[object, ...]]:
    """Return dialect, status and reason of a model's ended turns."""
    rows = server.rows("SELECT model, dialect, status, reason FROM turns WHERE ended_at > 0")
    return [tuple(row[1:]) for row in rows if row[0] == model]


def vectors(answer: CreateEmbeddingResponse) -> list[list[float]]:
    """Return the vectors, after asserting their order."""
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return [item.embedding for item in answer.data]


async def test_float_and_base64_encodings_give_the_same_vectors(server: Server) -> None:
    async with async_sdk(server) as client:
        texts = ["On stage", "Behind it", "On stage"]
        packed = await client.embeddings.create(model="vectors", input=texts)
        plain = await client.embeddings.create(
            model="vectors", input=texts, encoding_format="float"
        )
    assert packed.usage == plain.usage
    one, other, again = vectors(plain)
    assert one == again != other
    assert vectors(packed) == [pytest.approx(vector, rel=1e-6) for vector in (one, other, again)]
    assert sum(number**2 for number in one) == pytest.approx(1.0, abs=1e-4)


async def test_embeddings_are_charged_by_input_tokens(server: Server) -> None:
    async with async_sdk(server) as client:
        raw = await client.embeddings.with_raw_response.create(model="vectors", input="On stage")
    tokens = raw.parse().usage.prompt_tokens
    assert tokens == 2
    assert (await turn(server, raw.headers["x-turn-id"]))["cost_micros"] == 2 * tokens


async def test_embeddings_are_recorded_as_a_turn(server: Server) -> None:
    async with async_sdk(server) as client:
        raw = await client.embeddings.with_raw_response.create(
            model="up/recorded", input="On stage", dimensions=3
        )
        answer = raw.parse()
    assert len(vectors(answer)[0]) == 3
    assert raw.headers["x-trouper-route"] == "up/recorded"
    turn_id = raw.headers["x-turn-id"]
    found = await turn(server, turn_id)
    tokens = answer.usage.prompt_tokens
    assert found["usage"] == {
        "input_tokens": tokens,
        "output_tokens": 0,
        "estimated": False,
    }
    assert (found["cost_micros"], found["text"]) == (0, "")
    assert outcomes(server, "up/recorded") == [("embeddings", "completed", "stop")]
    status, error = await fetch(server, f"/v1/turns/{turn_id}/events")
    assert status == 400
    assert isinstance(error["error"], dict)
    assert error["error"]["code"] == "no_events"


@pytest.mark.parametrize("model", ["lama/v", "within/v"])
async def test_other_formats_support_embeddings(server: Server, model: str) -> None:
    async with async_sdk(server) as client:
        found = await client.embeddings.create(model=model, input=[[1, 2], [3]], dimensions=5)
    assert [len(vector) for vector in vectors(found)] == [5, 5]


async def test_failover_skips_routes_without_embeddings(server: Server) -> None:
    async with async_sdk(server) as client:
        raw = await client.embeddings.with_raw_response.create(model="spread", input="a")
    assert raw.headers["x-trouper-route"] == "lama/v"
    found = await turn(server, raw.headers["x-turn-id"])
    assert isinstance(found["attempts"], list)
    results = [(one["provider"], one["result"]) for one in found["attempts"]]
    assert results[0] == ("claude", "skipped")
    assert ("up", "server_error") in results
    assert results[-1] == ("lama", "answered")


async def test_errors_raise_the_matching_sdk_exceptions(server: Server) -> None:
    async with async_sdk(server) as client:
        with pytest.raises(openai.BadRequestError, match="no route that makes embeddings"):
            await client.embeddings.create(model="talk", input="a")
        with pytest.raises(openai.BadRequestError, match="input"):
            await client.embeddings.create(model="vectors", input=[])
        with pytest.raises(openai.BadRequestError) as caught:
            await client.embeddings.create(model="vectors", input="a", dimensions=100_000)
        with pytest.raises(openai.NotFoundError):
            await client.embeddings.create(model="unknown", input="a")
        with pytest.raises(openai.InternalServerError):
            await client.embeddings.create(model="up/v:error=500", input="a")
    assert caught.value.param == "dimensions"
    found = await ended_turn(server, caught.value.response.headers["x-turn-id"])
    assert (found["status"], found["reason"]) == ("failed", "upstream_rejected")


@pytest.mark.parametrize("settings", ["silent", "first=60s"])
async def test_disconnect_closes_the_upstream_connection(
    server: Server, upstream: Process, settings: str
) -> None:
    user = f"embedder-{settings}"
    left_at = 0.0

    async def cancel_when_received(scope: trio.CancelScope) -> None:
        nonlocal left_at

        async def look() -> list[JSON]:
            return await reports(upstream, user)

        await until(look)
        left_at = time.monotonic()
        scope.cancel()

    async with async_sdk(server) as client, trio.open_nursery() as nursery:
        nursery.start_soon(cancel_when_received, nursery.cancel_scope)
        await client.embeddings.create(model=f"up/v:{settings}", input="a", user=user)

    async def closed() -> JSON | None:
        (report,) = await reports(upstream, user)
        return report if report["closed_at"] is not None else None

    report = await until(closed)
    assert report is not None
    assert isinstance(report["closed_at"], float)
    assert report["closed_at"] - left_at < 1.0

    async def look() -> list[tuple[object, ...]]:
        return outcomes(server, f"up/v:{settings}")

    assert await until(look) == [("embeddings", "incomplete", "client_disconnected")]
