"""Tests of `/v1/models`, for clients of OpenAI's and of Anthropic's API."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from anthropic.types import ModelInfo
from openai.types import Model
from trio.testing import MockClock

from tests.support.chat_readers import assert_known
from tests.support.edge_harness import EdgeHarness, open_harness
from tests.support.turn_fakes import ScriptedProvider, stop, text

NAMES = ["a", "b", "c", "deep/name", "e"]
ROUTES = {"routes": ["main/main-model"]}
ANTHROPIC = {"anthropic-version": "2023-06-01", "x-api-key": "x"}


def with_models(
    *names: str, provider: ScriptedProvider | None = None
) -> AbstractAsyncContextManager[EdgeHarness]:
    main = provider or ScriptedProvider()
    return open_harness(main, models=dict.fromkeys(names, ROUTES))


async def listed(harness: EdgeHarness, query: str = "") -> dict[str, Any]:
    response = await harness.get(f"/v1/models{query}", headers=ANTHROPIC)
    assert response.status_code == 200
    page: dict[str, Any] = response.json()
    return page


async def test_models_are_listed(autojump_clock: MockClock) -> None:
    async with with_models("large", "*") as harness:
        found = (await harness.get("/v1/models")).json()
        assert found["object"] == "list"
        (described,) = found["data"]
        model = Model.model_validate(described, strict=True)
        assert_known(model)
        assert model.id == "large"
        assert (await harness.get("/v1/models/large")).json() == described


async def test_anthropic_clients_get_their_objects(autojump_clock: MockClock) -> None:
    async with with_models(*NAMES) as harness:
        page = await listed(harness)
        models = [ModelInfo.model_validate(one) for one in page["data"]]
        assert [model.id for model in models] == [model.display_name for model in models] == NAMES
        assert page["data"][0]["created_at"].endswith("Z")
        assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "a", "e")
        one = await harness.get("/v1/models/deep/name", headers=ANTHROPIC)
        assert one.json() == page["data"][3]


@pytest.mark.parametrize(
    ("query", "shown", "has_more"),
    [
        ("?limit=1000", NAMES, False),
        ("?limit=2", ["a", "b"], True),
        ("?limit=2&after_id=b", ["c", "deep/name"], True),
        ("?limit=2&after_id=c", ["deep/name", "e"], False),
        ("?after_id=e", [], False),
        ("?limit=2&before_id=e", ["c", "deep/name"], True),
        ("?limit=2&before_id=c", ["a", "b"], False),
        ("?limit=1&after_id=a&before_id=e", ["b"], True),
    ],
)
async def test_anthropic_clients_get_pages(
    autojump_clock: MockClock, query: str, shown: list[str], has_more: bool
) -> None:
    async with with_models(*NAMES) as harness:
        page = await listed(harness, query)
        assert [model["id"] for model in page["data"]] == shown
        ends = (shown[0], shown[-1]) if shown else (None, None)
        assert (page["has_more"], page["first_id"], page["last_id"]) == (has_more, *ends)


def kind_of(response: httpx.Response) -> str:
    document = response.json()
    assert document["type"] == "error"
    assert document["request_id"].startswith("req_")
    assert response.headers["request-id"].startswith("req_")
    kind: str = document["error"]["type"]
    return kind


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/models?limit=0", 400, "invalid_request_error"),
        ("GET", "/v1/models?limit=1001", 400, "invalid_request_error"),
        ("GET", "/v1/models?after_id=z", 400, "invalid_request_error"),
        ("GET", "/v1/models/z", 404, "not_found_error"),
        ("POST", "/v1/models", 405, "invalid_request_error"),
        ("GET", "/v1/skills", 404, "not_found_error"),
    ],
)
async def test_errors_for_anthropic_clients_have_their_format(
    autojump_clock: MockClock, method: str, path: str, status: int, kind: str
) -> None:
    async with with_models(*NAMES) as harness:
        response = await harness.client.request(method, path, headers=ANTHROPIC)
        assert (response.status_code, kind_of(response)) == (status, kind)


@pytest.mark.parametrize("headers", [{}, ANTHROPIC])
async def test_route_that_requests_can_name_is_found(
    autojump_clock: MockClock, headers: dict[str, str]
) -> None:
    async with with_models("large") as harness:
        response = await harness.get("/v1/models/main/any/model", headers=headers)
        assert (response.status_code, response.json()["id"]) == (200, "main/any/model")


@pytest.mark.parametrize("name", ["tiny", "other/main-model", "main/", "x" * 1000])
async def test_unknown_model_is_404(autojump_clock: MockClock, name: str) -> None:
    async with open_harness() as harness:
        response = await harness.get(f"/v1/models/{name}")
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"
        assert len(response.content) < 500


async def test_catch_all_answers_for_any_other_name(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("Hi"), stop())
    async with with_models("*", provider=main) as harness:
        response = await harness.chat(model="claude-next")
        assert response.status_code == 200
        assert response.headers["x-trouper-route"] == "main/main-model"
        assert harness.turns.record.turn.model == "claude-next"
        found = await harness.get("/v1/models/claude-next", headers=ANTHROPIC)
        assert found.json()["id"] == "claude-next"
