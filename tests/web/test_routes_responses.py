"""`/v1/responses`: one response at a time, from the request to what is kept of it."""

import json
from itertools import pairwise

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors.checkpointer import encode_events
from actors.events import Started, Text
from actors.outcome import Mode, Reason
from actors.ports import NewTurn, Segment
from actors.providers.base import FailureKind, UpstreamFailure
from tests.actors.fakes import EPOCH, FOREVER, Line, ScriptedProvider, Trouble, stop, text
from tests.web.dialects.messages_reading import Frame, frames_of
from tests.web.dialects.reading import comments_of
from tests.web.dialects.responses_stream import read_object, read_stream
from tests.web.house import House, in_a_moment, open_house
from tests.web.responding import (
    CALLING,
    HELLO,
    WEATHER,
    Object,
    asked,
    error_of,
    output,
    respond,
    responded,
    shown,
)
from web.dialects.frames import PING

K = FailureKind


async def streamed(house: House, **changes: object) -> bytes:
    answer = await respond(house, stream=True, **changes)
    assert answer.status_code == 200, answer.text
    return answer.content


async def events(house: House, id: str, **query: object) -> bytes:
    url = f"/v1/responses/{id}"
    answer = await house.get(url, params={"stream": "true"} | {k: str(v) for k, v in query.items()})
    assert answer.status_code in {200, 204}, answer.text
    return answer.content


def raw(frames: list[Frame]) -> bytes:
    return b"".join(frame.raw for frame in frames)


async def test_a_whole_response_is_what_is_shown_afterwards(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*CALLING)) as house:
        answer = await respond(house, tools=[WEATHER], instructions="Be kind.", metadata={"a": "b"})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-turn-id"] == "turn_1"
        response = read_object(answer.content)
        assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
        assert [item.id for item in response.output] == ["rs_1_0", "msg_1_1", "fc_1_2"]
        assert (response.id, response.status) == ("resp_1", "completed")
        assert (response.instructions, response.metadata) == ("Be kind.", {"a": "b"})
        assert await shown(house, "resp_1") == answer.json()
        del house.store.kept["turn_1"]
        assert await shown(house, "resp_1") == answer.json()


async def test_all_that_can_be_repeated_is_repeated_as_the_sdk_knows_it(
    autojump_clock: MockClock,
) -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    asked_for: Object = {
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
        "tools": [WEATHER | {"description": "d", "strict": True}],
        "top_logprobs": 2,
        "top_p": 0.25,
        "truncation": "auto",
        "user": "u",
    }
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await responded(house, **asked_for, conversation="c")
        assert {name: response[name] for name in asked_for} == asked_for
        assert response["conversation"] == {"id": "c"}


async def test_a_stream_tells_the_same(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*CALLING)) as house:
        answer = await respond(house, stream=True, tools=[WEATHER])
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["x-turn-id"] == "turn_1"
        assert answer.content.startswith(PING)
        told = read_stream(answer.content)
        assert told[-1]["type"] == "response.completed"
        assert told[-1]["response"] == await shown(house, "resp_1")
        whole = await responded(house, tools=[WEATHER])
        assert [item["type"] for item in whole["output"]] == [
            item["type"] for item in told[-1]["response"]["output"]
        ]


async def test_tokens_arrive_when_they_are_said(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 1.0, text("b"), 1.0, stop(), head=1.0)
    async with open_house(main) as house:
        body = {"model": "large", "input": "Hi", "stream": True}
        heard = await house.heard_at("/v1/responses", body)
    assert sorted(set(heard)) == [1, 2, 3]


async def test_heartbeats_fill_silence(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 19.0, text("b"), stop())
    async with open_house(main, turns={"heartbeat_s": 4}) as house:
        body = {"model": "large", "input": "Hi", "stream": True}
        heard = await house.heard_at("/v1/responses", body)
        assert max(b - a for a, b in pairwise([0.0, *heard])) <= 4 + 1e-9


async def test_parameters_and_images_go_to_the_provider(autojump_clock: MockClock) -> None:
    image = {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"}
    content = [{"type": "input_text", "text": "What?"}, image]
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(
            house,
            input=[{"role": "user", "content": content}],
            instructions="Be kind.",
            max_output_tokens=9,
            tools=[WEATHER],
        )
        url = {"url": "https://example.org/a.png", "detail": "low"}
        assert asked(house).messages == [
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
        assert asked(house).parameters == {
            "max_completion_tokens": 9,
            "tools": [{"type": "function", "function": function}],
        }


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bad_request_is_no_turn(autojump_clock: MockClock, stream: bool) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        bad = [{"role": "user", "content": [{"type": "video"}]}]
        answer = await respond(house, stream=stream, input=bad)
        path = "input[0].content[0].type"
        assert error_of(answer) == (400, "unsupported_content_type", path)
        assert error_of(await respond(house, stream=stream, model="tiny"))[0] == 404
        assert house.store.begun == {}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_any_route_answers_is_a_status(
    autojump_clock: MockClock, stream: bool
) -> None:
    busy = UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=6.5)
    async with open_house(ScriptedProvider(head=busy)) as house:
        answer = await respond(house, stream=stream)
        assert error_of(answer)[:2] == (429, "rejected")
        assert answer.headers["retry-after"] == "7"
        failed = await shown(house, "resp_1")
        assert (failed["status"], failed["error"]["code"]) == ("failed", "rate_limit_exceeded")


async def test_a_failure_in_the_middle_is_a_failed_response(autojump_clock: MockClock) -> None:
    lines: list[Line] = [text("a"), UpstreamFailure(K.IN_STREAM_ERROR, "overloaded")]
    async with open_house(ScriptedProvider(*lines)) as house:
        told = read_stream(await streamed(house))
        assert told[-1]["type"] == "response.failed"
        assert told[-1]["response"] == await shown(house, "resp_1")
        assert error_of(await respond(house))[0] == 502


async def test_the_longest_answer_is_incomplete(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(text("a"), stop(Reason.LENGTH))) as house:
        response = await responded(house)
        assert response["status"] == "incomplete"
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert response == await shown(house, "resp_1")


async def test_who_leaves_ends_the_turn(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), FOREVER)
    async with open_house(main) as house:
        with trio.move_on_after(1):
            await respond(house, stream=True)
        await house.app.exchanges[0].done.wait()
        assert main.answer.left_at == 1
        assert (await shown(house, "resp_1"))["status"] == "failed"


async def test_while_it_plays_it_is_shown_as_far_as_it_has_come(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 1.0, text("b"), 1.0, stop(), head=1.0)
    async with open_house(main) as house, trio.open_nursery() as nursery:
        nursery.start_soon(respond, house)
        await in_a_moment()
        waiting = await shown(house, "resp_1")
        assert (waiting["status"], waiting["output"], waiting["model"]) == (
            "in_progress",
            [],
            "large",
        )
        await trio.sleep(1.5)
        playing = await shown(house, "resp_1")
        ((said,),) = [item["content"] for item in playing["output"]]
        assert (playing["status"], said["text"], playing["model"]) == (
            "in_progress",
            "a",
            "main-model",
        )


async def test_unkept_responses_cannot_be_had_again(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await responded(house, store=False, instructions="Be kind.")
        assert (response["store"], response["instructions"]) == (False, "Be kind.")
        record = house.theatre.record
        assert (record.text, record.items, record.turn.input_items) == ("", None, None)
        assert record.turn.dialect_options == {}
        assert house.store.kept == {}
        unknown = (404, "response_not_found", None)
        assert error_of(await house.get("/v1/responses/resp_1")) == unknown
        assert error_of(await house.get("/v1/responses/resp_1?stream=true")) == unknown
        assert error_of(await house.get("/v1/responses/resp_1/input_items")) == unknown
        assert error_of(await house.client.delete("/v1/responses/resp_1")) == unknown
        assert error_of(await house.post("/v1/responses/resp_1/cancel")) == unknown


@pytest.mark.parametrize(
    "id", ["resp_7", "turn_1", "resp_", "resp_%00", "resp_1%20OR%201", "x" * 999]
)
async def test_there_is_no_such_response(autojump_clock: MockClock, id: str) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house)
        assert error_of(await house.get(f"/v1/responses/{id}"))[:2] == (404, "response_not_found")


async def test_turns_of_other_surfaces_are_no_responses(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await house.chat()
        assert error_of(await house.get("/v1/responses/resp_1"))[0] == 404
        answer = await respond(house, previous_response_id="resp_1")
        assert error_of(answer)[:2] == (404, "previous_response_not_found")


async def test_every_event_again_after_every_one(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*CALLING)) as house:
        frames = frames_of(await streamed(house, tools=[WEATHER]))
        assert frames_of(await events(house, "resp_1")) == frames
        for number, frame in enumerate(frames):
            rest = frames[number + 1 :]
            found = await events(house, "resp_1", starting_after=number)
            assert (frames_of(found) if found else []) == rest
            by_id = await house.get(
                "/v1/responses/resp_1?stream=true", headers={"Last-Event-ID": frame.id}
            )
            assert by_id.content == found
            assert by_id.status_code == (200 if rest else 204)


async def test_events_of_a_turn_that_plays(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(text("a"), 2.0, text("b"), 1.0, stop())) as house:
        got: list[bytes] = []

        async def start() -> None:
            got.append(await streamed(house))

        async def again(after: int) -> None:
            got.append(await events(house, "resp_1", starting_after=after))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            await trio.sleep(1)
            nursery.start_soon(again, 1)
            nursery.start_soon(again, 4)
            whole = frames_of(await events(house, "resp_1"))
            assert trio.current_time() == 3
        assert sorted(len(frames_of(stream)) for stream in got) == [
            len(whole) - 5,
            len(whole) - 2,
            len(whole),
        ]
        assert all(raw(whole).endswith(raw(frames_of(stream))) for stream in got)


@pytest.mark.parametrize("query", ["stream=maybe", "stream=true&starting_after=openai-chat:3"])
async def test_bad_questions(autojump_clock: MockClock, query: str) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house)
        assert error_of(await house.get(f"/v1/responses/resp_1?{query}"))[0] == 400


async def test_past_the_retention_the_object_is_left(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await responded(house)
        del house.store.kept["turn_1"]
        gone = await house.get("/v1/responses/resp_1?stream=true")
        assert error_of(gone)[:2] == (410, "events_gone")
        assert await shown(house, "resp_1") == response


async def test_a_cancelled_response_is_what_had_been_said(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("Hello"), FOREVER)
    async with open_house(main) as house, trio.open_nursery() as nursery:
        heard: list[Object] = []

        async def listen() -> None:
            heard.extend(read_stream(await streamed(house)))

        nursery.start_soon(listen)
        await trio.sleep(1)
        answer = await house.post("/v1/responses/resp_1/cancel")
        cancelled = answer.json()
        read_object(answer.content)
        assert answer.headers["x-turn-id"] == "turn_1"
        assert (cancelled["status"], cancelled["error"]) == ("cancelled", None)
        assert cancelled["output"][0]["content"][0]["text"] == "Hello"
        assert main.answer.left_at == 1
        assert await shown(house, "resp_1") == cancelled
        assert (await house.post("/v1/responses/resp_1/cancel")).json() == cancelled
    assert (heard[-1]["type"], heard[-1]["response"]) == ("response.failed", cancelled)


async def test_what_has_ended_cannot_be_cancelled(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await responded(house)
        assert (await house.post("/v1/responses/resp_1/cancel")).json() == response


async def test_an_unkept_response_can_be_cancelled_while_it_plays(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(text("a"), FOREVER)
    async with open_house(main) as house, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: respond(house, stream=True, store=False))
        await trio.sleep(1)
        assert error_of(await house.get("/v1/responses/resp_1"))[0] == 404
        answer = await house.post("/v1/responses/resp_1/cancel")
        assert answer.json()["status"] == "cancelled"
        assert error_of(await house.post("/v1/responses/resp_1/cancel"))[0] == 404


async def test_a_deleted_response_is_gone(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house)
        answer = await house.client.delete("/v1/responses/resp_1")
        assert answer.json() == {"id": "resp_1", "object": "response", "deleted": True}
        unknown = (404, "response_not_found", None)
        assert error_of(await house.get("/v1/responses/resp_1")) == unknown
        assert error_of(await house.get("/v1/responses/resp_1?stream=true")) == unknown
        assert error_of(await house.get("/v1/responses/resp_1/input_items")) == unknown
        assert error_of(await house.post("/v1/responses/resp_1/cancel")) == unknown
        assert error_of(await house.client.delete("/v1/responses/resp_1")) == unknown
        assert house.store.kept == {}


async def test_to_delete_is_to_cancel(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), FOREVER)
    async with open_house(main, mode=Mode.BACKGROUND) as house, trio.open_nursery() as nursery:
        heard: list[Object] = []

        async def listen() -> None:
            heard.extend(read_stream(await streamed(house)))

        nursery.start_soon(listen)
        await trio.sleep(1)
        assert (await house.client.delete("/v1/responses/resp_1")).status_code == 200
        assert main.answer.left_at == 1
        assert error_of(await house.get("/v1/responses/resp_1"))[0] == 404
        await house.registry.wait_empty()
        record = house.theatre.record
        assert (record.reason, record.text, record.items) == ("cancel_requested", "", None)
        assert house.store.kept == {}
    assert heard[-1]["response"]["status"] == "cancelled"


def elsewhere(house: House) -> None:
    """A turn of another process that has said something."""
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
    house.store.begun[turn.id] = turn
    started = Started(
        turn_id=turn.id, model="large", provider="p", upstream_model="m", created_at=EPOCH
    )
    blob = encode_events([started, Text("Hello")])
    house.store.kept[turn.id] = {0: Segment(turn.id, "owner_2", 0, 1, blob)}


async def test_a_response_of_another_process(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        elsewhere(house)
        found = await shown(house, "resp_99")
        assert (found["status"], found["model"], found["instructions"]) == (
            "in_progress",
            "m",
            "Be kind.",
        )
        assert found["output"][0]["content"][0]["text"] == "Hello"
        busy = (409, "turn_elsewhere", None)
        assert error_of(await house.post("/v1/responses/resp_99/cancel")) == busy
        assert error_of(await house.client.delete("/v1/responses/resp_99")) == busy
        assert error_of(await house.get("/v1/responses/resp_99?stream=true")) == busy
        house.store.kept.clear()
        assert (await shown(house, "resp_99"))["output"] == []


async def test_a_record_that_is_only_spooled_can_be_read(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        house.store.trouble["finalise"] = Trouble.REFUSES
        response = await responded(house)
        answer = await house.get("/v1/responses/resp_1")
        assert answer.json() == response
        assert answer.headers["x-turn-stored"] == "spooled"
        items = (await house.get("/v1/responses/resp_1/input_items")).json()
        assert [item["id"] for item in items["data"]] == ["msg_1_in_0"]
        again = await respond(house, previous_response_id="resp_1")
        assert error_of(again)[:2] == (503, "store_unavailable")
        assert again.headers["retry-after"] == "2"


ITEMS = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b", "type": "message", "id": "msg_mine"},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    output("c"),
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
async def test_input_items_come_in_pages(
    autojump_clock: MockClock, query: str, ids: list[str], more: bool
) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, input=ITEMS)
        page = (await house.get(f"/v1/responses/resp_1/input_items?{query}")).json()
        assert page["object"] == "list"
        assert [item["id"] for item in page["data"]] == ids
        assert page["has_more"] is more
        assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=msg_9"])
async def test_bad_pages(autojump_clock: MockClock, query: str) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, input=ITEMS)
        answer = await house.get(f"/v1/responses/resp_1/input_items?{query}")
        assert error_of(answer) == (400, "invalid_value", query.partition("=")[0])


async def test_what_is_asked_is_shown_while_it_is_answered(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(FOREVER)) as house, trio.open_nursery() as nursery:
        nursery.start_soon(respond, house)
        await in_a_moment()
        page = (await house.get("/v1/responses/resp_1/input_items")).json()
        assert [item["content"][0]["text"] for item in page["data"]] == ["Hi"]
        nursery.cancel_scope.cancel()


async def test_a_long_list_is_read_all_the_same() -> None:
    many = [{"role": "user", "content": f"{number} " * 20} for number in range(1_500)]
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, input=many)
        page = (await house.get("/v1/responses/resp_1/input_items?limit=1")).json()
        assert page["first_id"] == "msg_1_in_1499"
        assert len(asked(house).messages) == 1_500


async def test_notes_are_comments_and_under_strict_an_error(autojump_clock: MockClock) -> None:
    include = {"include": ["reasoning.encrypted_content"]}
    async with open_house(ScriptedProvider(*HELLO)) as house:
        stream = await streamed(house, **include, reasoning={"summary": "auto"})
        told = "\n".join(comments_of(stream))
        assert "reasoning.encrypted_content is not available" in told
        assert "reasoning.summary" in told
        read_stream(stream)
        answer = await respond(house, **include, strict=True)
        assert error_of(answer)[:2] == (400, "unsupported_by_route")


async def test_all_settings_of_reasoning_go_to_who_knows_them(autojump_clock: MockClock) -> None:
    providers: dict[str, object] = {"main": {"format": "openai-responses", "api_key": "k" * 20}}
    async with open_house(ScriptedProvider(*HELLO), providers=providers) as house:
        stream = await streamed(house, reasoning={"effort": "low", "summary": "auto"})
        assert "parameter_ignored" not in "".join(comments_of(stream))
        assert asked(house).parameters == {
            "reasoning_effort": "low",
            "reasoning": {"summary": "auto"},
        }


async def test_input_tokens_are_counted_with_their_history(autojump_clock: MockClock) -> None:
    async def count(house: House, **changes: object) -> int:
        body = {"model": "large", "input": "Hi"} | changes
        answer = await house.post("/v1/responses/input_tokens", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["object"] == "response.input_tokens"
        return int(answer.json()["input_tokens"])

    async with open_house(ScriptedProvider(*HELLO)) as house:
        alone = await count(house)
        await responded(house)
        assert await count(house, previous_response_id="resp_1") > alone
        assert await count(house, tools=[WEATHER]) > alone
        assert await count(house, instructions="Be kind to everybody.") > alone
        assert len(house.theatre.providers["main"].calls) == 1
        answer = await house.post("/v1/responses/input_tokens", json={"input": "Hi"})
        assert error_of(answer) == (400, "missing_required_parameter", "model")


async def test_a_conversation_is_compacted(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("It was about", " rain."), stop())
    async with open_house(main) as house:
        history: list[Object] = [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
            output("c"),
            {"role": "assistant", "content": "Rain."},
        ]
        await responded(house, input=history)
        body = {
            "model": "large",
            "input": [{"role": "user", "content": "And now?"}],
            "previous_response_id": "resp_1",
            "instructions": "In French.",
        }
        answer = await house.post("/v1/responses/compact", json=body)
        assert answer.status_code == 200, answer.text
        compacted = answer.json()
        assert (compacted["id"], compacted["object"]) == ("resp_2", "response.compaction")
        kept = [item["content"][0]["text"] for item in compacted["output"][:-1]]
        assert kept == ["Be brief.", "Weather?", "And now?"]
        assert compacted["output"][-1]["type"] == "compaction"
        assert compacted["usage"]["output_tokens"] > 0
        system, transcript = asked(house).messages
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
        assert error_of(await house.get("/v1/responses/resp_2"))[0] == 404
        await responded(house, input=[*compacted["output"], {"role": "user", "content": "So?"}])
        *_, summary, question = asked(house).messages
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
async def test_what_is_no_whole_summary_is_none(
    autojump_clock: MockClock, lines: list[Line], status: int
) -> None:
    async with open_house(ScriptedProvider(*lines)) as house:
        answer = await house.post("/v1/responses/compact", json={"model": "large", "input": "Hi"})
        assert error_of(answer)[0] == status
        assert house.theatre.record.text == ""


async def test_another_tenants_responses_are_unknown(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house)
        turn = house.store.finals[0].turn
        theirs = replace(turn, tenant_id="tenant_other")
        house.store.begun["turn_1"] = theirs
        house.store.finals[0] = replace(house.store.finals[0], turn=theirs)
        assert error_of(await house.get("/v1/responses/resp_1"))[0] == 404
        assert error_of(await house.client.delete("/v1/responses/resp_1"))[0] == 404
        answer = await respond(house, previous_response_id="resp_1")
        assert error_of(answer)[:2] == (404, "previous_response_not_found")
