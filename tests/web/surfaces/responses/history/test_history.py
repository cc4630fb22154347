"""Tests of responses that continue others: by id, by conversation, or with their own history."""

import pytest
import trio
from trio.testing import MockClock

from actors.turn.chat_messages import write_messages
from actors.turn.chunks import FinishChunk, ReasoningChunk, ToolCallChunk
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Mode, Reason
from store.records.turn_records import ConversationBusy, NewTurn
from tests.support.chat_readers import comments_of
from tests.support.edge_harness import EdgeHarness, brief_pause, open_harness
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
    last_messages,
    post_response,
)
from tests.support.turn_fakes import FOREVER, Line, Scene, ScriptedProvider, StoreFault, text


def calling_provider() -> ScriptedProvider:
    """Return a provider that first calls a function and then always answers "Hello"."""
    return ScriptedProvider(*TOOL_CALL_ANSWER, then=[Scene(tuple(HELLO))])


async def test_history_has_inputs_and_answers_of_the_chain(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input="One")
        await create_response(harness, input="Two", previous_response_id="resp_1")
        third = await create_response(harness, input="Three", previous_response_id="resp_2")
        assert last_messages(harness) == [
            ("user", "One"),
            ("assistant", "Hello"),
            ("user", "Two"),
            ("assistant", "Hello"),
            ("user", "Three"),
        ]
        assert third["previous_response_id"] == "resp_2"
        assert await get_response(harness, "resp_3") == third
        await create_response(harness, input="Or", previous_response_id="resp_1")
        assert last_messages(harness) == [("user", "One"), ("assistant", "Hello"), ("user", "Or")]


async def test_number_of_queries_does_not_depend_on_chain_length(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness)
        for number in range(1, 6):
            before = harness.store.reads
            await create_response(harness, previous_response_id=f"resp_{number}")
            assert harness.store.reads == before + 1
        for _ in range(3):
            before = harness.store.reads
            await create_response(harness, conversation="c")
            assert harness.store.reads <= before + 3


async def test_chain_with_too_many_responses_loses_its_oldest(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.surfaces.responses.history.history.MAX_LINKS", 2)
    async with open_harness(calling_provider()) as harness:
        await create_response(harness, input="One", tools=[WEATHER_TOOL])
        await create_response(harness, input=[function_output()], previous_response_id="resp_1")
        await create_response(harness, input="Three", previous_response_id="resp_2")
        answer = await post_response(
            harness, input="Four", previous_response_id="resp_3", stream=True
        )
        assert last_messages(harness) == [
            ("assistant", "Hello"),
            ("user", "Three"),
            ("assistant", "Hello"),
            ("user", "Four"),
        ]
        comments = "".join(comments_of(answer.content))
        assert "history_cut" in comments
        assert "outputs_ignored" in comments


@pytest.mark.parametrize("by", ["previous_response_id", "conversation"])
async def test_chain_larger_than_a_request_loses_its_oldest(
    autojump_clock: MockClock, by: str
) -> None:
    """A running turn keeps its history in memory, however small its request was."""
    limits: dict[str, object] = {"body_bytes": 2_500}
    async with open_harness(ScriptedProvider(*HELLO), limits=limits) as harness:
        for number in range(3):
            past = {} if number == 0 else {by: f"resp_{number}"}
            past = {"conversation": "c"} if by == "conversation" else past
            await create_response(harness, input=f"{number} " * 500, **past)
        past = {by: "resp_3" if by == "previous_response_id" else "c"}
        answer = await post_response(harness, input="And?", stream=True, **past)
        assert [content for role, content in last_messages(harness) if role == "user"] == [
            "2 " * 500,
            "And?",
        ]
        assert "history_cut" in "".join(comments_of(answer.content))


async def test_large_history_is_joined() -> None:
    many = [{"role": "user", "content": f"{number} " * 50} for number in range(1_200)]
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input=many, conversation="c")
        await create_response(harness, input="And?", previous_response_id="resp_1")
        await create_response(harness, input="And?", conversation="c")
        assert len(last_messages(harness)) == 1_202


async def test_tool_call_and_its_output_reach_the_model(autojump_clock: MockClock) -> None:
    async with open_harness(calling_provider()) as harness:
        await create_response(harness, input="Weather?", tools=[WEATHER_TOOL])
        await create_response(harness, input=[function_output()], previous_response_id="resp_1")
        function = {"name": "weather", "arguments": '{"city":"Rome"}'}
        call = {"id": "call_a", "type": "function", "function": function}
        history: list[Object] = [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": "Let me see.",
                "reasoning_content": "Hm.",
                "tool_calls": [call],
            },
            {"role": "tool", "tool_call_id": "call_a", "content": "Rain."},
        ]
        assert write_messages(last_call(harness).messages) == history
        assert last_call(harness).foreign == {"reasoning_content": ()}
        await create_response(harness, input="Thanks", previous_response_id="resp_2")
        assert write_messages(last_call(harness).messages)[:3] == history


async def test_missing_and_unmatched_outputs_are_rejected(autojump_clock: MockClock) -> None:
    async with open_harness(calling_provider()) as harness:
        await create_response(harness, tools=[WEATHER_TOOL])
        for items in ("And?", [], [{"role": "user", "content": "And?"}]):
            answer = await post_response(harness, input=items, previous_response_id="resp_1")
            assert error_of(answer) == (400, "function_call_mismatch", "input")
            assert "call_a" in answer.text
            assert "function_call_output" in answer.text
        both = [function_output(), function_output("call_b")]
        answer = await post_response(harness, input=both, previous_response_id="resp_1")
        assert error_of(answer) == (400, "function_call_mismatch", "input[1]")
        answer = await post_response(harness, input=[function_output()])
        assert error_of(answer) == (400, "function_call_mismatch", "input[0]")
        assert len(harness.store.begun) == 1


async def test_instructions_are_inherited_unless_the_request_has_its_own(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, instructions="Be kind.")
        second = await create_response(harness, previous_response_id="resp_1")
        assert second["instructions"] == "Be kind."
        third = await create_response(harness, previous_response_id="resp_2")
        assert third["instructions"] == "Be kind."
        assert last_messages(harness)[0] == ("system", "Be kind.")
        assert [role for role, _ in last_messages(harness)].count("system") == 1
        await create_response(harness, previous_response_id="resp_3", instructions="Be brief.")
        assert last_messages(harness)[0] == ("system", "Be brief.")
        fifth = await create_response(harness, previous_response_id="resp_4", instructions="")
        assert fifth["instructions"] == ""
        sixth = await create_response(harness, previous_response_id="resp_5")
        assert sixth["instructions"] == ""
        assert last_messages(harness)[0] == ("user", "Hi")


@pytest.mark.parametrize("id", ["resp_7", "resp_", "turn_1", "resp_1'--", "nonsense"])
async def test_unknown_previous_response_is_404(autojump_clock: MockClock, id: str) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness)
        answer = await post_response(harness, previous_response_id=id)
        expected = (404, "previous_response_not_found", "previous_response_id")
        assert error_of(answer) == expected


async def test_unstored_or_deleted_previous_response_is_404(autojump_clock: MockClock) -> None:
    expected = (404, "previous_response_not_found", "previous_response_id")
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, store=False)
        assert error_of(await post_response(harness, previous_response_id="resp_1")) == expected
        await create_response(harness)
        await create_response(harness, previous_response_id="resp_2")
        await harness.client.delete("/v1/responses/resp_2")
        assert error_of(await post_response(harness, previous_response_id="resp_2")) == expected
        answer = await post_response(harness, previous_response_id="resp_3")
        assert error_of(answer) == expected
        assert "resp_2" in answer.text
        assert "resp_3" in answer.text


async def test_unstored_response_may_continue_a_stored_one(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input="One")
        await create_response(harness, input="Two", previous_response_id="resp_1", store=False)
        assert last_messages(harness) == [("user", "One"), ("assistant", "Hello"), ("user", "Two")]


@pytest.mark.parametrize("store", [True, False])
async def test_previous_response_in_progress_is_409(autojump_clock: MockClock, store: bool) -> None:
    async with open_harness(ScriptedProvider(FOREVER)) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: post_response(harness, store=store))
        await brief_pause()
        answer = await post_response(harness, previous_response_id="resp_1")
        code = "previous_response_in_progress" if store else "previous_response_not_found"
        status = 409 if store else 404
        assert error_of(answer) == (status, code, "previous_response_id")
        nursery.cancel_scope.cancel()


async def test_cancelled_response_can_be_continued(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("It r"), FOREVER, then=[Scene(tuple(HELLO))])
    async with open_harness(main) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: post_response(harness, stream=True))
        await trio.sleep(1)
        await harness.post("/v1/responses/resp_1/cancel")
        await create_response(harness, input="Go on", previous_response_id="resp_1")
        assert last_messages(harness) == [("user", "Hi"), ("assistant", "It r"), ("user", "Go on")]
        await create_response(harness, input=None, previous_response_id="resp_1")
        assert last_messages(harness) == [("user", "Hi"), ("assistant", "It r")]


INCOMPLETE_CALL: list[Line] = [
    text("Let me see."),
    [ToolCallChunk(0, "call_a", "weather", '{"ci')],
    [FinishChunk(Reason.LENGTH)],
]


async def test_incomplete_call_needs_no_output(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*INCOMPLETE_CALL, then=[Scene(tuple(HELLO))])
    async with open_harness(main) as harness:
        response = await create_response(harness, tools=[WEATHER_TOOL])
        assert response["status"] == "incomplete"
        assert response["output"][1]["status"] == "incomplete"
        answer = await post_response(
            harness, input="And?", previous_response_id="resp_1", stream=True
        )
        assert last_messages(harness) == [
            ("user", "Hi"),
            ("assistant", "Let me see."),
            ("user", "And?"),
        ]
        assert any("calls_ignored" in comment for comment in comments_of(answer.content))
        await create_response(harness, input=[function_output()], previous_response_id="resp_1")
        assert last_messages(harness)[-1] == ("tool", "Rain.")


async def test_call_whose_output_was_deleted_needs_none(autojump_clock: MockClock) -> None:
    async with open_harness(calling_provider()) as harness:
        await create_response(harness, input="Weather?", tools=[WEATHER_TOOL], conversation="c")
        await create_response(harness, input=[function_output()], conversation="c")
        await create_response(harness, input="So?", conversation="c")
        assert (await harness.client.delete("/v1/responses/resp_2")).status_code == 200
        answer = await post_response(harness, input="And?", conversation="c", stream=True)
        assert answer.status_code == 200
        assert any("calls_ignored" in comment for comment in comments_of(answer.content))
        assert ("assistant", "Let me see.") in last_messages(harness)
        assert last_messages(harness)[-1] == ("user", "And?")


async def test_complete_calls_of_an_interrupted_response_stay(autojump_clock: MockClock) -> None:
    lines: list[Line] = [*TOOL_CALL_ANSWER[:-1], FOREVER]
    main = ScriptedProvider(*lines, then=[Scene(tuple(HELLO))])
    async with open_harness(main) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: post_response(harness, stream=True, tools=[WEATHER_TOOL]))
        await trio.sleep(1)
        cancelled = (await harness.post("/v1/responses/resp_1/cancel")).json()
        assert cancelled["output"][2]["call_id"] == "call_a"
        answer = await post_response(
            harness, input=[function_output()], previous_response_id="resp_1"
        )
        assert answer.status_code == 200


async def test_dropped_reasoning_is_reported(autojump_clock: MockClock) -> None:
    empty = {"type": "reasoning", "id": "rs_1", "summary": []}
    history: list[Object] = [empty, {"role": "assistant", "content": "Yes."}]
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        items = [*history, {"role": "user", "content": "Why?"}]
        answer = await post_response(harness, stream=True, input=items)
        assert last_messages(harness) == [("assistant", "Yes."), ("user", "Why?")]
        assert any("reasoning_ignored" in comment for comment in comments_of(answer.content))
        strict = await post_response(harness, strict=True, input=items)
        assert error_of(strict)[:2] == (400, "unsupported_by_route")


async def test_conversation_is_continued_by_name(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        first = await create_response(
            harness, input="One", conversation="a talk", instructions="Be kind."
        )
        assert first["conversation"] == {"id": "a talk"}
        assert first["previous_response_id"] is None
        await create_response(harness, input="Elsewhere", conversation="another")
        assert last_messages(harness) == [("user", "Elsewhere")]
        await create_response(harness, input="Two", conversation={"id": "a talk"})
        assert last_messages(harness) == [
            ("system", "Be kind."),
            ("user", "One"),
            ("assistant", "Hello"),
            ("user", "Two"),
        ]
        await create_response(harness, input="Aside", conversation="a talk", store=False)
        await create_response(harness, input="Three", conversation="a talk")
        assert [content for role, content in last_messages(harness) if role == "user"] == [
            "One",
            "Two",
            "Three",
        ]


async def test_previous_response_id_leaves_the_conversation(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input="One", conversation="c")
        await create_response(harness, input="Aside", previous_response_id="resp_1")
        await create_response(harness, input="Two", conversation="c")
        assert last_messages(harness) == [("user", "One"), ("assistant", "Hello"), ("user", "Two")]


BROKEN_DOWN = UpstreamFailure(FailureKind.TRUNCATED, "cut")
FAILED_BEFORE_CONTENT: list[Scene] = [
    Scene((BROKEN_DOWN,)),
    Scene(([ReasoningChunk("Hm.")], BROKEN_DOWN)),
]
"""Answers that fail before any content."""
TWO_QUESTIONS = [("user", "One"), ("assistant", "Hello"), ("user", "Two")]


def fails_once(scene: Scene, *first: Line, attempts: int = 1) -> ScriptedProvider:
    """Return a provider that answers, fails in one turn, and then always answers "Hello".

    The turn makes so many `attempts`: it asks its sole route again until the client has content.
    """
    return ScriptedProvider(*first, then=[*[scene] * attempts, Scene(tuple(HELLO))])


@pytest.mark.parametrize("scene", [*FAILED_BEFORE_CONTENT, Scene((text("Hel"), BROKEN_DOWN))])
async def test_failed_request_can_be_repeated(autojump_clock: MockClock, scene: Scene) -> None:
    """SDKs retry a 502 by themselves, without the content that was streamed before it."""
    async with open_harness(fails_once(scene, *HELLO, attempts=3)) as harness:
        await create_response(harness, input="One", conversation="c")
        assert (await post_response(harness, input="Two", conversation="c")).status_code == 502
        await create_response(harness, input="Two", conversation="c")
        assert last_messages(harness) == TWO_QUESTIONS
        assert (await get_response(harness, "resp_2"))["conversation"] == {"id": "c"}
        await create_response(harness, input="Two", previous_response_id="resp_2")
        assert last_messages(harness).count(("user", "Two")) == 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("scene", FAILED_BEFORE_CONTENT)
async def test_tool_outputs_can_be_sent_again_after_a_failure(
    autojump_clock: MockClock, scene: Scene, stream: bool
) -> None:
    has_content = scene.lines[0] is not BROKEN_DOWN
    main = fails_once(scene, *TOOL_CALL_ANSWER, attempts=1 if stream and has_content else 3)
    async with open_harness(main) as harness:
        await create_response(harness, conversation="c", tools=[WEATHER_TOOL])
        await post_response(harness, conversation="c", input=[function_output()], stream=stream)
        assert harness.store.finals[1].status == "failed"
        answer = await post_response(harness, conversation="c", input=[function_output()])
        assert answer.status_code == 200, answer.text
        assert harness.store.begun["turn_3"].previous_id == "turn_1"


async def test_client_that_left_before_content_repeats_its_request(
    autojump_clock: MockClock,
) -> None:
    main = fails_once(Scene((FOREVER,)), *HELLO)
    async with open_harness(main) as harness:
        await create_response(harness, input="One", conversation="c")
        with trio.move_on_after(1):
            await post_response(harness, input="Two", conversation="c", stream=True)
        await trio.sleep(1)
        await create_response(harness, input="Two", conversation="c")
        assert last_messages(harness) == TWO_QUESTIONS


async def test_conversation_continues_after_an_interrupted_answer(
    autojump_clock: MockClock,
) -> None:
    scene = Scene((text("It r"), BROKEN_DOWN))
    async with open_harness(fails_once(scene, *HELLO)) as harness:
        await create_response(harness, input="One", conversation="c")
        await post_response(harness, input="Two", conversation="c", stream=True)
        await create_response(harness, input="Go on", conversation="c")
        assert last_messages(harness) == [*TWO_QUESTIONS, ("assistant", "It r"), ("user", "Go on")]


@pytest.mark.parametrize("store", [True, False])
async def test_conversation_runs_one_response_at_a_time(
    autojump_clock: MockClock, store: bool
) -> None:
    main = ScriptedProvider(5.0, *HELLO)
    async with open_harness(main) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: post_response(harness, conversation="c", store=store))
        await trio.sleep(1)
        answer = await post_response(harness, conversation="c")
        assert error_of(answer) == (409, "conversation_busy", "conversation")
        nursery.start_soon(lambda: create_response(harness, conversation="d"))
        await trio.sleep(5)
        await create_response(harness, conversation="c")


async def test_simultaneous_request_of_a_conversation_is_409(autojump_clock: MockClock) -> None:
    statuses: list[int] = []

    async def ask(harness: EdgeHarness) -> None:
        statuses.append((await post_response(harness, conversation="c")).status_code)

    async with open_harness(ScriptedProvider(1.0, *HELLO)) as harness:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask, harness)
        assert sorted(statuses) == [200, 409, 409, 409, 409]
        await create_response(harness, conversation="c")
        assert len(last_messages(harness)) == 3


async def test_conversation_running_in_another_process_is_busy(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, conversation="c")
        turn = harness.store.begun["turn_1"]
        harness.store.finals.clear()
        assert turn.conversation == "c"
        answer = await post_response(harness, conversation="c")
        assert error_of(answer) == (409, "conversation_busy", "conversation")


@pytest.mark.parametrize("keeper", ["spool", "none"])
async def test_conversation_whose_last_record_is_not_in_the_database_is_503(
    autojump_clock: MockClock, keeper: str
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        harness.store.trouble["finalise"] = StoreFault.REFUSES
        if keeper == "none":
            harness.store.trouble["spool"] = StoreFault.REFUSES
        await create_response(harness, conversation="c")
        answer = await post_response(harness, conversation="c")
        assert error_of(answer)[:2] == (503, "store_unavailable")
        assert answer.headers["retry-after"] == "2"
        harness.store.trouble.clear()
        await create_response(harness, conversation="another")


async def test_claim_is_released_if_no_turn_starts(autojump_clock: MockClock) -> None:
    async with open_harness(calling_provider()) as harness:
        await create_response(harness, conversation="c", tools=[WEATHER_TOOL])
        for _ in range(2):
            answer = await post_response(harness, conversation="c", input="And?")
            assert error_of(answer)[1] == "function_call_mismatch"
        await create_response(harness, conversation="c", input=[function_output()])


async def test_deleted_response_is_not_in_its_conversation(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*HELLO, then=[Scene(tuple(TOOL_CALL_ANSWER)), Scene(tuple(HELLO))])
    async with open_harness(main) as harness:
        await create_response(harness, conversation="c", input="One")
        await create_response(harness, conversation="c", input="Two", tools=[WEATHER_TOOL])
        await create_response(harness, conversation="c", input=[function_output()])
        await harness.client.delete("/v1/responses/resp_2")
        answer = await post_response(harness, conversation="c", input="Four", stream=True)
        assert answer.status_code == 200
        assert last_messages(harness) == [
            ("user", "One"),
            ("assistant", "Hello"),
            ("assistant", "Hello"),
            ("user", "Four"),
        ]
        comments = "".join(comments_of(answer.content))
        assert "responses_deleted" in comments
        assert "outputs_ignored" in comments
        await harness.client.delete("/v1/responses/resp_4")
        await create_response(harness, conversation="c", input="Five")
        assert last_messages(harness)[-2:] == [("assistant", "Hello"), ("user", "Five")]


async def test_conversation_history_replaces_the_stored_items(
    autojump_clock: MockClock,
) -> None:
    history = [
        {"role": "user", "content": "Really?"},
        {"role": "assistant", "content": "Really."},
    ]
    own = [("user", "Really?"), ("assistant", "Really.")]
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input="One", conversation="c", instructions="Be kind.")
        await create_response(harness, input="Two", conversation="c", conversation_history=history)
        assert last_messages(harness) == [("system", "Be kind."), *own, ("user", "Two")]
        await create_response(harness, input="Three", conversation="c")
        assert last_messages(harness)[1:] == [
            *own,
            ("user", "Two"),
            ("assistant", "Hello"),
            ("user", "Three"),
        ]
        fourth = await create_response(
            harness, input="Four", previous_response_id="resp_1", conversation_history=history
        )
        assert fourth["previous_response_id"] == "resp_1"
        assert last_messages(harness) == [("system", "Be kind."), *own, ("user", "Four")]
        await create_response(harness, input=None, conversation_history=[*history, history[0]])
        assert last_messages(harness) == [*own, own[0]]
        answer = await post_response(
            harness, previous_response_id="resp_9", conversation_history=history
        )
        assert error_of(answer)[0] == 404
        answer = await post_response(harness, conversation_history=[function_output()])
        expected = (400, "function_call_mismatch", "conversation_history")
        assert error_of(answer) == expected


async def test_empty_conversation_is_rejected(autojump_clock: MockClock) -> None:
    expected = (400, "missing_required_parameter", "input")
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        assert error_of(await post_response(harness, input=[])) == expected
        assert error_of(await post_response(harness, input=None, conversation="new")) == expected


async def test_previous_response_and_conversation_exclude_each_other(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        answer = await post_response(harness, previous_response_id="resp_1", conversation="c")
        assert error_of(answer)[:2] == (400, "mutually_exclusive_parameters")


WORDS = "many words that take their tokens " * 20


def small_window(window: int) -> dict[str, object]:
    """Return a model configuration with a context window of `window` tokens."""
    return {"large": {"routes": ["main/main-model"], "context_window": window}}


async def test_truncation_auto_drops_what_does_not_fit(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(ScriptedProvider(*HELLO), models=small_window(600)) as harness:
        await create_response(harness, input="First. " + WORDS, instructions="Be kind.")
        for number in range(1, 6):
            answer = await post_response(
                harness,
                input=f"{number}. " + WORDS,
                previous_response_id=f"resp_{number}",
                truncation="auto",
                max_output_tokens=50,
                stream=True,
            )
        first, *rest = last_messages(harness)
        assert first == ("system", "Be kind.")
        assert len(rest) < 11
        assert [role for role, _ in rest[:2]] == ["user", "assistant"]
        assert rest[-1] == ("user", "5. " + WORDS)
        assert any("truncated" in comment for comment in comments_of(answer.content))
        call = last_call(harness)
        estimate = harness.service.estimates.estimate_input("main/main-model", call)
        assert estimate <= 550
        await create_response(
            harness, input="Last", previous_response_id="resp_6", truncation="disabled"
        )


async def test_truncation_disabled_passes_everything(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO), models=small_window(600)) as harness:
        await create_response(harness, input=WORDS)
        for number in range(1, 4):
            await create_response(harness, input=WORDS, previous_response_id=f"resp_{number}")
        assert len(last_messages(harness)) == 7


async def test_truncation_keeps_call_and_output_together(autojump_clock: MockClock) -> None:
    items: list[Object] = [
        {"role": "user", "content": WORDS},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        function_output("c", WORDS),
        {"role": "assistant", "content": "So."},
        {"role": "user", "content": "And?"},
    ]
    async with open_harness(ScriptedProvider(*HELLO), models=small_window(200)) as harness:
        await create_response(harness, input=items, truncation="auto")
        assert last_messages(harness) == [("user", "And?")]
    async with open_harness(ScriptedProvider(*HELLO), models=small_window(260)) as harness:
        await create_response(harness, input=items[1:], truncation="auto")
        assert [role for role, _ in last_messages(harness)] == [
            "assistant",
            "tool",
            "assistant",
            "user",
        ]


async def test_truncation_passes_everything_if_the_window_is_unknown(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        many = [{"role": "user", "content": WORDS}] * 60
        await create_response(harness, input=many, truncation="auto")
        assert len(last_messages(harness)) == 60


async def test_response_can_be_continued_after_its_client_left(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(ScriptedProvider(5.0, *HELLO), mode=Mode.BACKGROUND) as harness:
        with trio.move_on_after(1):
            await post_response(harness, stream=True)
        assert error_of(await post_response(harness, previous_response_id="resp_1"))[0] == 409
        await harness.registry.wait_empty()
        await create_response(harness, input="Two", previous_response_id="resp_1")
        assert last_messages(harness) == [("user", "Hi"), ("assistant", "Hello"), ("user", "Two")]


@pytest.mark.parametrize("stream", [True, False])
async def test_conversation_just_started_by_another_process_is_busy(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:

        async def begin(turn: NewTurn) -> None:
            raise ConversationBusy(turn.conversation)

        with monkeypatch.context() as patched:
            patched.setattr(harness.store, "begin", begin)
            answer = await post_response(harness, conversation="c", stream=stream)
        assert error_of(answer) == (409, "conversation_busy", "conversation")
        assert harness.store.finals == []
        await create_response(harness, conversation="c")
