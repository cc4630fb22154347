"""Guard: checks the answer before it reaches the journal.

The third actor of a turn: a chain of screens between the accumulator and the persister. With an
empty chain it is not started, because a channel more is a tenth of the cost of a token.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from actors.accumulator import Draft
from actors.runtime.batch_channel import Receiver, Sender
from actors.turn.chunks import FinishChunk


class Screen(Protocol):
    """A check in the chain: passes, changes or holds back drafts in their order."""

    def step(self, drafts: list[Draft]) -> list[Draft]:
        """Return the drafts that may pass now; hold the rest until a later step or `end`."""

    def end(self) -> list[Draft]:
        """Return the held drafts that may pass at the end of the answer."""


class GuardSpec(Struct, frozen=True):
    """A guard that every turn has."""

    screen: Callable[[], Screen]
    """Makes the screen of one turn: each turn has its own, because screens hold text back."""


class Guard:
    """The state of the actor: the screens in their order.

    The finish is held until the screens have released everything. So a turn that is cancelled
    while a screen holds text has no finish and is not recorded as completed.
    """

    __slots__ = ("_chain", "_finish")

    def __init__(self, chain: tuple[Screen, ...] = ()) -> None:
        self._chain = chain
        self._finish: list[Draft] = []

    @property
    def is_needed(self) -> bool:
        """True if the chain has a screen."""
        return bool(self._chain)

    def step(self, drafts: list[Draft]) -> list[Draft]:
        """Return the drafts that pass the whole chain now."""
        if not self._chain:
            return drafts
        self._finish += [draft for draft in drafts if isinstance(draft, FinishChunk)]
        drafts = [draft for draft in drafts if not isinstance(draft, FinishChunk)]
        for screen in self._chain:
            drafts = screen.step(drafts)
        return drafts

    def end(self) -> list[Draft]:
        """Release the drafts that screens hold, each through the later screens, then the finish."""
        drafts: list[Draft] = []
        for screen in self._chain:
            drafts = [*screen.step(drafts), *screen.end()]
        return drafts + self._finish


async def watch(guard: Guard, inbox: Receiver[Draft], outbox: Sender[Draft]) -> None:
    """Run the actor: receive, step and send; release held drafts at the end of the answer."""
    with outbox:
        async for drafts in inbox:
            passed = guard.step(drafts)
            if passed:
                await outbox.put(passed)
        held = guard.end()
        if held:
            await outbox.put(held)
