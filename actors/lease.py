"""A lease: a client's interest in a turn, held for as long as its request lasts.

When the last lease of a turn is released, the turn's mode decides what happens (`Turn.release`).
"""

from types import TracebackType

import trio

from actors.outcome import Mode
from actors.turn import Turn


class Lease:
    """Holds an interest in `turn` while it is entered (`async with`).

    Leaving an `attached` turn that this ends waits until it is final, shielded for at most
    `settle_s` seconds, so that nothing outlives its request unseen.
    """

    __slots__ = ("_settle_s", "_turn")

    def __init__(self, turn: Turn, *, settle_s: float) -> None:
        self._turn = turn
        self._settle_s = settle_s

    async def __aenter__(self) -> None:
        self._turn.acquire()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        turn = self._turn
        turn.release()
        if turn.leases == 0 and turn.request.mode is Mode.ATTACHED and not turn.final.is_set():
            with trio.move_on_after(self._settle_s, shield=True):
                await turn.final.wait()
