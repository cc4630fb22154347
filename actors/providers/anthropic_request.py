"""A call as the body of a request to Anthropic's Messages API, and what that cannot say.

Names and bounds from the API reference, "Create a message".
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from actors.providers.anthropic_messages import conversation
from actors.providers.anthropic_models import Traits, traits
from actors.providers.anthropic_thinking import Thinking, thinking
from actors.providers.anthropic_tools import tool_choice, tools
from actors.providers.base import JSON, ModelCall
from actors.providers.neutral import asks_nothing

_ANSWER = 4096
"""Tokens left for the answer where the API's own `thinking` has a budget and no limit is set."""
_LONGEST_USER = 256

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

_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}

Parameters = Mapping[str, JSON]


class Translation(Struct, frozen=True):
    """A request's body, and paths of what was asked for and is not in it."""

    body: dict[str, JSON]
    left_out: tuple[str, ...]


def translate(call: ModelCall) -> Translation:
    """The call in the API's shape."""
    asked = {name: value for name, value in call.parameters.items() if value is not None}
    left_out = [name for name in asked if _is_lost(name, asked[name])]
    kind = traits(call.upstream_model)
    chat = conversation(call.messages, left_out)
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
        "output_config": _output_config(asked, thought, left_out),
        "stop_sequences": _stop_sequences(asked.get("stop"), left_out),
        "metadata": _metadata(asked, left_out),
        "service_tier": _service_tier(asked.get("service_tier"), left_out),
        **_sampling(asked, kind, thought, left_out),
        "stream": True,
    }
    said = {name: value for name, value in body.items() if value not in (None, [], {})}
    said.setdefault("messages", [])
    left_out += [name for name in _extras(asked) if name in said]
    return Translation(dict(_extras(asked)) | said, tuple(left_out))


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


def _sampling(
    asked: Parameters, kind: Traits, thought: Thinking, left_out: list[str]
) -> dict[str, JSON]:
    """`temperature`, `top_p` and `top_k`, as far as the model takes them."""
    said: dict[str, JSON] = {}
    for name, free in (("temperature", _up_to_one), ("top_p", _anything), ("top_k", _anything)):
        value = asked.get(name)
        if value is None or (name != "top_k" and value == 1):
            continue
        spoken_for = name == "top_p" and "temperature" in said and not kind.both
        thinks = thought.on and not (name == "top_p" and _nearly_one(value))
        if kind.sampling and free(value) and not spoken_for and not thinks:
            said[name] = value
        else:
            left_out.append(name)
    return said


def _anything(value: JSON) -> bool:
    return True


def _up_to_one(value: JSON) -> bool:
    return not isinstance(value, int | float) or value <= 1


def _nearly_one(value: JSON) -> bool:
    return isinstance(value, int | float) and 0.95 <= value <= 1


def _output_config(asked: Parameters, thought: Thinking, left_out: list[str]) -> dict[str, JSON]:
    given = asked.get("output_config", {})
    if not isinstance(given, dict):
        left_out.append("output_config")
        given = {}
    config = dict(given)
    for key, name, value in (
        ("effort", "reasoning_effort", thought.effort),
        ("format", "response_format", _format(asked.get("response_format"), left_out)),
    ):
        if value is not None and config.setdefault(key, value) != value:
            left_out.append(name)
    return config


def _format(wanted: JSON, left_out: list[str]) -> dict[str, JSON] | None:
    """An output format; the API knows schemas, and no JSON without one."""
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return {"type": "json_schema", "schema": schema}
        case _:
            left_out.append("response_format")
            return None


def _stop_sequences(stop: JSON, left_out: list[str]) -> list[str]:
    """The words to stop at; the API refuses those of white space only."""
    words = stop if isinstance(stop, list) else [stop]
    said = [word for word in words if isinstance(word, str) and word.strip()]
    if stop is not None and len(said) < len(words):
        left_out.append("stop")
    return said


def _metadata(asked: Parameters, left_out: list[str]) -> dict[str, JSON]:
    """`user_id`, from whichever of Chat's names for it comes first."""
    said: dict[str, JSON] = {}
    for name, user in _users(asked):
        if not said and _is_opaque(user):
            said = {"user_id": user}
        else:
            left_out.append(name)
    return said


def _users(asked: Parameters) -> Iterator[tuple[str, JSON]]:
    for name in ("user", "safety_identifier"):
        if name in asked:
            yield name, asked[name]
    metadata = asked.get("metadata")
    if isinstance(metadata, dict) and set(metadata) == {"user_id"}:
        yield "metadata", metadata["user_id"]
    elif metadata:
        yield "metadata", None


def _is_opaque(user: JSON) -> bool:
    """The API refuses what looks like an e-mail address, and what is longer."""
    return isinstance(user, str) and 0 < len(user) <= _LONGEST_USER and "@" not in user


def _service_tier(wanted: JSON, left_out: list[str]) -> str | None:
    tier = _TIERS.get(wanted) if isinstance(wanted, str) else None
    if wanted is not None and tier is None:
        left_out.append("service_tier")
    return tier
