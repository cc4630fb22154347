"""Model call: a request to a provider in neutral form, its route, and how it can fail."""

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum

from msgspec import Struct

from actors.turn.chunks import CallKind
from actors.turn.messages import JSON as JSON
from actors.turn.messages import Message
from actors.turn.outcome import Reason

CHAT_PARAMETERS = frozenset(
    {
        *("audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
        *("max_completion_tokens", "max_tokens", "metadata", "modalities", "moderation", "n"),
        *("parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key"),
        *("prompt_cache_options", "prompt_cache_retention", "reasoning_effort"),
        *("response_format", "safety_identifier", "seed", "service_tier", "stop", "store"),
        *("temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity"),
        "web_search_options",
    }
)
"""Parameters of Chat Completions (API reference, "Create chat completion").

All but `model`, `messages`, `stream` and `stream_options`."""


class Route(Struct, frozen=True):
    """A provider and one of its models, written `provider/upstream-model`."""

    provider: str
    upstream_model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.upstream_model}"


CUSTOM_INPUT = "input"
"""Name of the string of a function that stands in for a custom tool."""


class ClientTool(Struct, frozen=True):
    """A tool of the client for which a function stands in."""

    name: str
    kind: CallKind = "function"
    extras: str | None = None
    """Fields that a call of it has in the client's API, as JSON, such as `namespace`."""
    item_api: str | None = None
    """API in which a call of it is an item of its own, with `extras`, `call_id` and arguments."""


class NativeRequest(Struct, frozen=True, kw_only=True):
    """A call in the form of the client's own API, which formats of this API send unchanged."""

    api: str
    messages: tuple[Message, ...]
    """The messages that `items` express; the call may have further ones."""
    items: tuple[dict[str, JSON], ...]
    parameters: dict[str, JSON]
    """Parameters whose form differs from those of the call."""
    unexpressed: tuple[str, ...] = ()
    """Paths of what the call lacks, because only this API has it."""
    left_out: tuple[str, ...] = ()
    """Paths of what `items` lack."""


class ModelCall(Struct, frozen=True, kw_only=True):
    """One model call in neutral form, independent of the client's dialect and of the route."""

    messages: tuple[Message, ...]
    """If the last one is the assistant's, the model continues its text (prefill)."""
    parameters: dict[str, JSON] = {}
    """Sampling parameters, `tools`, `response_format` and so on.

    Everything the client sent except `model`, `messages`, `stream` and `stream_options`."""
    upstream_model: str = ""
    """Set by each attempt."""
    foreign: dict[str, tuple[str, ...]] = {}
    """Vendor extensions: parameters and fields (of messages, parts, tools) that Chat doesn't have.

    The format of the client's own API sends them; other formats leave them out. Each name maps to
    the Chat parameters, if any, that express the same for other formats
    (`actors.providers.formats.vendor_extensions`)."""
    client_tools: dict[str, ClientTool] = {}
    """Tools of the client by the names of the functions that stand in for them."""
    native: NativeRequest | None = None
    client: str = "openai-chat"
    """The format that the client speaks: `openai-chat`, `anthropic` or `openai-responses`."""
    betas: tuple[str, ...] = ()
    """The client's `anthropic-beta` header, for routes that speak the same API."""
    strict: bool = False
    """True if a field that the provider refuses must fail the call instead of being left out."""
    refused: frozenset[str] = frozenset()
    """Fields and values that the route refuses, which the request does without.

    Set by each attempt. A value is written `reasoning_effort=max`, the role `developer` and a beta
    by their names, and every field that Chat doesn't have as `*`."""

    def native_for(self, api: str) -> NativeRequest | None:
        """Return the request in the form of this API, if it still expresses the messages.

        It doesn't if the last of its messages was extended.
        """
        native = self.native
        if native is None or native.api != api:
            return None
        size = len(native.messages)
        is_same = self.messages[size - 1 : size] == native.messages[-1:]
        return native if is_same and len(self.messages) >= size else None


class Capabilities(Struct, frozen=True, kw_only=True):
    """Features of a route; all but `prefill` are assumed unless declared otherwise."""

    images: bool = True
    files: bool = True
    audio: bool = True
    video: bool = True
    tools: bool = True
    reasoning: bool = True
    prefill: bool = False
    """True if the model continues a final assistant message instead of replying to it."""
    context_window: int | None = None
    """Tokens of prompt and answer together; None if unknown."""


class FailureKind(StrEnum):
    """Kind of an upstream failure; `failure_reason` maps it to a `Reason`."""

    REFUSED = "refused"
    """No connection, or one that was reset or closed before the response head."""
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    REJECTED = "rejected"
    """A 4xx status."""
    SERVER_ERROR = "server_error"
    """A 5xx status, or a 200 whose content type isn't that of an answer, such as HTML."""
    IN_STREAM_ERROR = "in_stream_error"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    """The stream ended or was cut off without a finish reason."""
    MISFIT = "misfit"
    """A continuation that doesn't fit the text that it should continue."""
    BUSY = "busy"
    """The concurrency limit of the route was reached, so the request was not sent."""


@dataclass(eq=False)
class UpstreamFailure(Exception):
    """The failure of an attempt. `message` is safe for clients: no secrets, no addresses."""

    kind: FailureKind
    message: str
    _: KW_ONLY
    status: int | None = None
    """The upstream's HTTP status; None if there was no response."""
    code: str | None = None
    type: str | None = None
    param: str | None = None
    retry_after_s: float | None = None
    another_key: bool = False
    """True if the provider refused the key and another key is still usable."""
    sent: bool = True
    """False if there was no connection, so that the request cannot be the cause."""

    def __str__(self) -> str:
        return self.message


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
    """Return the turn's end reason if its last attempt failed like this."""
    return _REASONS[kind]
