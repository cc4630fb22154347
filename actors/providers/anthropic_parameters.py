"""Chat's parameters under the names and within the bounds of Anthropic's Messages API.

Each function takes all parameters that were given, or the value of one, and adds the names of those
that cannot be said to `left_out`.
"""

from collections.abc import Iterator, Mapping

from actors.providers.anthropic_models import Traits
from actors.providers.anthropic_thinking import Thinking
from actors.providers.base import JSON

_LONGEST_USER = 256

_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}

Parameters = Mapping[str, JSON]


def sampling(
    asked: Parameters, kind: Traits, thought: Thinking, left_out: list[str]
) -> dict[str, JSON]:
    """`temperature`, `top_p` and `top_k`, as far as the model takes them."""
    said: dict[str, JSON] = {}
    for name in ("temperature", "top_p", "top_k"):
        value = asked.get(name)
        if value is None or (name != "top_k" and value == 1):
            continue
        spoken_for = name == "top_p" and "temperature" in said and not kind.both
        thinks = thought.on and not (name == "top_p" and _nearly_one(value))
        too_hot = name == "temperature" and isinstance(value, int | float) and value > 1
        if kind.sampling and not (spoken_for or thinks or too_hot):
            said[name] = value
        else:
            left_out.append(name)
    return said


def _nearly_one(value: JSON) -> bool:
    return isinstance(value, int | float) and 0.95 <= value <= 1


def output_config(asked: Parameters, thought: Thinking, left_out: list[str]) -> dict[str, JSON]:
    """How hard to try and in which shape to answer; what the API's own parameter says wins."""
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


def stop_sequences(stop: JSON, left_out: list[str]) -> list[str]:
    """The words to stop at; the API refuses those of white space only."""
    words = stop if isinstance(stop, list) else [stop]
    said = [word for word in words if isinstance(word, str) and word.strip()]
    if stop is not None and len(said) < len(words):
        left_out.append("stop")
    return said


def metadata(asked: Parameters, left_out: list[str]) -> dict[str, JSON]:
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


def service_tier(wanted: JSON, left_out: list[str]) -> str | None:
    """Which capacity to use."""
    tier = _TIERS.get(wanted) if isinstance(wanted, str) else None
    if wanted is not None and tier is None:
        left_out.append("service_tier")
    return tier
