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
from actors.splicing.splice import DoesNotFit, Seam, Splicer

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
        self._told = False

    def step(self, chunks: list[Chunk], tally: Tally) -> tuple[list[Chunk], list[AnyEvent]]:
        """What of these chunks goes on, and what is to be said before it.

        Raises `UpstreamFailure` where they do not fit.
        """
        passed: list[Chunk] = []
        for chunk in chunks:
            match chunk:
                case TextChunk(text):
                    _pass(self._fed(text), passed)
                case ReasoningChunk(text):
                    tally.withheld += len(text)
                case RefusalChunk():
                    raise _misfit("it refused")
                case FinishChunk() | ToolCallChunk():
                    _pass(self._ended(), passed)
                    passed.append(chunk)
                case _:
                    passed.append(chunk)
        tally.dropped = self._splicer.dropped
        seam = self._splicer.seam
        return passed, self._tell(seam, tally) if seam is not None and not self._told else []

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

    def _tell(self, seam: Seam, tally: Tally) -> list[AnyEvent]:
        self._told = True
        tally.kept = tally.continued = True
        tally.note = f"continued the answer ({seam})"
        return [_warning(seam, self._route)]


def _pass(text: str, passed: list[Chunk]) -> None:
    if text:
        passed.append(TextChunk(text))


def _warning(seam: Seam, route: Route) -> events.Warning:
    code = "seam_unproven" if seam is Seam.APPENDED else "continued"
    return events.Warning(code, f"The answer broke off; {route} continued it: {_SEAMS[seam]}.")


def _misfit(why: str) -> UpstreamFailure:
    return UpstreamFailure(
        FailureKind.MISFIT, f"The second answer does not continue the first: {why}."
    )
