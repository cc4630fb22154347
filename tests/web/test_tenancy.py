"""Tests that every read and write of every surface stays within the caller's tenant."""

from collections.abc import Iterator

import pytest
from trio.testing import MockClock

from tests.support.edge_harness import TENANT_HEADER, EdgeHarness, chat_body, open_harness
from tests.support.turn_fakes import FOREVER, Line, ScriptedProvider, stop, text
from web.app import create_app

OTHER = {TENANT_HEADER: "tenant_other"}
ENDED: list[Line] = [text("secret"), stop()]
LIVE: list[Line] = [text("secret"), FOREVER]
RESPONSE = {"model": "large", "input": "Hi"}
MESSAGE = {"model": "large", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
PARENTS = {"turn_id": "turn_1", "response_id": "resp_1"}


def routes_to_objects(harness: EdgeHarness) -> Iterator[tuple[str, str]]:
    """Yield method and path of every route that names a turn or a response."""
    for rule in create_app(harness.service).url_map.iter_rules():
        if rule.arguments & PARENTS.keys():
            path = rule.rule
            for argument, id in PARENTS.items():
                path = path.replace(f"<{argument}>", id)
            yield from ((method, path) for method in (rule.methods or set()) - {"OPTIONS", "HEAD"})


@pytest.mark.parametrize("lines", [ENDED, LIVE], ids=["ended", "live"])
async def test_objects_of_another_tenant_do_not_exist(
    autojump_clock: MockClock, lines: list[Line]
) -> None:
    body = RESPONSE | {"stream": True}
    async with (
        open_harness(ScriptedProvider(*lines)) as harness,
        harness.client.stream("POST", "/v1/responses", json=body) as own,
    ):
        assert own.status_code == 200
        routes = sorted(routes_to_objects(harness))
        assert len(routes) >= 7, "the test looks in the wrong place"
        for method, path in routes:
            answer = await harness.client.request(method, path, headers=OTHER)
            assert answer.status_code == 404, (method, path)
        assert (await harness.get("/v1/turns/turn_1")).json()["deleted_at"] is None


async def test_lists_have_only_turns_of_the_tenant(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*ENDED)) as harness:
        await harness.chat()
        await harness.post("/v1/chat/completions", json=chat_body(), headers=OTHER)
        for headers, expected in (({}, "turn_1"), (OTHER, "turn_2")):
            page = (await harness.get("/v1/turns", headers=headers)).json()
            assert [turn["id"] for turn in page["data"]] == [expected]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", chat_body()),
        ("/v1/messages", MESSAGE),
        ("/v1/responses", RESPONSE),
        ("/v1/responses/compact", RESPONSE),
    ],
)
async def test_turns_belong_to_the_tenant_of_their_caller(
    autojump_clock: MockClock, path: str, body: dict[str, object]
) -> None:
    async with open_harness(ScriptedProvider(*ENDED)) as harness:
        await harness.post(path, json=body, headers=OTHER)
        assert harness.turns.record.turn.tenant_id == "tenant_other"


async def test_history_of_another_tenant_cannot_be_continued(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*ENDED)) as harness:
        await harness.post("/v1/responses", json=RESPONSE | {"conversation": "c"})
        chained = RESPONSE | {"previous_response_id": "resp_1"}
        answer = await harness.post("/v1/responses", json=chained, headers=OTHER)
        assert answer.status_code == 404
        same_name = RESPONSE | {"conversation": "c"}
        answer = await harness.post("/v1/responses", json=same_name, headers=OTHER)
        assert answer.status_code == 200
        assert harness.store.finals[-1].turn.previous_id is None
