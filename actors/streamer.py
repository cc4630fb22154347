"""Streamer: tries one route after another until an answer is complete and passes on its chunks.

The first actor of a turn and the only one that talks to a provider. Its step is elsewhere:
`actors.attempts.retry_policy.Failover` decides which route is tried next, when, and when to give
up. Route selection is in `actors.routing`, and interrupted answers are in `actors.continuation`.
`Upstreams` are the providers and the state that the streamers of all turns share.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import trio
from msgspec.structs import replace

from actors.attempts.attempt import Attempt, Item, join_paths
from actors.attempts.client_errors import client_error
from actors.attempts.deadlines import AttemptClock
from actors.attempts.retry_policy import Action, Blame, Failover, GiveUp, Jitter, Try
from actors.continuation.interruption import Interruption
from actors.ports import Estimator, Provider
from actors.routing.breaker import Permit
from actors.routing.concurrency_gate import ProviderBusy
from actors.routing.outcome_window import call_fingerprint
from actors.routing.requirements import requirements_of
from actors.routing.route_board import RouteBoard, RouteChoice, Skipped
from actors.runtime.batch_channel import Sender
from actors.runtime.offload import THREADS, is_large, off_loop
from actors.turn.model_call import UpstreamFailure, failure_reason
from actors.turn.request import PlannedRoute
from actors.turn.state import Turn
from actors.turn.step import AttemptUsage, Step, tried


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


class Streamer:
    """The attempts of one step: carries out the actions of its `Failover`."""

    __slots__ = ("_failover", "_held", "_last_resort", "_step", "_turn", "_upstreams")

    def __init__(self, turn: Turn, step: Step, upstreams: Upstreams) -> None:
        self._turn = turn
        self._step = step
        self._upstreams = upstreams
        self._failover = Failover(Interruption(turn.request, step.call), step, upstreams.jitter)
        self._last_resort = False
        self._held: tuple[Permit, int | None] | None = None
        """Failed attempt whose call is being retried on its route, with the call's fingerprint."""

    async def run(self, outbox: Sender[Item]) -> None:
        """Run the actor: try the routes in order until one completes the answer or none is left."""
        with outbox:
            choice = await self._choose_routes()
            self._last_resort = choice.last_resort
            action: Action | None = self._failover.begin(choice)
            try:
                while isinstance(action, Try):
                    if action.wait_s:
                        await trio.sleep(action.wait_s)
                    action = await self._try_route(action.planned, outbox)
            finally:
                self._report_held()
            if isinstance(action, GiveUp):
                error = client_error(action.failure, tried(self._turn.steps))
                self._turn.set_cause(failure_reason(action.failure.kind), error)

    async def _choose_routes(self) -> RouteChoice:
        routes, step, upstreams = self._turn.request.routes, self._step, self._upstreams
        model = next((str(planned.route) for planned in routes if not planned.unfit), "")
        step.input_estimate = upstreams.estimates.estimate_input(model, step.call)
        find = partial(requirements_of, step.call, step.input_estimate)
        large = is_large(step.call.parameters, step.call.messages)
        choice = upstreams.board.choose(routes, await off_loop(large, upstreams.threads, find))
        for skipped in choice.skipped:
            step.skip(skipped.route, skipped.reason, upstreams.now())
        return choice

    async def _try_route(self, planned: PlannedRoute, outbox: Sender[Item]) -> Action | None:
        """Try a route when it has a concurrency slot; return None if it completed the answer."""
        gate = self._upstreams.board.gate(planned.route)
        try:
            await gate.acquire()
        except ProviderBusy:
            return self._skip(planned, "busy")
        try:
            if self._turn.request.strict and (unsupported := await self._unsupported(planned)):
                return self._skip(planned, f"unsupported: {join_paths(unsupported)}")
            # Checked after the wait: the route's breaker may have opened in the meantime.
            permit = self._upstreams.board.enter(planned.route, last_resort=self._last_resort)
            if isinstance(permit, Skipped):
                return self._skip(planned, permit.reason)
            return await self._attempt(planned, permit, outbox)
        finally:
            gate.release()

    def _skip(self, planned: PlannedRoute, reason: str) -> Action:
        self._report_held()
        self._step.skip(planned.route, reason, self._upstreams.now())
        return self._failover.skipped(self._upstreams.board.retry_in_s(self._turn.request.routes))

    async def _unsupported(self, planned: PlannedRoute) -> tuple[str, ...]:
        call = replace(self._step.call, upstream_model=planned.route.upstream_model)
        return await self._provider(planned).unsupported(call)

    def _provider(self, planned: PlannedRoute) -> Provider:
        return planned.provider or self._upstreams.providers[planned.route.provider]

    async def _attempt(
        self, planned: PlannedRoute, permit: Permit, outbox: Sender[Item]
    ) -> Action | None:
        """Make one attempt and record it however it ends; return None if it was complete."""
        now, board = self._upstreams.now, self._upstreams.board
        usage = self._step.begin(planned.route, now())
        answered_by = self._turn.answered_by
        try:
            await self._ask(planned, permit, usage, outbox)
            usage.result = "answered"
        except UpstreamFailure as caught:
            # The traceback refers to this frame: a cycle that would keep the turn in memory until
            # a garbage collection.
            failure = caught.with_traceback(None)
            usage.fail(failure)
            return await self._next_action(planned, permit, failure)
        except Exception:
            usage.result = "crashed"
            raise
        finally:
            if usage.deltas or usage.finished:
                self._forget_held(permit)
            if self._held is None or self._held[0] is not permit:
                permit.release()
            usage.end(now())
            if self._failover.interruption.seen and not usage.kept:
                # Nothing of a failed continuation was shown: the previous route still answers.
                self._turn.answered_by = answered_by
            board.note_tokens(planned.route, usage.tokens)
        usage.teach(self._step.call, self._upstreams.estimates)
        return None

    async def _ask(
        self, planned: PlannedRoute, permit: Permit, usage: AttemptUsage, outbox: Sender[Item]
    ) -> None:
        upstreams, route = self._upstreams, planned.route
        interruption, last = self._failover.interruption, self._failover.last
        prefill = upstreams.board.takes_prefill(planned)
        call = interruption.call_for(route, upstreams.estimates, prefill=prefill)
        continuation = interruption.continuation_for(route)
        clock, now = AttemptClock(planned.timeouts), upstreams.now
        attempt = Attempt(self._turn, usage, interruption, permit, continuation, now, clock, outbox)
        changed = last.kind.value if last else "skipped"
        await attempt.run(self._provider(planned), call, changed)

    async def _next_action(
        self, planned: PlannedRoute, permit: Permit, failure: UpstreamFailure
    ) -> Action:
        """Choose the next action, and report the failure unless the same call may still succeed.

        Its outcome is that of its last attempt on the route. But a probe is reported at once, for
        the route must not be called again so soon.
        """
        blame = self._failover.blame(failure)
        if blame is Blame.PREFILL:
            self._upstreams.board.prefill_refused(planned.route)
        fingerprint = await self._fingerprint(failure) if blame is Blame.ROUTE else None
        self._forget_held(permit)
        if blame is Blame.ROUTE:
            self._held = permit, fingerprint
        left_s = self._turn.scope.deadline - trio.current_time()
        action = self._failover.failed(failure, left_s)
        again = isinstance(action, Try) and action.planned is planned
        if permit.is_probe or not again:
            self._report_held()
        return action

    async def _fingerprint(self, failure: UpstreamFailure) -> int | None:
        if not failure.sent:
            return None
        call = self._step.call
        large = is_large(call.parameters, call.messages)
        return await off_loop(large, self._upstreams.threads, partial(call_fingerprint, call))

    def _report_held(self) -> None:
        if self._held is not None:
            permit, call = self._held
            permit.failed(trio.current_time(), call)
            self._held = None

    def _forget_held(self, current: Permit) -> None:
        """Forget an earlier failure of the call, on whose outcome the current attempt decides."""
        if self._held is not None and self._held[0] is not current:
            self._held[0].retried()
            self._held = None
