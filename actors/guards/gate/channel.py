"""Channel: one kind of text of an answer on its way through the guards. Pure.

Positions count the characters of the text as the model wrote it.
"""

from bisect import insort
from collections.abc import Sequence

from actors.guards.gate.scanner import ActiveCheck, Found, OnFailure, Scanner
from actors.guards.spec import Action, GuardSpec


class Channel:
    """A text of which a part is held, the spans that were found in it, and what was released."""

    __slots__ = ("_held", "_scanner", "_spans", "released", "removed", "stop", "withheld")

    def __init__(self, checks: Sequence[ActiveCheck], on_failure: OnFailure) -> None:
        self._scanner = Scanner(checks, on_failure)
        self._held: list[str] = []
        self._spans: list[Found] = []
        """Spans that end behind what was released, in their order."""
        self.stop: Found | None = None
        """The first span whose guard ends the answer, or None."""
        self.released = 0
        """Position up to which the text was released or removed."""
        self.withheld = 0
        """Number of characters in front of it that were removed."""
        self.removed: list[tuple[GuardSpec, str]] = []
        """The pieces that were removed."""

    @property
    def size(self) -> int:
        """Number of characters so far, released or held."""
        return self._scanner.size

    @property
    def limit(self) -> int:
        """Position up to which text may be shown: all spans that begin before it are known."""
        settled, stop = self._scanner.settled, self.stop
        return settled if stop is None else min(settled, stop.begin)

    @property
    def stop_is_known(self) -> bool:
        """True if no other span that may be found can be the first that ends the answer."""
        return self.stop is not None and self._scanner.settled > self.stop.begin

    def feed(self, text: str) -> None:
        """Add text."""
        self._held.append(text)
        self._note(self._scanner.feed(text))

    def end(self) -> None:
        """Settle all of the text so far: what follows is another text."""
        self._note(self._scanner.end())

    def held(self) -> str:
        """Return the text that was not released yet."""
        if len(self._held) > 1:
            self._held = ["".join(self._held)]
        return self._held[0] if self._held else ""

    def take(self, upto: int, *, as_written: bool = False) -> str:
        """Release the text up to a position, with its spans replaced unless `as_written`.

        The end of a span that begins before the position is released with it.
        """
        if upto <= self.released:
            return ""
        held, base = self.held(), self.released
        if as_written:
            taken, at = held[: upto - base], upto
            self._spans = [span for span in self._spans if span.end > at]
            self.stop = None
            self._note_stops(self._spans)
        else:
            taken, at = self._replaced(held, base, upto)
        self._held = [held[at - base :]] if at < self.size else []
        self.released = at
        return taken

    def _replaced(self, held: str, base: int, upto: int) -> tuple[str, int]:
        parts: list[str] = []
        at, used = base, 0
        for span in self._spans:
            if span.begin >= upto:
                break
            used += 1
            if span.end <= at:
                continue
            begin = max(span.begin, at)
            parts += [held[at - base : begin - base], span.replacement if span.begin >= at else ""]
            self.removed.append((span.guard, held[begin - base : span.end - base]))
            self.withheld += span.end - begin
            at = span.end
        del self._spans[:used]
        parts.append(held[at - base : max(upto, at) - base])
        return "".join(parts), max(upto, at)

    def _note(self, found: list[Found]) -> None:
        if not found:
            return
        for span in found:
            insort(self._spans, span, key=_order)
        self._note_stops(found)

    def _note_stops(self, spans: Sequence[Found]) -> None:
        stops = [span for span in spans if span.guard.action is not Action.REWRITE]
        if stops:
            self.stop = min(stops if self.stop is None else [self.stop, *stops], key=_order)


def _order(span: Found) -> tuple[int, int]:
    return span.order
