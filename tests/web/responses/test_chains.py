"""Responses that go on from others: by id, in conversations, or with a history of their own."""

import pytest
import trio
from trio.testing import MockClock

from actors.chunks import FinishChunk, ReasoningChunk, ToolCallChunk
from actors.outcome import Mode, Reason
from actors.providers.base import FailureKind, UpstreamFailure
from store.records import ConversationBusy, NewTurn
from tests.actors.fakes import FOREVER, Line, Scene, ScriptedProvider, Trouble, text
from tests.web.dialects.reading import comments_of
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


def said(house: House) -> list[tuple[object, object]]:
    """What the last call told the model, in short."""
    return [(message["role"], message["content"]) for message in asked(house).messages]


def calling() -> ScriptedProvider:
    """Calls a function first, and says hello ever after."""
    return ScriptedProvider(*CALLING, then=[Scene(tuple(HELLO))])


async def test_a_chain_is_what_was_asked_and_answered(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, input="One")
        await responded(house, input="Two", previous_response_id="resp_1")
        third = await responded(house, input="Three", previous_response_id="resp_2")
        assert said(house) == [
            ("user", "One"),
            ("assistant", "Hello"),
            ("user", "Two"),
            ("assistant", "Hello"),
            ("user", "Three"),
        ]
        assert third["previous_response_id"] == "resp_2"
        assert await shown(house, "resp_3") == third
        await responded(house, input="Or", previous_response_id="resp_1")
        assert said(house) == [("user", "One"), ("assistant", "Hello"), ("user", "Or")]


async def test_however_long_a_chain_is_it_is_as_many_questions(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house)
        for number in range(1, 6):
            before = house.store.reads
            await responded(house, previous_response_id=f"resp_{number}")
            assert house.store.reads == before + 1
        for _ in range(3):
            before = house.store.reads
            await responded(house, conversation="c")
            assert house.store.reads <= before + 3


async def test_of_a_chain_that_is_too_long_the_beginning_is_left_out(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.responses.state.MOST_LINKS", 2)
    async with open_house(calling()) as house:
        await responded(house, input="One", tools=[WEATHER])
        await responded(house, input=[output()], previous_response_id="resp_1")
        await responded(house, input="Three", previous_response_id="resp_2")
        answer = await respond(house, input="Four", previous_response_id="resp_3", stream=True)
        assert said(house) == [
            ("assistant", "Hello"),
            ("user", "Three"),
            ("assistant", "Hello"),
            ("user", "Four"),
        ]
        told = "".join(comments_of(answer.content))
        assert "history_cut" in told
        assert "outputs_ignored" in told


@pytest.mark.parametrize("by", ["previous_response_id", "conversation"])
async def test_of_a_chain_larger_than_any_request_the_beginning_is_left_out(
    autojump_clock: MockClock, by: str
) -> None:
    """It is kept for as long as the next turn plays, however little that was asked."""
    limits: dict[str, object] = {"body_bytes": 2_500}
    async with open_house(ScriptedProvider(*HELLO), limits=limits) as house:
        for number in range(3):
            past = {} if number == 0 else {by: f"resp_{number}"}
            past = {"conversation": "c"} if by == "conversation" else past
            await responded(house, input=f"{number} " * 500, **past)
        past = {by: "resp_3" if by == "previous_response_id" else "c"}
        answer = await respond(house, input="And?", stream=True, **past)
        assert [content for role, content in said(house) if role == "user"] == ["2 " * 500, "And?"]
        assert "history_cut" in "".join(comments_of(answer.content))


async def test_a_large_history_is_put_together_all_the_same() -> None:
    many = [{"role": "user", "content": f"{number} " * 50} for number in range(1_200)]
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, input=many, conversation="c")
        await responded(house, input="And?", previous_response_id="resp_1")
        await responded(house, input="And?", conversation="c")
        assert len(said(house)) == 1_202


async def test_tools_are_called_and_their_outputs_sent(autojump_clock: MockClock) -> None:
    async with open_house(calling()) as house:
        await responded(house, input="Weather?", tools=[WEATHER])
        await responded(house, input=[output()], previous_response_id="resp_1")
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
        assert asked(house).messages == history
        assert asked(house).foreign == {"reasoning_content": ()}
        await responded(house, input="Thanks", previous_response_id="resp_2")
        assert asked(house).messages[:3] == history


async def test_outputs_that_are_missing_or_of_no_call(autojump_clock: MockClock) -> None:
    async with open_house(calling()) as house:
        await responded(house, tools=[WEATHER])
        for items in ("And?", [], [{"role": "user", "content": "And?"}]):
            answer = await respond(house, input=items, previous_response_id="resp_1")
            assert error_of(answer) == (400, "function_call_mismatch", "input")
            assert "call_a" in answer.text
            assert "function_call_output" in answer.text
        both = [output(), output("call_b")]
        answer = await respond(house, input=both, previous_response_id="resp_1")
        assert error_of(answer) == (400, "function_call_mismatch", "input[1]")
        answer = await respond(house, input=[output()])
        assert error_of(answer) == (400, "function_call_mismatch", "input[0]")
        assert len(house.store.begun) == 1


async def test_instructions_hold_on_unless_they_are_given_anew(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, instructions="Be kind.")
        second = await responded(house, previous_response_id="resp_1")
        assert second["instructions"] == "Be kind."
        third = await responded(house, previous_response_id="resp_2")
        assert third["instructions"] == "Be kind."
        assert said(house)[0] == ("system", "Be kind.")
        assert [role for role, _ in said(house)].count("system") == 1
        await responded(house, previous_response_id="resp_3", instructions="Be brief.")
        assert said(house)[0] == ("system", "Be brief.")
        fifth = await responded(house, previous_response_id="resp_4", instructions="")
        assert fifth["instructions"] == ""
        sixth = await responded(house, previous_response_id="resp_5")
        assert sixth["instructions"] == ""
        assert said(house)[0] == ("user", "Hi")


@pytest.mark.parametrize("id", ["resp_7", "resp_", "turn_1", "resp_1'--", "nonsense"])
async def test_nobody_goes_on_from_what_is_not_there(autojump_clock: MockClock, id: str) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house)
        answer = await respond(house, previous_response_id=id)
        expected = (404, "previous_response_not_found", "previous_response_id")
        assert error_of(answer) == expected


async def test_nobody_goes_on_from_what_is_not_kept_or_deleted(autojump_clock: MockClock) -> None:
    expected = (404, "previous_response_not_found", "previous_response_id")
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, store=False)
        assert error_of(await respond(house, previous_response_id="resp_1")) == expected
        await responded(house)
        await responded(house, previous_response_id="resp_2")
        await house.client.delete("/v1/responses/resp_2")
        assert error_of(await respond(house, previous_response_id="resp_2")) == expected
        answer = await respond(house, previous_response_id="resp_3")
        assert error_of(answer) == expected
        assert "resp_2" in answer.text
        assert "resp_3" in answer.text


async def test_what_is_not_kept_may_go_on_from_what_is(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, input="One")
        await responded(house, input="Two", previous_response_id="resp_1", store=False)
        assert said(house) == [("user", "One"), ("assistant", "Hello"), ("user", "Two")]


@pytest.mark.parametrize("store", [True, False])
async def test_a_response_in_progress_is_not_gone_on_from(
    autojump_clock: MockClock, store: bool
) -> None:
    async with open_house(ScriptedProvider(FOREVER)) as house, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: respond(house, store=store))
        await in_a_moment()
        answer = await respond(house, previous_response_id="resp_1")
        code = "previous_response_in_progress" if store else "previous_response_not_found"
        status = 409 if store else 404
        assert error_of(answer) == (status, code, "previous_response_id")
        nursery.cancel_scope.cancel()


async def test_what_was_cancelled_can_be_gone_on_from(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("It r"), FOREVER, then=[Scene(tuple(HELLO))])
    async with open_house(main) as house, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: respond(house, stream=True))
        await trio.sleep(1)
        await house.post("/v1/responses/resp_1/cancel")
        await responded(house, input="Go on", previous_response_id="resp_1")
        assert said(house) == [("user", "Hi"), ("assistant", "It r"), ("user", "Go on")]
        await responded(house, input=None, previous_response_id="resp_1")
        assert said(house) == [("user", "Hi"), ("assistant", "It r")]


BROKEN: list[Line] = [
    text("Let me see."),
    [ToolCallChunk(0, "call_a", "weather", '{"ci')],
    [FinishChunk(Reason.LENGTH)],
]


async def test_a_call_that_broke_off_needs_no_output(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*BROKEN, then=[Scene(tuple(HELLO))])
    async with open_house(main) as house:
        response = await responded(house, tools=[WEATHER])
        assert response["status"] == "incomplete"
        assert response["output"][1]["status"] == "incomplete"
        answer = await respond(house, input="And?", previous_response_id="resp_1", stream=True)
        assert said(house) == [("user", "Hi"), ("assistant", "Let me see."), ("user", "And?")]
        assert any("calls_ignored" in comment for comment in comments_of(answer.content))
        await responded(house, input=[output()], previous_response_id="resp_1")
        assert said(house)[-1] == ("tool", "Rain.")


async def test_a_call_whose_output_was_deleted_needs_none(autojump_clock: MockClock) -> None:
    async with open_house(calling()) as house:
        await responded(house, input="Weather?", tools=[WEATHER], conversation="c")
        await responded(house, input=[output()], conversation="c")
        await responded(house, input="So?", conversation="c")
        assert (await house.client.delete("/v1/responses/resp_2")).status_code == 200
        answer = await respond(house, input="And?", conversation="c", stream=True)
        assert answer.status_code == 200
        assert any("calls_ignored" in comment for comment in comments_of(answer.content))
        assert ("assistant", "Let me see.") in said(house)
        assert said(house)[-1] == ("user", "And?")


async def test_calls_of_a_response_that_was_cut_are_whole(autojump_clock: MockClock) -> None:
    lines: list[Line] = [*CALLING[:-1], FOREVER]
    main = ScriptedProvider(*lines, then=[Scene(tuple(HELLO))])
    async with open_house(main) as house, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: respond(house, stream=True, tools=[WEATHER]))
        await trio.sleep(1)
        cancelled = (await house.post("/v1/responses/resp_1/cancel")).json()
        assert cancelled["output"][2]["call_id"] == "call_a"
        answer = await respond(house, input=[output()], previous_response_id="resp_1")
        assert answer.status_code == 200


async def test_references_are_to_items_of_the_history(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, input="One")
        items = [
            {"type": "item_reference", "id": "msg_1_in_0"},
            {"type": "item_reference", "id": "msg_1_0"},
            {"role": "user", "content": "Two"},
        ]
        await responded(house, input=items, previous_response_id="resp_1")
        assert said(house) == [("user", "One"), ("assistant", "Hello"), ("user", "Two")]
        page = (await house.get("/v1/responses/resp_2/input_items")).json()
        assert [item["id"] for item in page["data"]] == ["msg_2_in_0"]
        unknown = [items[2], {"type": "item_reference", "id": "msg_9_0"}]
        answer = await respond(house, input=unknown, previous_response_id="resp_1")
        assert error_of(answer) == (400, "item_not_found", "input[1].id")
        assert error_of(await respond(house, input=items)) == (
            400,
            "item_not_found",
            "input[0].id",
        )


async def test_reasoning_that_cannot_go_on_is_named(autojump_clock: MockClock) -> None:
    sealed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
    history: list[Object] = [sealed, {"role": "assistant", "content": "Yes."}]
    async with open_house(ScriptedProvider(*HELLO)) as house:
        items = [*history, {"role": "user", "content": "Why?"}]
        answer = await respond(house, stream=True, input=items)
        assert said(house) == [("assistant", "Yes."), ("user", "Why?")]
        assert any("reasoning_ignored" in comment for comment in comments_of(answer.content))
        strict = await respond(house, strict=True, input=items)
        assert error_of(strict)[:2] == (400, "unsupported_by_route")


async def test_a_conversation_goes_on_by_its_name(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        first = await responded(house, input="One", conversation="a talk", instructions="Be kind.")
        assert first["conversation"] == {"id": "a talk"}
        assert first["previous_response_id"] is None
        await responded(house, input="Elsewhere", conversation="another")
        assert said(house) == [("user", "Elsewhere")]
        await responded(house, input="Two", conversation={"id": "a talk"})
        assert said(house) == [
            ("system", "Be kind."),
            ("user", "One"),
            ("assistant", "Hello"),
            ("user", "Two"),
        ]
        await responded(house, input="Aside", conversation="a talk", store=False)
        await responded(house, input="Three", conversation="a talk")
        assert [content for role, content in said(house) if role == "user"] == [
            "One",
            "Two",
            "Three",
        ]


async def test_a_conversation_may_be_left_by_an_id(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, input="One", conversation="c")
        await responded(house, input="Aside", previous_response_id="resp_1")
        await responded(house, input="Two", conversation="c")
        assert said(house) == [("user", "One"), ("assistant", "Hello"), ("user", "Two")]


BROKEN_DOWN = UpstreamFailure(FailureKind.TRUNCATED, "cut")
UNHEARD: list[Scene] = [
    Scene((BROKEN_DOWN,)),
    Scene(([ReasoningChunk("Hm.")], BROKEN_DOWN)),
]
"""Answers that break down before they have said anything."""
TAKEN = [("user", "One"), ("assistant", "Hello"), ("user", "Two")]


def fails_once(scene: Scene, *first: Line) -> ScriptedProvider:
    """Answers, then breaks down in one turn, and says hello ever after."""
    return ScriptedProvider(*first, then=[scene, Scene(tuple(HELLO))])


@pytest.mark.parametrize("scene", [*UNHEARD, Scene((text("Hel"), BROKEN_DOWN))])
async def test_a_request_that_failed_can_be_sent_again(
    autojump_clock: MockClock, scene: Scene
) -> None:
    """SDKs do so by themselves where they get a 502; they have not heard what was said before."""
    async with open_house(fails_once(scene, *HELLO)) as house:
        await responded(house, input="One", conversation="c")
        assert (await respond(house, input="Two", conversation="c")).status_code == 502
        await responded(house, input="Two", conversation="c")
        assert said(house) == TAKEN
        assert (await shown(house, "resp_2"))["conversation"] == {"id": "c"}
        await responded(house, input="Two", previous_response_id="resp_2")
        assert said(house).count(("user", "Two")) == 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("scene", UNHEARD)
async def test_outputs_of_tools_can_be_sent_again(
    autojump_clock: MockClock, scene: Scene, stream: bool
) -> None:
    async with open_house(fails_once(scene, *CALLING)) as house:
        await responded(house, conversation="c", tools=[WEATHER])
        await respond(house, conversation="c", input=[output()], stream=stream)
        assert house.store.finals[1].status == "failed"
        answer = await respond(house, conversation="c", input=[output()])
        assert answer.status_code == 200, answer.text
        assert house.store.begun["turn_3"].previous_id == "turn_1"


async def test_who_left_before_anything_was_said_says_it_again(autojump_clock: MockClock) -> None:
    main = fails_once(Scene((FOREVER,)), *HELLO)
    async with open_house(main) as house:
        await responded(house, input="One", conversation="c")
        with trio.move_on_after(1):
            await respond(house, input="Two", conversation="c", stream=True)
        await trio.sleep(1)
        await responded(house, input="Two", conversation="c")
        assert said(house) == TAKEN


async def test_a_conversation_goes_on_from_an_answer_that_broke_off(
    autojump_clock: MockClock,
) -> None:
    scene = Scene((text("It r"), BROKEN_DOWN))
    async with open_house(fails_once(scene, *HELLO)) as house:
        await responded(house, input="One", conversation="c")
        await respond(house, input="Two", conversation="c", stream=True)
        await responded(house, input="Go on", conversation="c")
        assert said(house) == [*TAKEN, ("assistant", "It r"), ("user", "Go on")]


@pytest.mark.parametrize("store", [True, False])
async def test_one_at_a_time_in_a_conversation(autojump_clock: MockClock, store: bool) -> None:
    main = ScriptedProvider(5.0, *HELLO)
    async with open_house(main) as house, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: respond(house, conversation="c", store=store))
        await trio.sleep(1)
        answer = await respond(house, conversation="c")
        assert error_of(answer) == (409, "conversation_busy", "conversation")
        nursery.start_soon(lambda: responded(house, conversation="d"))
        await trio.sleep(5)
        await responded(house, conversation="c")


async def test_who_comes_at_the_same_moment_is_told_the_same(autojump_clock: MockClock) -> None:
    statuses: list[int] = []

    async def ask(house: House) -> None:
        statuses.append((await respond(house, conversation="c")).status_code)

    async with open_house(ScriptedProvider(1.0, *HELLO)) as house:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask, house)
        assert sorted(statuses) == [200, 409, 409, 409, 409]
        await responded(house, conversation="c")
        assert len(said(house)) == 3


async def test_a_conversation_that_plays_elsewhere_is_busy(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, conversation="c")
        turn = house.store.begun["turn_1"]
        house.store.finals.clear()
        assert turn.conversation == "c"
        answer = await respond(house, conversation="c")
        assert error_of(answer) == (409, "conversation_busy", "conversation")


@pytest.mark.parametrize("keeper", ["spool", "nobody"])
async def test_a_conversation_whose_last_end_is_not_in_the_database_has_to_wait(
    autojump_clock: MockClock, keeper: str
) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        house.store.trouble["finalise"] = Trouble.REFUSES
        if keeper == "nobody":
            house.store.trouble["spool"] = Trouble.REFUSES
        await responded(house, conversation="c")
        answer = await respond(house, conversation="c")
        assert error_of(answer)[:2] == (503, "store_unavailable")
        assert answer.headers["retry-after"] == "2"
        house.store.trouble.clear()
        await responded(house, conversation="another")


async def test_a_claim_is_given_back_where_no_turn_begins(autojump_clock: MockClock) -> None:
    async with open_house(calling()) as house:
        await responded(house, conversation="c", tools=[WEATHER])
        for _ in range(2):
            answer = await respond(house, conversation="c", input="And?")
            assert error_of(answer)[1] == "function_call_mismatch"
        await responded(house, conversation="c", input=[output()])


async def test_what_is_deleted_is_not_in_its_conversation(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*HELLO, then=[Scene(tuple(CALLING)), Scene(tuple(HELLO))])
    async with open_house(main) as house:
        await responded(house, conversation="c", input="One")
        await responded(house, conversation="c", input="Two", tools=[WEATHER])
        await responded(house, conversation="c", input=[output()])
        await house.client.delete("/v1/responses/resp_2")
        answer = await respond(house, conversation="c", input="Four", stream=True)
        assert answer.status_code == 200
        assert said(house) == [
            ("user", "One"),
            ("assistant", "Hello"),
            ("assistant", "Hello"),
            ("user", "Four"),
        ]
        told = "".join(comments_of(answer.content))
        assert "responses_deleted" in told
        assert "outputs_ignored" in told
        await house.client.delete("/v1/responses/resp_4")
        await responded(house, conversation="c", input="Five")
        assert said(house)[-2:] == [("assistant", "Hello"), ("user", "Five")]


async def test_a_history_of_the_clients_own_takes_the_place_of_what_is_stored(
    autojump_clock: MockClock,
) -> None:
    history = [
        {"role": "user", "content": "Really?"},
        {"role": "assistant", "content": "Really."},
    ]
    own = [("user", "Really?"), ("assistant", "Really.")]
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await responded(house, input="One", conversation="c", instructions="Be kind.")
        await responded(house, input="Two", conversation="c", conversation_history=history)
        assert said(house) == [("system", "Be kind."), *own, ("user", "Two")]
        await responded(house, input="Three", conversation="c")
        assert said(house)[1:] == [
            *own,
            ("user", "Two"),
            ("assistant", "Hello"),
            ("user", "Three"),
        ]
        fourth = await responded(
            house, input="Four", previous_response_id="resp_1", conversation_history=history
        )
        assert fourth["previous_response_id"] == "resp_1"
        assert said(house) == [("system", "Be kind."), *own, ("user", "Four")]
        await responded(house, input=None, conversation_history=[*history, history[0]])
        assert said(house) == [*own, own[0]]
        answer = await respond(house, previous_response_id="resp_9", conversation_history=history)
        assert error_of(answer)[0] == 404
        answer = await respond(house, conversation_history=[output()])
        expected = (400, "function_call_mismatch", "conversation_history")
        assert error_of(answer) == expected


async def test_there_must_be_something_to_answer(autojump_clock: MockClock) -> None:
    expected = (400, "missing_required_parameter", "input")
    async with open_house(ScriptedProvider(*HELLO)) as house:
        assert error_of(await respond(house, input=[])) == expected
        assert error_of(await respond(house, input=None, conversation="new")) == expected


async def test_both_places_of_a_history_are_one_too_many(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        answer = await respond(house, previous_response_id="resp_1", conversation="c")
        assert error_of(answer)[:2] == (400, "mutually_exclusive_parameters")


WORDS = "many words that take their tokens " * 20


def small(window: int) -> dict[str, object]:
    """A model whose window is that small."""
    return {"large": {"routes": ["main/main-model"], "context_window": window}}


async def test_what_does_not_fit_is_left_out_where_that_is_asked_for(
    autojump_clock: MockClock,
) -> None:
    async with open_house(ScriptedProvider(*HELLO), models=small(600)) as house:
        await responded(house, input="First. " + WORDS, instructions="Be kind.")
        for number in range(1, 6):
            answer = await respond(
                house,
                input=f"{number}. " + WORDS,
                previous_response_id=f"resp_{number}",
                truncation="auto",
                max_output_tokens=50,
                stream=True,
            )
        first, *rest = said(house)
        assert first == ("system", "Be kind.")
        assert len(rest) < 11
        assert [role for role, _ in rest[:2]] == ["user", "assistant"]
        assert rest[-1] == ("user", "5. " + WORDS)
        assert any("truncated" in comment for comment in comments_of(answer.content))
        call = asked(house)
        estimate = house.service.estimates.estimate_input("main/main-model", call)
        assert estimate <= 550
        await responded(house, input="Last", previous_response_id="resp_6", truncation="disabled")


async def test_disabled_passes_all(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO), models=small(600)) as house:
        await responded(house, input=WORDS)
        for number in range(1, 4):
            await responded(house, input=WORDS, previous_response_id=f"resp_{number}")
        assert len(said(house)) == 7


async def test_a_call_is_not_parted_from_its_output(autojump_clock: MockClock) -> None:
    items: list[Object] = [
        {"role": "user", "content": WORDS},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        output("c", WORDS),
        {"role": "assistant", "content": "So."},
        {"role": "user", "content": "And?"},
    ]
    async with open_house(ScriptedProvider(*HELLO), models=small(200)) as house:
        await responded(house, input=items, truncation="auto")
        assert said(house) == [("user", "And?")]
    async with open_house(ScriptedProvider(*HELLO), models=small(260)) as house:
        await responded(house, input=items[1:], truncation="auto")
        assert [role for role, _ in said(house)] == [
            "assistant",
            "tool",
            "assistant",
            "user",
        ]


async def test_without_a_known_window_all_goes_on(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        many = [{"role": "user", "content": WORDS}] * 60
        await responded(house, input=many, truncation="auto")
        assert len(said(house)) == 60


async def test_a_background_turn_is_gone_on_from_once_it_is_over(
    autojump_clock: MockClock,
) -> None:
    async with open_house(ScriptedProvider(5.0, *HELLO), mode=Mode.BACKGROUND) as house:
        with trio.move_on_after(1):
            await respond(house, stream=True)
        assert error_of(await respond(house, previous_response_id="resp_1"))[0] == 409
        await house.registry.wait_empty()
        await responded(house, input="Two", previous_response_id="resp_1")
        assert said(house) == [("user", "Hi"), ("assistant", "Hello"), ("user", "Two")]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_conversation_in_which_another_process_just_began_is_busy(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:

        async def begin(turn: NewTurn) -> None:
            raise ConversationBusy(turn.conversation)

        with monkeypatch.context() as patched:
            patched.setattr(house.store, "begin", begin)
            answer = await respond(house, conversation="c", stream=stream)
        assert error_of(answer) == (409, "conversation_busy", "conversation")
        assert house.store.finals == []
        await responded(house, conversation="c")
