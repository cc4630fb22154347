"""Replaces custom tools, whose input is free text, by functions with one string. Pure.

For formats that have only functions. `actors.attempts.client_tools` turns the calls back.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from actors.turn import messages as chat
from actors.turn.chat_messages import Object
from actors.turn.model_call import CUSTOM_INPUT, JSON, ModelCall

_SCHEMA: Final[Object] = {
    "type": "object",
    "properties": {CUSTOM_INPUT: {"type": "string"}},
    "required": [CUSTOM_INPUT],
    "additionalProperties": False,
}


def custom_as_functions(call: ModelCall) -> ModelCall:
    """Return the call with functions instead of custom tools, their calls and their choice."""
    parameters = {**call.parameters}
    if isinstance(tools := parameters.get("tools"), list):
        parameters["tools"] = [_function(tool) for tool in tools]
    if isinstance(choice := parameters.get("tool_choice"), dict):
        parameters["tool_choice"] = _choice(choice)
    messages = tuple(
        _message(message) if isinstance(message, chat.AssistantMessage) else message
        for message in call.messages
    )
    return replace(call, parameters=parameters, messages=messages)


def _function(tool: JSON) -> JSON:
    match tool:
        case {"type": "custom", "custom": {"name": str(name), **custom}, **rest}:
            texts = [custom.get("description"), _grammar(custom.get("format"))]
            description = "\n\n".join([text for text in texts if isinstance(text, str) and text])
            function = {"name": name, "description": description, "parameters": _SCHEMA}
            return {**rest, "type": "function", "function": function}
        case _:
            return tool


def _grammar(format: JSON) -> str | None:
    match format:
        case {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}}:
            return f"`{CUSTOM_INPUT}` must match this {syntax} grammar:\n{definition}"
        case _:
            return None


def _choice(choice: JSON) -> JSON:
    """Return a tool choice, or a reference in one, to functions."""
    match choice:
        case {"type": "custom", "custom": {"name": str(name)}}:
            return {"type": "function", "function": {"name": name}}
        case {"type": "allowed_tools", "allowed_tools": {"tools": [*tools], **allowed}}:
            named = [_choice(tool) for tool in tools]
            return {"type": "allowed_tools", "allowed_tools": {**allowed, "tools": named}}
        case _:
            return choice


def _message(message: chat.AssistantMessage) -> chat.AssistantMessage:
    if not any(isinstance(call, chat.CustomToolCall) for call in message.tool_calls):
        return message
    return replace(message, tool_calls=tuple(map(_call, message.tool_calls)))


def _call(call: chat.AnyToolCall) -> chat.AnyToolCall:
    if not isinstance(call, chat.CustomToolCall):
        return call
    arguments = msgspec.json.encode({CUSTOM_INPUT: call.input}).decode()
    return chat.ToolCall(call.id, call.name, arguments, call.extras)
