"""Converts tools, tool choice and text format of a Responses request to Chat Completions form.

Only functions, which the client runs, are accepted. Tools that the server would have to run are
rejected. Source: OpenAI's API reference, "Create a response".
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from actors.turn.model_call import JSON
from web.surfaces.validation import LONGEST_NAME, Fields, Object, check_function, wrong

MAX_TOOLS = 1_000
_UNSUPPORTED_TYPE = "unsupported_tool_type"
_CHOICES = ("none", "auto", "required")
_MODES = ("auto", "required")

_FORMATS = ("text", "json_object", "json_schema")
_FORMAT_DEFAULTS: Mapping[str, Object] = {"json_schema": {"description": None, "strict": False}}
"""Fields that the response object has for each type of format, given or not."""
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
    functions = [_function(Fields(tool, f"tools[{index}]")) for index, tool in enumerate(given)]
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


def _function(tool: Fields) -> Object:
    kind = tool.required("type")
    if kind != "function":
        named = f"{kind!r:.100}" if isinstance(kind, str) else "of this type"
        text = f"tools {named} are not supported. Send tools of type 'function'."
        raise wrong(tool.at("type"), text, _UNSUPPORTED_TYPE)
    check_function(tool)
    tool.optional("strict", bool, "a boolean")
    return tool.values


def _nested(function: Object) -> Object:
    """Return the function in the nested form of Chat Completions."""
    fields = {key: value for key, value in function.items() if key != "type" and value is not None}
    return {"type": "function", "function": fields}


def _shown(function: Object) -> Object:
    # OpenAI's default is `strict: true`, but providers of other formats don't support it.
    defaults = {"description": None, "parameters": None, "strict": False}
    given = {key: value for key, value in function.items() if value is not None}
    return defaults | given


def _choice(given: JSON, names: set[JSON]) -> JSON:
    """Return `tool_choice` in the form of Chat Completions; raises `ApiError` (400)."""
    if given is None or given in _CHOICES:
        return given
    if not isinstance(given, dict):
        text = f"must be one of {', '.join(_CHOICES)}, or an object with a type."
        raise wrong("tool_choice", text)
    choice = Fields(given, "tool_choice")
    match choice.required("type"):
        case "function":
            return _chosen(given, names, choice.path)
        case "allowed_tools":
            return _allowed(choice, names)
    raise wrong(choice.at("type"), "must be function or allowed_tools.", _UNSUPPORTED_TYPE)


def _allowed(choice: Fields, names: set[JSON]) -> Object:
    mode = choice.one_of("mode", _MODES)
    if mode is None:
        raise choice.wrong("mode", f"must be one of {', '.join(_MODES)}.")
    tools, path = choice.values.get("tools"), choice.at("tools")
    if not isinstance(tools, list) or len(tools) > MAX_TOOLS:
        raise wrong(path, f"must be a list of at most {MAX_TOOLS} tools.")
    chosen = [_chosen(tool, names, f"{path}[{index}]") for index, tool in enumerate(tools)]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": chosen}}


def _chosen(tool: JSON, names: set[JSON], path: str) -> Object:
    """Return the choice of a named function in the form of Chat Completions."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise wrong(f"{path}.type", "must be function.", _UNSUPPORTED_TYPE)
    name = Fields(tool, path).text("name", longest=LONGEST_NAME)
    if name not in names:
        raise wrong(f"{path}.name", f"{name!r:.100} is not the name of a function in tools.")
    return {"type": "function", "function": {"name": name}}


class TextFormat(Struct, frozen=True):
    """The requested format of the answer."""

    parameters: Object
    """Parameters of the model call, in the form of Chat Completions."""
    shown: Object
    """The `text` field of the response object."""


def response_format(given: Object | None) -> TextFormat:
    """Validate and convert `text`; raises `ApiError` (400)."""
    text = Fields(given or {}, "text")
    parameters: Object = {}
    shown: Object = {"format": {"type": "text"}, "verbosity": "medium"}
    if text.values.get("format") is not None:
        format = text.object("format")
        given = {name: value for name, value in format.values.items() if value is not None}
        shown["format"] = _FORMAT_DEFAULTS.get(str(given.get("type")), {}) | given
        if (wanted := _response_format(format)) is not None:
            parameters["response_format"] = wanted
    if (verbosity := text.one_of("verbosity", _VERBOSITIES)) is not None:
        parameters["verbosity"] = shown["verbosity"] = verbosity
    return TextFormat(parameters, shown)


def _response_format(format: Fields) -> Object | None:
    match format.required("type"):
        case "text":
            return None
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            format.text("name", longest=LONGEST_NAME)
            format.object("schema")
            given = {key: value for key, value in format.rest("type").items() if value is not None}
            return {"type": "json_schema", "json_schema": given}
    raise format.wrong("type", f"must be one of {', '.join(_FORMATS)}.")
