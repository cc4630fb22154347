"""Tools of a Messages request and their choice, as a chat has them.

Source: Anthropic's API reference, "Create a message". Tools with a schema of their own and those
of the API that run at the client are taken; tools that run at the provider are not.
"""

from collections.abc import Sequence

from actors.providers.base import JSON
from web.messages.content import Block, Kept, extras, missing, string, wrong

_LONGEST_NAME = 512
_RUN_BY_CLIENTS = ("bash_", "text_editor_", "memory_")
"""Beginnings of the types of tools whose schema only Anthropic's models know."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_tools(tools: Sequence[JSON], kept: Kept) -> list[JSON]:
    """The tools; raises `ApiError` (400) with the path of what is wrong."""
    return [_tool(tool, f"tools[{index}]", kept) for index, tool in enumerate(tools)]


def _tool(tool: JSON, path: str, kept: Kept) -> JSON:
    if not isinstance(tool, dict):
        raise wrong(path, "must be an object.")
    kind = tool.get("type")
    name = string(tool, "name", path)
    if not 0 < len(name) <= _LONGEST_NAME:
        raise wrong(f"{path}.name", f"must have 1 to {_LONGEST_NAME} characters.")
    if isinstance(kind, str) and kind.startswith(_RUN_BY_CLIENTS):
        return tool
    if kind not in (None, "custom"):
        words = (
            "tools that run at the provider are not supported; give an input_schema and no type."
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
    return {"type": "function", "function": function, **extras(tool, known, path, kept)}


def _schema(tool: Block, path: str) -> JSON:
    schema = tool.get("input_schema")
    if schema is None:
        raise missing(f"{path}.input_schema")
    if not isinstance(schema, dict):
        raise wrong(f"{path}.input_schema", "must be a JSON schema.")
    return schema


def chat_choice(choice: Block) -> dict[str, JSON]:
    """The parameters of a chat that say it."""
    path = "tool_choice"
    said: dict[str, JSON] = {}
    kind = choice.get("type")
    if kind == "tool":
        name = string(choice, "name", path)
        said["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif isinstance(kind, str) and kind in _CHOICES:
        said["tool_choice"] = _CHOICES[kind]
    else:
        raise wrong(f"{path}.type", f"must be one of {', '.join(_CHOICES)}, tool.")
    alone = choice.get("disable_parallel_tool_use")
    if alone not in (None, True, False):
        raise wrong(f"{path}.disable_parallel_tool_use", "must be true or false.")
    if alone:
        said["parallel_tool_calls"] = False
    return said
