"""Clients that come back to an answer: its frames, byte for byte, wherever the connection broke."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

import trio

from tests.live.client import Call, following, turn
from tests.live.frames import Frame, raw, read_frames
from tests.live.harness import Server

LINGER = """
grace_s = 0
drain_s = 1
[turns]
mode = "linger"
resume_window_s = 10
heartbeat_s = 0.2
"""
"""Settings of a server whose turns wait for their clients."""
FORMS = range(4)


def cursor(form: int, last: Frame) -> dict[str, str]:
    """One of the ways to say which frame was the last."""
    number = last.id.partition(":")[2]
    forms = [{"last_id": last.id}, {"after": last.id}, {"after": number}, {"last_id": number}]
    return forms[form % len(forms)]


class Follow(Protocol):
    """The events of an answer, after `Last-Event-ID: last_id` or `?starting_after=after`."""

    def __call__(
        self, server: Server, id: str, /, *, last_id: str | None = None, after: str | None = None
    ) -> AbstractAsyncContextManager[Call]: ...


def turn_id_of(call: Call) -> str:
    """The turn that a call began."""
    return call.turn_id


async def completed(server: Server, turn_id: str, frames: list[Frame]) -> None:
    """Asserts that the turn is on record as completed."""
    assert (await turn(server, turn_id))["status"] == "completed", frames[-1]


@dataclass(frozen=True)
class Surface:
    """How the clients of one dialect ask for an answer, and how they come back to it."""

    name: str
    """What the ids of its frames begin with."""
    ask: Callable[[Server], AbstractAsyncContextManager[Call]]
    """Asks for the answer that is cut; nothing of it is read yet."""
    frames: int
    """How many that answer has."""
    follow: Follow = following
    id_of: Callable[[Call], str] = turn_id_of
    """What `follow` knows the answer of a call by."""
    check_ended: Callable[[Server, str, list[Frame]], Awaitable[None]] = completed
    """Asserts that the record of an ended answer agrees with its frames."""

    async def after(self, server: Server, id: str, last: Frame, form: int = 0) -> bytes:
        """The frames after `last`, on a connection of their own; 204 where there are none."""
        async with self.follow(server, id, **cursor(form, last)) as call:
            frames = raw(await call.all_frames())
            assert (call.status == 204) is (frames == b""), (call.status, last, form)
            return frames

    async def check_every_cut(
        self, server: Server, id: str, frames: list[Frame], forms: Sequence[int] = (0,)
    ) -> None:
        """Asserts that after each frame, however it is named, the rest is the rest."""
        for k, last in enumerate(frames, 1):
            for form in forms:
                rest = await self.after(server, id, last, form)
                assert raw(frames[:k]) + rest == raw(frames), (last, form)

    async def check_recovered(self, server: Server, call: Call) -> tuple[list[Frame], list[Frame]]:
        """The frames that the journal kept, and those that end the answer in a new epoch.

        Asserts that a client of `call`, whose server was killed, has seen all that was kept, and
        that it gets the new end, whole, after whatever else it saw.
        """
        id = self.id_of(call)
        seen = read_frames(bytes(call.body), cut=True)
        async with self.follow(server, id) as whole:
            body = await whole.rest()
        frames = read_frames(body)
        kept = [frame for frame in frames if "@" not in frame.id]
        lost = [frame for frame in frames if "@" in frame.id]
        assert frames == kept + lost, [frame.id for frame in frames]
        assert raw(seen).startswith(raw(kept)), (seen, kept)
        assert 0 < len(kept) < len(seen), (len(kept), len(seen))
        assert body.count(b": recovered, the tail of this answer was lost\n") == 1, body
        for frame in seen[len(kept) :]:
            assert await self.after(server, id, frame) == raw(lost), frame
        return kept, lost


class Cuts:
    """One answer for each place where a client may lose its connection."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self.whole: dict[str, list[Frame]] = {}
        """By the answer's id, what the uninterrupted connection got."""

    async def live(self, server: Server) -> None:
        """Lose the connection after each frame, and come back while the turn plays."""
        count = self._surface.frames
        async with trio.open_nursery() as nursery:
            for k in range(1, count + 1):
                nursery.start_soon(self._cut, server, k)
        assert len(self.whole) == count, self.whole.keys()

    async def _cut(self, server: Server, k: int) -> None:
        surface = self._surface
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(surface.ask(server))
            await first.head()
            id = surface.id_of(first)
            third = await stack.enter_async_context(surface.follow(server, id))
            seen = (await first.frames(k))[:k]
            first.leave()
            rest = await surface.after(server, id, seen[-1], form=k)
            uninterrupted = await third.all_frames()
        ids = [frame.id for frame in uninterrupted]
        assert raw(seen) + rest == raw(uninterrupted), (k, ids)
        assert ids == [f"{surface.name}:{n}" for n in range(surface.frames)], k
        self.whole[id] = uninterrupted

    async def ended(self, server: Server) -> None:
        """Come back after the turns have ended: to each of them, and after each frame of one."""
        for id, frames in self.whole.items():
            await self._surface.check_ended(server, id, frames)
            async with self._surface.follow(server, id) as call:
                assert await call.all_frames() == frames, id
        id, frames = next(iter(self.whole.items()))
        await self._surface.check_every_cut(server, id, frames, FORMS)


async def killed(server: Server, call: Call, frames: int = 90) -> None:
    """Read so many frames, end the server in the middle of the answer, and read what came."""
    await call.head()
    await call.frames(frames)
    server.kill()
    await call.rest()
