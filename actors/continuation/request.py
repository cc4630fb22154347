"""Continuation request: decides if an answer may be continued, and builds the call for the rest.

`actors.continuation.splicing.splice` joins the second answer to the first one's text. The module
does no I/O.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.turn.chunks import Chunk, NativeItemChunk, RefusalChunk, TextChunk, ToolCallChunk
from actors.turn.messages import (
    AssistantMessage,
    Content,
    Message,
    TextPart,
    UserMessage,
    text_of,
)
from actors.turn.model_call import JSON, ModelCall

_LIMITS: Final = ("max_tokens", "max_completion_tokens")

_STRUCTURED: Final = frozenset(
    {"format", "grammar", "json_schema", "regex", "responseMimeType", "structured_outputs"}
    | {f"guided_{kind}" for kind in ("json", "regex", "choice", "grammar")}
)
"""Vendor parameters for structured output, in addition to `response_format`."""

_OVERLAP_TOKENS: Final = 16
"""Token allowance for the words that the model is asked to repeat."""

_MIN_LIMIT: Final = 16
"""Smallest output limit that all providers accept."""

_OBSTACLES: Final = {
    RefusalChunk: "a refusal had begun",
    ToolCallChunk: "a tool call had begun",
    NativeItemChunk: "the provider had run a tool",
}
"""Output that a second answer cannot continue."""


class ShownAnswer:
    """The part of an answer that was passed on. `note` runs for every chunk and must be fast."""

    __slots__ = ("_pieces", "obstacle")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.obstacle: str | None = None
        """Reason why the answer cannot be continued, or None."""

    def note(self, chunk: Chunk) -> None:
        """Record a chunk that was passed on."""
        if type(chunk) is TextChunk:
            self._pieces.append(chunk.text)
            if chunk.logprobs is not None:
                self.obstacle = "logprobs were requested"
        else:
            self.obstacle = _OBSTACLES.get(type(chunk), self.obstacle)

    @property
    def text(self) -> str:
        """Full text so far; the pieces are joined once and not on every access."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


def why_not_continued(call: ModelCall, shown: ShownAnswer) -> str | None:
    """Return the reason why this interrupted answer must not be continued, or None if it may be.

    An answer without visible text may always be continued, because there is nothing to splice. The
    call is then sent unchanged, and the reasoning of the second answer is not shown.
    """
    if shown.obstacle is not None:
        return shown.obstacle
    if wants_structure(call.parameters):
        return "structured output was requested"
    return "logprobs were requested" if wants_logprobs(call.parameters) else None


def wants_structure(parameters: Mapping[str, JSON]) -> bool:
    """Return True if the call requests JSON or another format that is validated as a whole."""
    wanted = parameters.get("response_format")
    if isinstance(wanted, dict):
        wanted = wanted.get("type", wanted)
    by_vendor = any(parameters.get(name) is not None for name in _STRUCTURED)
    return by_vendor or wanted not in (None, "text") or _wants_native_structure(parameters)


def _wants_native_structure(parameters: Mapping[str, JSON]) -> bool:
    """Check the Responses and Messages spellings, which are passed on to routes of these APIs."""
    for name in ("text", "output_config"):
        settings = parameters.get(name)
        form = settings.get("format") if isinstance(settings, dict) else None
        if isinstance(form, dict) and form.get("type") not in (None, "text"):
            return True
    return False


def wants_logprobs(parameters: Mapping[str, JSON]) -> bool:
    """Return True if the call requests logprobs, which depend on a token's position."""
    included = parameters.get("include")
    if isinstance(included, list) and any("logprobs" in str(one) for one in included):
        return True
    return any(parameters.get(name) not in (None, False) for name in ("logprobs", "top_logprobs"))


def continuation(
    call: ModelCall, shown: str, *, prefill: bool, instruction: str, used_tokens: int
) -> ModelCall:
    """Return the call for the rest of an answer of which `shown` was passed on.

    White space at the end of `shown` is removed, since providers refuse a prefill that ends with
    it. If nothing remains, the messages stay unchanged and the answer starts over. `used_tokens`
    are subtracted from the output limits, except for an allowance for the words that a model
    without prefill must repeat; at least 16 tokens remain.
    """
    slack = 0 if prefill else _OVERLAP_TOKENS
    return msgspec.structs.replace(
        call,
        messages=_messages(call.messages, shown.rstrip(), None if prefill else instruction),
        parameters={
            name: _reduced(value, used_tokens - slack) if name in _LIMITS else value
            for name, value in call.parameters.items()
        },
    )


def prefilled(call: ModelCall) -> str:
    """Return the text of the trailing assistant message of the client's own call, or ''.

    A second answer that starts over may repeat it, so it precedes the shown text when the two are
    compared: `Splicer(prefilled(call) + shown, prefill=False)`.
    """
    last = call.messages[-1] if call.messages else None
    return text_of(last) if isinstance(last, AssistantMessage) else ""


def _messages(
    messages: tuple[Message, ...], shown: str, instruction: str | None
) -> tuple[Message, ...]:
    if not shown:
        return messages
    *others, last = messages or (AssistantMessage(),)
    if not isinstance(last, AssistantMessage):
        others, last = [*messages], AssistantMessage()
    last = msgspec.structs.replace(last, content=_extended(last.content, shown))
    instructions = () if instruction is None else (UserMessage(instruction),)
    return (*others, last, *instructions)


def _extended(content: Content, shown: str) -> Content:
    """Append the shown text to the client's own prefill."""
    if isinstance(content, tuple):
        return (*content, TextPart(shown))
    return (content or "") + shown


def _reduced(limit: JSON, used: int) -> JSON:
    # A bool is an int in Python. Invalid limits are left for the provider to refuse.
    if isinstance(limit, bool) or not isinstance(limit, int):
        return limit
    return max(min(limit, _MIN_LIMIT), limit - max(0, used))
