"""A call as the body of a request to Anthropic's Messages API, and what that cannot say.

Names and bounds from the API reference, "Create a message".
"""

from msgspec import Struct

from actors.providers.anthropic_messages import conversation
from actors.providers.anthropic_models import Traits, traits
from actors.providers.anthropic_parameters import (
    Parameters,
    metadata,
    output_config,
    sampling,
    service_tier,
    stop_sequences,
)
from actors.providers.anthropic_thinking import Thinking, thinking
from actors.providers.anthropic_tools import tool_choice, tools
from actors.providers.base import JSON, ModelCall
from actors.providers.foreign import restating, thoughts
from actors.providers.neutral import asks_nothing, with_effort

_ANSWER = 4096
"""Tokens left for the answer where the API's own `thinking` has a budget and no limit is set."""

_NOT_SAID = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "modalities",
        "moderation",
        "n",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "seed",
        "system",
        "top_logprobs",
        "verbosity",
        "web_search_options",
    }
)
"""Parameters that there is no place for."""

_PENALTIES = frozenset({"frequency_penalty", "presence_penalty"})
"""None of it is what everybody has."""

_READ = frozenset(
    {
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "output_config",
        "parallel_tool_calls",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "service_tier",
        "stop",
        "store",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user",
    }
)
"""What is looked at here; `store` is about our store, not the provider's."""


class Translation(Struct, frozen=True):
    """A request's body, and paths of what was asked for and is not in it."""

    body: dict[str, JSON]
    left_out: tuple[str, ...]


def translate(call: ModelCall) -> Translation:
    """The call in the API's shape."""
    asked = {name: value for name, value in call.parameters.items() if value is not None}
    for name in restating(call):
        asked.pop(name, None)
    left_out = [name for name in asked if _is_lost(name, asked[name])]
    asked = with_effort(asked, left_out)
    kind = traits(call.upstream_model)
    left_out += thoughts(call)
    chat = conversation(call.messages, left_out)
    if chat.lacks_thinking and _has_budget(asked.get("thinking")):
        left_out.append("thinking")
        del asked["thinking"]
    given = tools(asked.get("tools"), left_out)
    choice = tool_choice(asked, given, left_out)
    limit = asked.get("max_completion_tokens", asked.get("max_tokens"))
    thought = thinking(
        asked,
        left_out,
        by_effort=kind.effort,
        possible=not (_forced(choice) or chat.prefilled or chat.within_tool_loop),
        limit=limit,
    )
    body: dict[str, JSON] = {
        "model": call.upstream_model,
        "max_tokens": _max_tokens(limit, kind, thought),
        "system": chat.system,
        "messages": chat.turns,
        "tools": given,
        "tool_choice": choice,
        "thinking": thought.thinking,
        "output_config": output_config(asked, thought, left_out),
        "stop_sequences": stop_sequences(asked.get("stop"), left_out),
        "metadata": metadata(asked, left_out),
        "service_tier": service_tier(asked.get("service_tier"), left_out),
        **sampling(asked, kind, thought, left_out),
        "stream": True,
    }
    said = {name: value for name, value in body.items() if value not in (None, [], {})}
    said.setdefault("messages", [])
    left_out += [name for name in _extras(asked) if name in said]
    return Translation(dict(_extras(asked)) | said, tuple(left_out))


def _has_budget(thinking: JSON) -> bool:
    """Where it has one, after a tool's result the thinking before the call has to be there."""
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"


def _is_lost(name: str, value: JSON) -> bool:
    idle = asks_nothing(name, value) or (name in _PENALTIES and value == 0)
    return name in _NOT_SAID and not idle


def _extras(asked: Parameters) -> dict[str, JSON]:
    """What Chat does not know: the API's own parameters, as they are."""
    known = _READ | _NOT_SAID
    return {name: value for name, value in asked.items() if name not in known}


def _forced(choice: dict[str, JSON] | None) -> bool:
    return choice is not None and choice["type"] in ("any", "tool")


def _max_tokens(limit: JSON, kind: Traits, thought: Thinking) -> JSON:
    """The client's limit; the API wants one in any case."""
    if limit is not None:
        return limit
    return max(kind.max_tokens, thought.budget + _ANSWER if thought.budget else 0)
