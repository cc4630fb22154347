"""Converts Chat parameters to the names and bounds of Anthropic's Messages API.

`traits` says what a model accepts; `thinking` converts the reasoning effort. The functions take the
value of one parameter, or all parameters, from which they remove those that they read. The names of
those that the API cannot express are added to `left_out`.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from actors.providers.formats.parameters import Object, lookup
from actors.turn.model_call import JSON

_NAME = re.compile(r"claude-(?:[a-z]{1,20}-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_CLASSIC = (4, 0)

_OLD_MODEL_MAX_TOKENS = 4096
_MAX_TOKENS = 32_000

BUDGETS = {
    "minimal": 1024,
    "low": 4096,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 24_576,
}
"""Thinking tokens for each effort; capped at half of the client's `max_tokens`."""

_MIN_BUDGET = 1024
_EFFORTS = {effort: effort for effort in BUDGETS} | {"minimal": "low"}

_MAX_USER_ID = 256

_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}


class Traits(Struct, frozen=True):
    """Request parameters that a model accepts."""

    effort: bool
    """True if thinking is adaptive and steered by an effort; budgets are refused or deprecated."""
    sampling: bool
    """True if the model accepts `temperature`, `top_p` and `top_k`."""
    temperature_with_top_p: bool
    """True if the model accepts `temperature` and `top_p` in one request."""
    max_tokens: int
    """Default `max_tokens`, accepted by all models of the generation."""


def traits(model: str) -> Traits:
    """Return the traits of the named model."""
    found = _NAME.search(model)
    version = (int(found[1]), int(found[2] or 0)) if found else _CLASSIC
    return Traits(
        effort=version >= (4, 6),
        sampling=version < (4, 7),
        temperature_with_top_p=version < (4, 1),
        max_tokens=_MAX_TOKENS if version >= _CLASSIC else _OLD_MODEL_MAX_TOKENS,
    )


class Thinking(Struct, frozen=True):
    """Thinking parameters of a request; None leaves a parameter out."""

    thinking: dict[str, JSON] | None = None
    effort: str | None = None

    @property
    def on(self) -> bool:
        """True if the request turns thinking on."""
        return self.thinking is not None and self.thinking.get("type") != "disabled"

    @property
    def budget(self) -> int:
        """Tokens reserved for thinking; 0 without a budget."""
        budget = (self.thinking or {}).get("budget_tokens")
        return budget if isinstance(budget, int) else 0


def thinking(
    parameters: Object,
    left_out: list[str],
    *,
    by_effort: bool,
    possible: bool,
    limit: JSON,
) -> Thinking:
    """Return the thinking parameters for `thinking` and `reasoning_effort`.

    `by_effort` is true if the model takes an effort instead of a budget, `possible` if a budget is
    compatible with the rest of the call. `limit` is the client's `max_tokens`. The API's own
    `thinking` parameter is passed through unchanged.
    """
    given, requested = parameters.pop("thinking", None), parameters.pop("reasoning_effort", None)
    effort = lookup(_EFFORTS, requested)
    made = _passed_through(given, effort) if isinstance(given, dict) else Thinking()
    if given is not None and made.thinking is None:
        left_out.append("thinking")
    if given is None and effort is not None:
        made = _from_effort(str(requested), effort, limit, by_effort=by_effort, possible=possible)
    if requested not in (None, "none") and not (made.effort or (given is None and made.thinking)):
        left_out.append("reasoning_effort")
    return made


def _passed_through(thinking: dict[str, JSON], effort: str | None) -> Thinking:
    return Thinking(thinking, effort if thinking.get("type") == "adaptive" else None)


def _from_effort(
    requested: str, effort: str, limit: JSON, *, by_effort: bool, possible: bool
) -> Thinking:
    if by_effort:
        # The newest models omit their thinking unless the request sets `display`.
        return Thinking({"type": "adaptive", "display": "summarized"}, effort)
    most = limit // 2 if isinstance(limit, int) else BUDGETS[requested]
    if not possible or (isinstance(limit, int) and limit <= _MIN_BUDGET):
        return Thinking()
    budget = max(_MIN_BUDGET, min(BUDGETS[requested], most))
    return Thinking({"type": "enabled", "budget_tokens": budget})


def sampling(
    parameters: Object, model_traits: Traits, thinking_config: Thinking, left_out: list[str]
) -> dict[str, JSON]:
    """Return `temperature`, `top_p` and `top_k`, as far as the model accepts them.

    With thinking on, only a `top_p` of at least 0.95 is accepted. `temperature` is at most 1.
    """
    accepted: dict[str, JSON] = {}
    for name in ("temperature", "top_p", "top_k"):
        value = parameters.pop(name, None)
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
    parameters: Object, thinking_config: Thinking, left_out: list[str]
) -> dict[str, JSON]:
    """Return `output_config`: effort and output format.

    The API's own `output_config` wins over `reasoning_effort` and `response_format`.
    """
    given = parameters.pop("output_config", {})
    if not isinstance(given, dict):
        left_out.append("output_config")
        given = {}
    config = dict(given)
    for key, name, value in (
        ("effort", "reasoning_effort", thinking_config.effort),
        ("format", "response_format", _format(parameters.pop("response_format", None), left_out)),
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


def metadata(parameters: Object, left_out: list[str]) -> dict[str, JSON]:
    """Return `user_id` from `user`, `safety_identifier` or `metadata`, the first that is valid."""
    accepted: dict[str, JSON] = {}
    for name, user in _users(parameters):
        if not accepted and _is_opaque(user):
            accepted = {"user_id": user}
        else:
            left_out.append(name)
    return accepted


def _users(parameters: Object) -> Iterator[tuple[str, JSON]]:
    for name in ("user", "safety_identifier"):
        if name in parameters:
            yield name, parameters.pop(name)
    metadata = parameters.pop("metadata", None)
    if isinstance(metadata, dict) and set(metadata) == {"user_id"}:
        yield "metadata", metadata["user_id"]
    elif metadata:
        yield "metadata", None


def _is_opaque(user: JSON) -> bool:
    """Return whether the API accepts this user id: no e-mail address, at most 256 characters."""
    return isinstance(user, str) and 0 < len(user) <= _MAX_USER_ID and "@" not in user


def service_tier(requested: JSON, left_out: list[str]) -> str | None:
    """Return the API's service tier for Chat's."""
    tier = lookup(_TIERS, requested)
    if requested is not None and tier is None:
        left_out.append("service_tier")
    return tier
