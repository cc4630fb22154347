"""Messages clients that reconnect get the same numbered frames, byte for byte."""

import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.support.live.harness import Process, Server, serving, write_config
from tests.support.live.http_client import Call, Endpoint, open_turn_events, turn
from tests.support.live.messages_client import open_message
from tests.support.live.resume_checks import InterruptedClients, Surface, kill_mid_answer
from tests.support.live.sse_frames import raw, read_frames

TOKENS = 10
TOOLED = "up/v:reasoning=3,tool=2,chunk=3,first=100ms,delay=5ms"
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}


def open_counted_answer(server: Endpoint) -> AbstractAsyncContextManager[Call]:
    """Request an answer of counted words."""
    return open_message(server, f"up/v:count,tokens={TOKENS},first=300ms,delay=15ms")


# Other than the tokens: message start, start and stop of the only block, message delta and stop.
MESSAGES = Surface("anthropic-messages", open_counted_answer, frames=TOKENS + 5)


async def test_resume_after_every_frame_while_running_ended_and_after_a_restart(
    lingering_config: tuple[Path, Path],
) -> None:
    clients = InterruptedClients(MESSAGES)
    with serving(*lingering_config) as server:
        await clients.check_while_running(server)
        for frames in clients.frames_by_id.values():
            assert (frames[0].event, frames[-1].event) == ("message_start", "message_stop")
        await clients.check_after_end(server)
        assert any([await had_pings(server, turn_id) for turn_id in clients.frames_by_id])
    with serving(*lingering_config) as server:
        await clients.check_after_end(server)


async def had_pings(server: Server, turn_id: str) -> bool:
    """Return True if the stream begins with a ping, which is not a numbered frame."""
    async with open_turn_events(server, turn_id) as call:
        return (await call.read_all()).startswith(b'event: ping\ndata: {"type":"ping"}\n\nid: ')


async def test_thinking_and_tool_calls_resume_after_every_frame(
    lingering_config: tuple[Path, Path],
) -> None:
    with serving(*lingering_config) as server:
        async with open_message(server, TOOLED, tools=[TOOL]) as call:
            await call.head()
            frames = await call.all_frames()
        starts = [json.loads(f.data) for f in frames if f.event == "content_block_start"]
        kinds = [start["content_block"]["type"] for start in starts]
        assert kinds == ["thinking", "tool_use", "tool_use"]
        await MESSAGES.check_resume_after_every_frame(server, call.turn_id, frames)


async def test_journal_continues_in_a_new_epoch_after_a_kill(
    lingering_config: tuple[Path, Path],
) -> None:
    with serving(*lingering_config) as server:
        async with open_message(
            server, "up/v:count,delay=10ms,tokens=5000", max_tokens=9000
        ) as call:
            await kill_mid_answer(server, call)
    with serving(*lingering_config) as server:
        kept, lost = await MESSAGES.check_recovered(server, call)
        end = f"anthropic-messages:{len(kept)}@1"
        assert [(f.id, f.event) for f in lost] == [(end, "error")]
        assert "owner_lost" in json.loads(lost[0].data)["error"]["message"]
        await MESSAGES.check_resume_after_every_frame(server, call.turn_id, kept + lost)


async def test_turn_whose_stop_was_received_is_recorded_as_completed(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n")
    with serving(tmp_path, config) as server:
        async with open_message(server, "up/v:first=0,delay=0,tokens=3") as call:
            await call.head()
            while b"event: message_stop\n" not in call.body:
                await call.read_more()
            server.kill()
    with serving(tmp_path, config) as server:
        assert (await turn(server, call.turn_id))["status"] == "completed"
        async with open_turn_events(server, call.turn_id) as again:
            frames = await again.all_frames()
        assert frames[-1].event == "message_stop"
        assert raw(frames).startswith(raw(read_frames(bytes(call.body), allow_partial=True)))


async def test_cursor_of_another_dialect_is_a_400(lingering_config: tuple[Path, Path]) -> None:
    with serving(*lingering_config) as server:
        async with open_message(server, "up/v:delay=0,tokens=3") as call:
            await call.head()
            await call.all_frames()
        for wrong in ("openai-chat:3", "seventeen"):
            async with open_turn_events(server, call.turn_id, last_id=wrong) as answer:
                assert answer.status == 400
                assert b'"code":"invalid_cursor"' in await answer.read_all()
