"""Converts tools, tool choice and text format of a Responses request to Chat Completions form.

Only functions, which the client runs, are accepted. Tools that the server would have to run are
rejected. Source: OpenAI's API reference, "Create a response".
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from actors.turn.model_call import JSON
from web.surfaces.responses.input.items import LONGEST_NAME, wrong

Object = dict[str, JSON]

MAX_TOOLS = 1_000
_CHOICES = ("none", "auto", "required")
_MODES = ("auto", "required")

_FORMATS = ("text", "json_object", "json_schema")
_VERBOSITIES = ("low", "medium", "high")


class Tools(Struct, frozen=True, kw_only=True):
    """The tools of a request."""

    shown: tuple[Object, ...] = ()
    """The `tools` of the response object."""
    parameters: Object = {}
    """The `tools` and `tool_choice` of the model call, in the form of Chat Completions."""
    choice: JSON = "auto"
    """The `tool_choice` of the response object."""


def read_tools(tools: Sequence[JSON] | None, choice: JSON) -> Tools:
    """Validate and convert the tools and the tool choice; raises `ApiError` (400)."""
    given = tools or ()
    if len(given) > MAX_TOOLS:
        raise wrong("tools", f"may have at most {MAX_TOOLS} tools.")
    functions = [_function(tool, f"tools[{index}]") for index, tool in enumerate(given)]
    chat_choice = _choice(choice, {function["name"] for function in functions})
    parameters: Object = {}
    if functions:
        parameters["tools"] = [_nested(function) for function in functions]
        if choice is not None:
            parameters["tool_choice"] = chat_choice
    elif choice not in (None, "auto", "none"):
        raise wrong("tool_choice", "must be auto or none, since the request has no tools.")
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
        named = f"{kind!r:.100}" if isinstance(kind, str) else "of this type"
        text = f"tools {named} are not supported. Send tools of type 'function'."
        raise wrong(f"{path}.type", text, "unsupported_tool_type")
    _name(tool.get("name"), f"{path}.name")
    _check(tool, "description", str, "a string", path)
    _check(tool, "parameters", dict, "a JSON schema", path)
    _check(tool, "strict", bool, "a boolean", path)
    return tool


def _nested(function: Object) -> Object:
    """Return the function in the nested form of Chat Completions."""
    fields = {key: value for key, value in function.items() if key != "type" and value is not None}
    return {"type": "function", "function": fields}


def _shown(function: Object) -> Object:
    # OpenAI's default is `strict: true`, but providers of other formats don't support it.
    defaults = {"description": None, "parameters": None, "strict": False}
    given = {key: value for key, value in function.items() if value is not None}
    return defaults | given


def _choice(choice: JSON, names: set[JSON]) -> JSON:
    """Return `tool_choice` in the form of Chat Completions; raises `ApiError` (400)."""
    if choice is None or choice in _CHOICES:
        return choice
    if not isinstance(choice, dict):
        text = f"must be one of {', '.join(_CHOICES)}, or an object with a type."
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
    """Return the choice of a named function in the form of Chat Completions."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise wrong(f"{path}.type", "must be function.", "unsupported_tool_type")
    name = tool.get("name")
    _name(name, f"{path}.name")
    if name not in names:
        raise wrong(f"{path}.name", f"{name!r:.100} is not the name of a function in tools.")
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


class TextFormat(Struct, frozen=True):
    """The requested format of the answer."""

    parameters: Object
    """Parameters of the model call, in the form of Chat Completions."""
    shown: Object
    """The `text` field of the response object."""


def response_format(given: Mapping[str, JSON] | None) -> TextFormat:
    """Validate and convert `text`; raises `ApiError` (400)."""
    text = given or {}
    parameters: Object = {}
    shown: Object = {"format": {"type": "text"}, "verbosity": None}
    if (format := text.get("format")) is not None:
        shown["format"] = format
        if (wanted := _response_format(format)) is not None:
            parameters["response_format"] = wanted
    if (verbosity := text.get("verbosity")) is not None:
        if verbosity not in _VERBOSITIES:
            raise wrong("text.verbosity", f"must be one of {', '.join(_VERBOSITIES)}.")
        parameters["verbosity"] = shown["verbosity"] = verbosity
    return TextFormat(parameters, shown)


def _response_format(format: JSON) -> Object | None:
    if not isinstance(format, dict):
        raise wrong("text.format", "must be an object.")
    match format.get("type"):
        case "text":
            return None
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            return {"type": "json_schema", "json_schema": _schema(format)}
        case None:
            raise wrong("text.format.type", "field required.", "missing_required_parameter")
    raise wrong("text.format.type", f"must be one of {', '.join(_FORMATS)}.")


def _schema(format: Object) -> Object:
    for field, kind, words in (("name", str, "a string"), ("schema", dict, "a JSON schema")):
        path, value = f"text.format.{field}", format.get(field)
        if value is None:
            raise wrong(path, "field required.", "missing_required_parameter")
        if not isinstance(value, kind):
            raise wrong(path, f"must be {words}.")
    if not 0 < len(str(format["name"])) <= LONGEST_NAME:
        raise wrong("text.format.name", f"must be a string of 1 to {LONGEST_NAME} characters.")
    return {key: value for key, value in format.items() if key != "type" and value is not None}
