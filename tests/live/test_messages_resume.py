"""Messages clients that come back: the same numbered frames, byte for byte, over real sockets."""

import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.live.client import Call, Door, following, turn
from tests.live.frames import raw, read_frames
from tests.live.harness import Process, Server, serving, write_config
from tests.live.messaging import messaging
from tests.live.resuming import Cuts, Surface, killed

TOKENS = 10
TOOLED = "up/v:reasoning=3,tool=2,chunk=3,first=100ms,delay=5ms"
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}


def asking(server: Door) -> AbstractAsyncContextManager[Call]:
    """A counted answer."""
    return messaging(server, f"up/v:count,tokens={TOKENS},first=300ms,delay=15ms")


# The message's start, its only block's start and stop, the message's delta and stop.
MESSAGES = Surface("anthropic-messages", asking, frames=TOKENS + 5)


async def test_every_cut_live_ended_and_after_a_restart(lingering: tuple[Path, Path]) -> None:
    cuts = Cuts(MESSAGES)
    with serving(*lingering) as server:
        await cuts.live(server)
        for frames in cuts.whole.values():
            assert (frames[0].event, frames[-1].event) == ("message_start", "message_stop")
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
        await MESSAGES.check_every_cut(server, call.turn_id, frames)


async def test_after_a_kill_the_journal_goes_on_in_a_new_epoch(
    lingering: tuple[Path, Path],
) -> None:
    with serving(*lingering) as server:
        async with messaging(server, "up/v:count,delay=10ms,tokens=5000", max_tokens=9000) as call:
            await killed(server, call)
    with serving(*lingering) as server:
        kept, lost = await MESSAGES.check_recovered(server, call)
        end = f"anthropic-messages:{len(kept)}@1"
        assert [(f.id, f.event) for f in lost] == [(end, "error")]
        assert "owner_lost" in json.loads(lost[0].data)["error"]["message"]
        await MESSAGES.check_every_cut(server, call.turn_id, kept + lost)


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
