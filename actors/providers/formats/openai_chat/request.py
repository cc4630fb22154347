"""Converts a call to the body of a Chat Completions request.

A call has this form already. Servers that speak it differ in the fields that they accept:
`ModelCall.refused` has those that this one doesn't.
"""

from urllib.parse import urlsplit

from actors.providers.formats.base import Translation
from actors.providers.formats.custom_tools import custom_as_functions
from actors.providers.formats.efforts import is_derived, openai_effort
from actors.providers.formats.openai_chat.google_signatures import with_signatures
from actors.providers.formats.openai_chat.tool_pictures import with_pictures_behind
from actors.providers.formats.parameters import Object, is_default_value, without_tools
from actors.providers.formats.vendor_extensions import THINKING, as_chat
from actors.turn.chat_messages import CHAT_API, write_message
from actors.turn.messages import AssistantMessage, Message
from actors.turn.model_call import CHAT_PARAMETERS, ModelCall

_OTHER_SERVERS = frozenset(
    {
        *("client_metadata", "developer", "max_completion_tokens", "moderation"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("safety_identifier", "store"),
        *("reasoning_effort=minimal", "reasoning_effort=xhigh", "reasoning_effort=max"),
    }
)
"""Fields and values that only OpenAI's own server is known to accept."""
_OPENAI = frozenset({"*", THINKING, "max_tokens"})
"""Fields that OpenAI's own server refuses, or refuses for its newer models."""

_OPTIONAL = frozenset(
    {
        *("audio", "developer", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens"),
        *("metadata", "modalities", "moderation", "parallel_tool_calls", "prediction"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("reasoning_effort", "safety_identifier", "seed", "service_tier", "store"),
        *("stream_options", "top_logprobs", "user", "verbosity", "web_search_options"),
    }
)
"""Fields of Chat without which an answer is still one to the request."""
_REQUIRED = frozenset(
    {
        *("model", "messages", "stream"),
        *("role", "content", "refusal", "tool_calls", "tool_call_id"),
    }
)
"""Fields of a request and of its messages that aren't parameters, and are always sent."""
_LIMITS = ("max_tokens", "max_completion_tokens")
"""Two names of one limit; the second one takes precedence, as in OpenAI's API."""


def refused_by(base_url: str) -> frozenset[str]:
    """Return what the server at an address refuses, as in `ModelCall.refused`."""
    host = urlsplit(base_url).hostname or ""
    return _OPENAI if f".{host}".endswith(".api.openai.com") else _OTHER_SERVERS


def is_optional(name: str) -> bool:
    """Return whether a request can do without a field: OpenAI's own ones and any server's extra."""
    return name in _OPTIONAL or not (name in CHAT_PARAMETERS or name in _REQUIRED)


def translate(call: ModelCall) -> Translation:
    """Return the body for a call."""
    derived = is_derived(call)
    if call.client != CHAT_API:
        call = custom_as_functions(call)  # few servers know custom tools
    call, left_out = as_chat(call, keep=() if THINKING in call.refused else (THINKING,))
    body = _parameters(call, left_out, derived=derived) | {
        "model": call.upstream_model,
        "messages": _messages(call, left_out),
        "stream": True,
    }
    if "tools" not in body:
        left_out += without_tools(body)
    if "stream_options" not in call.refused:
        body["stream_options"] = {"include_usage": True}
    return Translation(body, tuple(left_out))


def _parameters(call: ModelCall, left_out: list[str], *, derived: bool) -> Object:
    """Return the parameters that the server accepts."""
    given = {**call.parameters}
    if "reasoning_effort" in given:
        asked, effort = given.pop("reasoning_effort"), openai_effort(call, derived=derived)
        if effort is not None:
            given["reasoning_effort"] = effort
        elif asked is not None and not derived:
            left_out.append("reasoning_effort")
    for name, other in (_LIMITS, _LIMITS[::-1]):
        if name in call.refused and other not in call.refused and name in given:
            limit = given.pop(name)
            if limit is not None and (given.get(other) is None or name == _LIMITS[1]):
                given[other] = limit
    accepted: Object = {}
    for name, value in given.items():
        extra = name not in CHAT_PARAMETERS and "*" in call.refused
        bad_value = isinstance(value, str) and f"{name}={value}" in call.refused
        if not (extra or bad_value or name in call.refused):
            accepted[name] = value
        elif not is_default_value(name, value):
            left_out.append(name)
    return accepted


def _messages(call: ModelCall, left_out: list[str]) -> list[Object]:
    """Return the messages; add the paths of fields that the server refuses to `left_out`."""
    for index, message in enumerate(call.messages):
        fields = {*message.extras}
        if isinstance(message, AssistantMessage) and message.reasoning:
            fields.add(THINKING)
        if fields:
            left_out += [f"messages[{index}].{name}" for name in sorted(fields & call.refused)]
    messages = with_signatures(with_pictures_behind(call.messages), call.upstream_model)
    return [_accepted(one, call.refused) for one in messages]


def _accepted(message: Message, refused: frozenset[str]) -> Object:
    """Return a message without the fields and the role that the server refuses."""
    written = write_message(message)
    if written["role"] == "developer" and "developer" in refused:
        written["role"] = "system"
    if not refused.isdisjoint(written):
        written = {name: value for name, value in written.items() if name not in refused}
    return written
