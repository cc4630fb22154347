"""Converts tools and the choice of a tool to those of the Messages API. Pure."""

import re
from collections.abc import Iterator

from actors.providers.formats.anthropic.fields import TOOL_FIELDS, is_in_beta
from actors.providers.formats.anthropic.schema import accepted_schema
from actors.providers.formats.conversion import extra_fields
from actors.providers.formats.parameters import Object
from actors.providers.formats.tool_names import NameRule
from actors.turn.model_call import JSON

NAMES = NameRule(128, re.compile(r"[^A-Za-z0-9_-]"))
"""Names of tools: the API's errors give the pattern `^[a-zA-Z0-9_-]{1,128}$`."""

_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_ENTRY = ("type", "function")
_FUNCTION = ("name", "description", "parameters", "strict", "cache_control")


def tools_of(
    value: JSON, left_out: list[str], betas: tuple[str, ...] = (), *, own_client: bool = False
) -> list[Object]:
    """Return the tools; add the paths of entries and fields that aren't sent to `left_out`.

    One of the API's own tools, and an entry with a `name` but no `function`, pass unchanged. So do
    the fields of the client's betas, and the schemas of a client that speaks the same API
    (`own_client`).
    """
    found: list[Object] = []
    if value and not isinstance(value, list):
        left_out.append("tools")
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        path = f"tools[{index}]"
        match entry:
            case {"function": dict(function)} if isinstance(function.get("name"), str):
                left_out += extra_fields(function, f"{path}.function", *_FUNCTION)
                extras = {
                    name: value
                    for name, value in entry.items()
                    if name not in _ENTRY and (name in TOOL_FIELDS or is_in_beta(name, betas))
                }
                left_out += extra_fields(entry, path, *_ENTRY, *extras)
                tool = dict(_tool(function, extras))
                if tool.get("strict") and not own_client:
                    # Strict tools have the limits of structured outputs.
                    at = f"{path}.function.parameters"
                    tool["input_schema"] = accepted_schema(tool["input_schema"], at, left_out)
                found.append(tool)
            case {"name": str()} | {"type": "mcp_toolset"}:
                found.append(entry)
            case _:
                left_out.append(path)
    return found


def choice_of(requested: JSON) -> Object | None:
    """Return the API's `tool_choice`, or None if it has no such choice."""
    match requested:
        case None:
            return {"type": "auto"}
        case "auto" | "none" | "required":
            return {"type": _CHOICES[requested]}
        case {"type": "function", "function": {"name": str(name)}}:
            return {"type": "tool", "name": name}
        case _:
            return None


def _tool(function: Object, extras: Object) -> Iterator[tuple[str, JSON]]:
    yield "name", function["name"]
    if function.get("description"):
        yield "description", function["description"]
    yield "input_schema", _schema(function.get("parameters"))
    if function.get("strict") is True:
        yield "strict", True
    if function.get("cache_control"):
        yield "cache_control", function["cache_control"]
    yield from extras.items()


def _schema(parameters: JSON) -> JSON:
    """Return the schema with a type: the API requires an object schema."""
    given = parameters if isinstance(parameters, dict) else {}
    return given if given.get("type") else {"type": "object", "properties": {}} | given
