"""A script: everything that one call to a simulated model sends, when, and what goes wrong."""

from msgspec import Struct

from actors.chunks import Chunk, UsageChunk
from actors.providers.simulated.behaviour import Fault
from actors.providers.simulated.rejections import Rejection


class Torn(Struct, frozen=True):
    """A chunk whose frame breaks off inside its text."""

    chunk: Chunk


Act = Chunk | Fault | Torn
"""What a step does. A `SkippedChunk` stands for a malformed frame without text."""


class Step(Struct, frozen=True):
    """Something that happens `after_s` seconds after the step before it."""

    after_s: float
    act: Act
    tokens: int = 0


class Script(Struct, frozen=True, kw_only=True):
    """A whole answer, timed."""

    head_s: float
    """Seconds before the response's head, or before what comes in its place."""
    opening: Rejection | Fault | None = None
    """What comes instead of the head and the steps."""
    steps: tuple[Step, ...] = ()
    """Chunks, then finish and usage. A fault is the last step."""
    done: bool = True
    """Whether the stream's end mark is sent."""

    @property
    def tells_usage(self) -> bool:
        """Whether usage follows the finish."""
        return any(isinstance(step.act, UsageChunk) for step in self.steps[-2:])
