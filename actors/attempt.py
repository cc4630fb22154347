"""One attempt: a route is asked once, and what it sends is tallied and passed on.

Whatever happens, the upstream connection is closed or given back before it ends.
"""

from collections.abc import Callable

import trio

from actors.attempt_clock import AttemptClock
from actors.chunks import Chunk
from actors.continuation import Continuation
from actors.cut import Cut
from actors.events import AnyEvent
from actors.ledger import Tally
from actors.links import Sender
from actors.providers.base import Answer, FailureKind, ModelCall, Provider, UpstreamFailure
from actors.routing.breaker import Permit
from actors.timeouts import Timeouts
from actors.turn import Clock, Turn

Item = Chunk | AnyEvent
"""What the streamer sends: chunks, and the events that only it can know of."""


Opening = Callable[[tuple[str, ...]], list[AnyEvent]]


class Attempt:
    """State of one attempt. With a `continuation` it goes on with an answer that broke off."""

    __slots__ = (
        "_continuation",
        "_cut",
        "_finished",
        "_now",
        "_permit",
        "_spoke",
        "_tally",
        "_turn",
    )

    def __init__(
        self,
        turn: Turn,
        tally: Tally,
        cut: Cut,
        permit: Permit,
        continuation: Continuation | None,
        now: Clock,
    ) -> None:
        self._turn = turn
        self._tally = tally
        self._cut = cut
        self._permit = permit
        self._continuation = continuation
        self._now = now
        self._spoke = False
        self._finished = False

    async def play(
        self,
        provider: Provider,
        call: ModelCall,
        timeouts: Timeouts,
        opening: Opening,
        outbox: Sender[Item],
    ) -> None:
        """Ask, and pass on what comes until the answer is whole; raises `UpstreamFailure`.

        `opening` gives the events to begin with, once the provider has begun to answer, from what
        that was not asked.
        """
        clock = AttemptClock(timeouts)
        try:
            with clock.scope:
                answer = await provider.open(call, connect_s=timeouts.connect_s)
                await self._relay(answer, clock, opening, outbox)
            clock.check()
        except UpstreamFailure:
            # A finish reason makes an answer whole, however its stream ends after that.
            if not self._finished:
                raise

    async def _relay(
        self,
        answer: Answer,
        clock: AttemptClock,
        opening: Opening,
        outbox: Sender[Item],
    ) -> None:
        in_order = False
        try:
            clock.head_arrived()
            self._tally.asked = True
            await outbox.put(list(opening(answer.ignored)))
            while chunks := await answer.receive():
                items = self._take(chunks, clock)
                if items:
                    await outbox.put(items)
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

    def _take(self, chunks: list[Chunk], clock: AttemptClock) -> list[Item]:
        """Tally what one read brought; returns what of it goes on."""
        content = self._spoke
        for chunk in chunks:
            content = self._tally.hear(chunk) or content
        if content:
            clock.content_arrived()
            if not self._spoke:
                self._first_content()
        told: list[AnyEvent] = []
        if self._continuation is not None:
            chunks, told = self._continuation.step(chunks, self._tally)
        for chunk in chunks:
            self._cut.note(chunk)
        self._finished = self._tally.finished
        return [*told, *chunks] if told else chunks  # type: ignore[return-value]  # not added to

    def _first_content(self) -> None:
        self._spoke = True
        self._permit.succeeded(trio.current_time())
        if self._continuation is None:
            self._tally.kept = self._cut.seen = True
        if self._turn.first_token_at is None:
            self._turn.first_token_at = self._now()
            self._turn.stage = "streaming"
