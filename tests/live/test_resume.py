"""Clients that come back: the same numbered frames, byte for byte, over real connections."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from tests.live.client import JSON, Call, chatting, fetch, following, reports, turn
from tests.live.frames import Frame, error_of, raw, read_frames
from tests.live.harness import Process, Server, serving, until, write_config

LINGER = """
grace_s = 0
drain_s = 1
[turns]
mode = "linger"
resume_window_s = 10
heartbeat_s = 0.2
"""
TOKENS = 16
MODEL = f"up/v:count,tokens={TOKENS},first=300ms,delay=15ms"
FRAMES = TOKENS + 4
"""One for the role, one each for the finish, usage and the end mark."""
READERS = 20


@pytest.fixture(scope="module")
def lingering(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> tuple[Path, Path]:
    """Directory and configuration of a server whose turns wait for their clients."""
    directory = tmp_path_factory.mktemp("linger")
    return directory, write_config(directory, upstream.port, LINGER)


def cursor(form: int, frame: Frame) -> dict[str, str]:
    """One of the ways to say which frame was the last."""
    forms = [
        {"last_id": frame.id},
        {"after": frame.id},
        {"after": frame.id.partition(":")[2]},
        {"last_id": frame.id.partition(":")[2]},
    ]
    return forms[form % len(forms)]


async def after(server: Server, turn_id: str, last: Frame, form: int = 0) -> bytes:
    """The frames after `last`, on a connection of their own; 204 where there are none."""
    async with following(server, turn_id, **cursor(form, last)) as call:
        frames = raw(await call.all_frames())
        assert (call.status == 204) is (frames == b"")
        return frames


class Cuts:
    """One turn for each place where a client may lose its connection."""

    def __init__(self) -> None:
        self.whole: dict[str, list[Frame]] = {}
        """By turn, what the uninterrupted connection got."""

    async def live(self, server: Server) -> None:
        """Lose the connection after each frame, and come back while the turn plays."""
        async with trio.open_nursery() as nursery:
            for k in range(1, FRAMES + 1):
                nursery.start_soon(self._cut, server, k)
        assert len(self.whole) == FRAMES

    async def _cut(self, server: Server, k: int) -> None:
        options = {"include_usage": True}
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(chatting(server, MODEL, stream_options=options))
            await first.head()
            third = await stack.enter_async_context(following(server, first.turn_id))
            seen = (await first.frames(k))[:k]
            first.leave()
            rest = await after(server, first.turn_id, seen[-1], form=k)
            uninterrupted = await third.all_frames()
        assert raw(seen) + rest == raw(uninterrupted)
        assert len(uninterrupted) == FRAMES
        assert [f.id for f in uninterrupted] == [f"openai-chat:{n}" for n in range(FRAMES)]
        self.whole[first.turn_id] = uninterrupted

    async def ended(self, server: Server) -> None:
        """Come back after the turns have ended, after each frame of each turn."""
        for turn_id, frames in self.whole.items():
            assert (await turn(server, turn_id))["status"] == "completed"
            async with following(server, turn_id) as call:
                assert await call.all_frames() == frames
        turn_id, frames = self.whole.popitem()
        for k in range(1, FRAMES + 1):
            for form in range(4):
                rest = await after(server, turn_id, frames[k - 1], form)
                assert raw(frames[:k]) + rest == raw(frames)
        self.whole[turn_id] = frames


async def test_every_cut_live_ended_and_after_a_restart(lingering: tuple[Path, Path]) -> None:
    cuts = Cuts()
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
            await call.head()
            await call.frames(90)
            server.kill()
            await call.rest()
    seen = read_frames(bytes(call.body), cut=True)
    with serving(*lingering) as server:
        async with following(server, call.turn_id) as whole:
            body = await whole.rest()
            frames = read_frames(body)
        kept = [frame for frame in frames if "@" not in frame.id]
        lost = [frame for frame in frames if "@" in frame.id]
        assert raw(seen).startswith(raw(kept))
        assert 0 < len(kept) < len(seen)
        assert body.count(b": recovered, the tail of this answer was lost\n") == 1
        assert [frame.id for frame in lost] == [f"openai-chat:{len(kept)}@1"]
        assert error_of(frames)["code"] == "owner_lost"
        for k in range(1, len(frames) + 1):
            rest = await after(server, call.turn_id, frames[k - 1])
            assert raw(frames[:k]) + rest == raw(frames)
        for frame in seen[len(kept) :]:
            assert await after(server, call.turn_id, frame) == raw(lost)
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
