"""Renders simulated answers with the dialects that render our own answers.

The upstream formats of `actors.providers.formats` decode them with code of their own, so a mistake
in a dialect or a decoder still shows as a difference.
"""

import sys
from collections.abc import Sequence

from actors.accumulator import Accumulator
from actors.answer.builder import AnswerBuilder
from actors.turn.chunks import Chunk, FinishChunk, TextChunk
from actors.turn.events import AnyEvent, Ended, Started, Text
from actors.turn.outcome import STATUS_OF, ErrorInfo, Reason, Usage
from web.dialects.base import DialectSpec
from web.dialects.frames import START
from web.drill.witness.formats.base import FAILED, Content, IncomingCall, Renderer, encode


class DialectRenderer(Renderer):
    """A renderer of one answer in a dialect; a subclass adds the frames that are specific."""

    dialect: DialectSpec
    last = b""
    """The frame that ends a complete stream."""

    def __init__(self, incoming: IncomingCall, number: int, created: int) -> None:
        super().__init__(incoming, number, created)
        self._options = {**incoming.options, "include_usage": incoming.include_usage}
        self._stream = self.dialect.stream(self._options, START)
        self._accumulator = Accumulator(sys.maxsize)
        self._answer = AnswerBuilder()
        self._started = Started(
            turn_id=f"turn_simulated_{number}",
            model=incoming.call.upstream_model,
            provider=None,
            upstream_model=incoming.call.upstream_model,
            created_at=created,
            input_estimate=incoming.input_tokens,
        )
        self._unsent: list[AnyEvent] = [self._started]

    def frame(self, chunk: Chunk) -> bytes:
        if type(chunk) is TextChunk and not self._unsent:  # a fast path for most chunks
            return _without_ids(self._stream.render([Text(chunk.text, chunk.logprobs)]))
        return super().frame(chunk)

    def content(self, chunk: Content) -> bytes:
        return self._render(self._events([chunk]))

    def finish(self, reason: Reason, usage: Usage | None) -> bytes:
        return self._render(self._end(reason, usage)).removesuffix(self.last)

    def error_frame(self, code: str | None) -> bytes:
        return self._render([self._failed(code)])

    def end(self) -> bytes:
        return self.last

    def document(self, content: Sequence[Content], reason: Reason, usage: Usage | None) -> bytes:
        journal = [self._started, *self._events(content), *self._end(reason, usage)]
        return encode(self.dialect.whole(journal, self._options, None))

    def _render(self, events: list[AnyEvent]) -> bytes:
        if self._unsent:
            events, self._unsent = [*self._unsent, *events], []
        frames = self._stream.render(events)
        while self._stream.pending:
            frames += self._stream.render([])
        return _without_ids(frames)

    def _events(self, chunks: Sequence[Chunk]) -> list[AnyEvent]:
        drafts = self._accumulator.step([*chunks])
        events = [draft for draft in drafts if not isinstance(draft, FinishChunk)]
        for event in events:
            self._answer.add(event)
        return events

    def _end(self, reason: Reason, usage: Usage | None) -> list[AnyEvent]:
        return [*self._answer.whole_calls(), self._ended(reason, usage)]

    def _failed(self, code: str | None) -> Ended:
        error = ErrorInfo(status=500, message=FAILED, type="server_error", code=code)
        return self._ended(Reason.UPSTREAM_ERROR, None, error)

    def _ended(self, reason: Reason, usage: Usage | None, error: ErrorInfo | None = None) -> Ended:
        created_at = self._started.created_at
        return Ended(
            status=STATUS_OF[reason],
            reason=reason,
            usage=usage,
            cost_micros=0,
            provider=None,
            upstream_model=self._started.upstream_model,
            created_at=created_at,
            first_token_at=None,
            ended_at=created_at,
            error=error,
        )


def _without_ids(frames: bytes) -> bytes:
    """Return the frames without their `id` lines, which other providers don't send."""
    return b"\n\n".join(
        [
            frame.partition(b"\n")[2] if frame.startswith(b"id:") else frame
            for frame in frames.split(b"\n\n")
        ]
    )
