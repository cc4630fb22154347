"""Base class for reading a Responses answer: texts, tool calls, usage and finish."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from actors.providers.formats.decoding import Reader
from actors.providers.formats.finish_words import meaning_of
from actors.providers.formats.lenient_fields import F
from actors.providers.formats.openai_responses.emitted_texts import TextKind, TextPosition, Texts
from actors.providers.formats.openai_responses.frames import (
    IncompleteDetails,
    Item,
    Part,
    Response,
)
from actors.providers.redaction import Scrub
from actors.turn.chunks import (
    Chunk,
    ReasoningChunk,
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
_BETWEEN_SUMMARIES = "\n\n"
"""Separator between parts of a reasoning summary, which are paragraphs without line breaks."""


class _Call(Struct, gc=False):
    """A function call; `id` is None until an event contains it."""

    index: int
    id: str | None
    item_id: str | None
    """Id of the call's item, which is unique even if the server gives all calls one id."""
    done: bool = False

    @property
    def position(self) -> TextPosition:
        """Position of the call's arguments."""
        return TextPosition(TextKind.ARGUMENTS, self.index)


class AnswerReader(Reader[F]):
    """Base of `EventReader` and `WholeReader`."""

    _text_in = re.compile(rb'"(?:delta|text|refusal|arguments)"\s{0,8}:\s{0,8}"[^"]')

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._texts = Texts()
        self._summary: TextPosition | None = None
        """Position of the last piece of a reasoning summary."""
        self._calls: dict[str, list[_Call]] = {}
        """Calls by id, which some servers use for several calls; those without an id by ""."""
        self._call_at: dict[int, _Call] = {}
        """Calls by output index; the latest, as some servers give all items the same index."""

    @property
    def _started(self) -> bool:
        """True once part of the answer has been emitted."""
        return self._texts.started or self._call_count > 0

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
            case TextKind.SUMMARY | TextKind.REASONING:
                self._emit_reasoning(position, text, chunks)

    def _emit_reasoning(self, position: TextPosition, text: str, chunks: list[Chunk]) -> None:
        if position.kind is TextKind.SUMMARY:
            if self._summary not in (None, position):
                chunks.append(ReasoningChunk(_BETWEEN_SUMMARIES))
            self._summary = position
        chunks.append(ReasoningChunk(text))

    def _call(self, item: Item, at: int, chunks: list[Chunk], *, begins: bool = False) -> _Call:
        """Return the call of an item at an output index; emit it if it is new.

        `begins` is true if the item is new by its event.
        """
        known = self._known_call(item, at, begins=begins)
        if known is None:
            return self._new_call(item, at, chunks)
        if known.id is None and item.call_id:
            self._set_id(known, item.call_id)
            chunks.append(ToolCallChunk(known.index, known.id, item.name or None, ""))
        return known

    def _known_call(self, item: Item, at: int, *, begins: bool) -> _Call | None:
        known = self._call_at.get(at)
        if known is None or known.id not in (None, item.call_id):
            same = self._calls.get(item.call_id or "", [])
            known = same[-1] if same and item.call_id and not begins else None
        if known is None:
            return None
        another = item.id and known.item_id and item.id != known.item_id
        return None if (known.done and begins) or (another and (known.done or begins)) else known

    def _new_call(self, item: Item, at: int, chunks: list[Chunk]) -> _Call:
        call = self._call_at[at] = _Call(self._call_count, item.call_id or None, item.id)
        self._call_count += 1
        self._calls.setdefault(item.call_id or "", []).append(call)
        started = item.arguments or ""
        if started:
            self._texts.add_piece(call.position, started)
        chunks.append(ToolCallChunk(call.index, call.id, item.name or None, started))
        return call

    def _set_id(self, call: _Call, id: str) -> None:
        self._calls[""].remove(call)
        call.id = id
        self._calls.setdefault(id, []).append(call)

    def _complete_call(self, item: Item, at: int, chunks: list[Chunk]) -> None:
        call = self._call(item, at, chunks)
        call.done = True
        self._complete(call.position, item.arguments, chunks)

    def _finish_response(
        self, response: Response, chunks: list[Chunk], *, incomplete: bool
    ) -> None:
        """Emit the content that no event carried, then the usage and the finish."""
        final_texts = self._texts.final_texts()
        given = Counter[str | None]()
        for at, item in enumerate(response.output or ()):
            for position, text in item_texts(item, at):
                if rest := final_texts.rest(position.kind, text):
                    self._emit(position, rest, chunks)
            if item.type == "function_call":
                self._complete_last(item, at, given[item.call_id], chunks)
                given[item.call_id] += 1
        self._emit_usage(response, chunks)
        self._finish(self._reason_of(response, incomplete=incomplete), chunks)

    def _complete_last(self, item: Item, at: int, nth: int, chunks: list[Chunk]) -> None:
        """Complete a call of the final response, whose items may have other indexes and item ids.

        It is the `nth` call with its id.
        """
        same = self._calls.get(item.call_id or "", [])
        call = same[nth] if nth < len(same) else self._call(item, at, chunks, begins=nth > 0)
        self._complete(call.position, item.arguments, chunks)

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
