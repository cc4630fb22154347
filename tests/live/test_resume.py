"""Clients that come back: the same numbered frames, byte for byte, over real connections."""

import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import trio

from tests.live.client import JSON, Call, Door, chatting, fetch, following, reports, turn
from tests.live.frames import error_of, raw, read_frames
from tests.live.harness import Process, Server, serving, until, write_config
from tests.live.resuming import Cuts, Surface, killed

TOKENS = 16
READERS = 20


def asking(server: Door) -> AbstractAsyncContextManager[Call]:
    """A counted answer whose usage is told, too."""
    model = f"up/v:count,tokens={TOKENS},first=300ms,delay=15ms"
    return chatting(server, model, stream_options={"include_usage": True})


# One frame more for the role, one each for the finish, usage and the end mark.
CHAT = Surface("openai-chat", asking, frames=TOKENS + 4)


async def test_every_cut_live_ended_and_after_a_restart(lingering: tuple[Path, Path]) -> None:
    cuts = Cuts(CHAT)
    with serving(*lingering) as server:
        await cuts.live(server)
        await cuts.ended(server)
    with serving(*lingering) as server:
        await cuts.ended(server)


async def test_after_a_kill_the_journal_goes_on_in_a_new_epoch(
    lingering: tuple[Path, Path],
) -> None:
    with serving(*lingering) as server:
        async with chatting(server, "up/v:count,delay=10ms,tokens=5000") as call:
            await killed(server, call)
    with serving(*lingering) as server:
        kept, lost = await CHAT.check_recovered(server, call)
        assert [frame.id for frame in lost] == [f"openai-chat:{len(kept)}@1"]
        assert error_of(kept + lost)["code"] == "owner_lost"
        await CHAT.check_every_cut(server, call.turn_id, kept + lost)
        async with following(server, call.turn_id, last_id=f"{len(kept) + 1}@1") as beyond:
            assert beyond.status == 400


async def test_a_cursor_that_is_none_is_a_400(live: Server) -> None:
    async with chatting(live, "up/v:delay=0,tokens=3") as call:
        await call.head()
        await call.all_frames()
    none = ("anthropic:3", "openai-responses:0", "seventeen", "openai-chat:-1", "3@x")
    never_sent = ("openai-chat:99", "99", "openai-chat:0@1")
    for wrong in (*none, *never_sent):
        async with following(live, call.turn_id, last_id=wrong) as answer:
            assert answer.status == 400
            assert b'"code":"invalid_cursor"' in await answer.rest()
    async with following(live, "turn_nobody") as answer:
        assert answer.status == 404


async def test_past_the_retention_is_a_410(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n[journal]\nretention_s = 1\n")
    with serving(tmp_path, config) as server:
        async with chatting(server, "up/v:delay=0,tokens=3") as call:
            await call.head()
            frames = await call.all_frames()
        async with following(server, call.turn_id, last_id=frames[0].id) as early:
            assert raw(await early.all_frames()) == raw(frames[1:])
        ended_at = (await turn(server, call.turn_id))["ended_at"]
    assert isinstance(ended_at, float)

    async def expired() -> bool:
        return time.time() > ended_at + 1

    await until(expired)
    with serving(tmp_path, config) as server:

        async def gone() -> bool:
            return (await fetch(server, f"/v1/turns/{call.turn_id}/events"))[0] == 410

        await until(gone)
        assert (await turn(server, call.turn_id))["text"] != ""


async def test_a_turn_that_keeps_no_text_cannot_be_resumed(live: Server) -> None:
    async with chatting(live, "up/v:delay=0,tokens=3", store=False) as call:
        await call.head()
        await call.all_frames()
    status, document = await fetch(live, f"/v1/turns/{call.turn_id}/events")
    error = document["error"]
    assert isinstance(error, dict)
    assert (status, error["code"]) == (410, "events_gone")
    assert "asked for its text not to be kept" in error["message"]


async def read_all(call: Call, into: list[bytes]) -> None:
    """Read a stream to its end."""
    into.append(raw(await call.all_frames()))


async def test_twenty_readers_see_the_same_and_outlast_the_starter(live: Server) -> None:
    got: list[bytes] = []
    async with AsyncExitStack() as stack:
        starter = await stack.enter_async_context(chatting(live, "up/v:delay=20ms,tokens=60"))
        await starter.head()
        async with trio.open_nursery() as nursery:
            for number in range(READERS):
                await starter.frames(number + 1)
                reader = await stack.enter_async_context(following(live, starter.turn_id))
                nursery.start_soon(read_all, reader, got)
            starter.leave("rst")
    assert len(got) == READERS
    assert len(set(got)) == 1
    assert got[0].startswith(raw(read_frames(bytes(starter.body), cut=True)))
    assert got[0].endswith(b"data: [DONE]\n\n")
    assert (await turn(live, starter.turn_id))["status"] == "completed"


async def test_the_last_reader_to_leave_ends_the_turn(live: Server, upstream: Process) -> None:
    async with AsyncExitStack() as stack:
        starter = await stack.enter_async_context(
            chatting(live, "up/v:delay=20ms,tokens=5000", user="readers")
        )
        await starter.head()
        readers = [
            await stack.enter_async_context(following(live, starter.turn_id))
            for _ in range(READERS)
        ]
        for call in [starter, *readers[:-1]]:
            call.leave()
        last = readers[-1]
        await last.frames(len(await last.frames(0)) + 20)
        assert (await turn(live, starter.turn_id))["status"] == "in_progress"
        left_at = last.leave()

    async def closed() -> JSON | None:
        (report,) = await reports(upstream, "readers")
        return report if report["closed_at"] is not None else None

    report = await until(closed)
    assert report is not None
    assert isinstance(report["closed_at"], float)
    assert 0 < report["closed_at"] - left_at < 1

    async def ended() -> bool:
        return (await turn(live, starter.turn_id))["reason"] == "client_disconnected"

    await until(ended)
