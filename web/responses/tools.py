"""Tools and their choice in a Responses request, and as Chat Completions has them.

Source: OpenAI's API reference, "Create a response". Only functions that the client runs itself:
tools that the server would have to run are refused by name.
"""

from collections.abc import Sequence

from msgspec import Struct

from actors.providers.base import JSON
from web.responses.items import LONGEST_NAME, wrong

Object = dict[str, JSON]

MAX_TOOLS = 1_000
_CHOICES = ("none", "auto", "required")
_MODES = ("auto", "required")


class Tools(Struct, frozen=True, kw_only=True):
    """The tools of a request."""

    shown: tuple[Object, ...] = ()
    """As the response object repeats them."""
    parameters: Object = {}
    """`tools` and `tool_choice` for a model call."""
    choice: JSON = "auto"
    """As the response object repeats it."""


def read_tools(tools: Sequence[JSON] | None, choice: JSON) -> Tools:
    """The tools, and which to use; raises `ApiError` (400) with the path of what is wrong."""
    given = tools or ()
    if len(given) > MAX_TOOLS:
        raise wrong("tools", f"may have at most {MAX_TOOLS} tools.")
    functions = [_function(tool, f"tools[{index}]") for index, tool in enumerate(given)]
    said = _choice(choice, {function["name"] for function in functions})
    parameters: Object = {}
    if functions:
        parameters["tools"] = [_nested(function) for function in functions]
        if choice is not None:
            parameters["tool_choice"] = said
    elif choice not in (None, "auto", "none"):
        raise wrong("tool_choice", "there are no tools to choose from.")
    return Tools(
        shown=tuple(_shown(function) for function in functions),
        parameters=parameters,
        choice="auto" if choice is None else choice,
    )


def _function(tool: JSON, path: str) -> Object:
    if not isinstance(tool, dict):
        raise wrong(path, "must be an object.")
    kind = tool.get("type")
    if kind is None:
        raise wrong(f"{path}.type", "field required.", "missing_required_parameter")
    if kind != "function":
        named = f"{kind!r:.100}" if isinstance(kind, str) else "this type"
        text = f"there are no tools of type {named} here, only of type 'function'."
        raise wrong(f"{path}.type", text, "unsupported_tool_type")
    _name(tool.get("name"), f"{path}.name")
    _check(tool, "description", str, "a string", path)
    _check(tool, "parameters", dict, "a JSON schema", path)
    _check(tool, "strict", bool, "a boolean", path)
    return tool


def _nested(function: Object) -> Object:
    """The function as Chat Completions has it."""
    said = {key: value for key, value in function.items() if key != "type" and value is not None}
    return {"type": "function", "function": said}


def _shown(function: Object) -> Object:
    # The API is strict where nothing is said; providers of other formats cannot be.
    missing = {"description": None, "parameters": None, "strict": False}
    said = {key: value for key, value in function.items() if value is not None}
    return missing | said


def _choice(choice: JSON, names: set[JSON]) -> JSON:
    """`tool_choice` as Chat Completions has it."""
    if choice is None or choice in _CHOICES:
        return choice
    if not isinstance(choice, dict):
        text = f"must be one of {', '.join(_CHOICES)}, or an object that has a type."
        raise wrong("tool_choice", text)
    match choice.get("type"):
        case "function":
            return _chosen(choice, names, "tool_choice")
        case "allowed_tools":
            return _allowed(choice, names)
        case None:
            raise wrong("tool_choice.type", "field required.", "missing_required_parameter")
    raise wrong("tool_choice.type", "must be function or allowed_tools.", "unsupported_tool_type")


def _allowed(choice: Object, names: set[JSON]) -> Object:
    mode, tools = choice.get("mode"), choice.get("tools")
    if mode not in _MODES:
        raise wrong("tool_choice.mode", f"must be one of {', '.join(_MODES)}.")
    if not isinstance(tools, list) or len(tools) > MAX_TOOLS:
        raise wrong("tool_choice.tools", f"must be a list of at most {MAX_TOOLS} tools.")
    path = "tool_choice.tools"
    chosen = [_chosen(tool, names, f"{path}[{index}]") for index, tool in enumerate(tools)]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": chosen}}


def _chosen(tool: JSON, names: set[JSON], path: str) -> Object:
    """A function that is named, as Chat Completions names it."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise wrong(f"{path}.type", "must be function.", "unsupported_tool_type")
    name = tool.get("name")
    _name(name, f"{path}.name")
    if name not in names:
        raise wrong(f"{path}.name", f"there is no function {name!r:.100} in tools.")
    return {"type": "function", "function": {"name": name}}


def _name(name: JSON, path: str) -> None:
    if name is None:
        raise wrong(path, "field required.", "missing_required_parameter")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise wrong(path, f"must be a string of 1 to {LONGEST_NAME} characters.")


def _check(tool: Object, field: str, kind: type, words: str, path: str) -> None:
    value = tool.get(field)
    if value is not None and not isinstance(value, kind):
        raise wrong(f"{path}.{field}", f"must be {words}.")
