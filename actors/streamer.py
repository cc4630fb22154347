"""The streamer: asks one route after another until an answer is whole, and passes on what comes.

First actor of a turn, and the only one that talks to a provider. Its rules are elsewhere: which
routes may be asked (`actors.routing`), where to go after a failure (`actors.retry`), what becomes
of a cut answer (`actors.cut`, `actors.continuing`, `actors.splicing`).
"""

from enum import Enum, auto
from functools import partial

import trio
from msgspec.structs import replace

from actors.attempt import Attempt, Item
from actors.cut import Cut
from actors.events import AnyEvent
from actors.failures import client_error, not_continued, nothing_asked
from actors.heavy import is_large, off_loop
from actors.ledger import Tally
from actors.links import Sender
from actors.opening import left_out, listed, opening
from actors.providers.base import UpstreamFailure, failure_reason
from actors.retry import Retries
from actors.routing.board import Skipped
from actors.routing.breaker import Permit
from actors.routing.gate import ProviderBusy
from actors.routing.needs import needs_of
from actors.trouble import Trouble, trouble_of
from actors.turn import PlannedRoute, Turn
from actors.upstreams import Upstreams

_FAULTS = frozenset({Trouble.CONNECTION, Trouble.SERVER_ERROR, Trouble.TIMEOUT, Trouble.BROKEN})
"""Troubles that say something about the route's health."""


class Visit(Enum):
    """What became of a route besides a failure."""

    WHOLE = auto()
    PASSED_OVER = auto()


class Streamer:
    """One step of a turn, attempt after attempt; the turn's ledger says what became of them."""

    __slots__ = ("_cut", "_input", "_ledger", "_retries", "_turn", "_upstreams")

    def __init__(self, turn: Turn, upstreams: Upstreams) -> None:
        self._turn = turn
        self._upstreams = upstreams
        self._cut = Cut(turn.request)
        self._retries = Retries((), upstreams.jitter)
        self._input = 0
        self._ledger = turn.ledger

    async def run(self, outbox: Sender[Item]) -> None:
        """The actor: try the routes in order until one answers whole, or none is left."""
        with outbox:
            await self._choose()
            failure = await self._play(outbox)
            if failure is not None:
                error = client_error(failure, self._ledger.tried())
                self._turn.blame(failure_reason(failure.kind), error)

    async def _choose(self) -> None:
        routes, call = self._turn.request.routes, self._turn.request.call
        model = str(routes[0].route) if routes else ""
        self._input = self._upstreams.estimates.estimate_input(model, call)
        find = partial(needs_of, call, self._input)
        needs = await off_loop(is_large(call), self._upstreams.threads, find)
        choice = self._upstreams.board.choose(routes, needs)
        for skipped in choice.skipped:
            self._ledger.skip(skipped.route, skipped.reason, self._upstreams.now())
        self._retries = Retries(choice.open, self._upstreams.jitter)

    async def _play(self, outbox: Sender[Item]) -> UpstreamFailure | None:
        """Attempt after attempt; returns what the client is told if none was whole."""
        failure: UpstreamFailure | None = None
        while (planned := self._retries.route) is not None:
            outcome = await self._visit(planned, failure, outbox)
            if outcome is Visit.WHOLE:
                return None
            if outcome is Visit.PASSED_OVER:
                self._retries.passed_over()
                continue
            failure = outcome
            if not self._cut.may_go_on(failure):
                break
            if wait_s := self._after(planned, failure):
                await trio.sleep(wait_s)
        return self._verdict(failure)

    async def _visit(
        self, planned: PlannedRoute, before: UpstreamFailure | None, outbox: Sender[Item]
    ) -> UpstreamFailure | Visit:
        """Wait for a place at the provider, and make an attempt if the route may be asked then."""
        gate = self._upstreams.board.gate(planned.route)
        try:
            await gate.acquire()
        except ProviderBusy:
            return self._pass_over(planned, "busy")
        try:
            if self._turn.request.strict and (unsaid := await self._unsaid(planned)):
                return self._pass_over(planned, f"unsupported: {listed(unsaid)}")
            permit = self._upstreams.board.enter(planned.route)
            if isinstance(permit, Skipped):
                return self._pass_over(planned, permit.reason)
            return await self._attempt(planned, permit, before, outbox) or Visit.WHOLE
        finally:
            gate.release()

    def _pass_over(self, planned: PlannedRoute, reason: str) -> Visit:
        self._ledger.skip(planned.route, reason, self._upstreams.now())
        return Visit.PASSED_OVER

    async def _unsaid(self, planned: PlannedRoute) -> tuple[str, ...]:
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
        """One attempt, on record however it ends; returns how it failed."""
        self._retries.begun()
        now, board = self._upstreams.now, self._upstreams.board
        tally = self._ledger.begin(planned.route, now())
        answered_by = self._turn.answered_by
        try:
            await self._ask(planned, permit, tally, before, outbox)
            tally.result = "answered"
        except UpstreamFailure as caught:
            # Its traceback has this frame, and would keep the turn until a collection.
            failure = caught.with_traceback(None)
            tally.fail(failure)
            self._report(permit, failure)
            return failure
        except Exception:
            tally.result = "crashed"
            raise
        finally:
            permit.left()
            tally.end(now())
            if self._cut.seen and not tally.kept:
                self._turn.answered_by = answered_by
            board.note_tokens(planned.route, tally.tokens)
        tally.teach(self._turn.request.call, self._upstreams.estimates)
        return None

    async def _ask(
        self,
        planned: PlannedRoute,
        permit: Permit,
        tally: Tally,
        before: UpstreamFailure | None,
        outbox: Sender[Item],
    ) -> None:
        upstreams, route, cut = self._upstreams, planned.route, self._cut
        prefill = upstreams.board.takes_prefill(planned)
        call = cut.call_for(route, upstreams.estimates, prefill=prefill)
        joint = cut.joint(route)
        attempt = Attempt(self._turn, tally, cut, permit, joint, upstreams.now)

        def begin(ignored: tuple[str, ...]) -> list[AnyEvent]:
            changed = before.kind.value if before else "skipped"
            restart = cut.told_restart()
            if restart is not None:
                self._ledger.discard()
            told = opening(
                self._turn, route, input_estimate=self._input, changed=changed, restart=restart
            )
            return [*told, *left_out(route, ignored)]

        provider = upstreams.providers[route.provider]
        await attempt.play(provider, call, planned.timeouts, begin, outbox)

    def _report(self, permit: Permit, failure: UpstreamFailure) -> None:
        trouble = trouble_of(failure)
        if trouble in _FAULTS:
            permit.failed(trio.current_time())
        elif trouble is Trouble.CREDENTIALS and self._retries.leaves(failure):
            permit.refused(trio.current_time())

    def _after(self, planned: PlannedRoute, failure: UpstreamFailure) -> float:
        """Where to go next; returns the seconds to wait before."""
        if self._cut.prefill_refused(failure):
            self._upstreams.board.prefill_refused(planned.route)
            self._retries.again()
            return 0.0
        left_s = self._turn.scope.deadline - trio.current_time()
        return self._retries.after(failure, continuing=self._cut.seen, left_s=left_s)

    def _verdict(self, last: UpstreamFailure | None) -> UpstreamFailure:
        """What the client is told: what cut the answer, or else what happened last."""
        if last is None:
            routes = [planned.route for planned in self._turn.request.routes]
            wait_s = self._upstreams.board.retry_in_s(routes)
            return nothing_asked(self._ledger.skipped(), wait_s)
        if self._cut.failure is not None:
            return not_continued(self._cut.failure, last)
        return last
