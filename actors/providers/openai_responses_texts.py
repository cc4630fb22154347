"""What of an answer's texts has been shown, so that nothing is lost and nothing comes twice.

The Responses grammar says each text several times: piece by piece, whole when its part is done,
again with its item, and once more with the answer. Not every server says all of them.
"""

from enum import Enum, auto

from msgspec import Struct


class Kind(Enum):
    """What a text is."""

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

    __slots__ = ("_by_kind", "_by_place", "_open")

    def __init__(self) -> None:
        self._by_place: dict[Place, list[str]] = {}
        self._by_kind: dict[Kind, list[str]] = {}
        self._open: dict[Kind, Place] = {}
        """Where the last pieces came that nobody has said whole yet."""

    @property
    def begun(self) -> bool:
        """Something has been shown."""
        return bool(self._by_kind)

    def grow(self, place: Place, piece: str) -> None:
        """A piece was shown."""
        self._by_place.setdefault(place, []).append(piece)
        self._by_kind.setdefault(place.kind, []).append(piece)
        self._open[place.kind] = place

    def rest(self, place: Place, whole: str) -> str:
        """What of the whole text at a place has not been shown; it counts as shown from now on.

        Nothing where other words were shown there: those stand.
        """
        shown = self._shown(place) or self._moved(place, whole)
        self._by_place[place] = [shown]
        rest = whole[len(shown) :] if whole.startswith(shown) else ""
        if rest:
            self.grow(place, rest)
        if self._open.get(place.kind) == place:
            del self._open[place.kind]
        return rest

    def _shown(self, place: Place) -> str:
        pieces = self._by_place.get(place, [])
        if len(pieces) > 1:
            pieces[:] = ["".join(pieces)]
        return pieces[0] if pieces else ""

    def _moved(self, place: Place, whole: str) -> str:
        """The same text, shown piece by piece by a server that changes its indexes.

        Calls are told apart by their ids, and may well ask the same.
        """
        open = self._open.get(place.kind)
        if open is None or place.kind is Kind.ARGUMENTS or self._shown(open) != whole:
            return ""
        del self._open[place.kind]
        return whole

    def recount(self) -> "Recount":
        """Compare with the whole answer, part by part."""
        return Recount({kind: "".join(pieces) for kind, pieces in self._by_kind.items()})


class Recount:
    """What a whole answer has that was not shown, whatever indexes its parts had before."""

    __slots__ = ("_at", "_differs", "_shown")

    def __init__(self, shown: dict[Kind, str]) -> None:
        self._shown = shown
        self._at = dict.fromkeys(Kind, 0)
        self._differs: set[Kind] = set()

    def rest(self, kind: Kind, part: str) -> str:
        """What of the next part of this kind has not been shown."""
        shown, at = self._shown.get(kind, ""), self._at[kind]
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
