"""Helpers for converting Chat parameters to those of a provider's API. Pure."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from actors.turn.model_call import JSON

T = TypeVar("T")

Object = dict[str, JSON]
Writer = Callable[[Object, JSON, list[str]], None]
"""Writes the value of a parameter to the body of a request.

It adds the paths of what it leaves out to the list."""

FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict"})
"""Fields of a function (API reference, "FunctionObject")."""

_NO_REQUEST: dict[str, tuple[JSON, ...]] = {
    "n": (1,),
    "parallel_tool_calls": (True,),
    "logprobs": (False,),
    "store": (False, True),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
    "modalities": (["text"],),
}
"""Parameter values that every format implements by default; `store` concerns Trouper only."""


def write_parameters(
    parameters: Mapping[str, JSON],
    writers: Mapping[str, Writer],
    body: Object,
    left_out: list[str],
) -> None:
    """Write the parameters to the body; those without a writer are left out."""
    for name, value in normalised(parameters, left_out).items():
        if is_default_value(name, value):
            continue
        if (write := writers.get(name)) is not None:
            write(body, value, left_out)
        else:
            left_out.append(name)


def into(*path: str, keep: bool = False) -> Writer:
    """Return a writer that sets the field at a path of the body.

    With `keep`, a value that is there already is kept.
    """
    *outer, name = path

    def write(body: Object, value: JSON, left_out: list[str]) -> None:
        fields = object_at(body, *outer)
        fields[name] = fields.get(name, value) if keep else value

    return write


def mapped(name: str, table: Mapping[str, JSON], write: Writer) -> Writer:
    """Return a writer of the table's entry for a value; without an entry, `name` is left out."""

    def write_entry(body: Object, value: JSON, left_out: list[str]) -> None:
        if isinstance(value, str) and value in table:
            write(body, table[value], left_out)
        else:
            left_out.append(name)

    return write_entry


def beneath(name: str) -> Writer:
    """Return a writer for an object whose fields Chat also has as parameters, which win."""

    def write(body: Object, value: JSON, left_out: list[str]) -> None:
        existing = body.get(name, {})
        if isinstance(value, dict) and isinstance(existing, dict):
            body[name] = {**value, **existing}
        else:
            body.setdefault(name, value)

    return write


def unknown_tool_fields(tool: Object, function: Object, path: str) -> list[str]:
    """Return the paths of fields of a tool that Chat doesn't have."""
    found = [f"{path}.{name}" for name in tool if name not in ("type", "function")]
    return found + [f"{path}.function.{name}" for name in function if name not in FUNCTION_FIELDS]


def without_tools(body: Object) -> list[str]:
    """Remove the choice of tools from a body without tools: servers refuse it (qwen-code#2054).

    Returns the parameter's name if the choice demanded a call.
    """
    body.pop("parallel_tool_calls", None)
    return [] if body.pop("tool_choice", None) in (None, "auto", "none") else ["tool_choice"]


def object_at(body: Object, *path: str) -> Object:
    """Return the object at a path of the body, which is added if it is missing."""
    for name in path:
        inner = body.get(name)
        if not isinstance(inner, dict):
            inner = body[name] = {}
        body = inner
    return body


def is_default_value(name: str, value: JSON) -> bool:
    """Return whether leaving out this parameter makes no difference."""
    return value is None or value in ([], {}) or value in _NO_REQUEST.get(name, ())


def normalised(parameters: Mapping[str, JSON], left_out: list[str]) -> Object:
    """Return the parameters with one form for what has two in Chat.

    `max_completion_tokens` becomes `max_tokens`, a single `stop` a list, and `reasoning.effort`
    becomes `reasoning_effort` unless that is given. For formats that have no `reasoning`: its other
    fields are left out.
    """
    result = dict(parameters)
    if (limit := result.pop("max_completion_tokens", None)) is not None:
        result["max_tokens"] = limit
    if isinstance(stop := result.get("stop"), str):
        result["stop"] = [stop]
    reasoning = result.pop("reasoning", None)
    if not isinstance(reasoning, dict):
        left_out += [] if reasoning in (None, []) else ["reasoning"]
        return result
    remaining = {name: value for name, value in reasoning.items() if value is not None}
    if result.get("reasoning_effort") is None and "effort" in remaining:
        result["reasoning_effort"] = remaining.pop("effort")
    elif remaining.get("effort") == result.get("reasoning_effort"):
        remaining.pop("effort", None)
    left_out += [f"reasoning.{name}" for name in remaining]
    return result


def lookup(table: Mapping[str, T], value: JSON) -> T | None:
    """Return the entry for a value of any type, or None."""
    return table.get(value) if isinstance(value, str) else None
