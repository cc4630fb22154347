"""Base class for reading a Responses answer: texts, calls, other items, usage and finish."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from actors.providers.formats.citations import citation
from actors.providers.formats.finish_words import meaning_of
from actors.providers.formats.lenient_fields import F, read_or_none
from actors.providers.formats.openai_responses.emitted_texts import TextKind, TextPosition, Texts
from actors.providers.formats.openai_responses.frames import (
    API,
    CALL_EXTRAS,
    IncompleteDetails,
    Item,
    OutputItem,
    Part,
    Response,
    read_items,
)
from actors.providers.formats.reader import Reader
from actors.providers.redaction import Scrub
from actors.turn.chunks import (
    AnnotationChunk,
    CallKind,
    Chunk,
    MessagePhaseChunk,
    NativeItemChunk,
    ReasoningChunk,
    ReasoningStateChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
)
from actors.turn.model_call import UpstreamFailure
from actors.turn.outcome import Reason

_KINDS = {
    "output_text": TextKind.TEXT,
    "refusal": TextKind.REFUSAL,
    "summary_text": TextKind.SUMMARY,
    "reasoning_text": TextKind.REASONING,
}
CALL_KINDS: dict[str, CallKind] = {"function_call": "function", "custom_tool_call": "custom"}
"""Kinds of the calls of a client's tools, by type of item."""
_WITH_TEXT = (None, "message", "reasoning")
_BETWEEN_SUMMARIES = "\n\n"
"""Separator between parts of a reasoning summary, which are paragraphs without line breaks."""


_decode_object = msgspec.json.Decoder(dict[str, object]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode


class _Call(Struct, gc=False):
    """A call; `id` is None until an event contains it."""

    index: int
    id: str | None
    item_id: str | None
    """Id of the call's item, which is unique even if the server gives all calls one id."""
    kind: CallKind
    announced: str = ""
    """Complete text that the call had when it was added."""
    done: bool = False

    @property
    def position(self) -> TextPosition:
        """Position of the call's arguments or input."""
        text = TextKind.ARGUMENTS if self.kind == "function" else TextKind.INPUT
        return TextPosition(text, self.index)


class AnswerReader(Reader[F]):
    """Base of `EventReader` and `WholeReader`."""

    _text_in = re.compile(rb'"(?:delta|text|refusal|arguments|input)"\s{0,8}:\s{0,8}"[^"]')

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._texts = Texts()
        self._summary: TextPosition | None = None
        """Position of the last piece of a reasoning summary."""
        self._calls: dict[str, list[_Call]] = {}
        """Calls by id, which some servers use for several calls; those without an id by ""."""
        self._call_at: dict[int, _Call] = {}
        """Calls by output index; the latest, as some servers give all items the same index."""
        self._native: set[str] = set()
        """Ids of the emitted items that only this API has, or their JSON if they have no id."""
        self._states: set[str] = set()
        """Emitted states of reasoning."""
        self._cited: set[AnnotationChunk] = set()
        """Emitted citations."""

    @property
    def _started(self) -> bool:
        """True once part of the answer has been emitted."""
        return self._texts.started or self._call_count > 0 or bool(self._native)

    def _add_piece(self, position: TextPosition, piece: str | None, chunks: list[Chunk]) -> None:
        """Emit a piece of a text."""
        if piece:
            self._texts.add_piece(position, piece)
            self._emit(position, piece, chunks)

    def _complete(self, position: TextPosition, whole: str | None, chunks: list[Chunk]) -> None:
        """Emit the part of a complete text that hasn't been emitted yet."""
        if whole and (rest := self._texts.rest(position, whole)):
            self._emit(position, rest, chunks)

    def _emit(self, position: TextPosition, text: str, chunks: list[Chunk]) -> None:
        match position.kind:
            case TextKind.TEXT:
                chunks.append(TextChunk(text))
            case TextKind.REFUSAL:
                chunks.append(RefusalChunk(text))
            case TextKind.ARGUMENTS:
                chunks.append(ToolCallChunk(position.item, None, None, text))
            case TextKind.INPUT:
                chunks.append(ToolCallChunk(position.item, None, None, text, "custom"))
            case TextKind.SUMMARY | TextKind.REASONING:
                self._emit_reasoning(position, text, chunks)

    def _emit_reasoning(self, position: TextPosition, text: str, chunks: list[Chunk]) -> None:
        if position.kind is TextKind.SUMMARY:
            if self._summary not in (None, position):
                chunks.append(ReasoningChunk(_BETWEEN_SUMMARIES))
            self._summary = position
        chunks.append(ReasoningChunk(text))

    def _call(
        self, item: OutputItem, at: int, chunks: list[Chunk], *, begins: bool = False
    ) -> _Call:
        """Return the call of an item at an output index; emit it if it is new.

        `begins` is true if the item is new by its event.
        """
        fields = item.fields
        known = self._known_call(fields, at, begins=begins)
        if known is None:
            return self._new_call(item, at, chunks)
        if known.id is None and fields.call_id:
            self._set_id(known, fields.call_id)
            chunks.append(self._call_chunk(known, item, ""))
        return known

    def _announce_call(self, item: OutputItem, at: int, chunks: list[Chunk]) -> None:
        """Emit a call, but not yet a text that is complete: most servers send it in pieces, too."""
        text = _text_of(item.fields) or ""
        if not _is_complete(item.fields.type, text):
            self._call(item, at, chunks, begins=True)
            return
        bare = replace(item.fields, arguments=None, input=None)
        call = self._call(OutputItem(bare, item.json), at, chunks, begins=True)
        call.announced = text

    def _known_call(self, item: Item, at: int, *, begins: bool) -> _Call | None:
        known = self._call_at.get(at)
        if known is None or known.id not in (None, item.call_id):
            same = self._calls.get(item.call_id or "", [])
            known = same[-1] if same and item.call_id and not begins else None
        if known is None:
            return None
        another = item.id and known.item_id and item.id != known.item_id
        return None if (known.done and begins) or (another and (known.done or begins)) else known

    def _new_call(self, item: OutputItem, at: int, chunks: list[Chunk]) -> _Call:
        fields, kind = item.fields, CALL_KINDS.get(item.fields.type or "", "function")
        call = _Call(self._call_count, fields.call_id or None, fields.id, kind)
        self._call_at[at] = call
        self._call_count += 1
        self._calls.setdefault(fields.call_id or "", []).append(call)
        started = _text_of(fields) or ""
        if started:
            self._texts.add_piece(call.position, started)
        chunks.append(self._call_chunk(call, item, started))
        return call

    def _call_chunk(self, call: _Call, item: OutputItem, text: str) -> ToolCallChunk:
        name = item.fields.name or None
        return ToolCallChunk(call.index, call.id, name, text, call.kind, _extras(item.json))

    def _set_id(self, call: _Call, id: str) -> None:
        self._calls[""].remove(call)
        call.id = id
        self._calls.setdefault(id, []).append(call)

    def _complete_item(self, item: OutputItem, at: int, chunks: list[Chunk]) -> None:
        """Emit what an item has apart from texts, as far as it hasn't been emitted yet."""
        if item.fields.type in CALL_KINDS:
            call = self._call(item, at, chunks)
            call.done = True
            self._complete(call.position, _text_of(item.fields), chunks)
        else:
            self._complete_other(item, at, chunks)

    def _complete_other(self, item: OutputItem, at: int, chunks: list[Chunk]) -> None:
        self._end_texts(item.fields, chunks)
        if item.fields.type not in _WITH_TEXT and not any(item_texts(item.fields, at)):
            self._add_native(item, chunks)

    def _add_native(self, item: OutputItem, chunks: list[Chunk]) -> None:
        # Decoded and encoded, because a `Raw` may have escapes that nothing can decode later.
        whole = read_or_none(_decode_object, item.json)
        if whole is None:
            chunks.append(self._skipped(bytes(item.json)))
            return
        text = msgspec.json.encode(whole).decode()
        key = item.fields.id or text
        if key not in self._native:
            self._native.add(key)
            chunks.append(NativeItemChunk(API, text))

    def _finish_response(
        self, response: Response, chunks: list[Chunk], *, incomplete: bool
    ) -> None:
        """Emit the content that no event carried, then the usage and the finish."""
        for call in chain.from_iterable(self._calls.values()):
            self._complete(call.position, call.announced, chunks)
        final_texts = self._texts.final_texts()
        given = Counter[str | None]()
        for at, item in enumerate(read_items(response.output)):
            begun = len(chunks)
            for position, text in item_texts(item.fields, at):
                if rest := final_texts.rest(position.kind, text):
                    self._emit(position, rest, chunks)
            begin_message(item.fields, chunks, begun)
            if item.fields.type in CALL_KINDS:
                self._complete_last(item, at, given[item.fields.call_id], chunks)
                given[item.fields.call_id] += 1
            else:
                self._complete_other(item, at, chunks)
        self._emit_usage(response, chunks)
        self._finish(self._reason_of(response, incomplete=incomplete), chunks)

    def _end_texts(self, item: Item, chunks: list[Chunk]) -> None:
        """Emit the citations of an item's texts, and the state of its reasoning."""
        for part in item.content or ():
            self._cite(read_or_none(_decode_list, part.annotations) or (), chunks)
        state = item.encrypted_content
        if item.type == "reasoning" and state and state not in self._states:
            self._states.add(state)
            encoded = msgspec.json.encode({"encrypted_content": state}).decode()
            chunks.append(ReasoningStateChunk(API, encoded))

    def _cite(self, annotations: Iterable[Raw], chunks: list[Chunk]) -> None:
        """Emit citations, which come in up to four events, once."""
        for annotation in annotations:
            chunk = citation(read_or_none(_decode_object, annotation))
            if chunk is not None and chunk not in self._cited:
                self._cited.add(chunk)
                chunks.append(chunk)

    def _complete_last(self, item: OutputItem, at: int, nth: int, chunks: list[Chunk]) -> None:
        """Complete a call of the final response, whose items may have other indexes and item ids.

        It is the `nth` call with its id.
        """
        same = self._calls.get(item.fields.call_id or "", [])
        call = same[nth] if nth < len(same) else self._call(item, at, chunks, begins=nth > 0)
        self._complete(call.position, _text_of(item.fields), chunks)

    def _reason_of(self, response: Response, *, incomplete: bool) -> Reason:
        if incomplete or response.status == "incomplete":
            details = response.incomplete_details or IncompleteDetails()
            filtered = meaning_of(details.reason or "") is Reason.CONTENT_FILTER
            return Reason.CONTENT_FILTER if filtered else Reason.LENGTH
        return Reason.STOP

    def _emit_usage(self, response: Response, chunks: list[Chunk]) -> None:
        if self._count(response.usage):
            self._report_usage(chunks)

    def _failure_of(self, response: Response, chunks: list[Chunk]) -> UpstreamFailure:
        """Emit the usage, because a failed answer is charged too, and return the failure."""
        self._emit_usage(response, chunks)
        return self._fail_with(bytes(response.error))


def begin_message(item: Item, chunks: list[Chunk], begun: int | None = None) -> None:
    """Emit the phase of a message that begins, if it has one.

    If the message has come as a whole, `begun` is the number of chunks before it. Nothing is
    emitted unless it begins with them: a message that the client has seen cannot begin again.
    """
    if item.type != "message" or not item.phase:
        return
    first = next((text for _, text in item_texts(item, 0)), "")
    if begun is None or chunks[begun : begun + 1] == [TextChunk(first)]:
        chunks.insert(len(chunks) if begun is None else begun, MessagePhaseChunk(item.phase))


def _text_of(call: Item) -> str | None:
    return call.input if call.type == "custom_tool_call" else call.arguments


def _is_complete(type: str | None, text: str) -> bool:
    """Return whether the text of a call that begins is complete, as far as one can see."""
    if type == "custom_tool_call" or not text:
        return True
    return read_or_none(_decode_object, Raw(text.encode())) is not None


def _extras(call: Raw) -> str | None:
    """Return the fields of a call that only this API has, as JSON, or None if it has none."""
    given = read_or_none(_decode_object, call) or {}
    extras = {name: given[name] for name in CALL_EXTRAS if given.get(name) is not None}
    return msgspec.json.encode(extras).decode() if extras else None


def item_texts(item: Item, at: int) -> Iterator[tuple[TextPosition, str]]:
    """Yield the positions and texts of the item at an output index."""
    yield from part_texts(item.summary or (), at)
    yield from part_texts(item.content or (), at)


def part_texts(
    parts: Iterable[Part], item: int, first: int = 0
) -> Iterator[tuple[TextPosition, str]]:
    """Yield the positions and texts of an item's parts that are text."""
    for index, part in enumerate(parts, first):
        if (kind := _KINDS.get(part.type or "")) is not None:
            yield TextPosition(kind, item, index), part.text or part.refusal or ""
