"""How an answer that was cut is asked for again, so that it goes on; and which are not.

Pure. `actors.splicing.splice` puts the second answer behind the first one's text.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.chunks import Chunk, ReasoningChunk, RefusalChunk, TextChunk, ToolCallChunk
from actors.providers.base import JSON, ModelCall

DEFAULT_INSTRUCTION: Final = (
    "Your previous message was cut off in the middle by a technical fault. Continue it exactly "
    "where it stops. Begin by repeating its last five to ten words verbatim, and go on from there "
    "in the same language, format and style. Write nothing before these words: no preamble, no "
    "apology, no remark about the interruption, no new code fence. Do not start over, and do not "
    "change or repeat anything else."
)
"""What a route without prefill is told. The repeated words prove where the two texts meet."""

_LIMITS: Final = ("max_tokens", "max_completion_tokens")
_STRUCTURED: Final = frozenset(
    {"format", "grammar", "json_schema", "regex", "responseMimeType", "structured_outputs"}
    | {f"guided_{kind}" for kind in ("json", "regex", "choice", "grammar")}
)
"""Extras of self-hosted providers that ask for output in a form, besides `response_format`."""


_REPEATED: Final = 16
"""Tokens for the words that are repeated."""
_LEAST: Final = 16
"""Some providers take no smaller limit."""


class Said:
    """What of an answer has been passed on. `note` is called for every chunk, so it is brief."""

    __slots__ = ("_pieces", "logprobs", "reasoning", "refusal", "tool_call")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.logprobs = False
        self.reasoning = False
        self.refusal = False
        self.tool_call = False

    def note(self, chunk: Chunk) -> None:
        """A chunk that was passed on."""
        if type(chunk) is TextChunk:
            self._pieces.append(chunk.text)
            if chunk.logprobs is not None:
                self.logprobs = True
        else:
            self._note_other(chunk)

    def _note_other(self, chunk: Chunk) -> None:
        match chunk:
            case ReasoningChunk():
                self.reasoning = True
            case RefusalChunk():
                self.refusal = True
            case ToolCallChunk():
                self.tool_call = True
            case _:
                pass

    @property
    def text(self) -> str:
        """All the text; joined once for as long as none is added."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


def why_not_continued(call: ModelCall, said: Said) -> str | None:
    """Why this answer, cut here, is never spliced; None if it may be.

    Where only reasoning was shown, or nothing, it may: there is no text to splice. It is asked for
    again as it was, and the reasoning of the second answer is not shown.
    """
    if said.tool_call:
        return "a tool call had begun"
    if said.refusal:
        return "a refusal had begun"
    if wants_structure(call.parameters):
        return "output in a given form was asked for"
    if said.logprobs or wants_logprobs(call.parameters):
        return "logprobs were asked for"
    return None


def wants_structure(parameters: Mapping[str, JSON]) -> bool:
    """JSON, or whatever else is checked as a whole, was asked for."""
    wanted = parameters.get("response_format")
    if isinstance(wanted, dict):
        wanted = wanted.get("type", wanted)
    asked = any(parameters.get(name) is not None for name in _STRUCTURED)
    return asked or wanted not in (None, "text") or _wants_in_other_words(parameters)


def _wants_in_other_words(parameters: Mapping[str, JSON]) -> bool:
    """The same as Responses and Messages spell it, which is passed on to routes of theirs."""
    for name in ("text", "output_config"):
        settings = parameters.get(name)
        form = settings.get("format") if isinstance(settings, dict) else None
        if isinstance(form, dict) and form.get("type") not in (None, "text"):
            return True
    return False


def wants_logprobs(parameters: Mapping[str, JSON]) -> bool:
    """Logprobs were asked for: they are of a token's place in the first answer."""
    included = parameters.get("include")
    if isinstance(included, list) and any("logprobs" in str(one) for one in included):
        return True
    return any(parameters.get(name) not in (None, False) for name in ("logprobs", "top_logprobs"))


def continuation(
    call: ModelCall, shown: str, *, prefill: bool, instruction: str, used_tokens: int
) -> ModelCall:
    """The call that asks for the rest of an answer of which `shown` was passed on.

    White space at the end of `shown` is left out, as providers refuse a prefill that has any. With
    nothing else in `shown` the messages stay as they are: the answer is asked for from its start.
    `used_tokens` are taken off the limits of output, of which at least 16 are left, and room for
    the words that a model without prefill is told to repeat.
    """
    slack = 0 if prefill else _REPEATED
    return msgspec.structs.replace(
        call,
        messages=_messages(call.messages, shown.rstrip(), None if prefill else instruction),
        parameters={
            name: _less(value, used_tokens - slack) if name in _LIMITS else value
            for name, value in call.parameters.items()
        },
    )


def prefilled(call: ModelCall) -> str:
    """The text of the assistant's message that the client's own call ends with, or ''.

    A second answer that begins again may begin with it, so it stands in front of what was shown
    when the two are compared: `Splicer(prefilled(call) + shown, prefill=False)`.
    """
    if not call.messages or call.messages[-1].get("role") != "assistant":
        return ""
    content = call.messages[-1].get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _messages(
    messages: list[dict[str, JSON]], shown: str, instruction: str | None
) -> list[dict[str, JSON]]:
    if not shown:
        return messages
    asked: list[dict[str, JSON]] = [*messages]
    if asked and asked[-1].get("role") == "assistant":
        asked[-1] = {**asked[-1], "content": _longer(asked[-1].get("content"), shown)}
    else:
        asked.append({"role": "assistant", "content": shown})
    if instruction is not None:
        asked.append({"role": "user", "content": instruction})
    return asked


def _longer(content: JSON, shown: str) -> JSON:
    """The client's own beginning of the answer, and what followed it."""
    if isinstance(content, list):
        return [*content, {"type": "text", "text": shown}]
    return content + shown if isinstance(content, str) else shown


def _less(limit: JSON, used: int) -> JSON:
    if isinstance(limit, bool) or not isinstance(limit, int):
        return limit
    return max(min(limit, _LEAST), limit - max(0, used))
