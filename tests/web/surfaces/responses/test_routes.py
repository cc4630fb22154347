"""`/v1/responses` over HTTP: single responses, from the request to what is stored."""

import json
from itertools import pairwise

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors.journal.checkpointer import encode_events
from actors.turn.chat_messages import write_messages
from actors.turn.events import Started, Text
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Mode, Reason
from actors.turn.store_records import NewTurn, Segment
from tests.support.chat_readers import comments_of
from tests.support.edge_harness import EdgeHarness, brief_pause, open_harness
from tests.support.messages_readers import Frame, frames_of
from tests.support.responses_readers import read_object, read_stream
from tests.support.responses_requests import (
    HELLO,
    TOOL_CALL_ANSWER,
    WEATHER_TOOL,
    Object,
    create_response,
    error_of,
    function_output,
    get_response,
    last_call,
    post_response,
)
from tests.support.turn_fakes import EPOCH, FOREVER, Line, ScriptedProvider, StoreFault, stop, text
from web.dialects.frames import PING

K = FailureKind


async def stream_response(harness: EdgeHarness, **changes: object) -> bytes:
    answer = await post_response(harness, stream=True, **changes)
    assert answer.status_code == 200, answer.text
    return answer.content


async def events(harness: EdgeHarness, id: str, **query: object) -> bytes:
    url = f"/v1/responses/{id}"
    answer = await harness.get(
        url, params={"stream": "true"} | {k: str(v) for k, v in query.items()}
    )
    assert answer.status_code in {200, 204}, answer.text
    return answer.content


def raw(frames: list[Frame]) -> bytes:
    return b"".join(frame.raw for frame in frames)


async def test_created_response_equals_the_stored_one(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*TOOL_CALL_ANSWER)) as harness:
        answer = await post_response(
            harness, tools=[WEATHER_TOOL], instructions="Be kind.", metadata={"a": "b"}
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-turn-id"] == "turn_1"
        response = read_object(answer.content)
        assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
        assert [item.id for item in response.output] == ["rs_1_0", "msg_1_1", "fc_1_2"]
        assert (response.id, response.status) == ("resp_1", "completed")
        assert (response.instructions, response.metadata) == ("Be kind.", {"a": "b"})
        assert await get_response(harness, "resp_1") == answer.json()
        # The object must not depend on the events, which are deleted after the retention.
        del harness.store.kept["turn_1"]
        assert await get_response(harness, "resp_1") == answer.json()


async def test_response_echoes_the_request_fields(
    autojump_clock: MockClock,
) -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    fields: Object = {
        "instructions": "Be kind.",
        "max_output_tokens": 50,
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "reasoning": {"effort": "low", "summary": "auto"},
        "safety_identifier": "s",
        "temperature": 0.5,
        "text": {"format": schema, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "weather"},
        "tools": [WEATHER_TOOL | {"description": "d", "strict": True}],
        "top_logprobs": 2,
        "top_p": 0.25,
        "truncation": "auto",
        "user": "u",
    }
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await create_response(harness, **fields, conversation="c")
        shown_schema = schema | {"description": None}
        shown = fields | {"text": {"format": shown_schema, "verbosity": "low"}}
        assert {name: response[name] for name in fields} == shown
        assert response["conversation"] == {"id": "c"}


async def test_stream_ends_with_the_stored_response(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*TOOL_CALL_ANSWER)) as harness:
        answer = await post_response(harness, stream=True, tools=[WEATHER_TOOL])
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["x-turn-id"] == "turn_1"
        assert answer.content.startswith(PING)
        received = read_stream(answer.content)
        assert received[-1]["type"] == "response.completed"
        assert received[-1]["response"] == await get_response(harness, "resp_1")
        whole = await create_response(harness, tools=[WEATHER_TOOL])
        assert [item["type"] for item in whole["output"]] == [
            item["type"] for item in received[-1]["response"]["output"]
        ]


async def test_tokens_arrive_without_delay(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 1.0, text("b"), 1.0, stop(), head=1.0)
    async with open_harness(main) as harness:
        body = {"model": "large", "input": "Hi", "stream": True}
        received = await harness.chunk_times("/v1/responses", body)
    assert sorted(set(received)) == [1, 2, 3]


async def test_heartbeats_fill_silence(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 19.0, text("b"), stop())
    async with open_harness(main, turns={"heartbeat_s": 4}) as harness:
        body = {"model": "large", "input": "Hi", "stream": True}
        received = await harness.chunk_times("/v1/responses", body)
        assert max(b - a for a, b in pairwise([0.0, *received])) <= 4 + 1e-9


async def test_parameters_and_images_reach_the_provider(autojump_clock: MockClock) -> None:
    image = {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"}
    content = [{"type": "input_text", "text": "What?"}, image]
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(
            harness,
            input=[{"role": "user", "content": content}],
            instructions="Be kind.",
            max_output_tokens=9,
            tools=[WEATHER_TOOL],
        )
        url = {"url": "https://example.org/a.png", "detail": "low"}
        assert write_messages(last_call(harness).messages) == [
            {"role": "system", "content": "Be kind."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What?"},
                    {"type": "image_url", "image_url": url},
                ],
            },
        ]
        function = {"name": "weather", "parameters": {"type": "object"}}
        assert last_call(harness).parameters == {
            "max_completion_tokens": 9,
            "tools": [{"type": "function", "function": function}],
        }


@pytest.mark.parametrize("stream", [False, True])
async def test_invalid_request_starts_no_turn(autojump_clock: MockClock, stream: bool) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        bad = [{"role": "user", "content": [{"type": "video"}]}]
        answer = await post_response(harness, stream=stream, input=bad)
        path = "input[0].content[0].type"
        assert error_of(answer) == (400, "unsupported_content_type", path)
        assert error_of(await post_response(harness, stream=stream, model="tiny"))[0] == 404
        assert harness.store.begun == {}


@pytest.mark.parametrize("stream", [False, True])
async def test_failure_before_content_is_an_http_status(
    autojump_clock: MockClock, stream: bool
) -> None:
    busy = UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=6.5)
    async with open_harness(ScriptedProvider(head=busy)) as harness:
        answer = await post_response(harness, stream=stream)
        assert error_of(answer)[:2] == (429, "rate_limit_exceeded")
        assert answer.headers["retry-after"] == "7"
        failed = await get_response(harness, "resp_1")
        assert (failed["status"], failed["error"]["code"]) == ("failed", "rate_limit_exceeded")


async def test_failure_mid_stream_is_a_failed_response(autojump_clock: MockClock) -> None:
    lines: list[Line] = [text("a"), UpstreamFailure(K.IN_STREAM_ERROR, "overloaded")]
    async with open_harness(ScriptedProvider(*lines)) as harness:
        received = read_stream(await stream_response(harness))
        assert received[-1]["type"] == "response.failed"
        assert received[-1]["response"] == await get_response(harness, "resp_1")
        assert error_of(await post_response(harness))[0] == 502


async def test_answer_at_the_length_limit_is_incomplete(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(text("a"), stop(Reason.LENGTH))) as harness:
        response = await create_response(harness)
        assert response["status"] == "incomplete"
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert response == await get_response(harness, "resp_1")


async def test_disconnect_ends_the_turn(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), FOREVER)
    async with open_harness(main) as harness:
        with trio.move_on_after(1):
            await post_response(harness, stream=True)
        await harness.app.exchanges[0].done.wait()
        assert main.answer.left_at == 1
        assert (await get_response(harness, "resp_1"))["status"] == "failed"


async def test_live_response_shows_its_partial_output(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 1.0, text("b"), 1.0, stop(), head=1.0)
    async with open_harness(main) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(post_response, harness)
        await brief_pause()
        waiting = await get_response(harness, "resp_1")
        assert (waiting["status"], waiting["output"], waiting["model"]) == (
            "in_progress",
            [],
            "large",
        )
        await trio.sleep(1.5)
        partial = await get_response(harness, "resp_1")
        ((part,),) = [item["content"] for item in partial["output"]]
        assert (partial["status"], part["text"], partial["model"]) == (
            "in_progress",
            "a",
            "main-model",
        )


async def test_unstored_response_cannot_be_fetched(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await create_response(harness, store=False, instructions="Be kind.")
        assert (response["store"], response["instructions"]) == (False, "Be kind.")
        record = harness.turns.record
        assert (record.text, record.items, record.turn.input_items) == ("", None, None)
        assert record.turn.dialect_options == {}
        assert harness.store.kept == {}
        unknown = (404, "response_not_found", None)
        assert error_of(await harness.get("/v1/responses/resp_1")) == unknown
        assert error_of(await harness.get("/v1/responses/resp_1?stream=true")) == unknown
        assert error_of(await harness.get("/v1/responses/resp_1/input_items")) == unknown
        assert error_of(await harness.client.delete("/v1/responses/resp_1")) == unknown
        assert error_of(await harness.post("/v1/responses/resp_1/cancel")) == unknown


@pytest.mark.parametrize(
    "id", ["resp_7", "turn_1", "resp_", "resp_%00", "resp_1%20OR%201", "x" * 999]
)
async def test_unknown_response_is_404(autojump_clock: MockClock, id: str) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness)
        assert error_of(await harness.get(f"/v1/responses/{id}"))[:2] == (404, "response_not_found")


async def test_turn_of_another_surface_is_not_a_response(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await harness.chat()
        assert error_of(await harness.get("/v1/responses/resp_1"))[0] == 404
        answer = await post_response(harness, previous_response_id="resp_1")
        assert error_of(answer)[:2] == (404, "previous_response_not_found")


async def test_stream_resumes_after_every_event(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*TOOL_CALL_ANSWER)) as harness:
        frames = frames_of(await stream_response(harness, tools=[WEATHER_TOOL]))
        assert frames_of(await events(harness, "resp_1")) == frames
        for number, frame in enumerate(frames):
            rest = frames[number + 1 :]
            found = await events(harness, "resp_1", starting_after=number)
            assert (frames_of(found) if found else []) == rest
            by_id = await harness.get(
                "/v1/responses/resp_1?stream=true", headers={"Last-Event-ID": frame.id}
            )
            assert by_id.content == found
            assert by_id.status_code == (200 if rest else 204)


async def test_stream_of_a_live_turn_resumes(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(text("a"), 2.0, text("b"), 1.0, stop())) as harness:
        got: list[bytes] = []

        async def start() -> None:
            got.append(await stream_response(harness))

        async def again(after: int) -> None:
            got.append(await events(harness, "resp_1", starting_after=after))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            await trio.sleep(1)
            nursery.start_soon(again, 1)
            nursery.start_soon(again, 4)
            whole = frames_of(await events(harness, "resp_1"))
            assert trio.current_time() == 3
        assert sorted(len(frames_of(stream)) for stream in got) == [
            len(whole) - 5,
            len(whole) - 2,
            len(whole),
        ]
        assert all(raw(whole).endswith(raw(frames_of(stream))) for stream in got)


@pytest.mark.parametrize("query", ["stream=maybe", "stream=true&starting_after=openai-chat:3"])
async def test_invalid_stream_query_is_400(autojump_clock: MockClock, query: str) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness)
        assert error_of(await harness.get(f"/v1/responses/resp_1?{query}"))[0] == 400


async def test_object_outlives_the_events(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await create_response(harness)
        del harness.store.kept["turn_1"]
        gone = await harness.get("/v1/responses/resp_1?stream=true")
        assert error_of(gone)[:2] == (410, "events_gone")
        assert await get_response(harness, "resp_1") == response


async def test_cancelled_response_keeps_its_partial_output(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("Hello"), FOREVER)
    async with open_harness(main) as harness, trio.open_nursery() as nursery:
        received: list[Object] = []

        async def read() -> None:
            received.extend(read_stream(await stream_response(harness)))

        nursery.start_soon(read)
        await trio.sleep(1)
        answer = await harness.post("/v1/responses/resp_1/cancel")
        cancelled = answer.json()
        read_object(answer.content)
        assert answer.headers["x-turn-id"] == "turn_1"
        assert (cancelled["status"], cancelled["error"]) == ("cancelled", None)
        assert cancelled["output"][0]["content"][0]["text"] == "Hello"
        assert main.answer.left_at == 1
        assert await get_response(harness, "resp_1") == cancelled
        assert (await harness.post("/v1/responses/resp_1/cancel")).json() == cancelled
    assert (received[-1]["type"], received[-1]["response"]) == ("response.failed", cancelled)


async def test_cancel_of_an_ended_response_changes_nothing(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await create_response(harness)
        assert (await harness.post("/v1/responses/resp_1/cancel")).json() == response


async def test_unstored_response_can_be_cancelled_while_live(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(text("a"), FOREVER)
    async with open_harness(main) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: post_response(harness, stream=True, store=False))
        await trio.sleep(1)
        assert error_of(await harness.get("/v1/responses/resp_1"))[0] == 404
        answer = await harness.post("/v1/responses/resp_1/cancel")
        assert answer.json()["status"] == "cancelled"
        assert error_of(await harness.post("/v1/responses/resp_1/cancel"))[0] == 404


async def test_deleted_response_is_404(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness)
        answer = await harness.client.delete("/v1/responses/resp_1")
        assert answer.json() == {"id": "resp_1", "object": "response", "deleted": True}
        unknown = (404, "response_not_found", None)
        assert error_of(await harness.get("/v1/responses/resp_1")) == unknown
        assert error_of(await harness.get("/v1/responses/resp_1?stream=true")) == unknown
        assert error_of(await harness.get("/v1/responses/resp_1/input_items")) == unknown
        assert error_of(await harness.post("/v1/responses/resp_1/cancel")) == unknown
        assert error_of(await harness.client.delete("/v1/responses/resp_1")) == unknown
        assert harness.store.kept == {}


async def test_delete_cancels_a_live_response(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), FOREVER)
    async with open_harness(main, mode=Mode.BACKGROUND) as harness, trio.open_nursery() as nursery:
        received: list[Object] = []

        async def read() -> None:
            received.extend(read_stream(await stream_response(harness)))

        nursery.start_soon(read)
        await trio.sleep(1)
        assert (await harness.client.delete("/v1/responses/resp_1")).status_code == 200
        assert main.answer.left_at == 1
        assert error_of(await harness.get("/v1/responses/resp_1"))[0] == 404
        await harness.registry.wait_empty()
        record = harness.turns.record
        assert (record.reason, record.text, record.items) == ("cancel_requested", "", None)
        assert harness.store.kept == {}
    assert received[-1]["response"]["status"] == "cancelled"


def store_foreign_turn(harness: EdgeHarness) -> None:
    """Store a live turn of another process with some text."""
    turn = NewTurn(
        id="turn_99",
        tenant_id="tenant_default",
        owner="owner_2",
        model="large",
        mode="attached",
        dialect="openai-responses",
        dialect_options={"echo": {"instructions": "Be kind."}},
        created_at=EPOCH,
        input_items=json.dumps([{"type": "message", "role": "user", "content": []}]),
    )
    harness.store.begun[turn.id] = turn
    started = Started(
        turn_id=turn.id, model="large", provider="p", upstream_model="m", created_at=EPOCH
    )
    blob = encode_events([started, Text("Hello")])
    harness.store.kept[turn.id] = {0: Segment(turn.id, "owner_2", 0, 1, blob)}


async def test_response_of_another_process_can_only_be_read(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        store_foreign_turn(harness)
        found = await get_response(harness, "resp_99")
        assert (found["status"], found["model"], found["instructions"]) == (
            "in_progress",
            "m",
            "Be kind.",
        )
        assert found["output"][0]["content"][0]["text"] == "Hello"
        busy = (409, "turn_elsewhere", None)
        assert error_of(await harness.post("/v1/responses/resp_99/cancel")) == busy
        assert error_of(await harness.client.delete("/v1/responses/resp_99")) == busy
        assert error_of(await harness.get("/v1/responses/resp_99?stream=true")) == busy
        harness.store.kept.clear()
        assert (await get_response(harness, "resp_99"))["output"] == []


async def test_spooled_response_can_be_read(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        harness.store.trouble["finalise"] = StoreFault.REFUSES
        response = await create_response(harness)
        answer = await harness.get("/v1/responses/resp_1")
        assert answer.json() == response
        assert answer.headers["x-turn-stored"] == "spooled"
        items = (await harness.get("/v1/responses/resp_1/input_items")).json()
        assert [item["id"] for item in items["data"]] == ["msg_1_in_0"]
        again = await post_response(harness, previous_response_id="resp_1")
        assert error_of(again)[:2] == (503, "store_unavailable")
        assert again.headers["retry-after"] == "2"


ITEMS = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b", "type": "message", "id": "msg_mine"},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    function_output("c"),
    {"role": "user", "content": "c"},
]
IDS = ["msg_1_in_0", "msg_mine", "fc_1_in_2", "fco_1_in_3", "msg_1_in_4"]


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ("", IDS[::-1], False),
        ("order=asc", IDS, False),
        ("limit=2", [IDS[4], IDS[3]], True),
        ("order=asc&limit=2", IDS[:2], True),
        ("order=asc&limit=2&after=msg_mine", IDS[2:4], True),
        ("order=asc&after=fco_1_in_3", IDS[4:], False),
        ("after=msg_mine", IDS[:1], False),
        ("order=asc&after=msg_1_in_4", [], False),
        ("order=asc&before=fco_1_in_3&limit=2", IDS[1:3], True),
        ("order=asc&after=msg_1_in_0&before=fco_1_in_3", IDS[1:3], False),
    ],
)
async def test_input_items_are_paginated(
    autojump_clock: MockClock, query: str, ids: list[str], more: bool
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input=ITEMS)
        page = (await harness.get(f"/v1/responses/resp_1/input_items?{query}")).json()
        assert page["object"] == "list"
        assert [item["id"] for item in page["data"]] == ids
        assert page["has_more"] is more
        assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=msg_9"])
async def test_invalid_page_query_is_400(autojump_clock: MockClock, query: str) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input=ITEMS)
        answer = await harness.get(f"/v1/responses/resp_1/input_items?{query}")
        assert error_of(answer) == (400, "invalid_value", query.partition("=")[0])


async def test_input_items_are_shown_while_the_turn_is_live(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(FOREVER)) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(post_response, harness)
        await brief_pause()
        page = (await harness.get("/v1/responses/resp_1/input_items")).json()
        assert [item["content"][0]["text"] for item in page["data"]] == ["Hi"]
        nursery.cancel_scope.cancel()


async def test_long_input_is_accepted() -> None:
    many = [{"role": "user", "content": f"{number} " * 20} for number in range(1_500)]
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input=many)
        page = (await harness.get("/v1/responses/resp_1/input_items?limit=1")).json()
        assert page["first_id"] == "msg_1_in_1499"
        assert len(last_call(harness).messages) == 1_500


async def test_notes_are_comments_and_errors_under_strict(autojump_clock: MockClock) -> None:
    summary = {"reasoning": {"summary": "auto"}}
    include = {"include": ["x", "reasoning.encrypted_content"]}
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        stream = await stream_response(harness, **include, **summary)
        received = "\n".join(comments_of(stream))
        assert "include[0] (x)" in received
        assert "reasoning.encrypted_content" not in received
        assert "reasoning.summary" in received
        read_stream(stream)
        answer = await post_response(harness, **summary, strict=True)
        assert error_of(answer)[:2] == (400, "unsupported_by_route")


async def test_reasoning_settings_reach_a_responses_provider(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO, api="openai-responses")) as harness:
        stream = await stream_response(
            harness,
            reasoning={"effort": "low", "summary": "auto"},
            include=["reasoning.encrypted_content"],
        )
        assert "parameter_ignored" not in "".join(comments_of(stream))
        assert last_call(harness).parameters == {"reasoning_effort": "low"}
        native = last_call(harness).native
        assert native is not None
        assert native.parameters["reasoning"] == {"summary": "auto"}
        assert native.parameters["include"] == ["reasoning.encrypted_content"]


async def test_input_tokens_include_the_history(autojump_clock: MockClock) -> None:
    async def count(harness: EdgeHarness, **changes: object) -> int:
        body = {"model": "large", "input": "Hi"} | changes
        answer = await harness.post("/v1/responses/input_tokens", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["object"] == "response.input_tokens"
        return int(answer.json()["input_tokens"])

    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        alone = await count(harness)
        await create_response(harness)
        assert await count(harness, previous_response_id="resp_1") > alone
        assert await count(harness, tools=[WEATHER_TOOL]) > alone
        assert await count(harness, instructions="Be kind to everybody.") > alone
        assert len(harness.turns.providers["main"].calls) == 1
        answer = await harness.post("/v1/responses/input_tokens", json={"input": "Hi"})
        assert error_of(answer) == (400, "missing_required_parameter", "model")


async def test_conversation_is_compacted(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("It was about", " rain."), stop())
    async with open_harness(main) as harness:
        history: list[Object] = [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
            function_output("c"),
            {"role": "assistant", "content": "Rain."},
        ]
        await create_response(harness, input=history)
        body = {
            "model": "large",
            "input": [{"role": "user", "content": "And now?"}],
            "previous_response_id": "resp_1",
            "instructions": "In French.",
        }
        answer = await harness.post("/v1/responses/compact", json=body)
        assert answer.status_code == 200, answer.text
        compacted = answer.json()
        assert (compacted["id"], compacted["object"]) == ("resp_2", "response.compaction")
        kept = [item["content"][0]["text"] for item in compacted["output"][:-1]]
        assert kept == ["Be brief.", "Weather?", "And now?"]
        assert compacted["output"][-1]["type"] == "compaction"
        assert compacted["usage"]["output_tokens"] > 0
        system, transcript = write_messages(last_call(harness).messages)
        assert str(system["content"]).startswith("In French.")
        assert str(transcript["content"]).split("\n\n") == [
            "developer: Be brief.",
            "user: Weather?",
            "assistant calls weather({})",
            "function result: Rain.",
            "assistant: Rain.",
            "assistant: It was about rain.",
            "user: And now?",
        ]
        assert error_of(await harness.get("/v1/responses/resp_2"))[0] == 404
        await create_response(
            harness, input=[*compacted["output"], {"role": "user", "content": "So?"}]
        )
        *_, summary, question = write_messages(last_call(harness).messages)
        assert str(summary["content"]).endswith("It was about rain.")
        assert question["content"] == "So?"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([text("a"), stop(Reason.LENGTH)], 502),
        ([text(" "), stop()], 502),
        ([text("a"), UpstreamFailure(K.IN_STREAM_ERROR, "overloaded")], 502),
    ],
)
async def test_incomplete_summary_is_an_error(
    autojump_clock: MockClock, lines: list[Line], status: int
) -> None:
    async with open_harness(ScriptedProvider(*lines)) as harness:
        answer = await harness.post("/v1/responses/compact", json={"model": "large", "input": "Hi"})
        assert error_of(answer)[0] == status
        assert harness.turns.record.text == ""


async def test_responses_of_another_tenant_are_unknown(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness)
        turn = harness.store.finals[0].turn
        theirs = replace(turn, tenant_id="tenant_other")
        harness.store.begun["turn_1"] = theirs
        harness.store.finals[0] = replace(harness.store.finals[0], turn=theirs)
        assert error_of(await harness.get("/v1/responses/resp_1"))[0] == 404
        assert error_of(await harness.client.delete("/v1/responses/resp_1"))[0] == 404
        answer = await post_response(harness, previous_response_id="resp_1")
        assert error_of(answer)[:2] == (404, "previous_response_not_found")
