"""Responses clients that reconnect get the same events, byte for byte."""

import json
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import JSON, Call, Endpoint, fetch
from tests.support.live.responses_client import (
    WEATHER,
    create_response,
    id_of,
    open_response,
    open_response_events,
)
from tests.support.live.resume_checks import InterruptedClients, Surface, kill_mid_answer
from tests.support.live.sse_frames import Frame

TOKENS = 16
TOOLED = "up/v:reasoning=3,tool=2,chunk=3,first=100ms,delay=5ms"


def open_counted_answer(server: Endpoint) -> AbstractAsyncContextManager[Call]:
    """Request an answer of counted words."""
    return open_response(server, f"up/v:count,tokens={TOKENS},first=300ms,delay=15ms")


async def get_response(server: Server, id: str) -> JSON:
    """Return a response as `GET /v1/responses/{id}` shows it."""
    status, document = await fetch(server, f"/v1/responses/{id}")
    assert status == 200, document
    return document


async def check_completed(server: Server, id: str, frames: list[Frame]) -> None:
    """Assert that GET returns the response of the last frame."""
    last = json.loads(frames[-1].data)
    assert last["type"] == "response.completed"
    assert await get_response(server, id) == last["response"]


RESPONSES = Surface(
    "openai-responses",
    open_counted_answer,
    # Other than the tokens: created, in progress, two to begin and three to end the message, and
    # completed.
    frames=TOKENS + 8,
    open_events=open_response_events,
    id_of=id_of,
    check_ended=check_completed,
)


async def test_resume_after_every_frame_while_running_ended_and_after_a_restart(
    lingering_config: tuple[Path, Path],
) -> None:
    clients = InterruptedClients(RESPONSES)
    with serving(*lingering_config) as server:
        await clients.check_while_running(server)
        await clients.check_after_end(server)
    with serving(*lingering_config) as server:
        await clients.check_after_end(server)


async def test_reasoning_and_tool_calls_resume_after_every_frame(
    lingering_config: tuple[Path, Path],
) -> None:
    with serving(*lingering_config) as server:
        async with open_response(server, TOOLED, tools=[WEATHER]) as call:
            await call.head()
            frames = await call.all_frames()
        added = [json.loads(f.data) for f in frames if f.event == "response.output_item.added"]
        kinds = [event["item"]["type"] for event in added]
        assert kinds == ["reasoning", "function_call", "function_call"]
        await RESPONSES.check_resume_after_every_frame(server, id_of(call), frames)


async def test_journal_continues_in_a_new_epoch_after_a_kill(
    lingering_config: tuple[Path, Path],
) -> None:
    with serving(*lingering_config) as server:
        before = await create_response(
            server, "up/v:delay=0,first=0,tokens=3", conversation="killed"
        )
        model = "up/v:count,delay=10ms,tokens=5000"
        async with open_response(server, model, conversation="killed") as call:
            await kill_mid_answer(server, call)
    id = id_of(call)
    with serving(*lingering_config) as server:
        kept, lost = await RESPONSES.check_recovered(server, call)
        last = json.loads(lost[-1].data)
        assert last["type"] == "response.failed"
        assert await get_response(server, id) == last["response"]
        await RESPONSES.check_resume_after_every_frame(server, id, kept + lost)
        following_response = await create_response(
            server, "up/v:first=0,delay=0", conversation="killed"
        )
        assert (following_response["status"], before["status"]) == ("completed", "completed")
        text = "".join(
            json.loads(frame.data)["delta"]
            for frame in kept
            if frame.event == "response.output_text.delta"
        )
        (message,) = last["response"]["output"]
        assert message["content"][0]["text"] == text != ""


async def test_response_object_outlives_its_events(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\n[journal]\nretention_s = 1\n")
    with serving(tmp_path, config) as server:
        first = await create_response(
            server, "up/v:first=0,delay=0,tokens=3", instructions="Be kind."
        )
    ended_at = first["completed_at"]
    assert isinstance(ended_at, int)

    async def expired() -> bool:
        return time.time() > ended_at + 2

    await until(expired)
    with serving(tmp_path, config) as server:

        async def gone() -> bool:
            return (await fetch(server, f"/v1/responses/{first['id']}?stream=true"))[0] == 410

        await until(gone)
        assert await get_response(server, str(first["id"])) == first
        again = await create_response(
            server, "up/v:first=0,delay=0,tokens=3", previous_response_id=first["id"]
        )
        assert again["instructions"] == "Be kind."
