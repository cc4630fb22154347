"""Tracks which texts of a Responses answer were emitted, so that none is lost or repeated.

The Responses protocol sends each text several times: in deltas, whole when its part is done, again
with its item, and once more with the response. Not every server sends all of these.
"""

from enum import IntEnum, auto

from msgspec import Struct


class TextKind(IntEnum):
    """Kind of a text. An IntEnum, because members of a plain Enum are slow dictionary keys."""

    TEXT = auto()
    REFUSAL = auto()
    SUMMARY = auto()
    REASONING = auto()
    ARGUMENTS = auto()
    INPUT = auto()


_OF_CALLS = (TextKind.ARGUMENTS, TextKind.INPUT)


class TextPosition(Struct, frozen=True, gc=False):
    """Position of a text in an answer: output index of the item and index of the part."""

    kind: TextKind
    item: int
    part: int = 0


class Texts:
    """Emitted texts of one answer."""

    __slots__ = ("_open", "_renumbered", "_shown")

    def __init__(self) -> None:
        self._shown: dict[TextPosition, list[str]] = {}
        self._open: dict[TextKind, TextPosition] = {}
        """Position of the latest text of each kind that hasn't been completed yet."""
        self._renumbered: dict[TextPosition, TextPosition] = {}
        """Original position of each text that the server later sent under another index."""

    @property
    def started(self) -> bool:
        """True once a text has been emitted."""
        return bool(self._shown)

    def add_piece(self, position: TextPosition, piece: str) -> None:
        """Record an emitted piece."""
        pieces = self._shown.get(position)
        if pieces is None:
            self._shown[position] = [piece]
        else:
            pieces.append(piece)
        self._open[position.kind] = position

    def rest(self, position: TextPosition, whole: str) -> str:
        """Return the unemitted rest of the whole text at a position and record it as emitted.

        Return "" if different text was emitted there; it can't be taken back.
        """
        position = self._known_position(position, whole)
        shown = self._text(position)
        rest = whole[len(shown) :] if whole.startswith(shown) else ""
        if rest:
            self.add_piece(position, rest)
        if self._open.get(position.kind) == position:
            del self._open[position.kind]
        return rest

    def _text(self, position: TextPosition) -> str:
        pieces = self._shown.get(position, [])
        if len(pieces) > 1:
            pieces[:] = ["".join(pieces)]
        return pieces[0] if pieces else ""

    def _known_position(self, position: TextPosition, whole: str) -> TextPosition:
        """Return the position under which this text was emitted, maybe with another index.

        Arguments aren't compared: calls have ids, and two calls may have equal arguments.
        """
        open = self._open.get(position.kind)
        if position in self._shown or open is None or position.kind in _OF_CALLS:
            return self._renumbered.get(position, position)
        if self._text(open) == whole:
            self._renumbered[position] = open
        return self._renumbered.get(position, position)

    def final_texts(self) -> "FinalTexts":
        """Return a comparison of the emitted texts with the final response, part by part."""
        return FinalTexts({kind: self._joined(kind) for kind in TextKind})

    def _joined(self, kind: TextKind) -> str:
        return "".join([self._text(position) for position in self._shown if position.kind is kind])


class FinalTexts:
    """Comparison of a final response with the emitted texts, independent of part indexes."""

    __slots__ = ("_at", "_diverged", "_shown")

    def __init__(self, shown: dict[TextKind, str]) -> None:
        self._shown = shown
        self._at = dict.fromkeys(TextKind, 0)
        self._diverged: set[TextKind] = set()

    def rest(self, kind: TextKind, part: str) -> str:
        """Return the unemitted rest of the next part of this kind."""
        shown, at = self._shown[kind], self._at[kind]
        if kind in self._diverged:
            return ""
        if shown.startswith(part, at):
            self._at[kind] = at + len(part)
            return ""
        left = len(shown) - at
        if left > len(part) or not part.startswith(shown[at:]):
            self._diverged.add(kind)
            return ""
        self._at[kind] = len(shown)
        return part[left:]
