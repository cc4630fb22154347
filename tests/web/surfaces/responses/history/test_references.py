"""`item_reference` finds every stored item by its id, of inputs and answers."""

import pytest
import trio
from trio.testing import MockClock

from actors.turn.chunks import NativeItemChunk, ReasoningChunk, ToolCallChunk
from actors.turn.outcome import Reason
from tests.support.edge_harness import TENANT_HEADER, open_harness
from tests.support.responses_requests import (
    HELLO,
    Object,
    create_response,
    error_of,
    last_call,
    last_messages,
    post_response,
)
from tests.support.turn_fakes import FOREVER, Line, Scene, ScriptedProvider, StoreFault, stop, text

AGAIN: Object = {"role": "user", "content": "And?"}
SEARCH = (
    '{"type":"web_search_call","id":"ws_1","status":"completed",'
    '"action":{"type":"search","query":"q"}}'
)


def reference(id: str) -> Object:
    return {"type": "item_reference", "id": id}


async def test_items_of_earlier_responses_are_found(autojump_clock: MockClock) -> None:
    call: list[Line] = [[ToolCallChunk(0, "c1", "find", "{}")], stop(Reason.TOOL_CALLS)]
    async with open_harness(ScriptedProvider(*call, then=[Scene(tuple(HELLO))])) as harness:
        await create_response(harness, input="One")
        output = {"type": "function_call_output", "call_id": "c1", "output": "It."}
        await create_response(harness, input=[reference("msg_1_in_0"), reference("fc_1_0"), output])
        roles = [message.role for message in last_call(harness).messages]
        assert roles == ["user", "assistant", "tool"]
        # The items that were found are stored with the response, which can be continued alone.
        page = (await harness.get("/v1/responses/resp_2/input_items?order=asc")).json()
        assert [item["id"] for item in page["data"]] == ["msg_1_in_0", "fc_1_0", "fco_2_in_2"]
        await create_response(harness, input=[reference("msg_2_0"), AGAIN])
        assert last_messages(harness) == [("assistant", "Hello"), ("user", "And?")]
        await create_response(harness, input="Three", previous_response_id="resp_2")
        assert len(last_messages(harness)) == 5


async def test_items_of_the_history_are_not_repeated(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input="One")
        items = [reference("msg_1_in_0"), reference("msg_1_0"), AGAIN]
        await create_response(harness, input=items, previous_response_id="resp_1")
        assert last_messages(harness) == [("user", "One"), ("assistant", "Hello"), ("user", "And?")]
        page = (await harness.get("/v1/responses/resp_2/input_items")).json()
        assert [item["id"] for item in page["data"]] == ["msg_2_in_0"]


async def test_ids_of_clients_and_of_providers_are_found(autojump_clock: MockClock) -> None:
    answer: list[Line] = [[NativeItemChunk("openai-responses", SEARCH)], *HELLO]
    async with open_harness(ScriptedProvider(*answer, api="openai-responses")) as harness:
        given = {"role": "user", "content": "One", "id": "my own"}
        await create_response(harness, input=[given])
        await create_response(harness, input=[reference("my own"), reference("ws_1"), AGAIN])
        native = last_call(harness).native
        assert native is not None
        types = [item.get("type", "message") for item in native.items]
        assert types == ["message", "web_search_call", "message"]
        # The newest turn with an id that came twice decides.
        await create_response(harness, input=[given | {"content": "Two"}])
        await create_response(harness, input=[reference("my own")])
        assert last_messages(harness) == [("user", "Two")]


async def test_items_of_a_live_response_are_found() -> None:
    # On the real clock: with the virtual one the live turn would time out while a thread works.
    lines: list[Line] = [[ReasoningChunk("Hm.")], text("Hel"), FOREVER]
    main = ScriptedProvider(*lines, then=[Scene(tuple(HELLO))])
    async with open_harness(main) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(post_response, harness)
        while (turn := next(iter(harness.registry), None)) is None or not turn.answer.text:
            await trio.lowlevel.checkpoint()
        live = [reference("msg_1_in_0"), reference("rs_1_0")]
        await create_response(harness, input=[*live, AGAIN])
        page = (await harness.get("/v1/responses/resp_2/input_items?order=asc")).json()
        assert [item["id"] for item in page["data"]] == ["msg_1_in_0", "rs_1_0", "msg_2_in_2"]
        answer = await post_response(harness, input=[reference("msg_1_1")])
        assert error_of(answer) == (409, "item_in_progress", "input[0].id")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("id", ["msg_9_0", "msg_1_7", "msg_1_in_7", "fc_1_0", "anything", "_"])
async def test_unknown_items_are_not_found(autojump_clock: MockClock, id: str) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness)
        answer = await post_response(harness, input=[AGAIN, reference(id)])
        assert error_of(answer) == (404, "item_not_found", "input[1].id")


async def test_deleted_and_unstored_items_are_not_found(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input=[AGAIN | {"id": "mine"}])
        await create_response(harness, store=False)
        await harness.client.delete("/v1/responses/resp_1")
        for id in ("msg_1_0", "mine", "msg_2_0", "msg_2_in_0"):
            answer = await post_response(harness, input=[reference(id)])
            assert error_of(answer) == (404, "item_not_found", "input[0].id")


async def test_items_of_other_tenants_are_not_found(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input=[AGAIN | {"id": "mine"}])
        for id in ("msg_1_0", "mine"):
            body = {"model": "large", "input": [reference(id)]}
            other = {TENANT_HEADER: "tenant_b"}
            answer = await harness.post("/v1/responses", json=body, headers=other)
            assert error_of(answer)[:2] == (404, "item_not_found")


async def test_items_that_only_the_spool_has_are_unavailable(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        harness.store.trouble["finalise"] = StoreFault.REFUSES
        await post_response(harness)
        harness.store.trouble.clear()
        answer = await post_response(harness, input=[reference("msg_1_0")])
        assert error_of(answer)[:2] == (503, "store_unavailable")


async def test_many_references_take_a_constant_number_of_queries(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        for _ in range(8):
            await create_response(harness)
        counts = []
        for number in (2, 8):
            before = harness.store.reads
            items = [reference(f"msg_{turn + 1}_0") for turn in range(number)]
            await create_response(harness, input=[*items, AGAIN])
            counts.append(harness.store.reads - before)
        assert counts[0] == counts[1]


async def test_referenced_items_have_the_limit_of_a_body(autojump_clock: MockClock) -> None:
    limits: dict[str, object] = {"body_bytes": 10_000}
    async with open_harness(ScriptedProvider(*HELLO), limits=limits) as harness:
        for _ in range(3):
            await create_response(harness, input="x" * 4_000)
        items = [reference(f"msg_{turn + 1}_in_0") for turn in range(3)]
        answer = await post_response(harness, input=items)
        assert error_of(answer)[0] == 413
