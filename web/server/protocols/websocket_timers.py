"""Times of one WebSocket: when to ping, and when a pong or the rest of a message is overdue. Pure.

A silent client is not idle: it may wait for its user. So only a client that does not answer pings
is gone.
"""

import math

from wsproto.events import CloseConnection, Ping
from wsproto.frame_protocol import CloseReason

from web.server.receive_budget import receive_time

_MISSED = 2
"""Number of pings without any data from the client after which it counts as gone."""


class WebsocketTimers:
    """Deadlines of a WebSocket, in the clock's seconds.

    Any received data answers a ping: within a long frame, the client cannot send a pong.
    """

    __slots__ = (
        *("_began_at", "_body_s", "_ping_at", "_ping_s", "_received", "_unanswered", "refused"),
    )

    def __init__(self, ping_s: float, body_s: float, now: float) -> None:
        self._ping_s = ping_s
        self._body_s = body_s
        self._ping_at = now
        self._unanswered = 0
        self._began_at: float | None = None
        self._received = 0
        self.refused = False
        """True once there was no room for an unfinished message."""

    @property
    def next_at(self) -> float:
        """Time at which `due` has to be called next."""
        return -math.inf if self.refused else min(self._ping_at, self._message_at)

    @property
    def _message_at(self) -> float:
        if self._began_at is None:
            return math.inf
        return self._began_at + receive_time(self._body_s, self._received)

    def on_data(self) -> None:
        """Note that the client has sent something."""
        self._unanswered = 0

    def on_part(self, received: int, now: float) -> bool:
        """Note the size of an unfinished message; return True if it has just begun."""
        began = self._began_at is None
        if began:
            self._began_at = now
        self._received = received
        return began

    def on_message(self) -> None:
        """Note that the message is complete."""
        self._began_at = None

    def on_refused(self) -> None:
        """Note that there is no room for the unfinished message."""
        self.refused = True

    def due(self, now: float) -> Ping | CloseConnection | None:
        """Return the frame that is to be sent now, if any."""
        if self.refused:
            reason = "Too much data is being received. Try again later."
            return CloseConnection(CloseReason.TRY_AGAIN_LATER, reason)
        if now >= self._message_at:
            return CloseConnection(CloseReason.POLICY_VIOLATION, "The message took too long.")
        if now < self._ping_at:
            return None
        if self._unanswered >= _MISSED:
            return CloseConnection(CloseReason.INTERNAL_ERROR, "No pong was received.")
        self._unanswered += 1
        self._ping_at = now + self._ping_s
        return Ping()
