"""Tests of errors of the framework: their format, and hints to a wrong base URL."""

import pytest
from trio.testing import MockClock

from tests.support.edge_harness import open_harness

ANTHROPIC = {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/messages", "/v1/messages"),
        ("/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/responses", "/v1/responses"),
        ("/responses/resp_1", "/v1/responses/{response_id}"),
        ("/embeddings", "/v1/embeddings"),
        ("/models", "/v1/models"),
        ("/v1/v1/messages", "/v1/messages"),
        ("/v1/messages/", "/v1/messages"),
        ("/v1//responses", "/v1/responses"),
        ("/openai/v1/chat/completions", "/v1/chat/completions"),
        ("/api/chat/completions", "/v1/chat/completions"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("headers", [{}, ANTHROPIC])
async def test_wrong_base_url_gets_a_hint(
    autojump_clock: MockClock, method: str, path: str, known: str, headers: dict[str, str]
) -> None:
    async with open_harness() as harness:
        response = await harness.client.request(method, path, headers=headers)
        assert response.status_code == 404
        document = response.json()
        assert f"is {known}. Check the client's base URL." in document["error"]["message"]
        assert ("type" in document) is (bool(headers) or path.startswith("/v1/messages"))


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/nothing", "/v1/chat", "/x" * 5000])
async def test_other_unknown_paths_get_none(autojump_clock: MockClock, path: str) -> None:
    async with open_harness() as harness:
        response = await harness.get(path)
        assert response.status_code == 404
        assert "base URL" not in response.json()["error"]["message"]
        assert response.json()["error"]["code"] == "not_found"
