"""Streamer: tries one route after another until an answer is complete and passes on its chunks.

The first actor of a turn and the only one that talks to a provider. Its rules are elsewhere: route
selection in `actors.routing`, the next route after a failure in `actors.attempts.retry_policy`, and
interrupted answers in `actors.continuation`. `Upstreams` are the providers and the state that the
streamers of all turns share.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial

import trio
from msgspec.structs import replace

from actors.attempts.attempt import Attempt, Item
from actors.attempts.client_errors import client_error, not_continued, nothing_asked
from actors.attempts.opening_events import ignored_warning, join_paths, opening
from actors.attempts.retry_policy import Jitter, Retries
from actors.continuation.interruption import Interruption
from actors.ports import Estimator, Provider
from actors.routing.breaker import Permit
from actors.routing.concurrency_gate import ProviderBusy
from actors.routing.requirements import requirements_of
from actors.routing.route_board import RouteBoard, Skipped
from actors.runtime.batch_channel import Sender
from actors.runtime.offload import THREADS, is_large, off_loop
from actors.turn.events import AnyEvent
from actors.turn.failure_class import FailureClass, failure_class_of
from actors.turn.model_call import UpstreamFailure, failure_reason
from actors.turn.request import PlannedRoute
from actors.turn.state import Turn
from actors.usage.usage_ledger import AttemptUsage

_FAULTS = frozenset(
    {FailureClass.CONNECTION, FailureClass.SERVER_ERROR, FailureClass.TIMEOUT, FailureClass.BROKEN}
)
"""Failure classes that count against the health of a route."""


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The providers and their shared state; one instance serves all turns."""

    providers: Mapping[str, Provider]
    board: RouteBoard
    estimates: Estimator
    now: Callable[[], float]
    """Clock that returns seconds since the epoch."""
    jitter: Jitter
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(THREADS))
    """Limiter for the threads that analyse large calls."""


class RouteResult(Enum):
    """The result of trying a route, if it didn't fail."""

    COMPLETED = auto()
    SKIPPED = auto()


class Streamer:
    """The attempts of one step of a turn; the turn's ledger records their results."""

    __slots__ = ("_input", "_interruption", "_ledger", "_retries", "_turn", "_upstreams")

    def __init__(self, turn: Turn, upstreams: Upstreams) -> None:
        self._turn = turn
        self._upstreams = upstreams
        self._interruption = Interruption(turn.request)
        self._retries = Retries((), upstreams.jitter)
        self._input = 0
        self._ledger = turn.ledger

    async def run(self, outbox: Sender[Item]) -> None:
        """Run the actor: try the routes in order until one completes the answer or none is left."""
        with outbox:
            await self._choose_routes()
            failure = await self._try_routes(outbox)
            if failure is not None:
                error = client_error(failure, self._ledger.tried())
                self._turn.set_cause(failure_reason(failure.kind), error)

    async def _choose_routes(self) -> None:
        routes, call = self._turn.request.routes, self._turn.request.call
        model = str(routes[0].route) if routes else ""
        self._input = self._upstreams.estimates.estimate_input(model, call)
        find = partial(requirements_of, call, self._input)
        needs = await off_loop(
            is_large(call.parameters, call.messages), self._upstreams.threads, find
        )
        choice = self._upstreams.board.choose(routes, needs)
        for skipped in choice.skipped:
            self._ledger.skip(skipped.route, skipped.reason, self._upstreams.now())
        self._retries = Retries(choice.open, self._upstreams.jitter)

    async def _try_routes(self, outbox: Sender[Item]) -> UpstreamFailure | None:
        """Make attempts until one completes; return the failure for the client if none does."""
        failure: UpstreamFailure | None = None
        while (planned := self._retries.route) is not None:
            result = await self._try_route(planned, failure, outbox)
            if result is RouteResult.COMPLETED:
                return None
            if result is RouteResult.SKIPPED:
                self._retries.skip_route()
                continue
            failure = result
            if not self._interruption.may_retry(failure):
                break
            if wait_s := self._after(planned, failure):
                await trio.sleep(wait_s)
        return self._final_failure(failure)

    async def _try_route(
        self, planned: PlannedRoute, before: UpstreamFailure | None, outbox: Sender[Item]
    ) -> UpstreamFailure | RouteResult:
        """Wait for a concurrency slot, then make an attempt unless the route must be skipped."""
        gate = self._upstreams.board.gate(planned.route)
        try:
            await gate.acquire()
        except ProviderBusy:
            return self._skip(planned, "busy")
        try:
            if self._turn.request.strict and (unsupported := await self._unsupported(planned)):
                return self._skip(planned, f"unsupported: {join_paths(unsupported)}")
            # Checked after the wait: the route's breaker may have opened in the meantime.
            permit = self._upstreams.board.enter(planned.route)
            if isinstance(permit, Skipped):
                return self._skip(planned, permit.reason)
            return await self._attempt(planned, permit, before, outbox) or RouteResult.COMPLETED
        finally:
            gate.release()

    def _skip(self, planned: PlannedRoute, reason: str) -> RouteResult:
        self._ledger.skip(planned.route, reason, self._upstreams.now())
        return RouteResult.SKIPPED

    async def _unsupported(self, planned: PlannedRoute) -> tuple[str, ...]:
        route = planned.route
        call = replace(self._turn.request.call, upstream_model=route.upstream_model)
        return await self._upstreams.providers[route.provider].unsupported(call)

    async def _attempt(
        self,
        planned: PlannedRoute,
        permit: Permit,
        before: UpstreamFailure | None,
        outbox: Sender[Item],
    ) -> UpstreamFailure | None:
        """Make one attempt, record it however it ends, and return its failure or None."""
        self._retries.attempt_started()
        now, board = self._upstreams.now, self._upstreams.board
        usage = self._ledger.begin(planned.route, now())
        answered_by = self._turn.answered_by
        try:
            await self._ask(planned, permit, usage, before, outbox)
            usage.result = "answered"
        except UpstreamFailure as caught:
            # The traceback refers to this frame: a cycle that would keep the turn in memory until
            # a garbage collection.
            failure = caught.with_traceback(None)
            usage.fail(failure)
            self._report(permit, failure)
            return failure
        except Exception:
            usage.result = "crashed"
            raise
        finally:
            permit.release()
            usage.end(now())
            if self._interruption.seen and not usage.kept:
                # Nothing of a failed continuation was shown: the previous route still answers.
                self._turn.answered_by = answered_by
            board.note_tokens(planned.route, usage.tokens)
        usage.teach(self._turn.request.call, self._upstreams.estimates)
        return None

    async def _ask(
        self,
        planned: PlannedRoute,
        permit: Permit,
        usage: AttemptUsage,
        before: UpstreamFailure | None,
        outbox: Sender[Item],
    ) -> None:
        upstreams, route, interruption = self._upstreams, planned.route, self._interruption
        prefill = upstreams.board.takes_prefill(planned)
        call = interruption.call_for(route, upstreams.estimates, prefill=prefill)
        continuation = interruption.continuation_for(route)
        attempt = Attempt(self._turn, usage, interruption, permit, continuation, upstreams.now)

        def opening_events(ignored: tuple[str, ...]) -> list[AnyEvent]:
            changed = before.kind.value if before else "skipped"
            restart = interruption.take_restart()
            if restart is not None:
                self._ledger.discard()
            opened = opening(
                self._turn, route, input_estimate=self._input, changed=changed, restart=restart
            )
            return [*opened, *ignored_warning(route, ignored)]

        provider = upstreams.providers[route.provider]
        await attempt.run(provider, call, planned.timeouts, opening_events, outbox)

    def _report(self, permit: Permit, failure: UpstreamFailure) -> None:
        failure_class = failure_class_of(failure)
        if failure_class in _FAULTS:
            permit.failed(trio.current_time())
        elif failure_class is FailureClass.CREDENTIALS and self._retries.no_other_key(failure):
            permit.refused(trio.current_time())

    def _after(self, planned: PlannedRoute, failure: UpstreamFailure) -> float:
        """Choose the next route and return the seconds to wait before it is tried."""
        if self._interruption.prefill_refused(failure):
            self._upstreams.board.prefill_refused(planned.route)
            self._retries.retry_without_prefill()
            return 0.0
        left_s = self._turn.scope.deadline - trio.current_time()
        return self._retries.after(failure, continuing=self._interruption.seen, left_s=left_s)

    def _final_failure(self, last: UpstreamFailure | None) -> UpstreamFailure:
        """Return the failure for the client: the interruption, or else the last failure."""
        if last is None:
            routes = [planned.route for planned in self._turn.request.routes]
            wait_s = self._upstreams.board.retry_in_s(routes)
            return nothing_asked(self._ledger.skipped(), wait_s)
        if self._interruption.failure is not None:
            return not_continued(self._interruption.failure, last)
        return last
