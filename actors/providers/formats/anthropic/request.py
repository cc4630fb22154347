"""Converts a call to the body of an Anthropic Messages request.

Names and bounds come from the API reference, "Create a message".
"""

from actors.providers.formats.anthropic.messages import conversation
from actors.providers.formats.anthropic.parameters import (
    Parameters,
    Thinking,
    Traits,
    metadata,
    output_config,
    sampling,
    service_tier,
    stop_sequences,
    thinking,
    traits,
)
from actors.providers.formats.anthropic.tools import tool_choice, tools
from actors.providers.formats.base import Translation
from actors.providers.formats.parameters import is_default_value, normalised
from actors.providers.formats.vendor_extensions import reasoning_paths, redundant_parameters
from actors.turn.model_call import JSON, ModelCall

_ANSWER = 4096
"""Tokens reserved for the answer when the client sets a thinking budget but no `max_tokens`."""

_UNSUPPORTED = frozenset(
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
"""Chat parameters that the Messages API cannot express."""

_PENALTIES = frozenset({"frequency_penalty", "presence_penalty"})
"""Parameters whose default is 0, so that 0 doesn't count as left out."""

_READ = frozenset(
    {
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
"""Parameters that are handled here; `store` controls Trouper's store, not the provider's."""


def translate(call: ModelCall) -> Translation:
    """Return the call in the shape of the Messages API."""
    parameters = {name: value for name, value in call.parameters.items() if value is not None}
    for name in redundant_parameters(call):
        parameters.pop(name, None)
    left_out = [name for name in parameters if _is_unsupported(name, parameters[name])]
    parameters = normalised(parameters, left_out)
    model_traits = traits(call.upstream_model)
    left_out += reasoning_paths(call)
    chat = conversation(call.messages, left_out)
    if chat.lacks_thinking and _has_budget(parameters.get("thinking")):
        left_out.append("thinking")
        del parameters["thinking"]
    given = tools(parameters.get("tools"), left_out)
    choice = tool_choice(parameters, given, left_out)
    limit = parameters.get("max_tokens")
    thinking_config = thinking(
        parameters,
        left_out,
        by_effort=model_traits.effort,
        possible=not (_forced(choice) or chat.prefilled or chat.within_tool_loop),
        limit=limit,
    )
    body: dict[str, JSON] = {
        "model": call.upstream_model,
        "max_tokens": _max_tokens(limit, model_traits, thinking_config),
        "system": chat.system,
        "messages": chat.turns,
        "tools": given,
        "tool_choice": choice,
        "thinking": thinking_config.thinking,
        "output_config": output_config(parameters, thinking_config, left_out),
        "stop_sequences": stop_sequences(parameters.get("stop"), left_out),
        "metadata": metadata(parameters, left_out),
        "service_tier": service_tier(parameters.get("service_tier"), left_out),
        **sampling(parameters, model_traits, thinking_config, left_out),
        "stream": True,
    }
    sent = {name: value for name, value in body.items() if value not in (None, [], {})}
    sent.setdefault("messages", [])
    left_out += [name for name in _own_parameters(parameters) if name in sent]
    return Translation(dict(_own_parameters(parameters)) | sent, tuple(left_out))


def _has_budget(thinking: JSON) -> bool:
    """Return whether thinking has a budget.

    If so, the API requires the thinking that preceded a tool call to come back with its result.
    """
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"


def _is_unsupported(name: str, value: JSON) -> bool:
    idle = is_default_value(name, value) or (name in _PENALTIES and value == 0)
    return name in _UNSUPPORTED and not idle


def _own_parameters(parameters: Parameters) -> dict[str, JSON]:
    """Return parameters unknown to Chat: the API's own, which are passed through unchanged."""
    known = _READ | _UNSUPPORTED
    return {name: value for name, value in parameters.items() if name not in known}


def _forced(choice: dict[str, JSON] | None) -> bool:
    return choice is not None and choice["type"] in ("any", "tool")


def _max_tokens(limit: JSON, model_traits: Traits, thinking_config: Thinking) -> JSON:
    """Return the client's limit or a default; the API requires `max_tokens`."""
    if limit is not None:
        return limit
    return max(
        model_traits.max_tokens, thinking_config.budget + _ANSWER if thinking_config.budget else 0
    )
