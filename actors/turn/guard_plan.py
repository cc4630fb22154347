"""Guard plan of a turn: which guards check its answer, and how; and the verdicts they reached."""

from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct

NEUTRAL_TEXT: Final = "This answer was withheld."


class GuardMode(StrEnum):
    """How much of an answer is held back until guards have checked it."""

    BUFFER_FIRST = "buffer_first"
    """The beginning: up to 100 characters or its first sentence. The rest is shown at once."""
    HOLD_BACK = "hold_back"
    """Only what could still be part of something that a guard objects to."""
    BUFFER_ALL = "buffer_all"
    """All of it, until its end."""


class GuardPlan(Struct, frozen=True, kw_only=True):
    """The guards of a turn. Without `guards`, its answer is not checked and nothing held back."""

    check_input: bool = False
    """True if the newest messages are scored for injected instructions."""
    guards: tuple[str, ...] = ()
    """Names of the guards, in the order of the chain."""
    mode: GuardMode = GuardMode.HOLD_BACK
    buffer_max_s: float = 1.5
    """Longest time for which `buffer_first` holds text back, in seconds."""
    retries: int = 2
    """How often the model is asked again because of a guard."""
    neutral_text: str = NEUTRAL_TEXT
    """Text that takes the place of an answer that is withheld."""
    keep_original: bool = False
    """True if text that a guard removed is stored with its verdict, for audit."""
    personal_data: tuple[str, ...] = ()
    """Kinds of personal data to remove."""
    boundaries: bool = False
    """True if the system prompt is sent between marks."""


NO_GUARDS: Final = GuardPlan()

Stage = Literal["input", "start", "flow", "end"]
"""When a guard checks: the request, the beginning of an answer, the text as it flows, the end."""

Finding = Literal["pass", "rewrite", "retry", "block", "failed"]


class GuardVerdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a guard decided about a turn. It never contains the text, unless `original` is kept."""

    guard: str
    """Name of the guard; `chain` if all guards let a text pass."""
    stage: Stage
    verdict: Finding
    at: float
    """Seconds since the epoch."""
    step: int = 0
    """Number of the model call, from 1; 0 for the request."""
    count: int = 1
    """How many pieces of text it concerns."""
    score: float | None = None
    """Score of an input, from 0 to 1."""
    original: str | None = None
    """The text that was removed, only with `keep_original`."""
