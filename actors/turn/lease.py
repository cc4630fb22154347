"""Lease: a client's interest in a turn, held for as long as its request lasts.

When the last lease of a turn is released, the turn's mode decides what happens (`Turn.release`).
"""

from types import TracebackType

import trio

from actors.turn.outcome import Mode
from actors.turn.state import Turn


class Lease:
    """An async context manager that holds an interest in `turn`.

    The last exit from an `attached` turn ends the turn and waits until it is final, shielded and
    for at most `settle_s` seconds, so that no work outlives its request unnoticed.
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
            # Shielded: the usual reason to leave is that the request was cancelled.
            with trio.move_on_after(self._settle_s, shield=True):
                await turn.final.wait()
