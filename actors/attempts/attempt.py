"""Attempt: sends one request to a route, records its usage and passes its chunks on.

The upstream connection is always closed or released before the attempt ends.
"""

from dataclasses import dataclass

import trio

from actors.attempts.deadlines import AttemptClock
from actors.attempts.opening_events import opening
from actors.continuation.filter import ContinuationFilter
from actors.continuation.interruption import Interruption
from actors.ports import AnswerStream, Provider
from actors.routing.breaker import Permit
from actors.runtime.batch_channel import Sender
from actors.turn.chunks import Chunk
from actors.turn.events import AnyEvent
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.request import Timeouts
from actors.turn.state import Clock, Turn
from actors.turn.step import AttemptUsage

Item = Chunk | AnyEvent
"""Item sent by the streamer: a chunk, or an event that only the streamer can create."""


@dataclass(slots=True, eq=False)
class Attempt:
    """The state of one attempt. With a `continuation` it continues an interrupted answer."""

    _turn: Turn
    _usage: AttemptUsage
    _interruption: Interruption
    _permit: Permit
    _continuation: ContinuationFilter | None
    _now: Clock
    _has_content: bool = False
    _finished: bool = False

    async def run(
        self,
        provider: Provider,
        call: ModelCall,
        timeouts: Timeouts,
        changed: str,
        outbox: Sender[Item],
    ) -> None:
        """Send the request and pass on the answer until it ends; raises `UpstreamFailure`.

        `changed` is the reason for trying this route if another one was tried before.
        """
        clock = AttemptClock(timeouts)
        try:
            with clock.scope:
                answer = await provider.open(call, connect_s=timeouts.connect_s)
                await self._relay(answer, clock, changed, outbox)
            clock.check()
        except UpstreamFailure:
            # A finish reason makes an answer complete, however its stream ends after that.
            if not self._finished:
                raise

    async def _relay(
        self,
        answer: AnswerStream,
        clock: AttemptClock,
        changed: str,
        outbox: Sender[Item],
    ) -> None:
        in_order = False
        try:
            clock.head_arrived()
            self._usage.responded = True
            await outbox.put([*self._opening(changed, answer.ignored)])
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

    def _opening(self, changed: str, ignored: tuple[str, ...]) -> list[AnyEvent]:
        restart = self._interruption.take_restart()
        route = self._usage.route
        return opening(self._turn, route, changed=changed, restart=restart, ignored=ignored)

    def _take(self, chunks: list[Chunk], clock: AttemptClock) -> list[Item]:
        """Record the chunks of one read and return the items to pass on."""
        content = self._has_content
        for chunk in chunks:
            content = self._usage.add_chunk(chunk) or content
        if content:
            clock.content_arrived()
            if not self._has_content:
                self._on_first_content()
        notes: list[AnyEvent] = []
        if self._continuation is not None:
            chunks, notes = self._continuation.step(chunks, self._usage)
        note = self._interruption.shown.note
        for chunk in chunks:
            note(chunk)
        self._finished = self._usage.finished
        # Without notes the list isn't copied. Its wider element type is safe: it is given away.
        return [*notes, *chunks] if notes else chunks  # type: ignore[return-value]

    def _on_first_content(self) -> None:
        self._has_content = True
        self._permit.succeeded(trio.current_time())
        if self._continuation is None:
            self._usage.kept = True
            self._interruption.seen = True
        if self._turn.first_token_at is None:
            self._turn.first_token_at = self._now()
            self._turn.stage = "streaming"
