"""`/v1/turns`: turns are read, listed, replayed and cancelled."""

import httpx
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors.turn.events import AnyEvent
from actors.turn.outcome import Mode, Reason
from actors.turn.store_records import TurnView
from store.records.turn_records import StoreUnavailable
from tests.support.chat_readers import Frame, frames_of
from tests.support.edge_harness import (
    EdgeHarness,
    brief_pause,
    chat_body,
    ended_turn_view,
    open_harness,
)
from tests.support.turn_fakes import EPOCH, FOREVER, Scene, ScriptedProvider, StoreFault, stop, text
from web.dialects.frames import PING as HEARTBEAT
from web.dialects.openai_chat.stream import OpenAIChat

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
    "authority",
    "verdicts",
}


def hello() -> ScriptedProvider:
    return ScriptedProvider(text("Hel"), text("lo"), stop())


def slow() -> ScriptedProvider:
    return ScriptedProvider(text("a"), 1.0, text("b"), 1.0, text("c"), 1.0, stop())


def code_of(response: httpx.Response) -> str:
    return response.json()["error"]["code"]  # type: ignore[no-any-return]


async def start_live_turn(harness: EdgeHarness, nursery: trio.Nursery) -> None:
    """Start a turn that a client streams."""

    async def stream() -> None:
        await harness.chat(stream=True)

    nursery.start_soon(stream)
    await brief_pause()


async def test_ended_turn(autojump_clock: MockClock) -> None:
    async with open_harness(hello()) as harness:
        await harness.chat()
        response = await harness.get("/v1/turns/turn_1")
        assert response.headers["x-turn-id"] == "turn_1"
        turn = response.json()
        assert set(turn) == FIELDS
        assert (turn["status"], turn["reason"], turn["text"]) == ("completed", "stop", "Hello")
        assert set(turn["usage"]) == {"input_tokens", "output_tokens", "estimated"}
        assert turn["stored"] == "committed"
        assert [attempt["result"] for attempt in turn["attempts"]] == ["answered"]


async def test_live_turn(autojump_clock: MockClock) -> None:
    async with open_harness(slow()) as harness, trio.open_nursery() as nursery:
        await start_live_turn(harness, nursery)
        turn = (await harness.get("/v1/turns/turn_1")).json()
        assert set(turn) == FIELDS
        assert (turn["status"], turn["reason"], turn["text"]) == ("in_progress", None, "a")
        assert turn["ended_at"] is None
        assert turn["last_event"] == 1


async def test_live_and_stored_turns_look_the_same(autojump_clock: MockClock) -> None:
    async with open_harness(hello()) as harness:
        harness.store.trouble["finalise"] = StoreFault.REFUSES
        await harness.chat()
        live = (await harness.get("/v1/turns/turn_1")).json()
        assert live["stored"] == "spooled"
        harness.store.finals = harness.store.spooled
        harness.registry.settled("spooled")
        stored = (await harness.get("/v1/turns/turn_1")).json()
        differ = {"stored", "attempts"}
        assert {k: v for k, v in live.items() if k not in differ} == {
            k: v for k, v in stored.items() if k not in differ
        }


@pytest.mark.parametrize("path", ["", "/events"])
async def test_unknown_turn_is_404(autojump_clock: MockClock, path: str) -> None:
    async with open_harness() as harness:
        response = await harness.get(f"/v1/turns/turn_9{path}")
        assert response.status_code == 404
        assert code_of(response) == "turn_not_found"


@pytest.mark.parametrize("id", ["%00", "%0D%0Ax", "%C3%A9"])
async def test_id_that_is_no_header_value_is_not_repeated(
    autojump_clock: MockClock, id: str
) -> None:
    async with open_harness() as harness:
        response = await harness.client.request("OPTIONS", f"/v1/turns/{id}")
        assert response.status_code == 200
        assert "X-Turn-Id" not in response.headers


async def test_cancel_of_an_unknown_turn_is_404(autojump_clock: MockClock) -> None:
    async with open_harness() as harness:
        assert (await harness.post("/v1/turns/turn_9/cancel")).status_code == 404


async def test_malformed_id_is_404(autojump_clock: MockClock) -> None:
    async with open_harness() as harness:
        for turn_id in ("%0D%0ASet-Cookie:x", "x" * 5000, "%00", "%ff"):
            assert (await harness.get(f"/v1/turns/{turn_id}")).status_code == 404


async def test_turn_of_another_tenant_is_404(autojump_clock: MockClock) -> None:
    async with open_harness(hello()) as harness:
        await harness.chat()
        record = harness.store.finals.pop()
        theirs = replace(ended_turn_view(record), tenant_id="tenant_2")
        harness.store.views["turn_1"] = theirs
        for path in ("", "/events"):
            assert (await harness.get(f"/v1/turns/turn_1{path}")).status_code == 404


async def test_turns_are_listed_newest_first_in_pages(autojump_clock: MockClock) -> None:
    async with open_harness(hello()) as harness:
        for _ in range(5):
            await harness.chat()
        first = (await harness.get("/v1/turns?limit=2")).json()
        assert [turn["id"] for turn in first["data"]] == ["turn_5", "turn_4"]
        assert set(first["data"][0]) == FIELDS
        second = (
            await harness.get("/v1/turns", params={"limit": 3, "cursor": first["next"]})
        ).json()
        assert [turn["id"] for turn in second["data"]] == ["turn_3", "turn_2", "turn_1"]
        assert second["next"] is None


async def test_list_parameters_reach_the_store(autojump_clock: MockClock) -> None:
    async with open_harness() as harness:
        await harness.get("/v1/turns")
        assert harness.store.last_query == {"limit": 20, "status": None, "cursor": None}
        await harness.get("/v1/turns?limit=100&status=failed&cursor=turn_3")
        assert harness.store.last_query == {"limit": 100, "status": "failed", "cursor": "turn_3"}


@pytest.mark.parametrize(
    "limit",
    ["0", "101", "-1", "", "x", "1.5", "1e1", "\u0661", "9" * 30, "00000000199999", "1_0", " 1"],
)
async def test_invalid_limit_is_400(autojump_clock: MockClock, limit: str) -> None:
    async with open_harness() as harness:
        response = await harness.get("/v1/turns", params={"limit": limit})
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "limit"


@pytest.mark.parametrize(("status", "found"), [("completed", 1), ("failed", 1), ("queued", 0)])
async def test_turns_are_filtered_by_status(
    autojump_clock: MockClock, status: str, found: int
) -> None:
    main = ScriptedProvider(text("Hel"), text("lo"), stop(), then=[Scene()])
    async with open_harness(main) as harness:
        await harness.chat()
        await harness.chat()
        page = (await harness.get("/v1/turns", params={"status": status})).json()
        assert [turn["status"] for turn in page["data"]] == [status] * found


async def test_invalid_status_is_400(autojump_clock: MockClock) -> None:
    async with open_harness() as harness:
        response = await harness.get("/v1/turns?status=done")
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "status"
        assert "completed" in response.json()["error"]["message"]


async def test_unavailable_store_is_503(autojump_clock: MockClock) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("locked")

    async with open_harness() as harness:
        harness.store.list_turns = harness.store.get_turn = refuse  # type: ignore[assignment,method-assign]
        for path in ("/v1/turns", "/v1/turns/turn_1", "/v1/turns/turn_1/events"):
            response = await harness.get(path)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "2"
            assert code_of(response) == "store_unavailable"


async def events(
    harness: EdgeHarness, after: str | None = None, turn: str = "turn_1"
) -> httpx.Response:
    headers = {} if after is None else {"Last-Event-ID": after}
    return await harness.get(f"/v1/turns/{turn}/events", headers=headers)


async def assert_resumes_everywhere(harness: EdgeHarness, whole: list[Frame]) -> None:
    """Check that the rest follows each frame, and nothing follows the last."""
    for k, frame in enumerate(whole[:-1], 1):
        response = await events(harness, frame.id)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-turn-id"] == "turn_1"
        assert response.content.startswith(HEARTBEAT)
        assert frames_of(response.content) == whole[k:]
    past = await events(harness, whole[-1].id)
    assert (past.status_code, past.content) == (204, b"")
    assert past.headers["x-turn-id"] == "turn_1"


async def test_long_journal_is_rendered_in_batches(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches keep a long answer from blocking the event loop; the frames stay the same."""
    batches: list[int] = []
    render = OpenAIChat.render

    def recording(dialect: OpenAIChat, batch: list[AnyEvent]) -> bytes:
        batches.append(len(batch))
        return render(dialect, batch)

    async with open_harness(slow()) as harness:
        whole = frames_of(await harness.stream_chat())
        monkeypatch.setattr("actors.journal.journal.AT_ONCE", 2)
        monkeypatch.setattr(OpenAIChat, "render", recording)
        assert frames_of((await events(harness)).content) == whole
        assert max(batches) == 2


async def test_ended_turn_resumes_after_every_frame(autojump_clock: MockClock) -> None:
    async with open_harness(slow()) as harness:
        whole = frames_of(await harness.stream_chat(stream_options={"include_usage": True}))
        assert frames_of((await events(harness)).content) == whole
        await assert_resumes_everywhere(harness, whole)


@pytest.mark.parametrize("refuse", [["finalise"], ["finalise", "spool"]])
async def test_turn_without_committed_record_resumes_after_every_frame(
    autojump_clock: MockClock, refuse: list[str]
) -> None:
    async with open_harness(slow()) as harness:
        harness.store.trouble = dict.fromkeys(refuse, StoreFault.REFUSES)
        whole = frames_of(await harness.stream_chat())
        await assert_resumes_everywhere(harness, whole)
        assert (await events(harness)).headers["x-turn-stored"] in {"spooled", "unsaved"}


async def test_live_turn_resumes_after_every_frame(autojump_clock: MockClock) -> None:
    async with open_harness(slow(), mode=Mode.LINGER) as harness:
        whole = frames_of(await harness.stream_chat())
        for k in range(1, len(whole) - 1):
            with trio.move_on_after(2.5):
                await harness.chat(stream=True)
            turn = f"turn_{k + 1}"
            resumed = frames_of((await events(harness, whole[k - 1].id, turn)).content)
            assert [_without_ids(frame) for frame in resumed] == [
                _without_ids(frame) for frame in whole[k:]
            ]
            assert harness.store.finals[-1].reason == Reason.STOP.value


def _without_ids(frame: Frame) -> tuple[str, str]:
    """Return a frame without what differs between turns: completion id and creation time."""
    _, _, rest = frame.data.partition('"model"')
    return frame.id, rest or frame.data


async def test_starting_after_equals_last_event_id(autojump_clock: MockClock) -> None:
    async with open_harness(slow()) as harness:
        whole = frames_of(await harness.stream_chat())
        for given in ("1", "openai-chat:1"):
            response = await harness.get(f"/v1/turns/turn_1/events?starting_after={given}")
            assert frames_of(response.content) == whole[2:]


@pytest.mark.parametrize("cursor", ["trouper:1", "x", "-1", "openai-chat:1@x"])
async def test_invalid_position_is_400(autojump_clock: MockClock, cursor: str) -> None:
    async with open_harness(slow()) as harness:
        await harness.chat()
        assert_bad_cursor(await events(harness, cursor))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(harness.chat)
            await brief_pause()
            assert_bad_cursor(await events(harness, cursor, "turn_2"))


def assert_bad_cursor(response: httpx.Response) -> None:
    assert response.status_code == 400
    assert code_of(response) == "invalid_cursor"
    assert response.headers["x-turn-id"]


async def test_unstored_turn_has_no_events(autojump_clock: MockClock) -> None:
    async with open_harness(hello()) as harness:
        await harness.chat(store=False)
        response = await events(harness)
        assert response.status_code == 410
        assert "its request has store: false" in response.json()["error"]["message"]
        assert response.headers["x-turn-id"] == "turn_1"


async def test_unreadable_journal_is_410(autojump_clock: MockClock) -> None:
    async with open_harness(hello()) as harness:
        await harness.chat()
        kept = harness.store.kept["turn_1"]
        kept[0] = replace(kept[0], blob=b"\x91\x81\xa4type\xa6future")
        response = await events(harness)
        assert response.status_code == 410
        assert "cannot read" in response.json()["error"]["message"]


async def test_turn_past_retention_has_no_events(autojump_clock: MockClock) -> None:
    async with open_harness(hello()) as harness:
        await harness.chat()
        harness.store.kept.clear()
        response = await events(harness)
        assert response.status_code == 410
        assert "retention" in response.json()["error"]["message"]
        assert (await harness.get("/v1/turns/turn_1")).json()["text"] == "Hello"


async def test_deleted_turn_is_shown_without_text(autojump_clock: MockClock) -> None:
    async with open_harness(hello()) as harness:
        await harness.chat()
        harness.store.views["turn_7"] = replace(
            ended_turn_view(harness.store.finals[0]), id="turn_7", text="", deleted_at=EPOCH
        )
        turn = (await harness.get("/v1/turns/turn_7")).json()
        assert (turn["text"], turn["deleted_at"], turn["status"]) == ("", EPOCH, "completed")
        assert turn["usage"] is not None
        assert_deleted(await events(harness, turn="turn_7"))


async def test_turn_deleted_while_live_shows_no_text(
    autojump_clock: MockClock,
) -> None:
    """Neither while it is live nor while its record waits for the database."""
    async with open_harness(slow()) as harness:
        harness.store.trouble["finalise"] = StoreFault.REFUSES
        async with trio.open_nursery() as nursery:
            await start_live_turn(harness, nursery)
            for live in harness.registry:
                live.mark_deleted(EPOCH)
            await assert_no_text(harness)
        await assert_no_text(harness)
        assert harness.store.spooled[0].text == ""


async def assert_no_text(harness: EdgeHarness) -> None:
    turn = (await harness.get("/v1/turns/turn_1")).json()
    assert (turn["text"], turn["deleted_at"]) == ("", EPOCH)
    assert_deleted(await events(harness))


def assert_deleted(response: httpx.Response) -> None:
    assert response.status_code == 410
    assert code_of(response) == "events_gone"
    assert "it was deleted" in response.json()["error"]["message"]
    assert response.headers["x-turn-id"]


async def test_events_of_another_process_are_409(autojump_clock: MockClock) -> None:
    async with open_harness(hello()) as harness:
        await harness.chat()
        theirs: TurnView = replace(
            ended_turn_view(harness.store.finals[0]),
            id="turn_7",
            status="in_progress",
            ended_at=None,
        )
        harness.store.views["turn_7"] = theirs
        response = await events(harness, turn="turn_7")
        assert response.status_code == 409
        assert code_of(response) == "turn_elsewhere"
        assert response.headers["x-turn-id"] == "turn_7"


async def test_twenty_readers_see_the_same_after_the_starter_left(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(slow()) as harness:
        seen: list[bytes] = []

        async def read() -> None:
            seen.append((await events(harness)).content)

        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.5):
                async with trio.open_nursery() as starter:
                    await start_live_turn(harness, starter)
                    for _ in range(20):
                        nursery.start_soon(read)
        assert len({tuple(frames_of(stream)) for stream in seen}) == 1
        assert seen[0].endswith(b"data: [DONE]\n\n")
        assert harness.turns.record.reason == Reason.STOP.value
        assert harness.turns.record.text == "abc"


async def test_turn_ends_when_the_last_reader_leaves(autojump_clock: MockClock) -> None:
    async with open_harness(slow()) as harness:

        async def read_for(seconds: float) -> None:
            with trio.move_on_after(seconds):
                await events(harness)

        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.5):
                async with trio.open_nursery() as starter:
                    await start_live_turn(harness, starter)
                    nursery.start_soon(read_for, 0.7)
                    nursery.start_soon(read_for, 1.2)
        await harness.registry.wait_empty()
        assert trio.current_time() == pytest.approx(1.201)
        assert harness.turns.record.reason == Reason.CLIENT_DISCONNECTED.value


async def test_cancel_ends_the_turn_and_reaches_its_readers(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(text("a"), FOREVER)) as harness:
        streams: list[bytes] = []

        async def stream() -> None:
            streams.append((await harness.chat(stream=True)).content)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream)
            await trio.sleep(1)
            response = await harness.post("/v1/turns/turn_1/cancel")
        assert response.status_code == 200
        assert response.headers["x-turn-id"] == "turn_1"
        assert set(response.json()) == FIELDS
        assert response.json()["status"] == "cancelled"
        *_, last = frames_of(streams[0])
        assert "cancel_requested" in last.data
        assert trio.current_time() == 1


async def test_cancelled_non_streaming_answer_is_409(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(text("a"), FOREVER)) as harness:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await harness.client.post("/v1/chat/completions", json=chat_body()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(1)
            await harness.post("/v1/turns/turn_1/cancel")
        assert answers[0].status_code == 409
        assert code_of(answers[0]) == "cancel_requested"


async def test_cancel_of_an_ended_turn_changes_nothing(autojump_clock: MockClock) -> None:
    async with open_harness(hello()) as harness:
        await harness.chat()
        response = await harness.post("/v1/turns/turn_1/cancel")
        assert (response.status_code, response.json()["status"]) == (200, "completed")
        assert len(harness.store.finals) == 1


async def test_cancel_of_a_turn_of_another_process_is_409(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(hello()) as harness:
        await harness.chat()
        harness.store.views["turn_7"] = replace(
            ended_turn_view(harness.store.finals[0]),
            id="turn_7",
            status="in_progress",
            ended_at=None,
        )
        response = await harness.post("/v1/turns/turn_7/cancel")
        assert response.status_code == 409
        assert code_of(response) == "turn_elsewhere"


@pytest.mark.parametrize("cursor", ["x", "", "turn_", "turn_1%", "TURN_1"])
async def test_invalid_page_cursor_is_400(autojump_clock: MockClock, cursor: str) -> None:
    async with open_harness() as harness:
        response = await harness.get("/v1/turns", params={"cursor": cursor})
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "cursor"
