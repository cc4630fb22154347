"""A second answer on its way to the client: only what goes on from the first is let through.

Pure. What has been decided about the seam is said in a warning, so that no splice is silent.
"""

from actors import events
from actors.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
)
from actors.events import AnyEvent
from actors.ledger import Tally
from actors.providers.base import FailureKind, Route, UpstreamFailure
from actors.splice import DoesNotFit, Seam, Splicer

_SEAMS = {
    Seam.PREFILL: "it went on from the text that was there",
    Seam.RESTARTED: "it began again, and what was there already was left out",
    Seam.OVERLAP: "it repeated the last words, which were left out",
    Seam.APPENDED: "nothing in it proves that it goes on where the first one stopped",
}


class Continuation:
    """Joins the second answer to `shown`. `prefill`: the route continues what it is given."""

    def __init__(self, route: Route, shown: str, *, prefill: bool) -> None:
        self._route = route
        self._splicer = Splicer(shown, prefill=prefill)

    def step(self, chunks: list[Chunk], tally: Tally) -> list[Chunk | AnyEvent]:
        """What of these chunks goes on; raises `UpstreamFailure` where they do not fit."""
        items: list[Chunk | AnyEvent] = []
        for chunk in chunks:
            match chunk:
                case TextChunk(text):
                    self._pass(self._fed(text), items, tally)
                case ReasoningChunk(text):
                    tally.withheld += len(text)
                case RefusalChunk():
                    raise _misfit("it refused")
                case FinishChunk() | ToolCallChunk():
                    self._pass(self._ended(), items, tally)
                    items.append(chunk)
                case _:
                    items.append(chunk)
        tally.dropped = self._splicer.dropped
        return items

    def _fed(self, text: str) -> str:
        try:
            return self._splicer.feed(text)
        except DoesNotFit as error:
            raise _misfit(str(error)) from None

    def _ended(self) -> str:
        try:
            return self._splicer.end()
        except DoesNotFit as error:
            raise _misfit(str(error)) from None

    def _pass(self, text: str, items: list[Chunk | AnyEvent], tally: Tally) -> None:
        seam = self._splicer.seam
        if seam is not None and not tally.kept:
            tally.kept = True
            tally.note = f"continued the answer ({seam})"
            items.append(_warning(seam, self._route))
        if text:
            items.append(TextChunk(text))


def _warning(seam: Seam, route: Route) -> events.Warning:
    code = "seam_unproven" if seam is Seam.APPENDED else "continued"
    return events.Warning(code, f"The answer broke off; {route} continued it: {_SEAMS[seam]}.")


def _misfit(why: str) -> UpstreamFailure:
    return UpstreamFailure(
        FailureKind.MISFIT, f"The second answer does not continue the first: {why}."
    )
