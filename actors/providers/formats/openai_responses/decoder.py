"""Wire format `openai-responses`: turns Responses events and documents into chunks.

The events are those of OpenAI's API reference, "Streaming events" of Responses. They are the same
over HTTP and over a WebSocket.
"""

from collections.abc import Callable, Iterator
from functools import partial

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.base import Format, FormatSpec
from actors.providers.formats.decoding import Document, SseStream
from actors.providers.formats.lenient_fields import NULL, Number, one_line, read_or_none
from actors.providers.formats.openai_responses.answer_reader import (
    CALL_KINDS,
    AnswerReader,
    begin_message,
    item_texts,
    part_texts,
)
from actors.providers.formats.openai_responses.emitted_texts import TextKind, TextPosition
from actors.providers.formats.openai_responses.frames import (
    API,
    EMPTY,
    EVENT,
    RESPONSE,
    Event,
    Item,
    OutputItem,
    Response,
    read_item,
)
from actors.providers.formats.openai_responses.request import is_optional, translate
from actors.providers.formats.tool_names import OPENAI_NAMES
from actors.turn.chunks import Chunk, TextChunk
from actors.turn.model_call import UpstreamFailure

_TEXTS = {
    "output_text": TextKind.TEXT,
    "refusal": TextKind.REFUSAL,
    "reasoning_summary_text": TextKind.SUMMARY,
    "reasoning_text": TextKind.REASONING,
}
_DELTAS = {f"response.{name}.delta": kind for name, kind in _TEXTS.items()}
_DONES = {f"response.{name}.done": kind for name, kind in _TEXTS.items()}
_CALL_EVENTS = {
    f"response.{event}": type
    for name, type in (
        ("function_call_arguments", "function_call"),
        ("custom_tool_call_input", "custom_tool_call"),
    )
    for event in (f"{name}.delta", f"{name}.done")
}
"""Types of the calls that events carry the arguments of."""
_STATUSES = {None, "completed", "incomplete"}
"""Statuses of a finished whole answer; None because some servers omit the status."""
_FAILED = {"failed", "cancelled"}
_FAILURES = {f"response.{status}" for status in _FAILED}

BASE_URL = "https://api.openai.com/v1"
PATH = "/responses"


class _ErrorStatus(Struct):
    """The status of an error event, which is next to the error object."""

    status: Number | None = None


_read_status = msgspec.json.Decoder(_ErrorStatus).decode


class EventReader(AnswerReader[Event]):
    """Reader of an answer sent as events."""

    _frame_type = EVENT

    def _read_frame(self, event: Event, data: bytes, chunks: list[Chunk]) -> None:
        if event.error != NULL or "error" in (event.type, event.object):
            raise self._fail_with(data)
        if (handler := _HANDLERS.get(event.type or "")) is not None:
            handler(self, event, chunks)

    def _is_unreadable(self, event: Event, *, strict: bool) -> bool:
        """Ignore unknown types: the API adds new ones."""
        return event.type is None or (event.type in _HANDLERS and not strict)

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        failure = super()._fail_with(data)
        if failure.type == "error":  # the type of the event, not of the error
            failure.type = None
        found = read_or_none(_read_status, Raw(data))
        status = None if found is None else found.status
        if status is not None and 400 <= status <= 599:
            failure.status = status
        return failure

    def _delta(self, event: Event, chunks: list[Chunk]) -> None:
        self._add_piece(_position(_DELTAS[event.type or ""], event), event.delta, chunks)

    def _text_delta(self, event: Event, chunks: list[Chunk]) -> None:
        if event.delta:
            self._texts.add_piece(_position(TextKind.TEXT, event), event.delta)
            chunks.append(TextChunk(event.delta, _logprobs(event)))

    def _done(self, event: Event, chunks: list[Chunk]) -> None:
        whole = event.text or event.refusal
        self._complete(_position(_DONES[event.type or ""], event), whole, chunks)

    def _part_added(self, event: Event, chunks: list[Chunk]) -> None:
        for position, text in _part_texts(event):
            self._add_piece(position, text, chunks)

    def _annotation_added(self, event: Event, chunks: list[Chunk]) -> None:
        if event.annotation != NULL:
            self._cite([event.annotation], chunks)

    def _part_done(self, event: Event, chunks: list[Chunk]) -> None:
        for position, text in _part_texts(event):
            self._complete(position, text, chunks)

    def _item_added(self, event: Event, chunks: list[Chunk]) -> None:
        item = read_item(event.item)
        begin_message(item.fields, chunks)
        if item.fields.type in CALL_KINDS:
            self._announce_call(item, event.output_index or 0, chunks)

    def _item_done(self, event: Event, chunks: list[Chunk]) -> None:
        item, at, begun = read_item(event.item), event.output_index or 0, len(chunks)
        for position, text in item_texts(item.fields, at):
            self._complete(position, text, chunks)
        begin_message(item.fields, chunks, begun)
        self._complete_item(item, at, chunks)

    def _arguments_delta(self, event: Event, chunks: list[Chunk]) -> None:
        self._add_piece(self._position_of_call(event, chunks), event.delta, chunks)

    def _arguments_done(self, event: Event, chunks: list[Chunk]) -> None:
        whole = event.arguments or event.input
        self._complete(self._position_of_call(event, chunks), whole, chunks)

    def _position_of_call(self, event: Event, chunks: list[Chunk]) -> TextPosition:
        at, type = event.output_index or 0, _CALL_EVENTS[event.type or ""]
        call = self._call_at.get(at)
        return (call or self._new_call(OutputItem(Item(type=type), NULL), at, chunks)).position

    def _ended(self, event: Event, chunks: list[Chunk]) -> None:
        response = event.response or Response()
        response.usage = response.usage or event.usage
        if event.type in _FAILURES or response.status in _FAILED:
            raise self._failure_of(response, chunks)
        incomplete = event.type == "response.incomplete"
        self._finish_response(response, chunks, incomplete=incomplete)
        self.saw_end_marker = True


class WholeReader(AnswerReader[Response]):
    """Reader of an answer sent as one document."""

    _frame_type = RESPONSE

    def _read_frame(self, response: Response, data: bytes, chunks: list[Chunk]) -> None:
        if response.error != NULL or response.object == "error":
            self._emit_usage(response, chunks)
            raise self._fail_with(data)
        if response.status in _FAILED:
            raise self._failure_of(response, chunks)
        if response.status in _STATUSES and not self._is_unreadable(response, strict=True):
            self._finish_response(response, chunks, incomplete=False)

    def _is_unreadable(self, response: Response, *, strict: bool) -> bool:
        return response.status is None and response.output == NULL


def _position(kind: TextKind, event: Event) -> TextPosition:
    part = event.summary_index if kind is TextKind.SUMMARY else event.content_index
    return TextPosition(kind, event.output_index or 0, part or 0)


def _part_texts(event: Event) -> Iterator[tuple[TextPosition, str]]:
    """Yield the position and text of an event's part, if it is text."""
    index = event.content_index if event.summary_index is None else event.summary_index
    parts = () if event.part is None else (event.part,)
    return part_texts(parts, event.output_index or 0, index or 0)


def _logprobs(event: Event) -> str | None:
    """Return the log probabilities as JSON in the shape of Chat Completions."""
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
    "response.output_text.annotation.added": EventReader._annotation_added,
    "response.output_item.added": EventReader._item_added,
    "response.output_item.done": EventReader._item_done,
    "response.function_call_arguments.delta": EventReader._arguments_delta,
    "response.function_call_arguments.done": EventReader._arguments_done,
    "response.custom_tool_call_input.delta": EventReader._arguments_delta,
    "response.custom_tool_call_input.done": EventReader._arguments_done,
    **dict.fromkeys(
        ("response.completed", "response.incomplete", "response.done", *_FAILURES),
        EventReader._ended,
    ),
}
"""Handlers by event type; other events carry no content and are ignored."""


class ResponsesDecoder(EventReader, SseStream[Event]):
    """Decoder for a stream of server-sent events."""


class ResponsesWholeDecoder(WholeReader, Document[Response]):
    """Decoder for an answer sent as one document although a stream was requested."""


OPENAI_RESPONSES = Format(
    api=API,
    media=frozenset(
        {
            "image",
            "image/url",
            "image/other",
            "image/openai",
            "pdf",
            "pdf/url",
            "file",
            "file/url",
            "file/openai",
            "audio",
            "text",
        }
    ),
    path=lambda model: PATH,
    translate=partial(translate, stream=True),
    stream_decoder=ResponsesDecoder,
    whole_decoder=ResponsesWholeDecoder,
    tool_names=OPENAI_NAMES,
    optional=is_optional,
)
"""The Responses API; the base URL ends in `/v1`."""

FORMAT = FormatSpec("openai-responses", OPENAI_RESPONSES, BASE_URL, embeddings_path="/embeddings")
