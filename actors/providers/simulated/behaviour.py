"""How a simulated model behaves: speed, length, kind of answer and the fault it plays."""

from enum import StrEnum

from msgspec import Struct


class Style(StrEnum):
    """What the text is made of."""

    PROSE = "prose"
    COUNT = "count"
    """`1 2 3 …`: a lost, doubled or swapped token shows at a glance."""
    ECHO = "echo"
    """The last user message."""
    UNICODE = "unicode"
    """Several scripts, combining marks and joined emoji."""


class Resume(StrEnum):
    """How a cut answer goes on when a later user message asks for it."""

    NEW = "new"
    """It does not: the question is answered like any other."""
    ON = "on"
    """With the next word."""
    AGAIN = "again"
    """From its very beginning."""
    OVERLAP = "overlap"
    """From a few words before the cut."""


class FaultKind(StrEnum):
    """What goes wrong; the value is the fault's name in the model-name grammar."""

    ERROR = "error"
    """An HTTP error in the provider's shape instead of an answer."""
    HTML = "html"
    """An HTML page instead of an answer."""
    REFUSE = "refuse"
    """A reset instead of the response's head."""
    SILENT = "silent"
    """Nothing at all, not even the response's head."""
    GARBAGE = "garbage"
    """Bytes that are not HTTP instead of the response's head."""

    CUT = "cut"
    """The connection closes (FIN) in the middle of the body, between two frames."""
    BREAK = "break"
    """The same, inside a frame."""
    RESET = "reset"
    """The connection is reset in the middle of the body."""
    END = "end"
    """The body ends as it should, but without a finish reason."""
    STALL = "stall"
    """Nothing more comes, and the connection stays open."""
    ERROR_FRAME = "errorframe"
    """An error inside the stream, then the end of the body."""
    NOISE = "noise"
    """Bytes that break the framing of the body, then the end of the connection."""
    TORN = "torn"
    """A frame that breaks off inside its text; the ones after it are whole."""

    HANG = "hang"
    """A whole answer whose body does not end."""


OPENING_FAULTS = frozenset(
    {
        FaultKind.ERROR,
        FaultKind.HTML,
        FaultKind.REFUSE,
        FaultKind.SILENT,
        FaultKind.GARBAGE,
    }
)
"""Faults that take the place of the response's head."""


class Fault(Struct, frozen=True, kw_only=True):
    """A fault and whom it meets. It ends the answer, except `TORN`."""

    kind: FaultKind
    at: int = 0
    """Tokens sent before it, for faults inside the body."""
    status: int = 200
    """HTTP status, for `ERROR` and `HTML`."""
    code: str | None = None
    """OpenAI's `error.code`, for `ERROR` and `ERROR_FRAME`."""
    retry_after_s: float | None = None
    """The `Retry-After` header, for `ERROR`."""
    times: int = 0
    """Only the first so many requests of a conversation meet the fault; 0: every one."""
    for_s: float = 0.0
    """Only for so long after the first request to this model; 0: for ever."""


class Behaviour(Struct, frozen=True, kw_only=True):
    """Everything that a model name or a scenario can ask for; delays are in seconds."""

    voice: str = "sim"
    """The part of the model name before the colon. It picks the words, so the same voice with
    other settings says the same and another voice says something else."""
    tokens: int | None = None
    """Length of the text; None: 40 to 120, picked by the prompt."""
    head_s: float = 0.0
    """Before the response's head."""
    first_s: float = 0.05
    """From the head to the first token."""
    delay_s: float = 0.02
    """From one token to the next; 0 floods."""
    chunk: int = 1
    """Tokens in one chunk."""
    style: Style = Style.PROSE
    tool: int = 0
    """Tool calls to make if the request has `tools`."""
    reasoning: int = 0
    """Tokens of reasoning before the text."""
    refusal: bool = False
    """The text comes as a refusal."""
    filter: int | None = None
    """Tokens after which the content filter ends the answer."""
    usage: bool = True
    done: bool = True
    """Whether the stream ends with its end mark (`[DONE]`)."""
    badjson: int | None = None
    """Tokens after which one frame without any text in it is malformed."""
    prefill: bool = True
    """Whether a last message of the assistant is continued; else it is a 400."""
    resume: Resume = Resume.NEW
    fault: Fault | None = None
