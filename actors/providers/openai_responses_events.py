"""Responses events and documents to chunks; how they come off the wire is not known here.

The events are those of OpenAI's API reference, "Streaming events" of Responses. They are the same
over HTTP and over a WebSocket.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from actors.chunks import Chunk, TextChunk
from actors.providers.base import UpstreamFailure
from actors.providers.lenient import NULL, Number, one_line
from actors.providers.openai_responses_answer import AnswerReader, parts_of, place_of, text_of
from actors.providers.openai_responses_texts import Kind, Place
from actors.providers.openai_responses_wire import (
    EMPTY,
    Event,
    Item,
    Part,
    Response,
    read_event,
    read_response,
)

_DELTAS = {
    "response.output_text.delta": Kind.TEXT,
    "response.refusal.delta": Kind.REFUSAL,
    "response.reasoning_summary_text.delta": Kind.SUMMARY,
    "response.reasoning_text.delta": Kind.REASONING,
}
_DONES = {
    "response.output_text.done": Kind.TEXT,
    "response.refusal.done": Kind.REFUSAL,
    "response.reasoning_summary_text.done": Kind.SUMMARY,
    "response.reasoning_text.done": Kind.REASONING,
}
_STATUSES = {None, "completed", "incomplete"}
"""Of a whole answer that has come to its end; None is a server's that leaves the status out."""
_FAILED = {"failed", "cancelled"}


class _ErrorStatus(Struct):
    """What an error event has of its own, beside the error."""

    status: Number | None = None


class EventReader(AnswerReader):
    """Reads an answer event by event."""

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of one event. Raises `UpstreamFailure`."""
        try:
            event, strict = read_event(data)
        except msgspec.DecodeError:
            self._malformed(data, chunks)
            return
        if event.error != NULL or "error" in (event.type, event.object):
            raise self._fail_with(data)
        handler = _HANDLERS.get(event.type or "")
        before = len(chunks)
        if handler is not None:
            handler(self, event, chunks)
        meant = event.type is None or (handler is not None and not strict)
        if meant and len(chunks) == before:
            chunks.append(self._skipped(data))

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        failure = super()._fail_with(data)
        if failure.type == "error":  # the event's type, where the error has none of its own
            failure.type = None
        try:
            status = msgspec.json.decode(data, type=_ErrorStatus).status
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return failure
        if status is not None and 400 <= status <= 599:
            failure.status = status
        return failure

    def _delta(self, event: Event, chunks: list[Chunk]) -> None:
        self._grow(_place(_DELTAS[event.type or ""], event), event.delta, chunks)

    def _text_delta(self, event: Event, chunks: list[Chunk]) -> None:
        if event.delta:
            self._texts.grow(_place(Kind.TEXT, event), event.delta)
            chunks.append(TextChunk(event.delta, _logprobs(event)))

    def _done(self, event: Event, chunks: list[Chunk]) -> None:
        whole = event.text or event.refusal
        self._complete(_place(_DONES[event.type or ""], event), whole, chunks)

    def _part_added(self, event: Event, chunks: list[Chunk]) -> None:
        if (place := _place_of_part(event)) is not None:
            self._grow(place, text_of(event.part or Part()), chunks)

    def _part_done(self, event: Event, chunks: list[Chunk]) -> None:
        if (place := _place_of_part(event)) is not None:
            self._complete(place, text_of(event.part or Part()), chunks)

    def _item_added(self, event: Event, chunks: list[Chunk]) -> None:
        item = event.item
        if item is not None and item.type == "function_call":
            self._call(item, event.output_index or 0, chunks)

    def _item_done(self, event: Event, chunks: list[Chunk]) -> None:
        item, at = event.item or Item(), event.output_index or 0
        for place, text in parts_of(item, at):
            self._complete(place, text, chunks)
        if item.type == "function_call":
            self._whole_call(item, at, chunks)

    def _arguments_delta(self, event: Event, chunks: list[Chunk]) -> None:
        self._grow(self._place_of_call(event, chunks), event.delta, chunks)

    def _arguments_done(self, event: Event, chunks: list[Chunk]) -> None:
        self._complete(self._place_of_call(event, chunks), event.arguments, chunks)

    def _place_of_call(self, event: Event, chunks: list[Chunk]) -> Place:
        at = event.output_index or 0
        return (self._call_at.get(at) or self._new_call(Item(), at, chunks)).place

    def _completed(self, event: Event, chunks: list[Chunk]) -> None:
        response = event.response or Response()
        if response.status in _FAILED:
            raise self._failed(response, chunks)
        self._ended(response, chunks, incomplete=False)
        self.marked = True

    def _incomplete(self, event: Event, chunks: list[Chunk]) -> None:
        self._ended(event.response or Response(), chunks, incomplete=True)
        self.marked = True

    def _response_failed(self, event: Event, chunks: list[Chunk]) -> None:
        raise self._failed(event.response or Response(), chunks)


class WholeReader(AnswerReader):
    """Reads an answer that is one document."""

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of the answer. Raises `UpstreamFailure`."""
        try:
            response, _ = read_response(data)
        except msgspec.DecodeError:
            self._malformed(data, chunks)
            return
        if response.error != NULL or response.object == "error":
            self._tell_usage(response, chunks)
            raise self._fail_with(data)
        if response.status in _FAILED:
            raise self._failed(response, chunks)
        if response.status is None and response.output is None:
            chunks.append(self._skipped(data))
        elif response.status in _STATUSES:
            self._ended(response, chunks, incomplete=False)


def _place(kind: Kind, event: Event) -> Place:
    part = event.summary_index if kind is Kind.SUMMARY else event.content_index
    return Place(kind, event.output_index or 0, part or 0)


def _place_of_part(event: Event) -> Place | None:
    index = event.content_index if event.summary_index is None else event.summary_index
    if event.part is None:
        return None
    return place_of(event.part, event.output_index or 0, index or 0)


def _logprobs(event: Event) -> str | None:
    """In the shape of Chat Completions, which is the one that clients are given."""
    if event.logprobs in (NULL, EMPTY):
        return None
    return f'{{"content":{one_line(event.logprobs)},"refusal":null}}'


_HANDLERS: dict[str, Callable[[EventReader, Event, list[Chunk]], None]] = {
    **dict.fromkeys(_DELTAS, EventReader._delta),
    **dict.fromkeys(_DONES, EventReader._done),
    "response.output_text.delta": EventReader._text_delta,
    "response.content_part.added": EventReader._part_added,
    "response.reasoning_summary_part.added": EventReader._part_added,
    "response.content_part.done": EventReader._part_done,
    "response.reasoning_summary_part.done": EventReader._part_done,
    "response.output_item.added": EventReader._item_added,
    "response.output_item.done": EventReader._item_done,
    "response.function_call_arguments.delta": EventReader._arguments_delta,
    "response.function_call_arguments.done": EventReader._arguments_done,
    "response.completed": EventReader._completed,
    "response.incomplete": EventReader._incomplete,
    "response.failed": EventReader._response_failed,
}
"""All others have nothing that is shown, and are ignored."""
