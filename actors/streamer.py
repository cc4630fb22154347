"""The streamer: chooses the route, opens it, and passes on what it sends.

First actor of a turn, and the only one that talks to a provider. Whatever happens to it, the
upstream connection is closed or given back before it ends.
"""

from collections.abc import Callable, Mapping

import msgspec

from actors import events
from actors.attempt_clock import AttemptClock
from actors.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
)
from actors.events import AnyEvent
from actors.failures import client_error, may_try_next
from actors.links import Sender
from actors.ports import AttemptRecord
from actors.providers.base import (
    Answer,
    FailureKind,
    Provider,
    Route,
    UpstreamFailure,
    failure_reason,
)
from actors.turn import PlannedRoute, Turn
from actors.usage import estimate_input

CONTENT = (TextChunk, ReasoningChunk, RefusalChunk, ToolCallChunk)
Item = Chunk | AnyEvent
"""What the streamer sends: chunks, and the events that only it can know of."""


class Streamer:
    """One step's attempts: state of the actor, and what the final record says of them."""

    __slots__ = ("_finished", "_now", "_providers", "_turn", "asked", "attempts")

    def __init__(
        self, turn: Turn, providers: Mapping[str, Provider], now: Callable[[], float]
    ) -> None:
        self._turn = turn
        self._providers = providers
        self._now = now
        self.attempts: list[AttemptRecord] = []
        self.asked = False
        """Whether any provider has begun to answer, so that there is something to charge."""
        self._finished = False

    async def run(self, outbox: Sender[Item]) -> None:
        """The actor: try the routes in order until one answers whole, or none is left."""
        with outbox:
            failure = await self._play(outbox)
            if failure is not None:
                self._turn.blame(failure_reason(failure.kind), client_error(failure))

    async def _play(self, outbox: Sender[Item]) -> UpstreamFailure | None:
        failure: UpstreamFailure | None = None
        for planned in self._turn.request.routes:
            failure = await self._recorded_attempt(planned, failure, outbox)
            if failure is None or self._shown or not may_try_next(failure):
                break
        return failure

    @property
    def _shown(self) -> bool:
        return self._turn.first_token_at is not None

    async def _recorded_attempt(
        self, planned: PlannedRoute, before: UpstreamFailure | None, outbox: Sender[Item]
    ) -> UpstreamFailure | None:
        started = self._now()
        failure: UpstreamFailure | None = None
        result = "cancelled"
        try:
            await self._attempt(planned, before, outbox)
            result = "answered"
        except UpstreamFailure as caught:
            # Its traceback has this frame, and would keep the turn until a collection.
            failure = caught.with_traceback(None)
            result = caught.kind.value
        except Exception:
            result = "crashed"
            raise
        finally:
            self._record(planned.route, started, result, failure)
        return failure

    async def _attempt(
        self, planned: PlannedRoute, before: UpstreamFailure | None, outbox: Sender[Item]
    ) -> None:
        route, timeouts = planned.route, planned.timeouts
        call = msgspec.structs.replace(self._turn.request.call, upstream_model=route.upstream_model)
        clock = AttemptClock(timeouts)
        try:
            with clock.scope:
                provider = self._providers[route.provider]
                answer = await provider.open(call, connect_s=timeouts.connect_s)
                await self._relay(answer, route, before, clock, outbox)
            clock.check()
        except UpstreamFailure:
            # A finish reason makes an answer whole, however its stream ends after that.
            if not self._finished:
                raise

    async def _relay(
        self,
        answer: Answer,
        route: Route,
        before: UpstreamFailure | None,
        clock: AttemptClock,
        outbox: Sender[Item],
    ) -> None:
        in_order = False
        try:
            clock.head_arrived()
            await outbox.put([self._opening(route, before)])
            await self._pass_on(answer, clock, outbox)
            in_order = self._finished
        finally:
            if in_order:
                answer.release()
            else:
                answer.close()
        if not self._finished:
            raise UpstreamFailure(
                FailureKind.TRUNCATED, "The provider's answer ended without a finish reason."
            )

    async def _pass_on(self, answer: Answer, clock: AttemptClock, outbox: Sender[Item]) -> None:
        while chunks := await answer.receive():
            if self._shown or self._first_content(chunks):
                clock.content_arrived()
            if any(type(chunk) is FinishChunk for chunk in chunks):
                self._finished = True
            await outbox.put(chunks)  # type: ignore[arg-type]

    def _first_content(self, chunks: list[Chunk]) -> bool:
        if not any(isinstance(chunk, CONTENT) for chunk in chunks):
            return False
        self._turn.first_token_at = self._now()
        self._turn.stage = "streaming"
        return True

    def _opening(self, route: Route, before: UpstreamFailure | None) -> AnyEvent:
        turn = self._turn
        self.asked = True
        first = turn.answered_by is None
        turn.answered_by = route
        if first:
            return events.Started(
                turn_id=turn.id,
                model=turn.request.model,
                provider=route.provider,
                upstream_model=route.upstream_model,
                created_at=turn.created_at,
                input_estimate=estimate_input(turn.request.call),
            )
        reason = before.kind.value if before else "retry"
        return events.RouteChanged(route.provider, route.upstream_model, reason)

    def _record(
        self, route: Route, started: float, result: str, failure: UpstreamFailure | None
    ) -> None:
        self.attempts.append(
            AttemptRecord(
                number=len(self.attempts) + 1,
                provider=route.provider,
                upstream_model=route.upstream_model,
                started_at=started,
                ended_at=self._now(),
                result=result,
                status_code=failure.status if failure else None,
                message=failure.message if failure else None,
            )
        )
