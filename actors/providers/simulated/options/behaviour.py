"""Behaviour of a simulated model: speed, length, kind of answer and fault."""

from enum import StrEnum

from msgspec import Struct


class Style(StrEnum):
    """Kind of text that a model writes."""

    PROSE = "prose"
    COUNT = "count"
    """`1 2 3 …`, in which a lost, doubled or swapped token is easy to see."""
    ECHO = "echo"
    """The last user message."""
    UNICODE = "unicode"
    """Several scripts, combining marks and joined emoji."""


class Resume(StrEnum):
    """Reaction to a user message that asks to continue an interrupted answer."""

    NEW = "new"
    """Answer the message like any other."""
    ON = "on"
    """Continue with the next word."""
    AGAIN = "again"
    """Repeat the answer from its beginning."""
    OVERLAP = "overlap"
    """Continue from a few words before the interruption."""


class FaultKind(StrEnum):
    """Kind of fault; the value is its name in the model-name grammar."""

    ERROR = "error"
    """An HTTP error in the provider's format instead of an answer."""
    HTML = "html"
    """An HTML page instead of an answer."""
    REFUSE = "refuse"
    """A connection reset instead of the response head."""
    SILENT = "silent"
    """No response at all, not even the head."""
    GARBAGE = "garbage"
    """Bytes that are not HTTP instead of the response head."""

    CUT = "cut"
    """The connection closes (FIN) in the middle of the body, between two frames."""
    BREAK = "break"
    """The connection closes (FIN) in the middle of the body, inside a frame."""
    RESET = "reset"
    """The connection is reset in the middle of the body."""
    END = "end"
    """The body ends in good order, but without a finish reason."""
    STALL = "stall"
    """The connection stays open without sending anything more."""
    ERROR_FRAME = "errorframe"
    """An error inside the stream, then the end of the body."""
    NOISE = "noise"
    """Bytes that break the framing of the body, then a closed connection."""
    TORN = "torn"
    """A frame that breaks off inside its text; the frames after it are complete."""

    HANG = "hang"
    """A complete answer whose body doesn't end."""


OPENING_FAULTS = frozenset(map(FaultKind, ("error", "html", "refuse", "silent", "garbage")))
"""Faults that replace the response head."""


class Fault(Struct, frozen=True, kw_only=True):
    """A fault and the requests that it applies to; every kind but `TORN` ends the answer."""

    kind: FaultKind
    at: int = 0
    """Tokens sent before the fault, for faults inside the body."""
    status: int = 200
    """HTTP status, for `ERROR` and `HTML`."""
    code: str | None = None
    """OpenAI `error.code`, for `ERROR` and `ERROR_FRAME`."""
    retry_after_s: float | None = None
    """Seconds in the `Retry-After` header, for `ERROR`."""
    times: int = 0
    """Number of first requests of a conversation that get the fault; 0 for all."""
    for_s: float = 0.0
    """Seconds after the first request to this model during which the fault occurs; 0 for ever."""


class Behaviour(Struct, frozen=True, kw_only=True):
    """All settings of a model name or scenario; delays are in seconds."""

    voice: str = "sim"
    """Part of the model name before the colon; it seeds the words, so that the same voice gives
    the same text under all settings."""
    tokens: int | None = None
    """Length of the text; None for 40 to 120 tokens, depending on the prompt."""
    head_s: float = 0.0
    """Delay before the response head."""
    first_s: float = 0.05
    """Delay from the head to the first token."""
    delay_s: float = 0.02
    """Delay from one token to the next; 0 sends all at once."""
    chunk: int = 1
    """Tokens per chunk."""
    style: Style = Style.PROSE
    tool: int = 0
    """Number of tool calls to make if the request has `tools`."""
    reasoning: int = 0
    """Tokens of reasoning before the text."""
    refusal: bool = False
    """True if the text is sent as a refusal."""
    filter: int | None = None
    """Tokens after which the content filter ends the answer."""
    usage: bool = True
    done: bool = True
    """True if the stream ends with its end mark (`[DONE]`)."""
    badjson: int | None = None
    """Tokens after which a malformed frame without text is sent."""
    prefill: bool = True
    """True if a trailing assistant message is continued; False rejects it with 400."""
    resume: Resume = Resume.NEW
    fault: Fault | None = None
