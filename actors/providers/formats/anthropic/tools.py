"""Converts Chat's `tools` and `tool_choice` to those of Anthropic's Messages API."""

from collections.abc import Iterator, Mapping

from actors.providers.formats.messages import extra_fields
from actors.turn.model_call import JSON

_FUNCTION = frozenset({"name", "description", "parameters", "strict", "cache_control"})
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}

Tool = dict[str, JSON]


def tools(value: JSON, left_out: list[str]) -> list[Tool]:
    """Return the tools; add the paths of entries that aren't tools to `left_out`.

    An entry with a `name` but no `function` is one of the API's own tools and passes unchanged.
    """
    found: list[Tool] = []
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


def _tool(entry: Tool, function: Tool) -> Iterator[tuple[str, JSON]]:
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


def tool_choice(
    parameters: Mapping[str, JSON], given: list[Tool], left_out: list[str]
) -> Tool | None:
    """Return the API's `tool_choice`, or None if the default (the model decides) applies."""
    requested = parameters.get("tool_choice")
    alone = parameters.get("parallel_tool_calls") is False
    choice = _choice(requested)
    if choice is None or (not given and choice["type"] not in ("auto", "none")):
        left_out.append("tool_choice")
        choice = {"type": "auto"}
    if not given or (requested is None and not alone):
        return None
    if alone and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _choice(requested: JSON) -> Tool | None:
    match requested:
        case None:
            return {"type": "auto"}
        case "auto" | "none" | "required":
            return {"type": _CHOICES[requested]}
        case {"type": "function", "function": {"name": str(name)}}:
            return {"type": "tool", "name": name}
        case _:
            return None
