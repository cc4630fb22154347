"""Converts a call, with its tools, to the body of an Anthropic Messages request.

Names and bounds come from the API reference, "Create a message".
"""

from collections.abc import Iterator

from actors.providers.formats.anthropic.messages import conversation
from actors.providers.formats.anthropic.parameters import (
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
from actors.providers.formats.base import Translation
from actors.providers.formats.messages import extra_fields
from actors.providers.formats.parameters import Object, is_default_value, normalised
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

_NOT_SENT = _UNSUPPORTED | {"store"}
"""Parameters that are not passed through; `store` controls Trouper's store, not the provider's."""

_FUNCTION = frozenset({"name", "description", "parameters", "strict", "cache_control"})
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}

_PENALTIES = frozenset({"frequency_penalty", "presence_penalty"})
"""Parameters whose default is 0, so that 0 doesn't count as left out."""


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
    given = _tools(parameters.pop("tools", None), left_out)
    choice = _tool_choice(parameters, given, left_out)
    limit = parameters.pop("max_tokens", None)
    thinking_config = thinking(
        parameters,
        left_out,
        by_effort=model_traits.effort,
        possible=not (_forced(choice) or chat.prefilled or chat.within_tool_loop),
        limit=limit,
    )
    body: Object = {
        "model": call.upstream_model,
        "max_tokens": _max_tokens(limit, model_traits, thinking_config),
        "system": chat.system,
        "messages": [{"role": turn.role, "content": turn.parts} for turn in chat.turns],
        "tools": given,
        "tool_choice": choice,
        "thinking": thinking_config.thinking,
        "output_config": output_config(parameters, thinking_config, left_out),
        "stop_sequences": stop_sequences(parameters.pop("stop", None), left_out),
        "metadata": metadata(parameters, left_out),
        "service_tier": service_tier(parameters.pop("service_tier", None), left_out),
        **sampling(parameters, model_traits, thinking_config, left_out),
        "stream": True,
    }
    sent = {name: value for name, value in body.items() if value not in (None, [], {})}
    sent.setdefault("messages", [])
    # Parameters unknown to Chat may be the API's own, so they are passed through.
    own = {name: value for name, value in parameters.items() if name not in _NOT_SENT}
    left_out += [name for name in own if name in sent]
    return Translation(own | sent, tuple(left_out))


def _has_budget(thinking: JSON) -> bool:
    """Return whether thinking has a budget.

    If so, the API requires the thinking that preceded a tool call to come back with its result.
    """
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"


def _is_unsupported(name: str, value: JSON) -> bool:
    idle = is_default_value(name, value) or (name in _PENALTIES and value == 0)
    return name in _UNSUPPORTED and not idle


def _forced(choice: Object | None) -> bool:
    return choice is not None and choice["type"] in ("any", "tool")


def _max_tokens(limit: JSON, model_traits: Traits, thinking_config: Thinking) -> JSON:
    """Return the client's limit or a default; the API requires `max_tokens`."""
    if limit is not None:
        return limit
    return max(
        model_traits.max_tokens, thinking_config.budget + _ANSWER if thinking_config.budget else 0
    )


def _tools(value: JSON, left_out: list[str]) -> list[Object]:
    """Return the tools; add the paths of entries that aren't tools to `left_out`.

    An entry with a `name` but no `function` is one of the API's own tools and passes unchanged.
    """
    found: list[Object] = []
    if value and not isinstance(value, list):
        left_out.append("tools")
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        path = f"tools[{index}]"
        function = entry.get("function") if isinstance(entry, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            left_out += extra_fields(function, f"{path}.function", *_FUNCTION)
            found.append(dict(_tool(entry, function)))
        elif isinstance(entry, dict) and isinstance(entry.get("name"), str):
            found.append(entry)
        else:
            left_out.append(path)
    return found


def _tool(entry: Object, function: Object) -> Iterator[tuple[str, JSON]]:
    yield "name", function["name"]
    if function.get("description"):
        yield "description", function["description"]
    yield "input_schema", _schema(function.get("parameters"))
    if function.get("strict") is True:
        yield "strict", True
    if function.get("cache_control"):
        yield "cache_control", function["cache_control"]
    yield from ((key, entry[key]) for key in entry if key not in ("type", "function"))


def _schema(parameters: JSON) -> JSON:
    """Return the schema with a type: the API requires an object schema."""
    given = parameters if isinstance(parameters, dict) else {}
    return given if given.get("type") else {"type": "object", "properties": {}} | given


def _tool_choice(parameters: Object, given: list[Object], left_out: list[str]) -> Object | None:
    """Return the API's `tool_choice`, or None if the default (the model decides) applies."""
    requested = parameters.pop("tool_choice", None)
    alone = parameters.pop("parallel_tool_calls", None) is False
    choice = _choice(requested)
    if choice is None or (not given and choice["type"] not in ("auto", "none")):
        left_out.append("tool_choice")
        choice = {"type": "auto"}
    if not given or (requested is None and not alone):
        return None
    if alone and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _choice(requested: JSON) -> Object | None:
    match requested:
        case None:
            return {"type": "auto"}
        case "auto" | "none" | "required":
            return {"type": _CHOICES[requested]}
        case {"type": "function", "function": {"name": str(name)}}:
            return {"type": "tool", "name": name}
        case _:
            return None
