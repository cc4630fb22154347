"""A lease: a client's interest in a turn, held for as long as its request lasts.

When the last lease of a turn is released, the turn's mode decides what happens (`Turn.release`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from actors.outcome import Mode
from actors.turn import Turn


@asynccontextmanager
async def lease(turn: Turn, *, settle_s: float) -> AsyncIterator[None]:
    """Hold an interest in `turn`.

    Leaving an `attached` turn that this ends waits until it is final, shielded for at most
    `settle_s` seconds, so that nothing outlives its request unseen.
    """
    turn.acquire()
    try:
        yield
    finally:
        turn.release()
        if turn.leases == 0 and turn.request.mode is Mode.ATTACHED and not turn.final.is_set():
            with trio.move_on_after(settle_s, shield=True):
                await turn.final.wait()
