"""Converts Chat parameters to the names and bounds of Anthropic's Messages API.

Each function takes all given parameters, or the value of one, and adds the names of those that the
API cannot express to `left_out`.
"""

from collections.abc import Iterator, Mapping

from actors.providers.anthropic_models import Traits
from actors.providers.anthropic_thinking import Thinking
from actors.turn.model_call import JSON

_MAX_USER_ID = 256

_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}

Parameters = Mapping[str, JSON]


def sampling(
    parameters: Parameters, model_traits: Traits, thinking_config: Thinking, left_out: list[str]
) -> dict[str, JSON]:
    """Return `temperature`, `top_p` and `top_k`, as far as the model accepts them.

    With thinking on, only a `top_p` of at least 0.95 is accepted. `temperature` is at most 1.
    """
    accepted: dict[str, JSON] = {}
    for name in ("temperature", "top_p", "top_k"):
        value = parameters.get(name)
        if value is None or (name != "top_k" and value == 1):
            continue
        spoken_for = (
            name == "top_p"
            and "temperature" in accepted
            and not model_traits.temperature_with_top_p
        )
        thinks = thinking_config.on and not (name == "top_p" and _nearly_one(value))
        too_hot = name == "temperature" and isinstance(value, int | float) and value > 1
        if model_traits.sampling and not (spoken_for or thinks or too_hot):
            accepted[name] = value
        else:
            left_out.append(name)
    return accepted


def _nearly_one(value: JSON) -> bool:
    return isinstance(value, int | float) and 0.95 <= value <= 1


def output_config(
    parameters: Parameters, thinking_config: Thinking, left_out: list[str]
) -> dict[str, JSON]:
    """Return `output_config`: effort and output format.

    The API's own `output_config` wins over `reasoning_effort` and `response_format`.
    """
    given = parameters.get("output_config", {})
    if not isinstance(given, dict):
        left_out.append("output_config")
        given = {}
    config = dict(given)
    for key, name, value in (
        ("effort", "reasoning_effort", thinking_config.effort),
        ("format", "response_format", _format(parameters.get("response_format"), left_out)),
    ):
        if value is not None and config.setdefault(key, value) != value:
            left_out.append(name)
    return config


def _format(requested: JSON, left_out: list[str]) -> dict[str, JSON] | None:
    """Return the output format; the API has no JSON mode without a schema."""
    match requested:
        case None | {"type": "text"}:
            return None
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return {"type": "json_schema", "schema": schema}
        case _:
            left_out.append("response_format")
            return None


def stop_sequences(stop: JSON, left_out: list[str]) -> list[str]:
    """Return the stop sequences; the API refuses those of white space only."""
    words = stop if isinstance(stop, list) else [stop]
    accepted = [word for word in words if isinstance(word, str) and word.strip()]
    if stop is not None and len(accepted) < len(words):
        left_out.append("stop")
    return accepted


def metadata(parameters: Parameters, left_out: list[str]) -> dict[str, JSON]:
    """Return `user_id` from `user`, `safety_identifier` or `metadata`, the first that is valid."""
    accepted: dict[str, JSON] = {}
    for name, user in _users(parameters):
        if not accepted and _is_opaque(user):
            accepted = {"user_id": user}
        else:
            left_out.append(name)
    return accepted


def _users(parameters: Parameters) -> Iterator[tuple[str, JSON]]:
    for name in ("user", "safety_identifier"):
        if name in parameters:
            yield name, parameters[name]
    metadata = parameters.get("metadata")
    if isinstance(metadata, dict) and set(metadata) == {"user_id"}:
        yield "metadata", metadata["user_id"]
    elif metadata:
        yield "metadata", None


def _is_opaque(user: JSON) -> bool:
    """Return whether the API accepts this user id: no e-mail address, at most 256 characters."""
    return isinstance(user, str) and 0 < len(user) <= _MAX_USER_ID and "@" not in user


def service_tier(requested: JSON, left_out: list[str]) -> str | None:
    """Return the API's service tier for Chat's."""
    tier = _TIERS.get(requested) if isinstance(requested, str) else None
    if requested is not None and tier is None:
        left_out.append("service_tier")
    return tier
