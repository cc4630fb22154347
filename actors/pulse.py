"""The pulse: lets silent streams breathe.

One service task for all readers. It wakes those whose journal has been silent for so long that
their client must hear something; a timer per reader and token would cost more than the token.
"""

from collections.abc import Iterable

import trio

from actors.turn import Turn

LOOKS_PER_HEARTBEAT = 10


class Pulse:
    """Nudges the journals of `turns` so that no client waits longer than `heartbeat_s`."""

    def __init__(self, turns: Iterable[Turn], heartbeat_s: float) -> None:
        self._turns = turns
        self._look_every = heartbeat_s / LOOKS_PER_HEARTBEAT
        self._seen: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """The service task: look around until cancelled."""
        while True:
            await trio.sleep(self._look_every)
            self.look()

    def look(self) -> None:
        """One look: a journal that is as it was nine looks ago gets a nudge."""
        seen: dict[str, tuple[int, int]] = {}
        for turn in self._turns:
            length = len(turn.journal.events)
            before, silent = self._seen.get(turn.id, (length, 0))
            silent = silent + 1 if before == length else 0
            if silent >= LOOKS_PER_HEARTBEAT - 1:
                turn.journal.nudge()
                silent = 0
            seen[turn.id] = (length, silent)
        self._seen = seen
