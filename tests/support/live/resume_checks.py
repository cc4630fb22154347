"""Checks that a client that reconnects gets the missing frames of a stream, byte for byte."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

import trio

from tests.support.live.harness import Server
from tests.support.live.http_client import Call, open_turn_events, turn
from tests.support.live.sse_frames import Frame, raw, read_frames

LINGER_SETTINGS = """
grace_s = 0
drain_s = 1
[turns]
mode = "linger"
resume_window_s = 10
heartbeat_s = 0.2
"""
"""Settings of a server whose turns outlive their connections."""
FORMS = range(4)


def cursor_arguments(form: int, last: Frame) -> dict[str, str]:
    """Return arguments that name the last frame, in one of the four accepted forms."""
    number = last.id.partition(":")[2]
    forms = [{"last_id": last.id}, {"after": last.id}, {"after": number}, {"last_id": number}]
    return forms[form % len(forms)]


class OpenEvents(Protocol):
    """A function that requests an answer's events from `last_id` or `after` on."""

    def __call__(
        self, server: Server, id: str, /, *, last_id: str | None = None, after: str | None = None
    ) -> AbstractAsyncContextManager[Call]: ...


def turn_id_of(call: Call) -> str:
    """Return the id of the turn that a call started."""
    return call.turn_id


async def check_completed(server: Server, turn_id: str, frames: list[Frame]) -> None:
    """Assert that the turn is recorded as completed."""
    assert (await turn(server, turn_id))["status"] == "completed", frames[-1]


@dataclass(frozen=True)
class Surface:
    """Request and resume functions of one dialect."""

    name: str
    """Prefix of the frame ids, which is the dialect's name."""
    open_answer: Callable[[Server], AbstractAsyncContextManager[Call]]
    """Requests the answer whose stream will be interrupted, without reading any of it."""
    frames: int
    """Number of frames of that answer."""
    open_events: OpenEvents = open_turn_events
    id_of: Callable[[Call], str] = turn_id_of
    """Returns the id to pass to `open_events` for a call's answer."""
    check_ended: Callable[[Server, str, list[Frame]], Awaitable[None]] = check_completed
    """Asserts that the record of an ended answer matches its frames."""

    async def frames_after(self, server: Server, id: str, last: Frame, form: int = 0) -> bytes:
        """Return the frames after `last` from a new connection; assert 204 if none follow."""
        async with self.open_events(server, id, **cursor_arguments(form, last)) as call:
            frames = raw(await call.all_frames())
            assert (call.status == 204) is (frames == b""), (call.status, last, form)
            return frames

    async def check_resume_after_every_frame(
        self, server: Server, id: str, frames: list[Frame], forms: Sequence[int] = (0,)
    ) -> None:
        """Assert that resuming after each frame gives exactly the frames that follow it."""
        for k, last in enumerate(frames, 1):
            for form in forms:
                rest = await self.frames_after(server, id, last, form)
                assert raw(frames[:k]) + rest == raw(frames), (last, form)

    async def check_recovered(self, server: Server, call: Call) -> tuple[list[Frame], list[Frame]]:
        """Return the frames that survived a kill, and those that end the answer in a new epoch.

        Assert that the client of `call` had received all of the surviving frames, and that it
        gets the whole new ending after any frame that it saw but the journal lost.
        """
        id = self.id_of(call)
        seen = read_frames(bytes(call.body), allow_partial=True)
        async with self.open_events(server, id) as whole:
            body = await whole.read_all()
        frames = read_frames(body)
        kept = [frame for frame in frames if "@" not in frame.id]
        lost = [frame for frame in frames if "@" in frame.id]
        assert frames == kept + lost, [frame.id for frame in frames]
        assert raw(seen).startswith(raw(kept)), (seen, kept)
        assert 0 < len(kept) < len(seen), (len(kept), len(seen))
        assert body.count(b": recovered, the tail of this answer was lost\n") == 1, body
        for frame in seen[len(kept) :]:
            assert await self.frames_after(server, id, frame) == raw(lost), frame
        return kept, lost


class InterruptedClients:
    """One answer for each frame after which a client can lose its connection."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self.frames_by_id: dict[str, list[Frame]] = {}
        """Frames of the uninterrupted connection, by the answer's id."""

    async def check_while_running(self, server: Server) -> None:
        """Disconnect after each frame and resume while the turn is running."""
        count = self._surface.frames
        async with trio.open_nursery() as nursery:
            for k in range(1, count + 1):
                nursery.start_soon(self._interrupt, server, k)
        assert len(self.frames_by_id) == count, self.frames_by_id.keys()

    async def _interrupt(self, server: Server, k: int) -> None:
        surface = self._surface
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(surface.open_answer(server))
            await first.head()
            id = surface.id_of(first)
            uninterrupted_call = await stack.enter_async_context(surface.open_events(server, id))
            seen = (await first.frames(k))[:k]
            first.disconnect()
            rest = await surface.frames_after(server, id, seen[-1], form=k)
            uninterrupted = await uninterrupted_call.all_frames()
        ids = [frame.id for frame in uninterrupted]
        assert raw(seen) + rest == raw(uninterrupted), (k, ids)
        assert ids == [f"{surface.name}:{n}" for n in range(surface.frames)], k
        self.frames_by_id[id] = uninterrupted

    async def check_after_end(self, server: Server) -> None:
        """Read each answer again after its turn has ended; resume one after every frame."""
        for id, frames in self.frames_by_id.items():
            await self._surface.check_ended(server, id, frames)
            async with self._surface.open_events(server, id) as call:
                assert await call.all_frames() == frames, id
        id, frames = next(iter(self.frames_by_id.items()))
        await self._surface.check_resume_after_every_frame(server, id, frames, FORMS)


async def kill_mid_answer(server: Server, call: Call, frames: int = 90) -> None:
    """Read some frames, kill the server in the middle of the answer, and read the rest."""
    await call.head()
    await call.frames(frames)
    server.kill()
    await call.read_all()
