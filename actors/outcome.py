"""How a turn ends: the vocabulary of statuses and reasons, and what each reason implies.

`docs/reference/outcomes.md` lists every reason with its cause; a test holds the two together.
"""

from enum import StrEnum

from msgspec import Struct


class Status(StrEnum):
    """Where a turn stands. The last four are terminal, and a turn reaches exactly one of them."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Reason(StrEnum):
    """Why a turn ended. The first four are the finish reasons that a provider gives."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"

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
    STORE_UNAVAILABLE = "store_unavailable"
    OWNER_LOST = "owner_lost"
    INTERNAL_ERROR = "internal_error"


class DisconnectStage(StrEnum):
    """How far a turn had come when its last client left."""

    BEFORE_FIRST_TOKEN = "before_first_token"
    MID_STREAM = "mid_stream"
    AFTER_END = "after_end"


class Mode(StrEnum):
    """What the last client's leaving means to a turn."""

    ATTACHED = "attached"
    LINGER = "linger"
    BACKGROUND = "background"


class OnCut(StrEnum):
    """What becomes of an answer that breaks off after its client has seen some of it."""

    CONTINUE = "continue"
    """Another attempt goes on where it broke off."""
    RESTART = "restart"
    """It is asked for again, and replaces what was shown, where the dialect can say so."""
    FAIL = "fail"


TERMINAL = frozenset({Status.COMPLETED, Status.INCOMPLETE, Status.CANCELLED, Status.FAILED})

STATUS_OF: dict[Reason, Status] = {
    Reason.STOP: Status.COMPLETED,
    Reason.LENGTH: Status.COMPLETED,
    Reason.TOOL_CALLS: Status.COMPLETED,
    Reason.CONTENT_FILTER: Status.COMPLETED,
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
    Reason.STORE_UNAVAILABLE: Status.FAILED,
    Reason.OWNER_LOST: Status.FAILED,
    Reason.INTERNAL_ERROR: Status.FAILED,
}


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of a turn or an attempt; `estimated` where no provider gave the figure."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


class ErrorInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client is told about a failure: OpenAI's error object, plus its HTTP status."""

    status: int
    message: str
    type: str = "upstream_error"
    code: str | None = None
    param: str | None = None
    retry_after_s: float | None = None
