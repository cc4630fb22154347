"""Attempt: sends one request to a route, records its usage and passes its chunks on.

The upstream connection is always closed or released before the attempt ends.
"""

from dataclasses import dataclass

import trio

from actors.attempts.client_tools import ClientTools
from actors.attempts.deadlines import AttemptClock
from actors.continuation.filter import ContinuationFilter
from actors.continuation.interruption import Interruption
from actors.ports import AnswerStream, Provider
from actors.routing.breaker import Permit
from actors.runtime.batch_channel import Sender
from actors.turn import events
from actors.turn.chunks import Chunk, FinishChunk
from actors.turn.events import AnyEvent
from actors.turn.model_call import FailureKind, ModelCall, Route, UpstreamFailure
from actors.turn.state import Clock, Turn
from actors.turn.step import AttemptUsage

Item = Chunk | AnyEvent
"""Item sent by the streamer: a chunk, or an event that only the streamer can create."""

_MAX_PATHS = 20
"""Maximum number of parameter paths listed in a message."""
_MAX_PATH_CHARS = 100
"""Maximum number of characters shown of each path."""


@dataclass(slots=True, eq=False)
class Attempt:
    """The state of one attempt. With a `continuation` it continues an interrupted answer."""

    _turn: Turn
    _usage: AttemptUsage
    _interruption: Interruption
    _permit: Permit
    _continuation: ContinuationFilter | None
    _now: Clock
    _clock: AttemptClock
    _outbox: Sender[Item]
    _has_content: bool = False
    _tools: ClientTools | None = None
    """Restores the calls of the client's tools, if functions stand in for some."""

    async def run(self, provider: Provider, call: ModelCall, changed: str) -> None:
        """Send the request and pass on the answer until it ends; raises `UpstreamFailure`.

        `changed` is the reason for trying this route if another one was tried before.
        """
        if call.client_tools:
            self._tools = ClientTools(call.client_tools, self._turn.id)
        try:
            with self._clock.scope:
                answer = await provider.open(
                    call, connect_s=self._clock.timeouts.connect_s, alive=self._clock.alive
                )
                await self._relay(answer, changed)
            self._clock.check()
        except UpstreamFailure:
            # A finish reason makes an answer complete, however its stream ends after that. But if
            # content followed, the server sends one with every piece, and it proves nothing.
            if not self._usage.complete:
                raise
        except trio.Cancelled:
            if self._usage.complete and self._continuation is None:
                await self._put_finish()  # noqa: ASYNC102 (it adds the finish before it waits)
            raise
        await self._put_finish()

    async def _put_finish(self) -> None:
        """Pass on the finish, which was held back because more of the answer can follow it."""
        if self._usage.finish is not None:
            await self._outbox.put(self._pass_on([self._usage.finish]))

    async def _relay(self, answer: AnswerStream, changed: str) -> None:
        in_order = False
        try:
            self._clock.head_arrived()
            self._usage.responded = True
            restart = self._interruption.take_restart()
            route, ignored = self._usage.route, answer.ignored
            await self._outbox.put(
                opening(self._turn, route, changed=changed, restart=restart, ignored=ignored)
            )
            while chunks := await answer.receive():
                items = self._take(chunks)
                if items:
                    await self._outbox.put(items)
            in_order = self._usage.finished
        finally:
            if in_order:
                answer.release()
            else:
                answer.close()
        if not self._usage.finished:
            raise UpstreamFailure(
                FailureKind.TRUNCATED, "The provider's answer ended without a finish reason."
            )

    def _take(self, chunks: list[Chunk]) -> list[Item]:
        """Record the chunks of one read and return the items to pass on."""
        content = self._has_content
        for chunk in chunks:
            content = self._usage.add_chunk(chunk) or content
        if content:
            self._clock.content_arrived()
            if not self._has_content:
                self._on_first_content()
        else:
            self._clock.alive()
        if self._usage.finish is not None:
            self._clock.finish_arrived()
            chunks = [chunk for chunk in chunks if type(chunk) is not FinishChunk]
        return self._pass_on(chunks)

    def _pass_on(self, chunks: list[Chunk]) -> list[Item]:
        """Note the chunks as shown and return the items to pass on."""
        if self._tools is not None:
            chunks = self._tools.step(chunks)
        notes: list[AnyEvent] = []
        if self._continuation is not None:
            chunks, notes = self._continuation.step(chunks, self._usage)
        note = self._interruption.shown.note
        for chunk in chunks:
            note(chunk)
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


def opening(
    turn: Turn, route: Route, *, changed: str, restart: str | None, ignored: tuple[str, ...] = ()
) -> list[Item]:
    """Return the events that an attempt sends when its provider begins to answer.

    The first attempt sends `started` and the notes on the request, later ones a change of route
    and a retry of the answer. `route` is recorded as the one that answers.

    `changed` is the reason for a change of route; `restart` the reason for a retry, or None.
    `ignored` are the parameters that the route ignores.
    """
    before, turn.answered_by = turn.answered_by, route
    opened: list[Item] = []
    if before is None:
        opened += [turn.started(route), *turn.request.notes]
    elif before != route:
        opened.append(events.RouteChanged(route.provider, route.upstream_model, changed))
    if restart is not None:
        turn.steps[-1].discard()
        opened.append(events.Retry(restart))
    if ignored:
        text = f"{route} does not support {join_paths(ignored)}."
        opened.append(events.Warning("parameter_ignored", text))
    return opened


def join_paths(paths: tuple[str, ...]) -> str:
    """List parameter paths, shortened, because the client controls their number and length."""
    shown = ", ".join(path[:_MAX_PATH_CHARS] for path in paths[:_MAX_PATHS])
    more = len(paths) - _MAX_PATHS
    return shown + (f" and {more} more" if more > 0 else "")
