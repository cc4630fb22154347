"""Chat clients that reconnect get the same numbered frames, byte for byte."""

import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import trio

from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import (
    JSON,
    Call,
    Endpoint,
    fetch,
    open_chat,
    open_turn_events,
    reports,
    turn,
)
from tests.support.live.resume_checks import InterruptedClients, Surface, kill_mid_answer
from tests.support.live.sse_frames import error_of, raw, read_frames

TOKENS = 16
READERS = 20


def open_counted_answer(server: Endpoint) -> AbstractAsyncContextManager[Call]:
    """Request an answer of counted words, with usage."""
    model = f"up/v:count,tokens={TOKENS},first=300ms,delay=15ms"
    return open_chat(server, model, stream_options={"include_usage": True})


# In addition to the tokens: the role, the finish reason, the usage and `[DONE]`.
CHAT = Surface("openai-chat", open_counted_answer, frames=TOKENS + 4)


async def test_resume_after_every_frame_while_running_ended_and_after_a_restart(
    lingering_config: tuple[Path, Path],
) -> None:
    clients = InterruptedClients(CHAT)
    with serving(*lingering_config) as server:
        await clients.check_while_running(server)
        await clients.check_after_end(server)
    with serving(*lingering_config) as server:
        await clients.check_after_end(server)


async def test_journal_continues_in_a_new_epoch_after_a_kill(
    lingering_config: tuple[Path, Path],
) -> None:
    with serving(*lingering_config) as server:
        async with open_chat(server, "up/v:count,delay=10ms,tokens=5000") as call:
            await kill_mid_answer(server, call)
    with serving(*lingering_config) as server:
        kept, lost = await CHAT.check_recovered(server, call)
        assert [frame.id for frame in lost] == [f"openai-chat:{len(kept)}@1"]
        assert error_of(kept + lost)["code"] == "owner_lost"
        await CHAT.check_resume_after_every_frame(server, call.turn_id, kept + lost)
        async with open_turn_events(server, call.turn_id, last_id=f"{len(kept) + 1}@1") as beyond:
            assert beyond.status == 400


async def test_invalid_cursor_is_a_400(live: Server) -> None:
    async with open_chat(live, "up/v:delay=0,tokens=3") as call:
        await call.head()
        await call.all_frames()
    none = ("anthropic:3", "openai-responses:0", "seventeen", "openai-chat:-1", "3@x")
    never_sent = ("openai-chat:99", "99", "openai-chat:0@1")
    for wrong in (*none, *never_sent):
        async with open_turn_events(live, call.turn_id, last_id=wrong) as answer:
            assert answer.status == 400
            assert b'"code":"invalid_cursor"' in await answer.read_all()
    async with open_turn_events(live, "turn_nobody") as answer:
        assert answer.status == 404


async def test_events_past_retention_are_a_410(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n[journal]\nretention_s = 1\n")
    with serving(tmp_path, config) as server:
        async with open_chat(server, "up/v:delay=0,tokens=3") as call:
            await call.head()
            frames = await call.all_frames()
        async with open_turn_events(server, call.turn_id, last_id=frames[0].id) as early:
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


async def test_unstored_turn_cannot_be_resumed(live: Server) -> None:
    async with open_chat(live, "up/v:delay=0,tokens=3", store=False) as call:
        await call.head()
        await call.all_frames()
    status, document = await fetch(live, f"/v1/turns/{call.turn_id}/events")
    error = document["error"]
    assert isinstance(error, dict)
    assert (status, error["code"]) == (410, "events_gone")
    assert "its request has store: false" in error["message"]


async def read_all(call: Call, into: list[bytes]) -> None:
    """Read a stream to its end."""
    into.append(raw(await call.all_frames()))


async def test_readers_get_identical_streams_and_outlast_the_requesting_client(
    live: Server,
) -> None:
    got: list[bytes] = []
    async with AsyncExitStack() as stack:
        starter = await stack.enter_async_context(open_chat(live, "up/v:delay=20ms,tokens=60"))
        await starter.head()
        async with trio.open_nursery() as nursery:
            for number in range(READERS):
                await starter.frames(number + 1)
                reader = await stack.enter_async_context(open_turn_events(live, starter.turn_id))
                nursery.start_soon(read_all, reader, got)
            starter.disconnect("rst")
    assert len(got) == READERS
    assert len(set(got)) == 1
    assert got[0].startswith(raw(read_frames(bytes(starter.body), allow_partial=True)))
    assert got[0].endswith(b"data: [DONE]\n\n")
    assert (await turn(live, starter.turn_id))["status"] == "completed"


async def test_turn_ends_when_the_last_reader_leaves(live: Server, upstream: Process) -> None:
    async with AsyncExitStack() as stack:
        starter = await stack.enter_async_context(
            open_chat(live, "up/v:delay=20ms,tokens=5000", user="readers")
        )
        await starter.head()
        readers = [
            await stack.enter_async_context(open_turn_events(live, starter.turn_id))
            for _ in range(READERS)
        ]
        for call in [starter, *readers[:-1]]:
            call.disconnect()
        last = readers[-1]
        await last.frames(len(await last.frames(0)) + 20)
        assert (await turn(live, starter.turn_id))["status"] == "in_progress"
        left_at = last.disconnect()

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
