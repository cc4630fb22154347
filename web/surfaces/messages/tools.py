"""Converts the tools and the tool choice of a Messages request to those of a chat.

Tools with their own schema are accepted, and so are Anthropic's tools that the client runs. Tools
that the provider runs are rejected. Source: Anthropic's API reference, "Create a message".
"""

from collections.abc import Sequence

from actors.turn.model_call import JSON
from web.surfaces.messages.content import Block, VendorFields, extras, missing, string, wrong

_MAX_NAME_LENGTH = 512
_RUN_BY_CLIENTS = ("bash_", "text_editor_", "memory_")
"""Type prefixes of client-run tools whose schema only Anthropic's models know."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_tools(tools: Sequence[JSON], vendor_fields: VendorFields) -> list[JSON]:
    """Convert the tools; raises `ApiError` (400) with the path of the invalid field."""
    return [_tool(tool, f"tools[{index}]", vendor_fields) for index, tool in enumerate(tools)]


def _tool(tool: JSON, path: str, vendor_fields: VendorFields) -> JSON:
    if not isinstance(tool, dict):
        raise wrong(path, "must be an object.")
    kind = tool.get("type")
    name = string(tool, "name", path)
    if not 0 < len(name) <= _MAX_NAME_LENGTH:
        raise wrong(f"{path}.name", f"must have 1 to {_MAX_NAME_LENGTH} characters.")
    if isinstance(kind, str) and kind.startswith(_RUN_BY_CLIENTS):
        return tool
    if kind not in (None, "custom"):
        words = (
            "tools that run at the provider are not supported. Send an input_schema and no type."
        )
        raise wrong(f"{path}.type", words, "unsupported_tool")
    function: Block = {"name": name, "parameters": _schema(tool, path)}
    if tool.get("description") is not None:
        function["description"] = string(tool, "description", path)
    if tool.get("strict") not in (None, True, False):
        raise wrong(f"{path}.strict", "must be true or false.")
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    known = ("type", "name", "description", "input_schema", "strict")
    return {"type": "function", "function": function, **extras(tool, known, path, vendor_fields)}


def _schema(tool: Block, path: str) -> JSON:
    schema = tool.get("input_schema")
    if schema is None:
        raise missing(f"{path}.input_schema")
    if not isinstance(schema, dict):
        raise wrong(f"{path}.input_schema", "must be a JSON schema.")
    return schema


def chat_choice(choice: Block) -> dict[str, JSON]:
    """Convert `tool_choice` to `tool_choice` and `parallel_tool_calls`; raises `ApiError` (400)."""
    path = "tool_choice"
    parameters: dict[str, JSON] = {}
    kind = choice.get("type")
    if kind == "tool":
        name = string(choice, "name", path)
        parameters["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif isinstance(kind, str) and kind in _CHOICES:
        parameters["tool_choice"] = _CHOICES[kind]
    else:
        raise wrong(f"{path}.type", f"must be one of {', '.join(_CHOICES)}, tool.")
    alone = choice.get("disable_parallel_tool_use")
    if alone not in (None, True, False):
        raise wrong(f"{path}.disable_parallel_tool_use", "must be true or false.")
    if alone:
        parameters["parallel_tool_calls"] = False
    return parameters
