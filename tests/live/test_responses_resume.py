"""Responses whose clients come back: the same events, byte for byte, over real connections."""

import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from tests.live.client import JSON, fetch
from tests.live.frames import Frame, raw, read_frames
from tests.live.harness import Process, Server, serving, until, write_config
from tests.live.responding import id_of, respond, responding, retrieving

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
FRAMES = TOKENS + 8
"""Created and in progress, two that begin and three that end the message, and completed."""


@pytest.fixture(scope="module")
def lingering(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> tuple[Path, Path]:
    """Directory and configuration of a server whose turns wait for their clients."""
    directory = tmp_path_factory.mktemp("linger")
    return directory, write_config(directory, upstream.port, LINGER)


async def after(server: Server, id: str, last: Frame, form: int = 0) -> bytes:
    """The frames after `last`, on a connection of their own; 204 where there are none."""
    number = last.id.partition(":")[2]
    cursors = [{"after": number}, {"last_id": last.id}, {"after": last.id}, {"last_id": number}]
    async with AsyncExitStack() as stack:
        cursor = cursors[form % len(cursors)]
        call = await stack.enter_async_context(retrieving(server, id, **cursor))
        frames = raw(await call.all_frames())
        assert (call.status == 204) is (frames == b"")
        return frames


async def shown(server: Server, id: str) -> JSON:
    """The response as GET tells it."""
    status, document = await fetch(server, f"/v1/responses/{id}")
    assert status == 200, document
    return document


class Cuts:
    """One response for each place where a client may lose its connection."""

    def __init__(self) -> None:
        self.whole: dict[str, list[Frame]] = {}
        """By response, what the uninterrupted connection got."""

    async def live(self, server: Server) -> None:
        """Lose the connection after each frame, and come back while the turn plays."""
        async with trio.open_nursery() as nursery:
            for k in range(1, FRAMES + 1):
                nursery.start_soon(self._cut, server, k)
        assert len(self.whole) == FRAMES

    async def _cut(self, server: Server, k: int) -> None:
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(responding(server, MODEL))
            await first.head()
            third = await stack.enter_async_context(retrieving(server, id_of(first)))
            seen = (await first.frames(k))[:k]
            first.leave()
            rest = await after(server, id_of(first), seen[-1], form=k)
            uninterrupted = await third.all_frames()
        assert raw(seen) + rest == raw(uninterrupted)
        assert [f.id for f in uninterrupted] == [f"openai-responses:{n}" for n in range(FRAMES)]
        self.whole[id_of(first)] = uninterrupted

    async def ended(self, server: Server) -> None:
        """Come back after the responses have ended, after each frame of them."""
        for id, frames in self.whole.items():
            last = json.loads(frames[-1].data)
            assert last["type"] == "response.completed"
            assert await shown(server, id) == last["response"]
            async with retrieving(server, id) as call:
                assert await call.all_frames() == frames
        id, frames = next(iter(self.whole.items()))
        for k in range(1, FRAMES + 1):
            for form in range(4):
                assert raw(frames[:k]) + await after(server, id, frames[k - 1], form) == raw(frames)


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
        before = await respond(server, "up/v:delay=0,first=0,tokens=3", conversation="killed")
        model = "up/v:count,delay=10ms,tokens=5000"
        async with responding(server, model, conversation="killed") as call:
            await call.head()
            await call.frames(90)
            server.kill()
            await call.rest()
    seen = read_frames(bytes(call.body), cut=True)
    id = id_of(call)
    with serving(*lingering) as server:
        async with retrieving(server, id) as whole:
            body = await whole.rest()
            frames = read_frames(body)
        kept = [frame for frame in frames if "@" not in frame.id]
        lost = [frame for frame in frames if "@" in frame.id]
        assert raw(seen).startswith(raw(kept))
        assert 0 < len(kept) < len(seen)
        assert body.count(b": recovered, the tail of this answer was lost\n") == 1
        last = json.loads(frames[-1].data)
        assert last["type"] == "response.failed"
        assert await shown(server, id) == last["response"]
        for k in (1, 2, 3, 4, 5, *range(len(kept) - 3, len(frames) + 1)):
            rest = await after(server, id, frames[k - 1])
            assert raw(frames[:k]) + rest == raw(frames)
        for frame in seen[len(kept) :]:
            assert await after(server, id, frame) == raw(lost)
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
