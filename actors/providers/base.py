"""What the streamer needs of an upstream: open a call, read chunks, close at once."""

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from actors.chunks import Chunk
from actors.outcome import Reason

JSON = object
"""A decoded JSON value that nobody here looks into."""


class Route(Struct, frozen=True):
    """A provider's name and the model to ask it for; written `provider/upstream-model`."""

    provider: str
    upstream_model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.upstream_model}"


class ModelCall(Struct, frozen=True, kw_only=True):
    """One model call, free of any dialect: what is asked of whichever route answers it."""

    upstream_model: str
    messages: list[dict[str, JSON]]
    """Chat messages in OpenAI's shape, whatever the client's dialect or the provider's format.

    Where the last one is the assistant's, its text is to be continued (prefill)."""
    parameters: dict[str, JSON]
    """Sampling parameters, `tools`, `response_format` …: all that the client sent besides
    `model`, `messages`, `stream` and `stream_options`."""
    foreign: dict[str, tuple[str, ...]] = {}
    """Names of parameters, and of fields in messages, parts and tools, that Chat does not have: the
    format of the client's own API says them, the others leave them out. To each name the parameters
    of Chat, if any, that say the same for those others (`actors.providers.foreign`)."""


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a route can do; where nothing is declared all but `prefill` is taken for granted."""

    images: bool = True
    tools: bool = True
    reasoning: bool = True
    prefill: bool = False
    """An assistant message at the end is continued, not answered."""
    context_window: int | None = None
    """Tokens of prompt and answer together; None where it is not known."""


class FailureKind(StrEnum):
    """What went wrong upstream; `failure_reason` says which `Reason` it becomes."""

    REFUSED = "refused"
    """No connection, a reset, or the end of the stream before the response's head."""
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    REJECTED = "rejected"
    """A 4xx."""
    SERVER_ERROR = "server_error"
    """A 5xx, or a 200 that is no answer (HTML, another content type)."""
    IN_STREAM_ERROR = "in_stream_error"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    """The stream ended, or was cut, without a finish reason."""
    MISFIT = "misfit"
    """It was asked to continue an answer, and what it said does not."""
    BUSY = "busy"
    """It was not asked: too many calls of ours are under way there."""


class UpstreamFailure(Exception):
    """An attempt failed. `message` is fit for clients: no secret, no address."""

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        another_key: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        """The upstream's HTTP status, where it gave one."""
        self.code = code
        self.type = type
        self.param = param
        self.retry_after_s = retry_after_s
        self.another_key = another_key
        """The key was refused, and the provider has another one that was not."""


_REASONS = {
    FailureKind.REFUSED: Reason.UPSTREAM_UNREACHABLE,
    FailureKind.CONNECT_TIMEOUT: Reason.UPSTREAM_TIMEOUT,
    FailureKind.FIRST_BYTE_TIMEOUT: Reason.UPSTREAM_TIMEOUT,
    FailureKind.FIRST_TOKEN_TIMEOUT: Reason.UPSTREAM_TIMEOUT,
    FailureKind.IDLE_TIMEOUT: Reason.UPSTREAM_TIMEOUT,
    FailureKind.REJECTED: Reason.UPSTREAM_REJECTED,
    FailureKind.SERVER_ERROR: Reason.UPSTREAM_ERROR,
    FailureKind.IN_STREAM_ERROR: Reason.UPSTREAM_ERROR,
    FailureKind.MALFORMED: Reason.UPSTREAM_ERROR,
    FailureKind.TRUNCATED: Reason.UPSTREAM_TRUNCATED,
    FailureKind.MISFIT: Reason.UPSTREAM_ERROR,
    FailureKind.BUSY: Reason.UPSTREAM_UNREACHABLE,
}


def failure_reason(kind: FailureKind) -> Reason:
    """The turn's reason when an attempt that failed like this was its last."""
    return _REASONS[kind]


class Answer(Protocol):
    """An open stream of chunks. Whoever opened it calls exactly one of `release` and `close`."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Paths of what the call asks for and the provider was not asked, as in `unsupported`."""

    async def receive(self) -> list[Chunk]:
        """Wait for the next chunks; `[]` means that the stream has ended in good order.

        Everything that one read brought comes as one list. Raises `UpstreamFailure`; chunks
        decoded before the failure in the same read are returned first.
        """

    def release(self) -> None:
        """The answer is whole: keep its connection for another call if it can be reused."""

    def close(self) -> None:
        """Drop the answer: its socket is closed before this returns."""


class Provider(Protocol):
    """An upstream. Every method may be cancelled at any time and leaves nothing open then."""

    @property
    def name(self) -> str:
        """The provider's name in the configuration."""

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Paths of what the call asks for and the provider's format cannot say.

        For who wants to know before; afterwards the answer tells.
        """

    async def open(self, call: ModelCall, *, connect_s: float) -> Answer:
        """Send the call and wait for the response's head; raises `UpstreamFailure`.

        `connect_s` bounds TCP and TLS set-up (`CONNECT_TIMEOUT`); all other deadlines are the
        caller's.
        """
