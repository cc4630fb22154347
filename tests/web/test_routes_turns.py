"""`/v1/turns`: what became of turns, their events again, and an end to them."""

import httpx
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors.events import AnyEvent
from actors.outcome import Mode, Reason
from actors.ports import TurnView
from store.records import StoreUnavailable
from tests.actors.fakes import EPOCH, FOREVER, Scene, ScriptedProvider, Trouble, stop, text
from tests.web.dialects.reading import Frame, frames_of
from tests.web.house import House, asking, in_a_moment, open_house, view
from web.dialects.frames import PING as HEARTBEAT
from web.dialects.openai_chat import OpenAIChat

FIELDS = {
    "id",
    "object",
    "status",
    "reason",
    "disconnect_stage",
    "model",
    "provider",
    "upstream_model",
    "mode",
    "usage",
    "cost_micros",
    "text",
    "error",
    "created_at",
    "first_token_at",
    "ended_at",
    "deleted_at",
    "last_event",
    "stored",
    "attempts",
}


def hello() -> ScriptedProvider:
    return ScriptedProvider(text("Hel"), text("lo"), stop())


def slow() -> ScriptedProvider:
    return ScriptedProvider(text("a"), 1.0, text("b"), 1.0, text("c"), 1.0, stop())


def code_of(response: httpx.Response) -> str:
    return response.json()["error"]["code"]  # type: ignore[no-any-return]


async def a_live_turn(house: House, nursery: trio.Nursery) -> None:
    """Start a turn that somebody streams."""

    async def stream() -> None:
        await house.chat(stream=True)

    nursery.start_soon(stream)
    await in_a_moment()


async def test_a_turn_that_ended(autojump_clock: MockClock) -> None:
    async with open_house(hello()) as house:
        await house.chat()
        response = await house.get("/v1/turns/turn_1")
        assert response.headers["x-turn-id"] == "turn_1"
        turn = response.json()
        assert set(turn) == FIELDS
        assert (turn["status"], turn["reason"], turn["text"]) == ("completed", "stop", "Hello")
        assert set(turn["usage"]) == {"input_tokens", "output_tokens", "estimated"}
        assert turn["stored"] == "committed"
        assert [attempt["result"] for attempt in turn["attempts"]] == ["answered"]


async def test_a_turn_that_plays(autojump_clock: MockClock) -> None:
    async with open_house(slow()) as house, trio.open_nursery() as nursery:
        await a_live_turn(house, nursery)
        turn = (await house.get("/v1/turns/turn_1")).json()
        assert set(turn) == FIELDS
        assert (turn["status"], turn["reason"], turn["text"]) == ("in_progress", None, "a")
        assert turn["ended_at"] is None
        assert turn["last_event"] == 1


async def test_live_and_stored_tell_the_same(autojump_clock: MockClock) -> None:
    async with open_house(hello()) as house:
        house.store.trouble["finalise"] = Trouble.REFUSES
        await house.chat()
        live = (await house.get("/v1/turns/turn_1")).json()
        assert live["stored"] == "spooled"
        house.store.finals = house.store.spooled
        house.registry.settled("spooled")
        stored = (await house.get("/v1/turns/turn_1")).json()
        differ = {"stored", "attempts"}
        assert {k: v for k, v in live.items() if k not in differ} == {
            k: v for k, v in stored.items() if k not in differ
        }


@pytest.mark.parametrize("path", ["", "/events"])
async def test_there_is_no_such_turn(autojump_clock: MockClock, path: str) -> None:
    async with open_house() as house:
        response = await house.get(f"/v1/turns/turn_9{path}")
        assert response.status_code == 404
        assert code_of(response) == "turn_not_found"


async def test_there_is_no_such_turn_to_cancel(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        assert (await house.post("/v1/turns/turn_9/cancel")).status_code == 404


async def test_a_strange_id_is_just_unknown(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        for turn_id in ("%0D%0ASet-Cookie:x", "x" * 5000, "%00", "%ff"):
            assert (await house.get(f"/v1/turns/{turn_id}")).status_code == 404


async def test_another_tenants_turn_is_just_unknown(autojump_clock: MockClock) -> None:
    async with open_house(hello()) as house:
        await house.chat()
        record = house.store.finals.pop()
        theirs = replace(view(record), tenant_id="tenant_2")
        house.store.views["turn_1"] = theirs
        for path in ("", "/events"):
            assert (await house.get(f"/v1/turns/turn_1{path}")).status_code == 404


async def test_turns_are_listed_newest_first_in_pages(autojump_clock: MockClock) -> None:
    async with open_house(hello()) as house:
        for _ in range(5):
            await house.chat()
        first = (await house.get("/v1/turns?limit=2")).json()
        assert [turn["id"] for turn in first["data"]] == ["turn_5", "turn_4"]
        assert set(first["data"][0]) == FIELDS
        second = (await house.get("/v1/turns", params={"limit": 3, "cursor": first["next"]})).json()
        assert [turn["id"] for turn in second["data"]] == ["turn_3", "turn_2", "turn_1"]
        assert second["next"] is None


async def test_what_is_asked_of_the_store_for_a_list(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.get("/v1/turns")
        assert house.store.asked == {"limit": 20, "status": None, "cursor": None}
        await house.get("/v1/turns?limit=100&status=failed&cursor=turn_3")
        assert house.store.asked == {"limit": 100, "status": "failed", "cursor": "turn_3"}


@pytest.mark.parametrize(
    "limit",
    ["0", "101", "-1", "", "x", "1.5", "1e1", "\u0661", "9" * 30, "00000000199999", "1_0", " 1"],
)
async def test_a_limit_that_is_none(autojump_clock: MockClock, limit: str) -> None:
    async with open_house() as house:
        response = await house.get("/v1/turns", params={"limit": limit})
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "limit"


@pytest.mark.parametrize(("status", "found"), [("completed", 1), ("failed", 1), ("queued", 0)])
async def test_turns_of_one_status(autojump_clock: MockClock, status: str, found: int) -> None:
    main = ScriptedProvider(text("Hel"), text("lo"), stop(), then=[Scene()])
    async with open_house(main) as house:
        await house.chat()
        await house.chat()
        page = (await house.get("/v1/turns", params={"status": status})).json()
        assert [turn["status"] for turn in page["data"]] == [status] * found


async def test_a_status_that_is_none(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        response = await house.get("/v1/turns?status=done")
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "status"
        assert "completed" in response.json()["error"]["message"]


async def test_a_store_that_is_away(autojump_clock: MockClock) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("locked")

    async with open_house() as house:
        house.store.list_turns = house.store.get_turn = refuse  # type: ignore[assignment,method-assign]
        for path in ("/v1/turns", "/v1/turns/turn_1", "/v1/turns/turn_1/events"):
            response = await house.get(path)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "2"
            assert code_of(response) == "store_unavailable"


async def events(house: House, after: str | None = None, turn: str = "turn_1") -> httpx.Response:
    headers = {} if after is None else {"Last-Event-ID": after}
    return await house.get(f"/v1/turns/{turn}/events", headers=headers)


async def assert_resumes_everywhere(house: House, whole: list[Frame]) -> None:
    """After each frame the rest is the rest; after the last there is nothing."""
    for k, frame in enumerate(whole[:-1], 1):
        response = await events(house, frame.id)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-turn-id"] == "turn_1"
        assert response.content.startswith(HEARTBEAT)
        assert frames_of(response.content) == whole[k:]
    past = await events(house, whole[-1].id)
    assert (past.status_code, past.content) == (204, b"")
    assert past.headers["x-turn-id"] == "turn_1"


async def test_a_long_journal_is_rendered_in_parts(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a long answer does not keep the event loop; nobody sees where they meet."""
    batches: list[int] = []
    render = OpenAIChat.render

    def noted(dialect: OpenAIChat, batch: list[AnyEvent]) -> bytes:
        batches.append(len(batch))
        return render(dialect, batch)

    async with open_house(slow()) as house:
        whole = frames_of(await house.stream_to_the_end())
        monkeypatch.setattr("actors.journal.AT_ONCE", 2)
        monkeypatch.setattr(OpenAIChat, "render", noted)
        assert frames_of((await events(house)).content) == whole
        assert max(batches) == 2


async def test_an_ended_turn_can_be_resumed_after_every_frame(autojump_clock: MockClock) -> None:
    async with open_house(slow()) as house:
        whole = frames_of(await house.stream_to_the_end(stream_options={"include_usage": True}))
        assert frames_of((await events(house)).content) == whole
        await assert_resumes_everywhere(house, whole)


@pytest.mark.parametrize("refuse", [["finalise"], ["finalise", "spool"]])
async def test_so_can_one_whose_record_is_not_in_the_database(
    autojump_clock: MockClock, refuse: list[str]
) -> None:
    async with open_house(slow()) as house:
        house.store.trouble = dict.fromkeys(refuse, Trouble.REFUSES)
        whole = frames_of(await house.stream_to_the_end())
        await assert_resumes_everywhere(house, whole)
        assert (await events(house)).headers["x-turn-stored"] in {"spooled", "unsaved"}


async def test_a_live_turn_can_be_resumed_after_every_frame(autojump_clock: MockClock) -> None:
    async with open_house(slow(), mode=Mode.LINGER) as house:
        whole = frames_of(await house.stream_to_the_end())
        for k in range(1, len(whole) - 1):
            with trio.move_on_after(2.5):
                await house.chat(stream=True)
            turn = f"turn_{k + 1}"
            resumed = frames_of((await events(house, whole[k - 1].id, turn)).content)
            assert [_without_ids(frame) for frame in resumed] == [
                _without_ids(frame) for frame in whole[k:]
            ]
            assert house.store.finals[-1].reason == Reason.STOP.value


def _without_ids(frame: Frame) -> tuple[str, str]:
    """A frame but for what tells one turn from another: its completion id and its time."""
    _, _, rest = frame.data.partition('"model"')
    return frame.id, rest or frame.data


async def test_starting_after_means_the_same(autojump_clock: MockClock) -> None:
    async with open_house(slow()) as house:
        whole = frames_of(await house.stream_to_the_end())
        for given in ("1", "openai-chat:1"):
            response = await house.get(f"/v1/turns/turn_1/events?starting_after={given}")
            assert frames_of(response.content) == whole[2:]


@pytest.mark.parametrize("cursor", ["trouper:1", "x", "-1", "openai-chat:1@x"])
async def test_a_cursor_that_is_none_of_ours(autojump_clock: MockClock, cursor: str) -> None:
    async with open_house(slow()) as house:
        await house.chat()
        assert_bad_cursor(await events(house, cursor))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.chat)
            await in_a_moment()
            assert_bad_cursor(await events(house, cursor, "turn_2"))


def assert_bad_cursor(response: httpx.Response) -> None:
    assert response.status_code == 400
    assert code_of(response) == "invalid_cursor"
    assert response.headers["x-turn-id"]


async def test_a_turn_that_kept_no_text_has_no_events(autojump_clock: MockClock) -> None:
    async with open_house(hello()) as house:
        await house.chat(store=False)
        response = await events(house)
        assert response.status_code == 410
        assert "not to be kept" in response.json()["error"]["message"]
        assert response.headers["x-turn-id"] == "turn_1"


async def test_a_journal_that_cannot_be_read_is_gone(autojump_clock: MockClock) -> None:
    async with open_house(hello()) as house:
        await house.chat()
        kept = house.store.kept["turn_1"]
        kept[0] = replace(kept[0], blob=b"\x91\x81\xa4type\xa6future")
        response = await events(house)
        assert response.status_code == 410
        assert "cannot read" in response.json()["error"]["message"]


async def test_a_turn_past_retention_has_no_events(autojump_clock: MockClock) -> None:
    async with open_house(hello()) as house:
        await house.chat()
        house.store.kept.clear()
        response = await events(house)
        assert response.status_code == 410
        assert "retention" in response.json()["error"]["message"]
        assert (await house.get("/v1/turns/turn_1")).json()["text"] == "Hello"


async def test_a_deleted_turn_is_shown_without_its_words(autojump_clock: MockClock) -> None:
    async with open_house(hello()) as house:
        await house.chat()
        house.store.views["turn_7"] = replace(
            view(house.store.finals[0]), id="turn_7", text="", deleted_at=EPOCH
        )
        turn = (await house.get("/v1/turns/turn_7")).json()
        assert (turn["text"], turn["deleted_at"], turn["status"]) == ("", EPOCH, "completed")
        assert turn["usage"] is not None
        assert_deleted(await events(house, turn="turn_7"))


async def test_a_turn_that_is_deleted_while_it_lives_shows_no_word(
    autojump_clock: MockClock,
) -> None:
    """While it plays, and while its record waits for the database."""
    async with open_house(slow()) as house:
        house.store.trouble["finalise"] = Trouble.REFUSES
        async with trio.open_nursery() as nursery:
            await a_live_turn(house, nursery)
            for live in house.registry:
                live.mark_deleted(EPOCH)
            await assert_wordless(house)
        await assert_wordless(house)
        assert house.store.spooled[0].text == ""


async def assert_wordless(house: House) -> None:
    turn = (await house.get("/v1/turns/turn_1")).json()
    assert (turn["text"], turn["deleted_at"]) == ("", EPOCH)
    assert_deleted(await events(house))


def assert_deleted(response: httpx.Response) -> None:
    assert response.status_code == 410
    assert code_of(response) == "events_gone"
    assert "it was deleted" in response.json()["error"]["message"]
    assert response.headers["x-turn-id"]


async def test_a_turn_of_another_process_cannot_be_followed(autojump_clock: MockClock) -> None:
    async with open_house(hello()) as house:
        await house.chat()
        theirs: TurnView = replace(
            view(house.store.finals[0]), id="turn_7", status="in_progress", ended_at=None
        )
        house.store.views["turn_7"] = theirs
        response = await events(house, turn="turn_7")
        assert response.status_code == 409
        assert code_of(response) == "turn_elsewhere"
        assert response.headers["x-turn-id"] == "turn_7"


async def test_twenty_readers_see_the_same_and_the_starter_may_leave(
    autojump_clock: MockClock,
) -> None:
    async with open_house(slow()) as house:
        seen: list[bytes] = []

        async def read() -> None:
            seen.append((await events(house)).content)

        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.5):
                async with trio.open_nursery() as starter:
                    await a_live_turn(house, starter)
                    for _ in range(20):
                        nursery.start_soon(read)
        assert len({tuple(frames_of(stream)) for stream in seen}) == 1
        assert seen[0].endswith(b"data: [DONE]\n\n")
        assert house.theatre.record.reason == Reason.STOP.value
        assert house.theatre.record.text == "abc"


async def test_when_the_last_reader_leaves_the_turn_ends(autojump_clock: MockClock) -> None:
    async with open_house(slow()) as house:

        async def read_for(seconds: float) -> None:
            with trio.move_on_after(seconds):
                await events(house)

        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.5):
                async with trio.open_nursery() as starter:
                    await a_live_turn(house, starter)
                    nursery.start_soon(read_for, 0.7)
                    nursery.start_soon(read_for, 1.2)
        await house.registry.wait_empty()
        assert trio.current_time() == pytest.approx(1.201)
        assert house.theatre.record.reason == Reason.CLIENT_DISCONNECTED.value


async def test_a_cancel_ends_the_turn_and_its_readers_hear_it(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(text("a"), FOREVER)) as house:
        streams: list[bytes] = []

        async def stream() -> None:
            streams.append((await house.chat(stream=True)).content)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream)
            await trio.sleep(1)
            response = await house.post("/v1/turns/turn_1/cancel")
        assert response.status_code == 200
        assert response.headers["x-turn-id"] == "turn_1"
        assert set(response.json()) == FIELDS
        assert response.json()["status"] == "cancelled"
        *_, last = frames_of(streams[0])
        assert "cancel_requested" in last.data
        assert trio.current_time() == 1


async def test_a_whole_answer_that_is_cancelled_is_an_error(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(text("a"), FOREVER)) as house:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await house.client.post("/v1/chat/completions", json=asking()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(1)
            await house.post("/v1/turns/turn_1/cancel")
        assert answers[0].status_code == 409
        assert code_of(answers[0]) == "cancel_requested"


async def test_a_cancel_of_what_ended_changes_nothing(autojump_clock: MockClock) -> None:
    async with open_house(hello()) as house:
        await house.chat()
        response = await house.post("/v1/turns/turn_1/cancel")
        assert (response.status_code, response.json()["status"]) == (200, "completed")
        assert len(house.store.finals) == 1


async def test_a_turn_of_another_process_cannot_be_cancelled_here(
    autojump_clock: MockClock,
) -> None:
    async with open_house(hello()) as house:
        await house.chat()
        house.store.views["turn_7"] = replace(
            view(house.store.finals[0]), id="turn_7", status="in_progress", ended_at=None
        )
        response = await house.post("/v1/turns/turn_7/cancel")
        assert response.status_code == 409
        assert code_of(response) == "turn_elsewhere"


@pytest.mark.parametrize("cursor", ["x", "", "turn_", "turn_1%", "TURN_1"])
async def test_a_page_that_is_none(autojump_clock: MockClock, cursor: str) -> None:
    async with open_house() as house:
        response = await house.get("/v1/turns", params={"cursor": cursor})
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "cursor"
