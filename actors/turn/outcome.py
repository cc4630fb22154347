"""Outcome vocabulary: statuses, end reasons and their statuses, and the verdicts of guards.

`docs/reference/outcomes.md` lists every reason with its cause; a test keeps the two in step.
"""

from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct

_MILLION = 1_000_000
CONTEXT_LENGTH = "context_length_exceeded"
"""Code of an error for a prompt that is too long for the model's context window."""
MAX_MICROS = 2**63 - 1
"""Largest integer that the database can hold; costs are capped to it."""


class Status(StrEnum):
    """The status of a turn. The last four are terminal; a turn reaches exactly one of them."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Reason(StrEnum):
    """The reason of a turn's end. The first five are finish reasons from the provider."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    PAUSE_TURN = "pause_turn"
    """The provider paused to run its tools, and will continue if it gets the answer back."""

    CLIENT_DISCONNECTED = "client_disconnected"
    TIME_BUDGET = "time_budget"
    SIZE_LIMIT = "size_limit"
    SERVER_SHUTDOWN = "server_shutdown"

    CANCEL_REQUESTED = "cancel_requested"

    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_REJECTED = "upstream_rejected"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    GUARD_BLOCKED = "guard_blocked"
    GUARD_REJECTED = "guard_rejected"
    """A guard discarded the answer, and again each further one that it asked for."""
    STORE_UNAVAILABLE = "store_unavailable"
    OWNER_LOST = "owner_lost"
    INTERNAL_ERROR = "internal_error"


class DisconnectStage(StrEnum):
    """The progress of a turn at the time its last client left."""

    BEFORE_FIRST_TOKEN = "before_first_token"
    MID_STREAM = "mid_stream"
    AFTER_END = "after_end"


class Mode(StrEnum):
    """The effect on a turn of its last client leaving."""

    ATTACHED = "attached"
    """Production stops at once."""
    LINGER = "linger"
    """Production stops after the resume window unless a client returns."""
    BACKGROUND = "background"
    """Production continues to the end."""


class OnCut(StrEnum):
    """The treatment of an answer that is interrupted after the client has seen part of it."""

    CONTINUE = "continue"
    """Another attempt continues from the point of interruption."""
    RESTART = "restart"
    """The answer is restarted if nothing has reached the client yet; otherwise the turn fails."""
    FAIL = "fail"
    """The turn fails."""


NEUTRAL_TEXT: Final = "This answer was withheld."


class GuardMode(StrEnum):
    """The part of an answer that is held back until guards have checked it."""

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
    """Number of times that the model is asked again because of a guard."""
    neutral_text: str = NEUTRAL_TEXT
    """Text that takes the place of an answer that is withheld."""
    keep_original: bool = False
    """True if text that a guard removed is stored with its verdict, for audit."""
    personal_data: tuple[str, ...] = ()
    """Kinds of personal data to remove."""
    boundaries: bool = False
    """True if the system prompt is sent between marks."""

    @property
    def is_needed(self) -> bool:
        """True if the turn needs the actor."""
        return bool(self.guards) or self.boundaries


NO_GUARDS: Final = GuardPlan()

Stage = Literal["input", "start", "flow", "end"]
"""The text that a guard checked: the request, an answer's beginning, its flow, or all of it."""

Finding = Literal["pass", "rewrite", "retry", "block", "failed"]


class GuardVerdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decision of a guard about a turn. It has no text of the turn, unless `original` is kept."""

    guard: str
    """Name of the guard; `chain` if all guards let a text pass."""
    stage: Stage
    verdict: Finding
    at: float
    """Seconds since the epoch."""
    step: int = 0
    """Number of the model call, from 1; 0 for the request."""
    count: int = 1
    """Number of pieces of text that it concerns."""
    score: float | None = None
    """Score of an input, from 0 to 1."""
    original: str | None = None
    """The text that was removed, only with `keep_original`."""


TERMINAL = frozenset({Status.COMPLETED, Status.INCOMPLETE, Status.CANCELLED, Status.FAILED})

STATUS_OF: dict[Reason, Status] = {
    Reason.STOP: Status.COMPLETED,
    Reason.LENGTH: Status.COMPLETED,
    Reason.TOOL_CALLS: Status.COMPLETED,
    Reason.CONTENT_FILTER: Status.COMPLETED,
    Reason.PAUSE_TURN: Status.COMPLETED,
    Reason.CLIENT_DISCONNECTED: Status.INCOMPLETE,
    Reason.TIME_BUDGET: Status.INCOMPLETE,
    Reason.SIZE_LIMIT: Status.INCOMPLETE,
    Reason.SERVER_SHUTDOWN: Status.INCOMPLETE,
    Reason.CANCEL_REQUESTED: Status.CANCELLED,
    Reason.UPSTREAM_UNREACHABLE: Status.FAILED,
    Reason.UPSTREAM_REJECTED: Status.FAILED,
    Reason.UPSTREAM_ERROR: Status.FAILED,
    Reason.UPSTREAM_TIMEOUT: Status.FAILED,
    Reason.UPSTREAM_TRUNCATED: Status.FAILED,
    Reason.GUARD_BLOCKED: Status.FAILED,
    Reason.GUARD_REJECTED: Status.FAILED,
    Reason.STORE_UNAVAILABLE: Status.FAILED,
    Reason.OWNER_LOST: Status.FAILED,
    Reason.INTERNAL_ERROR: Status.FAILED,
}


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Token counts of a turn or an attempt; `estimated` if the provider reported none.

    Tokens of a cache are part of the input, and tokens of reasoning part of the output.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    """Input tokens that were read from a cache."""
    cache_write_tokens: int = 0
    """Input tokens that were written to a cache; none of them were read from it."""
    reasoning_tokens: int = 0
    estimated: bool = False


class ErrorInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error for the client: the fields of OpenAI's error object and the HTTP status."""

    status: int
    message: str
    type: str = "upstream_error"
    code: str | None = None
    param: str | None = None
    retry_after_s: float | None = None


class Price(Struct, frozen=True, kw_only=True):
    """Prices in micro-dollars per million tokens; those of the cache default to `input`."""

    input: int = 0
    output: int = 0
    cached_input: int | None = None
    cache_write: int | None = None


def cost_micros(usage: Usage, price: Price) -> int:
    """Return the cost of a turn in micro-dollars, rounded half up once at the end."""
    cached = min(usage.cached_input_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - cached)
    cached_price = price.input if price.cached_input is None else price.cached_input
    write_price = price.input if price.cache_write is None else price.cache_write
    total = (
        (usage.input_tokens - cached - written) * price.input
        + cached * cached_price
        + written * write_price
        + usage.output_tokens * price.output
    )
    return min((total + _MILLION // 2) // _MILLION, MAX_MICROS)
