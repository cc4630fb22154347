"""Deadlines of one attempt: first byte, first token, then idle, then the end after a finish reason.

One cancel scope spans the attempt and its deadline is moved, because a scope per read would cost
more than the read.
"""

import trio

from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.request import Timeouts

SLACK_S = 0.08
"""Maximum delay of an idle timeout in seconds; it saves setting a new deadline for every token."""

_MESSAGES = {
    FailureKind.FIRST_BYTE_TIMEOUT: "The provider did not respond in time (first_byte_s).",
    FailureKind.FIRST_TOKEN_TIMEOUT: "The provider sent no content in time (first_token_s).",
    FailureKind.IDLE_TIMEOUT: "The provider went silent in the middle of the answer (idle_s).",
}


class AttemptClock:
    """A deadline that moves from phase to phase. Enter `scope` around the whole attempt."""

    __slots__ = ("_moved_at", "_phase", "scope", "timeouts")

    def __init__(self, timeouts: Timeouts) -> None:
        self.timeouts = timeouts
        self._phase: FailureKind | None = FailureKind.FIRST_BYTE_TIMEOUT
        """Kind of the failure at the deadline; None after a finish reason."""
        self._moved_at = trio.current_time()
        self.scope = trio.CancelScope(deadline=self._moved_at + timeouts.first_byte_s)

    def head_arrived(self) -> None:
        """Start the first-token timeout after the response head."""
        self._restart(FailureKind.FIRST_TOKEN_TIMEOUT, self.timeouts.first_token_s)

    def content_arrived(self) -> None:
        """Restart the idle timeout."""
        now = trio.current_time()
        if self._phase is not FailureKind.IDLE_TIMEOUT or now - self._moved_at >= SLACK_S:
            self._restart(FailureKind.IDLE_TIMEOUT, self.timeouts.idle_s + SLACK_S)

    def finish_arrived(self) -> None:
        """Restart the wait for the end of the stream, whose deadline is not a failure."""
        self._restart(None, self.timeouts.after_finish_s)

    def alive(self) -> None:
        """Restart the timeout of the current phase: bytes without content have arrived.

        Servers send comments, pings and empty frames while the model thinks.
        """
        match self._phase:
            case FailureKind.FIRST_TOKEN_TIMEOUT:
                self.head_arrived()
            case FailureKind.IDLE_TIMEOUT:
                self.content_arrived()
            case None:
                self.finish_arrived()
            case _:
                pass  # `first_byte_s` ends with the head

    def check(self) -> None:
        """Raise the `UpstreamFailure` of the current phase if its deadline has passed."""
        if self.scope.cancelled_caught and self._phase is not None:
            raise UpstreamFailure(self._phase, _MESSAGES[self._phase])

    def _restart(self, phase: FailureKind | None, limit_s: float) -> None:
        self._phase = phase
        self._moved_at = trio.current_time()
        self.scope.deadline = self._moved_at + limit_s
