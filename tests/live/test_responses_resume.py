"""Responses whose clients come back: the same events, byte for byte, over real connections."""

import json
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.live.client import JSON, Call, Door, fetch
from tests.live.frames import Frame
from tests.live.harness import Process, Server, serving, until, write_config
from tests.live.responding import WEATHER, id_of, respond, responding, retrieving
from tests.live.resuming import Cuts, Surface, killed

TOKENS = 16
TOOLED = "up/v:reasoning=3,tool=2,chunk=3,first=100ms,delay=5ms"


def asking(server: Door) -> AbstractAsyncContextManager[Call]:
    """A counted answer."""
    return responding(server, f"up/v:count,tokens={TOKENS},first=300ms,delay=15ms")


async def shown(server: Server, id: str) -> JSON:
    """The response as GET tells it."""
    status, document = await fetch(server, f"/v1/responses/{id}")
    assert status == 200, document
    return document


async def shown_as_completed(server: Server, id: str, frames: list[Frame]) -> None:
    """Asserts that GET tells what the last frame told."""
    last = json.loads(frames[-1].data)
    assert last["type"] == "response.completed"
    assert await shown(server, id) == last["response"]


RESPONSES = Surface(
    "openai-responses",
    asking,
    # Created and in progress, two that begin and three that end the message, and completed.
    frames=TOKENS + 8,
    follow=retrieving,
    id_of=id_of,
    check_ended=shown_as_completed,
)


async def test_every_cut_live_ended_and_after_a_restart(lingering: tuple[Path, Path]) -> None:
    cuts = Cuts(RESPONSES)
    with serving(*lingering) as server:
        await cuts.live(server)
        await cuts.ended(server)
    with serving(*lingering) as server:
        await cuts.ended(server)


async def test_thinking_and_calls_are_resumed_after_every_frame(
    lingering: tuple[Path, Path],
) -> None:
    with serving(*lingering) as server:
        async with responding(server, TOOLED, tools=[WEATHER]) as call:
            await call.head()
            frames = await call.all_frames()
        added = [json.loads(f.data) for f in frames if f.event == "response.output_item.added"]
        kinds = [event["item"]["type"] for event in added]
        assert kinds == ["reasoning", "function_call", "function_call"]
        await RESPONSES.check_every_cut(server, id_of(call), frames)


async def test_after_a_kill_the_journal_goes_on_in_a_new_epoch(
    lingering: tuple[Path, Path],
) -> None:
    with serving(*lingering) as server:
        before = await respond(server, "up/v:delay=0,first=0,tokens=3", conversation="killed")
        model = "up/v:count,delay=10ms,tokens=5000"
        async with responding(server, model, conversation="killed") as call:
            await killed(server, call)
    id = id_of(call)
    with serving(*lingering) as server:
        kept, lost = await RESPONSES.check_recovered(server, call)
        last = json.loads(lost[-1].data)
        assert last["type"] == "response.failed"
        assert await shown(server, id) == last["response"]
        await RESPONSES.check_every_cut(server, id, kept + lost)
        goes_on = await respond(server, "up/v:first=0,delay=0", conversation="killed")
        assert (goes_on["status"], before["status"]) == ("completed", "completed")
        text = "".join(
            json.loads(frame.data)["delta"]
            for frame in kept
            if frame.event == "response.output_text.delta"
        )
        (message,) = last["response"]["output"]
        assert message["content"][0]["text"] == text != ""


async def test_past_the_retention_the_object_is_left(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n[journal]\nretention_s = 1\n")
    with serving(tmp_path, config) as server:
        first = await respond(server, "up/v:first=0,delay=0,tokens=3", instructions="Be kind.")
    ended_at = first["completed_at"]
    assert isinstance(ended_at, int)

    async def expired() -> bool:
        return time.time() > ended_at + 2

    await until(expired)
    with serving(tmp_path, config) as server:

        async def gone() -> bool:
            return (await fetch(server, f"/v1/responses/{first['id']}?stream=true"))[0] == 410

        await until(gone)
        assert await shown(server, str(first["id"])) == first
        again = await respond(
            server, "up/v:first=0,delay=0,tokens=3", previous_response_id=first["id"]
        )
        assert again["instructions"] == "Be kind."
