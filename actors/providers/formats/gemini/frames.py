"""Parses `GenerateContentResponse`s: strictly at first, leniently if field types are wrong.

Only the fields that are used are declared. Shapes come from the Gemini API reference,
"GenerateContentResponse", "Candidate" and "UsageMetadata". Google omits fields that are zero or
empty, as protocol buffers do in JSON.
"""

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import (
    NULL,
    Number,
    number,
    objects,
    raw,
    read_either,
    text,
)


class FunctionCall(Struct, gc=False):
    id: str | None = None
    name: str | None = None
    args: Raw = NULL


class Part(Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool = False
    function_call: FunctionCall | None = None


class Content(Struct, gc=False):
    parts: list[Part] | None = None


class Candidate(Struct, gc=False, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: Number | None = None
    logprobs_result: Raw = NULL


class PromptFeedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class UsageMetadata(Struct, gc=False, rename="camel"):
    prompt_token_count: Number | None = None
    tool_use_prompt_token_count: Number | None = None
    cached_content_token_count: Number | None = None
    candidates_token_count: Number | None = None
    thoughts_token_count: Number | None = None


class Frame(Struct, gc=False, rename="camel"):
    """One event of a stream, or a whole answer."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    response_id: str | None = None
    error: Raw = NULL


class Token(Struct, gc=False, rename="camel"):
    """A token and its log probability."""

    token: str = ""
    log_probability: float = 0.0


class TopCandidates(Struct, gc=False):
    candidates: list[Token] = []


class Logprobs(Struct, gc=False, rename="camel"):
    """A `LogprobsResult`: the chosen tokens and, for each, the most likely candidates."""

    chosen_candidates: list[Token] = []
    top_candidates: list[TopCandidates] = []


_strict = msgspec.json.Decoder(Frame).decode
_ARRAY = msgspec.json.Decoder(list[Raw])
_LOGPROBS = msgspec.json.Decoder(Logprobs)


def read_array(data: bytes) -> list[bytes]:
    """Return the frames of a stream sent as one array. Raises `msgspec.DecodeError`."""
    try:
        return [bytes(one) for one in _ARRAY.decode(data)]
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error


def read_frame(data: bytes) -> tuple[Frame, bool]:
    """Return the frame and whether it matched the schema.

    If field types are wrong, the readable fields are kept. Raises `msgspec.DecodeError` if `data`
    isn't a JSON object.
    """
    return read_either(data, _strict, _lenient)


def read_logprobs(data: Raw) -> Logprobs | None:
    """Return the log probabilities, or None if they don't match the schema."""
    try:
        return _LOGPROBS.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _lenient(document: dict[str, object]) -> Frame:
    feedback, error = document.get("promptFeedback"), document.get("error")
    return Frame(
        candidates=[_candidate(one) for one in objects(document.get("candidates"))],
        prompt_feedback=PromptFeedback(text(feedback.get("blockReason")))
        if isinstance(feedback, dict)
        else None,
        usage_metadata=_usage(document.get("usageMetadata")),
        response_id=text(document.get("responseId")),
        error=raw(error),
    )


def _candidate(candidate: dict[str, object]) -> Candidate:
    content = candidate.get("content")
    return Candidate(
        content=Content([_part(one) for one in objects(content.get("parts"))])
        if isinstance(content, dict)
        else None,
        finish_reason=text(candidate.get("finishReason")),
        finish_message=text(candidate.get("finishMessage")),
        index=number(candidate.get("index")),
        logprobs_result=raw(candidate.get("logprobsResult")),
    )


def _part(part: dict[str, object]) -> Part:
    call = part.get("functionCall")
    return Part(
        text=text(part.get("text")),
        thought=part.get("thought") is True,
        function_call=FunctionCall(
            text(call.get("id")), text(call.get("name")), raw(call.get("args"))
        )
        if isinstance(call, dict)
        else None,
    )


def _usage(usage: object) -> UsageMetadata | None:
    if not isinstance(usage, dict):
        return None
    return UsageMetadata(
        prompt_token_count=number(usage.get("promptTokenCount")),
        tool_use_prompt_token_count=number(usage.get("toolUsePromptTokenCount")),
        cached_content_token_count=number(usage.get("cachedContentTokenCount")),
        candidates_token_count=number(usage.get("candidatesTokenCount")),
        thoughts_token_count=number(usage.get("thoughtsTokenCount")),
    )
