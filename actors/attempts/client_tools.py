"""Passes calls of functions that stand in for the client's tools on as calls of those tools.

A format sends the tools of a namespace as functions with longer names, and custom tools as
functions with one string (`actors.providers.formats.custom_tools`). A search of deferred tools that
the client runs is a function, too. Sans IO.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

from actors.turn.chunks import Chunk, FinishChunk, NativeItemChunk, ToolCallChunk
from actors.turn.model_call import CUSTOM_INPUT, JSON, ClientTool

_START = re.compile(rf'\s*\{{\s*"{CUSTOM_INPUT}"\s*:\s*"')
_LONGEST_START = 64
"""Characters after which arguments that begin in another way are not examined again."""
_WHOLE = re.compile(
    r"""(?:[^"\\]++ | \\[^u] | \\u[0-9a-fA-F]{4} | \\u(?=[0-9a-fA-F]{0,3}[^0-9a-fA-F]))*+""",
    re.DOTALL | re.VERBOSE,
)
"""Matches the part of a JSON string without an escape that is cut off. Broken escapes count as
text."""
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([^u]))", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_HIGH = re.compile("[\ud800-\udbff]$")


class ClientTools:
    """The calls of one answer; `tools` has the client's tools by the names of their functions.

    `turn_id` makes the ids unique that calls get which become items and came without one.
    """

    def __init__(self, tools: Mapping[str, ClientTool], turn_id: str = "turn_") -> None:
        self._tools = tools
        self._turn = turn_id.removeprefix("turn_")
        self._unnamed: dict[int, list[ToolCallChunk]] = {}
        """Pieces of calls whose name hasn't arrived, by index."""
        self._calls: dict[int, tuple[ClientTool | None, InputReader | None]] = {}
        self._items: dict[int, tuple[ClientTool, list[ToolCallChunk]]] = {}
        """Pieces of calls that become items, with their tools, by index."""

    def step(self, chunks: list[Chunk]) -> list[Chunk]:
        """Return the chunks with the calls restored; part of a call may be held back."""
        restored: list[Chunk] = []
        for chunk in chunks:
            if type(chunk) is ToolCallChunk:
                restored += self._call(chunk)
            else:
                if type(chunk) is FinishChunk:
                    restored += self._rest()
                restored.append(chunk)
        return restored

    def _call(self, piece: ToolCallChunk) -> Iterator[Chunk]:
        first = piece.index not in self._calls
        if first:
            if piece.name is None:
                self._unnamed.setdefault(piece.index, []).append(piece)
                return
            piece = _joined([*self._unnamed.pop(piece.index, ()), piece])
            tool = None if _is_namespaced(piece) else self._tools.get(piece.name or "")
            wrapped = tool is not None and tool.kind == "custom" and piece.kind == "function"
            self._calls[piece.index] = tool, InputReader() if wrapped else None
        tool, reader = self._calls[piece.index]
        if tool is None:
            yield piece
            return
        if tool.item_api is not None:
            self._items.setdefault(piece.index, (tool, []))[1].append(piece)
            return
        text = piece.arguments if reader is None else reader.feed(piece.arguments)
        name = None if piece.name is None else tool.name
        extras = _merged(tool.extras, piece.extras) if first else piece.extras
        if text or first or piece.id or name:
            yield ToolCallChunk(piece.index, piece.id, name, text, tool.kind, extras)

    def _rest(self) -> Iterator[Chunk]:
        """Yield what was held back until the end of the answer."""
        for index, (tool, pieces) in self._items.items():
            call = _joined(pieces)
            # Not `_0`, as accumulators number the other calls.
            yield _item(tool, call, call.id or f"call_{self._turn}_item_{index}")
        self._items.clear()
        yield from map(_joined, self._unnamed.values())
        self._unnamed.clear()
        for index, (_, reader) in self._calls.items():
            if reader is not None and (text := reader.end()):
                yield ToolCallChunk(index, None, None, text, "custom")


class InputReader:
    """Reads the text in the arguments of a function with one string, which come in pieces.

    Models sometimes write other arguments, which are only understood once they are complete: an
    object with another string, or just the text.
    """

    def __init__(self) -> None:
        self._held = ""
        """Beginning of the arguments, or a cut-off escape."""
        self._other: list[str] = []
        """Pieces of arguments of another form."""
        self._inside = False
        self._ended = False

    def feed(self, piece: str) -> str:
        """Return the text that a piece of the arguments adds."""
        if self._ended:
            return ""
        held = self._held + piece
        if not self._inside:
            start = None if self._other else _START.match(held)
            if start is None:
                self._hold(held)
                return ""
            self._inside, held = True, held[start.end() :]
        whole = _WHOLE.match(held)
        size = whole.end() if whole else 0
        self._ended = held[size : size + 1] == '"'
        text, self._held = _unescaped(held[:size]), held[size:]
        if (high := _HIGH.search(text)) and not self._ended:
            # The other half of the pair is still to come.
            text, self._held = text[:-1], f"\\u{ord(high[0]):04x}{self._held}"
        return _without_surrogates(text)

    def end(self) -> str:
        """Return the text of arguments of another form, which end here."""
        return "" if self._inside else _text_in("".join([*self._other, self._held]))

    def _hold(self, beginning: str) -> None:
        self._held = beginning
        if self._other or len(beginning) > _LONGEST_START:
            self._other.append(beginning)
            self._held = ""


def _joined(pieces: list[ToolCallChunk]) -> ToolCallChunk:
    """Return the pieces of a call, of which the last one may have its name, as one."""
    last = pieces[-1]
    arguments = "".join([piece.arguments for piece in pieces])
    id = next((piece.id for piece in pieces if piece.id), None)
    extras = next((piece.extras for piece in pieces if piece.extras), None)
    return ToolCallChunk(last.index, id, last.name, arguments, last.kind, extras)


def _item(tool: ClientTool, call: ToolCallChunk, call_id: str) -> NativeItemChunk:
    try:
        arguments: JSON = _object(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        arguments = call.arguments
    fields = {"call_id": call_id, "arguments": arguments}
    item = msgspec.json.encode({**_object(tool.extras or "{}"), **fields})
    return NativeItemChunk(tool.item_api or "", item.decode())


def _is_namespaced(piece: ToolCallChunk) -> bool:
    """Return True if the provider knows namespaces, so that the name is the tool's own."""
    return piece.extras is not None and "namespace" in _object(piece.extras)


def _merged(ours: str | None, given: str | None) -> str | None:
    if ours is None or given is None:
        return ours or given
    return msgspec.json.encode({**_object(given), **_object(ours)}).decode()


def _object(text: str) -> dict[str, JSON]:
    return msgspec.json.decode(text, type=dict[str, JSON])


def _text_in(arguments: str) -> str:
    try:
        given = _object(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    texts = [value for value in given.values() if isinstance(value, str)]
    chosen = given.get(CUSTOM_INPUT, texts[0] if len(texts) == 1 else None)
    return chosen if isinstance(chosen, str) else arguments if given else ""


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_unescape, text) if "\\" in text else text


def _unescape(escape: re.Match[str]) -> str:
    code, character = escape.groups()
    return chr(int(code, 16)) if code else _ESCAPED.get(character, escape[0])


def _without_surrogates(text: str) -> str:
    """Return the text with pairs of surrogates joined, and single ones replaced."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
