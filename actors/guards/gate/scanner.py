"""Scanner: runs span checks on text that arrives in pieces. Pure.

The spans that it finds depend on the text alone, because each check looks at settled text only.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from actors.guards.prose import START, Place, Sentence, sentences, spans
from actors.guards.spec import Action, GuardSpec, SpanCheck, in_order


class Found(Struct, frozen=True):
    """A span of the whole text that a guard objects to."""

    begin: int
    rank: int
    """Place of the guard in the chain."""
    end: int
    replacement: str
    guard: GuardSpec

    @property
    def order(self) -> tuple[int, int]:
        """Order of spans: by position, then by chain."""
        return self.begin, self.rank


class ActiveCheck(Struct, frozen=True):
    """A check of this turn with its guard and its place in the chain."""

    rank: int
    guard: GuardSpec
    check: SpanCheck


OnFailure = Callable[[GuardSpec, Exception], None]


class _Group(Struct):
    """The checks that settle alike, and the text that they have not settled yet."""

    settle: Callable[[str], int]
    checks: list[ActiveCheck]
    begin: int = 0
    rest: str = ""
    place: Place = START
    """Place in the prose at which `rest` begins; only for checks of prose."""


class Scanner:
    """A scan of one text. A check that raises finds all of the text if it blocks, else nothing."""

    __slots__ = ("_groups", "_on_failure", "size")

    def __init__(self, checks: Sequence[ActiveCheck], on_failure: OnFailure) -> None:
        groups: dict[tuple[Callable[[str], int], bool], _Group] = {}
        for one in checks:
            settle, prose = one.check.settle, one.check.prose
            groups.setdefault((settle, prose), _Group(settle, [])).checks.append(one)
        self._groups = list(groups.values())
        self._on_failure = on_failure
        self.size = 0
        """Number of characters that have been fed."""

    @property
    def settled(self) -> int:
        """Number of characters in which every check has found all spans that begin there."""
        return min([group.begin for group in self._groups], default=self.size)

    def feed(self, text: str) -> list[Found]:
        """Continue the text and return the spans that are found in what is settled now."""
        self.size += len(text)
        found: list[Found] = []
        for group in self._groups:
            group.rest += text
            try:
                settled = _checked(group.settle(group.rest), len(group.rest))
            except Exception as error:
                settled = len(group.rest)
                for one in group.checks:
                    self._fail(one, group.begin, group.begin + settled, error, found)
                group.checks = []
            if settled:
                self._find(group, settled, found)
        return found

    def end(self) -> list[Found]:
        """End the text and return the remaining spans."""
        found: list[Found] = []
        for group in self._groups:
            if group.rest:
                self._find(group, len(group.rest), found)
        return found

    def _find(self, group: _Group, size: int, found: list[Found]) -> None:
        piece, begin = group.rest[:size], group.begin
        group.rest = group.rest[size:]
        group.begin += size
        prose: list[Sentence] = []
        if group.checks and group.checks[0].check.prose:
            prose, group.place = sentences(piece, group.place)
        for one in group.checks:
            find = one.check.find
            try:
                given = spans(find, prose) if one.check.prose else find(piece)
                found_here = in_order(given, size)
            except Exception as error:
                self._fail(one, begin, group.begin, error, found)
                group.checks = [other for other in group.checks if other is not one]
                continue
            for span in found_here:
                at, end = begin + span.begin, begin + span.end
                found.append(Found(at, one.rank, end, span.replacement, one.guard))

    def _fail(
        self, one: ActiveCheck, begin: int, end: int, error: Exception, found: list[Found]
    ) -> None:
        self._on_failure(one.guard, error)
        if one.guard.action is Action.BLOCK:
            found.append(Found(begin, one.rank, end, "", one.guard))


def _checked(settled: int, size: int) -> int:
    if not 0 <= settled <= size:
        raise ValueError("settle must return a length of the text or less")
    return settled
