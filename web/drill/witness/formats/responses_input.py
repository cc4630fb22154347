"""Converts `input` and parameters of a Responses request to Chat messages and parameters.

Sans IO. Items other than messages, calls and results are ignored.
"""

from collections.abc import Callable, Mapping

from actors.turn.model_call import JSON
from web.drill.witness.formats.base import BadCall

Message = dict[str, JSON]

_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_HANDLED_ELSEWHERE = frozenset(
    {"model", "input", "instructions", "stream", "stream_options", "include", "generate"}
)


def messages_of(document: Mapping[str, JSON]) -> list[Message]:
    """Return the conversation in a request. Raises `BadCall`."""
    given = document.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise BadCall("input has to be a string or a list of items", "input")
    instructions = document.get("instructions")
    messages: list[Message] = []
    if isinstance(instructions, str):
        messages.append({"role": "system", "content": instructions})
    for number, item in enumerate(given):
        if not isinstance(item, dict):
            raise BadCall(f"input[{number}] has to be an object", f"input[{number}]")
        _add(item, messages)
    return messages


def _add(item: Mapping[str, JSON], messages: list[Message]) -> None:
    type = item.get("type", "message")
    if type == "message" and isinstance(item.get("role"), str):
        messages.append({"role": item["role"], "content": _content(item.get("content"))})
    elif type == "function_call":
        _add_call(item, messages)
    elif type in _OUTPUTS:
        messages.append(
            {
                "role": "tool",
                "tool_call_id": item.get("call_id"),
                "content": _content(item.get("output")),
            }
        )


def _add_call(item: Mapping[str, JSON], messages: list[Message]) -> None:
    """Add a call to the assistant message before it, or to a new one."""
    if not messages or messages[-1].get("role") != "assistant":
        messages.append({"role": "assistant", "content": None})
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    call = {"id": item.get("call_id"), "type": "function", "function": function}
    calls = messages[-1].setdefault("tool_calls", [])
    if isinstance(calls, list):
        calls.append(call)


def _content(content: JSON) -> JSON:
    if not isinstance(content, list):
        return content
    return [_part(part) for part in content if isinstance(part, dict)]


def _part(part: Mapping[str, JSON]) -> JSON:
    match part:
        case {"type": "input_text" | "output_text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "input_image"}:
            image = {"url": part.get("image_url")}
            if part.get("detail") not in (None, "auto"):
                image["detail"] = part["detail"]
            return {"type": "image_url", "image_url": image}
    return part


def parameters_of(document: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the request's parameters under their Chat names. Raises `BadCall`."""
    parameters: dict[str, JSON] = {}
    for name, value in document.items():
        if name not in _HANDLED_ELSEWHERE:
            parameters.update(_PARAMETERS[name](value) if name in _PARAMETERS else {name: value})
    return parameters


def _tools(value: JSON) -> dict[str, JSON]:
    return {"tools": [_tool(tool) for tool in value] if isinstance(value, list) else value}


def _tool(tool: JSON) -> JSON:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return tool
    function = {key: value for key, value in tool.items() if key != "type"}
    return {"type": "function", "function": function}


def _tool_choice(value: JSON) -> dict[str, JSON]:
    match value:
        case {"type": "function", "name": name}:
            return {"tool_choice": {"type": "function", "function": {"name": name}}}
        case {"type": "allowed_tools", "mode": mode}:
            return {"tool_choice": mode}
    return {"tool_choice": value}


def _text(value: JSON) -> dict[str, JSON]:
    match value:
        case {"format": {"type": "json_schema", **schema}}:
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case {"format": {"type": "json_object"}}:
            return {"response_format": {"type": "json_object"}}
    return {}


def _reasoning(value: JSON) -> dict[str, JSON]:
    effort = value.get("effort") if isinstance(value, dict) else None
    return {} if effort is None else {"reasoning_effort": effort}


def _length(value: JSON) -> dict[str, JSON]:
    if value is None:
        return {}
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        message = "max_output_tokens has to be an integer of at least 1."
        raise BadCall(message, "max_output_tokens")
    return {"max_completion_tokens": value}


_PARAMETERS: dict[str, Callable[[JSON], dict[str, JSON]]] = {
    "tools": _tools,
    "tool_choice": _tool_choice,
    "text": _text,
    "reasoning": _reasoning,
    "max_output_tokens": _length,
}
