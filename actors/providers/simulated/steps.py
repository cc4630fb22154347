"""Scripts: the timed chunks and faults of one call to a simulated model."""

from msgspec import Struct

from actors.providers.simulated.behaviour import Fault
from actors.providers.simulated.rejections import Rejection
from actors.turn.chunks import Chunk, UsageChunk


class TornFrame(Struct, frozen=True):
    """A chunk whose frame breaks off inside its text."""

    chunk: Chunk


Act = Chunk | Fault | TornFrame
"""Action of a step; a `SkippedChunk` represents a malformed frame without text."""


class Step(Struct, frozen=True):
    """An action that is due `after_s` seconds after the step before it."""

    after_s: float
    act: Act
    tokens: int = 0


class Script(Struct, frozen=True, kw_only=True):
    """A complete answer with its timing."""

    head_s: float
    """Seconds before the response head, or before the opening that replaces it."""
    opening: Rejection | Fault | None = None
    """Rejection or fault that replaces the head and the steps."""
    steps: tuple[Step, ...] = ()
    """Chunks, then finish and usage; a fault is always the last step."""
    done: bool = True
    """True if the stream's end mark (`[DONE]`) is sent."""

    @property
    def has_usage(self) -> bool:
        """True if usage follows the finish."""
        return any(isinstance(step.act, UsageChunk) for step in self.steps[-2:])
