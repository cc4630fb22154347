"""Interruption: decides if an interrupted answer is continued, restarted or failed.

An answer that the client has not seen is restarted. Any other is continued if `on_cut` and its
content permit that, and fails otherwise. The module does no I/O.
"""

import msgspec

from actors.continuation.filter import ContinuationFilter
from actors.continuation.request import ShownAnswer, continuation, prefilled, why_not_continued
from actors.ports import Estimator
from actors.turn.failure_class import FailureClass, failure_class_of
from actors.turn.model_call import ModelCall, Route, UpstreamFailure
from actors.turn.outcome import OnCut
from actors.turn.request import DEFAULT_INSTRUCTION, TurnRequest

_BAD_REQUEST = frozenset({400, 422})
"""Statuses that can mean a refused prefill; others, such as 404, say nothing about the messages."""


class Interruption:
    """The part of an answer that was passed on over all attempts, and its first interruption."""

    __slots__ = ("_call", "_prefilled", "_request", "_restart", "failure", "seen", "shown")

    def __init__(self, request: TurnRequest, call: ModelCall) -> None:
        self._request = request
        self._call = call
        self.shown = ShownAnswer()
        """Part of the answer that was passed on; note each chunk in it."""
        self._restart: str | None = None
        self._prefilled = False
        self.seen = False
        """True once content of an answer that is not a continuation has been passed on."""
        self.failure: UpstreamFailure | None = None
        """First failure that interrupted the answer, or None."""

    def may_retry(self, failure: UpstreamFailure) -> bool:
        """Return True if another attempt may follow; discard the answer if it is to be restarted.

        `on_cut = "restart"` has an effect only for a replaceable answer: text that has been
        streamed cannot be taken back.
        """
        if not self.seen:
            return True
        if self.failure is None:
            self.failure = failure
        # If a content filter ended the answer, other routes must not complete it.
        was_filtered = failure_class_of(self.failure) is FailureClass.CONTENT_FILTER
        if self._request.on_cut is OnCut.FAIL or was_filtered:
            return False
        if self._request.replaceable:
            self.shown = ShownAnswer()
            self._restart = failure.kind.value
            self.seen = False
            return True
        if self._request.on_cut is OnCut.RESTART:
            return False
        return why_not_continued(self._call, self.shown) is None

    def take_restart(self) -> str | None:
        """Return the reason for a restart of the answer, or None; each restart only once."""
        restart, self._restart = self._restart, None
        return restart

    def call_for(self, route: Route, estimates: Estimator, *, prefill: bool) -> ModelCall:
        """Return the call for this route: the client's own, or one that continues the answer."""
        call = msgspec.structs.replace(self._call, upstream_model=route.upstream_model)
        shown = self.shown.text
        self._prefilled = prefill and bool(shown.strip())
        if not shown.strip():
            return call
        return continuation(
            call,
            shown,
            prefill=prefill,
            instruction=self._request.continue_instruction or DEFAULT_INSTRUCTION,
            used_tokens=estimates.estimate(str(route), shown, 0),
        )

    def continuation_for(self, route: Route) -> ContinuationFilter | None:
        """Return the filter for the continuation that `call_for` requested from `route`.

        The filter passes only the rest of the answer. Return None if the attempt is not a
        continuation.
        """
        if not self.seen:
            return None
        text = self.shown.text
        shown = prefilled(self._call) + text if text.strip() else ""
        return ContinuationFilter(route, shown, prefill=self._prefilled)

    def prefill_refused(self, failure: UpstreamFailure) -> bool:
        """Return True if the route refused a trailing assistant message, as many models do."""
        return (
            self._prefilled
            and failure.status in _BAD_REQUEST
            and failure_class_of(failure) is FailureClass.REJECTED
        )
