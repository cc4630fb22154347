"""Validates the tools and the tool choice of a chat request.

Tools of a type other than `function` are passed on unchanged to the providers that know them.
Source: OpenAI's API reference, "Create chat completion".
"""

from collections.abc import Sequence

from actors.turn.model_call import JSON
from web.http.api_error import ApiError, invalid

_MAX_NAME_LENGTH = 512
_CHOICES = ("none", "auto", "required")


def check_tools(tools: Sequence[JSON]) -> None:
    """Raise `ApiError` (400) with the path of the first invalid field."""
    for index, tool in enumerate(tools):
        if not _is_plain(tool):
            _check_tool(tool, f"tools[{index}]")


def _is_plain(tool: JSON) -> bool:
    """Return whether this is a function with a name and a schema, as nearly all tools are.

    A fast path: it takes a fifth of the time of the full check.
    """
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return False
    function = tool.get("function")
    return (
        type(function) is dict
        and type(name := function.get("name")) is str
        and 0 < len(name) <= _MAX_NAME_LENGTH
        and type(function.get("parameters")) is dict
        and type(function.get("description", "")) is str
    )


def _check_tool(tool: JSON, path: str) -> None:
    if _kind(tool, path) == "function":
        function = _function(tool, path)
        _check(function, "description", str, "a string", path)
        _check(function, "parameters", dict, "a JSON schema", path)


def check_tool_choice(choice: JSON) -> None:
    """Raise `ApiError` (400) with the path of the invalid field."""
    if choice is None or choice in _CHOICES:
        return
    if isinstance(choice, str):
        text = f"must be one of {', '.join(_CHOICES)}, or an object with a type."
        raise _invalid("tool_choice", text)
    if _kind(choice, "tool_choice") == "function":
        _function(choice, "tool_choice")


def _kind(tool: JSON, path: str) -> str:
    if not isinstance(tool, dict):
        raise _invalid(path, "must be an object.")
    kind = _required(tool, "type", path)
    if not isinstance(kind, str):
        raise _invalid(f"{path}.type", "must be a string.")
    return kind


def _function(tool: JSON, path: str) -> dict[str, JSON]:
    """Return the tool's `function` object after checking its name."""
    function = _required(tool, "function", path)
    path = f"{path}.function"
    if not isinstance(function, dict):
        raise _invalid(path, "must be an object.")
    name = _required(function, "name", path)
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME_LENGTH:
        raise _invalid(f"{path}.name", f"must be a string of 1 to {_MAX_NAME_LENGTH} characters.")
    return function


def _required(parent: JSON, field: str, path: str) -> JSON:
    value = parent.get(field) if isinstance(parent, dict) else None
    if value is None:
        path = f"{path}.{field}"
        raise invalid(f"{path}: field required.", param=path, code="missing_required_parameter")
    return value


def _check(function: dict[str, JSON], field: str, kind: type, words: str, path: str) -> None:
    value = function.get(field)
    if value is not None and not isinstance(value, kind):
        raise _invalid(f"{path}.function.{field}", f"must be {words}.")


def _invalid(path: str, words: str) -> ApiError:
    return invalid(f"{path}: {words}", param=path, code="invalid_value")
