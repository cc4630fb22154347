"""Messages clients that come back: the same numbered frames, byte for byte, over real sockets."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from tests.live.client import following, turn
from tests.live.frames import Frame, raw, read_frames
from tests.live.harness import Process, Server, serving, write_config
from tests.live.messaging import messaging

LINGER = """
grace_s = 0
drain_s = 1
[turns]
mode = "linger"
resume_window_s = 10
heartbeat_s = 0.2
"""
TOKENS = 10
MODEL = f"up/v:count,tokens={TOKENS},first=300ms,delay=15ms"
FRAMES = TOKENS + 5
"""The message's start, its only block's start and stop, the message's delta and stop."""
TOOLED = "up/v:reasoning=3,tool=2,chunk=3,first=100ms,delay=5ms"
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
NAME = "anthropic-messages"


@pytest.fixture(scope="module")
def lingering(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> tuple[Path, Path]:
    """Directory and configuration of a server whose turns wait for their clients."""
    directory = tmp_path_factory.mktemp("linger")
    return directory, write_config(directory, upstream.port, LINGER)


async def after(server: Server, turn_id: str, last: Frame) -> bytes:
    """The frames after `last`, on a connection of their own; 204 where there are none."""
    async with following(server, turn_id, last_id=last.id) as call:
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
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(messaging(server, MODEL))
            await first.head()
            third = await stack.enter_async_context(following(server, first.turn_id))
            seen = (await first.frames(k))[:k]
            first.leave()
            rest = await after(server, first.turn_id, seen[-1])
            uninterrupted = await third.all_frames()
        assert raw(seen) + rest == raw(uninterrupted)
        assert [f.id for f in uninterrupted] == [f"{NAME}:{n}" for n in range(FRAMES)]
        assert (uninterrupted[0].event, uninterrupted[-1].event) == (
            "message_start",
            "message_stop",
        )
        self.whole[first.turn_id] = uninterrupted

    async def ended(self, server: Server) -> None:
        """Come back after the turns have ended: to all of them, and after each frame of one."""
        for turn_id, frames in self.whole.items():
            assert (await turn(server, turn_id))["status"] == "completed"
            async with following(server, turn_id) as call:
                assert await call.all_frames() == frames
        turn_id, frames = next(iter(self.whole.items()))
        for k in range(1, len(frames) + 1):
            assert raw(frames[:k]) + await after(server, turn_id, frames[k - 1]) == raw(frames)


async def test_every_cut_live_ended_and_after_a_restart(lingering: tuple[Path, Path]) -> None:
    cuts = Cuts()
    with serving(*lingering) as server:
        await cuts.live(server)
        await cuts.ended(server)
        assert any([await had_pings(server, turn_id) for turn_id in cuts.whole])
    with serving(*lingering) as server:
        await cuts.ended(server)


async def had_pings(server: Server, turn_id: str) -> bool:
    """Whether the stream begins with a ping, which no frame is."""
    async with following(server, turn_id) as call:
        return (await call.rest()).startswith(b'event: ping\ndata: {"type":"ping"}\n\nid: ')


async def test_thinking_and_calls_are_resumed_after_every_frame(
    lingering: tuple[Path, Path],
) -> None:
    with serving(*lingering) as server:
        async with messaging(server, TOOLED, tools=[TOOL]) as call:
            await call.head()
            frames = await call.all_frames()
        starts = [json.loads(f.data) for f in frames if f.event == "content_block_start"]
        kinds = [start["content_block"]["type"] for start in starts]
        assert kinds == ["thinking", "tool_use", "tool_use"]
        for k in range(1, len(frames) + 1):
            rest = await after(server, call.turn_id, frames[k - 1])
            assert raw(frames[:k]) + rest == raw(frames)


async def test_after_a_kill_the_journal_goes_on_in_a_new_epoch(
    lingering: tuple[Path, Path],
) -> None:
    with serving(*lingering) as server:
        async with messaging(server, "up/v:count,delay=10ms,tokens=5000", max_tokens=9000) as call:
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
        assert [(f.id, f.event) for f in lost] == [(f"{NAME}:{len(kept)}@1", "error")]
        assert "owner_lost" in json.loads(lost[0].data)["error"]["message"]
        for k in range(1, len(frames) + 1):
            rest = await after(server, call.turn_id, frames[k - 1])
            assert raw(frames[:k]) + rest == raw(frames)
        for frame in seen[len(kept) :]:
            assert await after(server, call.turn_id, frame) == raw(lost)


async def test_a_client_that_saw_the_stop_finds_it_recorded(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n")
    with serving(tmp_path, config) as server:
        async with messaging(server, "up/v:first=0,delay=0,tokens=3") as call:
            await call.head()
            while b"event: message_stop\n" not in call.body:
                await call.more()
            server.kill()
    with serving(tmp_path, config) as server:
        assert (await turn(server, call.turn_id))["status"] == "completed"
        async with following(server, call.turn_id) as again:
            frames = await again.all_frames()
        assert frames[-1].event == "message_stop"
        assert raw(frames).startswith(raw(read_frames(bytes(call.body), cut=True)))


async def test_another_dialects_cursor_is_a_400(lingering: tuple[Path, Path]) -> None:
    with serving(*lingering) as server:
        async with messaging(server, "up/v:delay=0,tokens=3") as call:
            await call.head()
            await call.all_frames()
        for wrong in ("openai-chat:3", "seventeen"):
            async with following(server, call.turn_id, last_id=wrong) as answer:
                assert answer.status == 400
                assert b'"code":"invalid_cursor"' in await answer.rest()
