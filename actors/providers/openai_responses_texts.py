"""What of an answer's texts has been shown, so that nothing is lost and nothing comes twice.

The Responses grammar says each text several times: piece by piece, whole when its part is done,
again with its item, and once more with the answer. Not every server says all of them.
"""

from enum import IntEnum, auto

from msgspec import Struct


class Kind(IntEnum):
    """What a text is. Numbers, because Python's other enumerations are slow keys."""

    TEXT = auto()
    REFUSAL = auto()
    SUMMARY = auto()
    REASONING = auto()
    ARGUMENTS = auto()


class Place(Struct, frozen=True, gc=False):
    """Where in an answer a text stands: which item, and which part of it."""

    kind: Kind
    item: int
    part: int = 0


class Texts:
    """The texts of one answer as they grow."""

    __slots__ = ("_moved_to", "_open", "_shown")

    def __init__(self) -> None:
        self._shown: dict[Place, list[str]] = {}
        self._open: dict[Kind, Place] = {}
        """Where the last pieces came that nobody has said whole yet."""
        self._moved_to: dict[Place, Place] = {}
        """Where a text stood before its server changed its indexes."""

    @property
    def begun(self) -> bool:
        """Something has been shown."""
        return bool(self._shown)

    def grow(self, place: Place, piece: str) -> None:
        """A piece was shown."""
        pieces = self._shown.get(place)
        if pieces is None:
            self._shown[place] = [piece]
        else:
            pieces.append(piece)
        self._open[place.kind] = place

    def rest(self, place: Place, whole: str) -> str:
        """What of the whole text at a place has not been shown; it counts as shown from now on.

        Nothing where other words were shown there: those stand.
        """
        place = self._place_before(place, whole)
        shown = self._text(place)
        rest = whole[len(shown) :] if whole.startswith(shown) else ""
        if rest:
            self.grow(place, rest)
        if self._open.get(place.kind) == place:
            del self._open[place.kind]
        return rest

    def _text(self, place: Place) -> str:
        pieces = self._shown.get(place, [])
        if len(pieces) > 1:
            pieces[:] = ["".join(pieces)]
        return pieces[0] if pieces else ""

    def _place_before(self, place: Place, whole: str) -> Place:
        """The place itself, or that of the same text, shown under another index.

        Calls are told apart by their ids, and may well ask the same.
        """
        open = self._open.get(place.kind)
        if place in self._shown or open is None or place.kind is Kind.ARGUMENTS:
            return self._moved_to.get(place, place)
        if self._text(open) == whole:
            self._moved_to[place] = open
        return self._moved_to.get(place, place)

    def recount(self) -> "Recount":
        """Compare with the whole answer, part by part."""
        return Recount({kind: self._all(kind) for kind in Kind})

    def _all(self, kind: Kind) -> str:
        return "".join([self._text(place) for place in self._shown if place.kind is kind])


class Recount:
    """What a whole answer has that was not shown, whatever indexes its parts had before."""

    __slots__ = ("_at", "_differs", "_shown")

    def __init__(self, shown: dict[Kind, str]) -> None:
        self._shown = shown
        self._at = dict.fromkeys(Kind, 0)
        self._differs: set[Kind] = set()

    def rest(self, kind: Kind, part: str) -> str:
        """What of the next part of this kind has not been shown."""
        shown, at = self._shown[kind], self._at[kind]
        if kind in self._differs:
            return ""
        if shown.startswith(part, at):
            self._at[kind] = at + len(part)
            return ""
        left = len(shown) - at
        if left > len(part) or not part.startswith(shown[at:]):
            self._differs.add(kind)
            return ""
        self._at[kind] = len(shown)
        return part[left:]
