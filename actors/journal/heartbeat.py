"""Heartbeat timer: wakes readers of silent journals so that they send a heartbeat.

One service task serves all readers. A timer per reader would have to be moved for each token,
which costs more than the token itself.
"""

from collections.abc import Iterable

import trio

from actors.turn.state import Turn

CHECKS_PER_HEARTBEAT = 10


class HeartbeatTimer:
    """A service task that nudges silent journals of `turns` at least every `heartbeat_s`."""

    def __init__(self, turns: Iterable[Turn], heartbeat_s: float) -> None:
        self._turns = turns
        self._check_interval_s = heartbeat_s / CHECKS_PER_HEARTBEAT
        self._seen: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """Check all journals periodically until cancelled."""
        while True:
            await trio.sleep(self._check_interval_s)
            self.check()

    def check(self) -> None:
        """Nudge each journal that has not changed for nine checks."""
        seen: dict[str, tuple[int, int]] = {}
        for turn in self._turns:
            length = len(turn.journal.events)
            before, silent = self._seen.get(turn.id, (length, 0))
            silent = silent + 1 if before == length else 0
            # One check less than a full heartbeat interval, because the last event may be up to
            # one check interval older than the check that noticed it.
            if silent >= CHECKS_PER_HEARTBEAT - 1:
                turn.journal.nudge()
                silent = 0
            seen[turn.id] = (length, silent)
        self._seen = seen
