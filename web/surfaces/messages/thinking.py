"""Converts `thinking` and `output_config` to `reasoning_effort` and `response_format`.

Source: Anthropic's API reference, "Create a message", and its pages "Extended thinking", "Adaptive
thinking" and "Effort".
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from actors.turn.model_call import JSON
from web.http.api_error import invalid

_BUDGETS = {"high": 16_384, "medium": 8_192}
"""Least `budget_tokens` of each effort, highest first; a smaller budget is `low`."""
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_ADAPTIVE_EFFORT = "medium"
"""Effort for `adaptive` thinking, in which the model decides; the middle of a chat's efforts."""
_CONFIG = frozenset({"effort", "format"})
"""Fields of `output_config` with an equivalent in a chat."""

Said = tuple[str, ...]


class Thinking(BaseModel):
    """The `thinking` parameter; its other fields are sent only to Anthropic's API."""

    model_config = ConfigDict(strict=True, frozen=True)

    type: str
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None


class OutputConfig(BaseModel):
    """The `output_config` parameter."""

    model_config = ConfigDict(strict=True, frozen=True)

    effort: str | None = None
    format: dict[str, JSON] | None = None


def effort_of(thinking: Thinking | None, config: OutputConfig | None) -> str | None:
    """Return the chat's `reasoning_effort`, or None if none is given; raises `ApiError` (400)."""
    if config is not None and config.effort is not None and config.effort not in _EFFORTS:
        raise _wrong("output_config.effort", f"must be one of {', '.join(_EFFORTS)}.")
    kind = None if thinking is None else thinking.type
    if kind == "disabled":
        return "none"
    if thinking is not None and kind == "enabled" and thinking.budget_tokens is None:
        path = "thinking.budget_tokens"
        raise invalid(f"{path}: field required.", param=path, code="missing_required_parameter")
    if config is not None and config.effort is not None:
        return "xhigh" if config.effort == "max" else config.effort
    if thinking is None or kind not in ("enabled", "adaptive"):
        return None
    budget = thinking.budget_tokens
    if kind == "adaptive" or budget is None:
        return _ADAPTIVE_EFFORT
    return next((effort for effort, least in _BUDGETS.items() if budget >= least), "low")


def format_of(config: OutputConfig | None) -> JSON:
    """Return the chat's `response_format`, or None if none is given; raises `ApiError` (400)."""
    if config is None or config.format is None:
        return None
    match config.format:
        case {"type": "json_schema", "schema": dict(schema)}:
            return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        case _:
            raise _wrong("output_config.format", "must have the type json_schema and a schema.")


def chat_equivalents(name: str, value: JSON) -> Said:
    """Return the chat parameters that fully express the parameter `name`.

    Empty if the value says more than a chat can.
    """
    if name == "thinking":
        known = isinstance(value, dict) and value.get("type") != "between_tools"
        return ("reasoning_effort",) if known else ()
    if name == "output_config" and isinstance(value, dict) and value.keys() <= _CONFIG:
        return ("reasoning_effort", "response_format")
    return ()


def _wrong(path: str, words: str) -> Exception:
    return invalid(f"{path}: {words}", param=path, code="invalid_value")
