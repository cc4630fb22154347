"""The state of one Responses answer while it is read: its texts, its calls, and how it ends."""

import re
from collections.abc import Iterator

from msgspec import Struct

from actors.chunks import (
    Chunk,
    ReasoningChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.outcome import Reason, Usage
from actors.providers.base import UpstreamFailure
from actors.providers.decoding import Reader
from actors.providers.openai_responses_texts import Kind, Place, Texts
from actors.providers.openai_responses_wire import Item, Part, Response, TokenUsage
from actors.providers.scrub import Scrub

_KINDS = {
    "output_text": Kind.TEXT,
    "refusal": Kind.REFUSAL,
    "summary_text": Kind.SUMMARY,
    "reasoning_text": Kind.REASONING,
}
_BETWEEN_SUMMARIES = "\n\n"
"""The parts of a summary are paragraphs, which nothing but their being parts says."""


class _Call(Struct, gc=False):
    """A function call; `id` is None until an event tells it."""

    index: int
    id: str | None

    @property
    def place(self) -> Place:
        """Where its arguments stand."""
        return Place(Kind.ARGUMENTS, self.index)


class AnswerReader(Reader):
    """What reading events and reading a whole answer have in common."""

    _text_in = re.compile(rb'"(?:delta|text|refusal|arguments)"\s{0,8}:\s{0,8}"[^"]')

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._texts = Texts()
        self._summary: Place | None = None
        """Where the last piece of a summary stood."""
        self._calls: dict[str, _Call] = {}
        """By id."""
        self._call_at: dict[int, _Call] = {}
        """By the item's index in the output; the latest, where a server gives all the same."""
        self._calls_made = 0

    @property
    def _begun(self) -> bool:
        """Something of the answer has been shown."""
        return self._texts.begun or self._calls_made > 0

    def _grow(self, place: Place, piece: str | None, chunks: list[Chunk]) -> None:
        """A piece of a text."""
        if piece:
            self._texts.grow(place, piece)
            self._show(place, piece, chunks)

    def _complete(self, place: Place, whole: str | None, chunks: list[Chunk]) -> None:
        """A whole text, of which all or nothing may have been shown."""
        if whole and (rest := self._texts.rest(place, whole)):
            self._show(place, rest, chunks)

    def _show(self, place: Place, text: str, chunks: list[Chunk]) -> None:
        match place.kind:
            case Kind.TEXT:
                chunks.append(TextChunk(text))
            case Kind.REFUSAL:
                chunks.append(RefusalChunk(text))
            case Kind.ARGUMENTS:
                chunks.append(ToolCallChunk(place.item, None, None, text))
            case Kind.SUMMARY | Kind.REASONING:
                self._think(place, text, chunks)

    def _think(self, place: Place, text: str, chunks: list[Chunk]) -> None:
        if place.kind is Kind.SUMMARY:
            if self._summary not in (None, place):
                chunks.append(ReasoningChunk(_BETWEEN_SUMMARIES))
            self._summary = place
        chunks.append(ReasoningChunk(text))

    def _call(self, item: Item, at: int, chunks: list[Chunk]) -> _Call:
        """The call that an item at an index of the output is."""
        known = self._calls.get(item.call_id or "")
        if known is None and (there := self._call_at.get(at)) is not None and there.id is None:
            known = there
        if known is None:
            return self._new_call(item, at, chunks)
        if known.id is None and item.call_id:
            self._name(known, item.call_id)
            chunks.append(ToolCallChunk(known.index, known.id, item.name or None, ""))
        return known

    def _new_call(self, item: Item, at: int, chunks: list[Chunk]) -> _Call:
        call = self._call_at[at] = _Call(self._calls_made, None)
        self._calls_made += 1
        if item.call_id:
            self._name(call, item.call_id)
        begun = item.arguments or ""
        if begun:
            self._texts.grow(call.place, begun)
        chunks.append(ToolCallChunk(call.index, call.id, item.name or None, begun))
        return call

    def _name(self, call: _Call, id: str) -> None:
        call.id = id
        self._calls[id] = call

    def _whole_call(self, item: Item, at: int, chunks: list[Chunk]) -> None:
        call = self._call(item, at, chunks)
        self._complete(call.place, item.arguments, chunks)

    def _ended(self, response: Response, chunks: list[Chunk], *, incomplete: bool) -> None:
        """What was not said before, then usage and the finish."""
        recount = self._texts.recount()
        for at, item in enumerate(response.output or ()):
            for place, text in parts_of(item, at):
                if rest := recount.rest(place.kind, text):
                    self._show(place, rest, chunks)
            if item.type == "function_call":
                self._whole_call(item, at, chunks)
        self._tell_usage(response, chunks)
        self._finish(self._reason(response, incomplete=incomplete), chunks)

    def _reason(self, response: Response, *, incomplete: bool) -> Reason:
        if incomplete or response.status == "incomplete":
            details = response.incomplete_details
            filtered = details is not None and details.reason == "content_filter"
            return Reason.CONTENT_FILTER if filtered else Reason.LENGTH
        return Reason.TOOL_CALLS if self._calls_made else Reason.STOP

    def _tell_usage(self, response: Response, chunks: list[Chunk]) -> None:
        if response.usage is not None and (usage := _usage(response.usage)) is not None:
            chunks.append(UsageChunk(usage))

    def _failed(self, response: Response, chunks: list[Chunk]) -> UpstreamFailure:
        """The failure of an answer; what it has cost is told before."""
        self._tell_usage(response, chunks)
        return self._fail_with(bytes(response.error))


def place_of(part: Part, item: int, index: int) -> Place | None:
    """Where a part's text stands; None where it is no text."""
    kind = _KINDS.get(part.type or "")
    return None if kind is None else Place(kind, item, index)


def text_of(part: Part) -> str:
    """The text of a part, a refusal too."""
    return part.text or part.refusal or ""


def parts_of(item: Item, at: int) -> Iterator[tuple[Place, str]]:
    """The texts of an item that stands at this index of the output."""
    for parts in (item.summary, item.content):
        for index, part in enumerate(parts or ()):
            if (place := place_of(part, at, index)) is not None:
                yield place, text_of(part)


def _usage(usage: TokenUsage) -> Usage | None:
    """The figures, zeros included; None where the server gave no figures."""
    given, made = usage.input_tokens, usage.output_tokens
    if given is None or made is None or given < 0 or made < 0:
        return None
    prompt, completion = usage.input_tokens_details, usage.output_tokens_details
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cached_input_tokens=max(0, (prompt and prompt.cached_tokens) or 0),
        reasoning_tokens=max(0, (completion and completion.reasoning_tokens) or 0),
    )
