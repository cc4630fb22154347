"""Continuation filter: passes only the part of a second answer that continues the first.

A warning reports each seam to the client, so no splice stays hidden. The module does no I/O.
"""

from actors.continuation.splicing.splice import DoesNotFit, Seam, Splicer
from actors.turn import events
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    MessagePhaseChunk,
    NativeItemChunk,
    ReasoningChunk,
    ReasoningStateChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
)
from actors.turn.events import AnyEvent
from actors.turn.model_call import FailureKind, Route, UpstreamFailure
from actors.turn.step import AttemptUsage

_SEAMS = {
    Seam.PREFILL: "it continued the existing text directly",
    Seam.RESTARTED: "it started over, and the text that was already there was removed",
    Seam.OVERLAP: "it repeated the last words, and the repetition was removed",
    Seam.APPENDED: "it has no overlap with the existing text that verifies the seam",
}


class ContinuationFilter:
    """A filter that joins a second answer to the text `shown`.

    `prefill` means that the route continues the trailing assistant message directly.
    """

    def __init__(self, route: Route, shown: str, *, prefill: bool) -> None:
        self._route = route
        self._splicer = Splicer(shown, prefill=prefill)
        self._reported = False

    def step(self, chunks: list[Chunk], usage: AttemptUsage) -> tuple[list[Chunk], list[AnyEvent]]:
        """Return the chunks to pass on and the events to send before them.

        Raises `UpstreamFailure` if the chunks don't continue the shown text.
        """
        passed: list[Chunk] = []
        for chunk in chunks:
            match chunk:
                case TextChunk(text):
                    passed += self._spliced(text)
                case ReasoningChunk(text):
                    usage.withheld += len(text)
                case ReasoningStateChunk() | MessagePhaseChunk():
                    pass  # its reasoning is not shown either, and the message has begun
                case RefusalChunk():
                    raise _misfit("it is a refusal")
                case FinishChunk() | ToolCallChunk() | NativeItemChunk():
                    passed += [*self._spliced(None), chunk]
                case _:
                    passed.append(chunk)
        usage.dropped = self._splicer.dropped
        seam = self._splicer.seam
        if seam is None or self._reported:
            return passed, []
        return passed, self._report(seam, usage)

    def _spliced(self, text: str | None) -> list[Chunk]:
        """Return what to show after this text of the second answer, or at its end (None)."""
        try:
            rest = self._splicer.end() if text is None else self._splicer.feed(text)
        except DoesNotFit as error:
            raise _misfit(str(error)) from None
        return [TextChunk(rest)] if rest else []

    def _report(self, seam: Seam, usage: AttemptUsage) -> list[AnyEvent]:
        self._reported = True
        usage.kept = usage.continued = True
        usage.note = f"continued the answer ({seam})"
        code = "seam_unproven" if seam is Seam.APPENDED else "continued"
        text = f"The answer was interrupted. {self._route} continued it: {_SEAMS[seam]}."
        return [events.Warning(code, text)]


def _misfit(reason: str) -> UpstreamFailure:
    return UpstreamFailure(
        FailureKind.MISFIT, f"The second answer does not continue the first: {reason}."
    )
