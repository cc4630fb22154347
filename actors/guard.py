"""The guard: what may be shown. Third actor of a turn.

A chain of screens stands between the accumulator and the persister. The empty chain passes the
very batch on: it costs nothing and holds nothing back.
"""

from typing import Protocol

from actors.accumulator import Draft
from actors.chunks import FinishChunk
from actors.links import Receiver, Sender


class Screen(Protocol):
    """One link of the chain: sees drafts in order, passes, changes or holds them back."""

    def step(self, drafts: list[Draft]) -> list[Draft]:
        """What may go on now; the rest is held until a later step or `end`."""

    def end(self) -> list[Draft]:
        """The answer is over: what of the held may go on."""


class Guard:
    """Pure step of the actor: the screens in their order.

    The finish waits here until the screens have let go of everything: a turn that is cancelled
    while one holds text has no finish, and so cannot be taken for whole.
    """

    __slots__ = ("_chain", "_finish")

    def __init__(self, chain: tuple[Screen, ...] = ()) -> None:
        self._chain = chain
        self._finish: list[Draft] = []

    def step(self, drafts: list[Draft]) -> list[Draft]:
        """What passes the whole chain now."""
        if not self._chain:
            return drafts
        self._finish += [draft for draft in drafts if isinstance(draft, FinishChunk)]
        drafts = [draft for draft in drafts if not isinstance(draft, FinishChunk)]
        for screen in self._chain:
            drafts = screen.step(drafts)
        return drafts

    def end(self) -> list[Draft]:
        """Release what the screens held, each through those after it, and then the finish."""
        drafts: list[Draft] = []
        for screen in self._chain:
            drafts = [*screen.step(drafts), *screen.end()]
        return drafts + self._finish


async def watch(guard: Guard, inbox: Receiver[Draft], outbox: Sender[Draft]) -> None:
    """The actor: receive, step, send; at the end of the answer release what was held."""
    with outbox:
        async for drafts in inbox:
            passed = guard.step(drafts)
            if passed:
                await outbox.put(passed)
        held = guard.end()
        if held:
            await outbox.put(held)
