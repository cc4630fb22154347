"""Converts a call to the body of a Responses request."""

from collections.abc import Callable

from msgspec import Struct

from actors.providers.formats.openai_responses.input_items import LeaveOut, Object, items_of
from actors.providers.formats.vendor_extensions import as_chat
from actors.turn.chat_messages import write_messages
from actors.turn.model_call import JSON, ModelCall

_LOGPROBS = "message.output_text.logprobs"

_UNSUPPORTED: dict[str, tuple[JSON, ...]] = {
    "stop": ([], ""),
    "seed": (),
    "n": (1,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "prediction": (),
    "modalities": (["text"],),
    "audio": (),
    "functions": ([],),
    "function_call": (),
    "web_search_options": (),
    "background": (False,),
}
"""Chat parameters that Responses lacks, each with the values that make no difference."""

_SET_HERE = frozenset({"stream", "stream_options", "store"})
"""Parameters that Trouper sets itself; answers are never stored at the provider."""


class Translation(Struct, frozen=True):
    """A request body, and the paths of the parts of the call that it leaves out."""

    body: Object
    left_out: tuple[str, ...]


def translate(call: ModelCall) -> Translation:
    """Return the body for a call, without `stream`, which only exists over HTTP.

    Unknown parameters and tools that aren't functions are passed through: they may be the
    provider's own.
    """
    call, left_out = as_chat(call)
    body: Object = {"model": call.upstream_model, "store": False}
    body["input"] = items_of(write_messages(call.messages), left_out.append)
    for name, value in call.parameters.items():
        if value is None or name in _SET_HERE:
            continue
        if name in _UNSUPPORTED:
            if value not in _UNSUPPORTED[name]:
                left_out.append(name)
        elif (write := _WRITERS.get(name)) is not None:
            write(body, value, left_out.append)
        elif name in body:
            left_out.append(name)
        else:
            body[name] = value
    return Translation(body, tuple(left_out))


def _max_tokens(body: Object, value: JSON, leave_out: LeaveOut) -> None:
    body.setdefault("max_output_tokens", value)


def _max_completion_tokens(body: Object, value: JSON, leave_out: LeaveOut) -> None:
    body["max_output_tokens"] = value


def _tools(body: Object, value: JSON, leave_out: LeaveOut) -> None:
    tools = []
    for number, tool in enumerate(value if isinstance(value, list) else ()):
        match tool:
            case {"type": "custom"}:
                leave_out(f"tools[{number}]")
            case {"type": "function", "function": dict(function)}:
                tools.append(_function(function))
            case _:
                tools.append(tool)
    if tools:
        body["tools"] = tools


def _function(function: Object) -> Object:
    # The default of `strict` is true in Responses and false in Chat Completions.
    strict = function.get("strict") or False
    return {"type": "function", "parameters": None, **function, "strict": strict}


def _tool_choice(body: Object, value: JSON, leave_out: LeaveOut) -> None:
    match value:
        case {"type": "function", "function": {"name": name}}:
            body["tool_choice"] = {"type": "function", "name": name}
        case {"type": "allowed_tools", "allowed_tools": {"tools": [*tools], **allowed}}:
            named = [_tool_reference(tool) for tool in tools]
            body["tool_choice"] = {"type": "allowed_tools", **allowed, "tools": named}
        case {"type": "custom"}:
            leave_out("tool_choice")
        case _:
            body["tool_choice"] = value


def _tool_reference(tool: JSON) -> JSON:
    match tool:
        case {"type": "function", "function": {"name": name}}:
            return {"type": "function", "name": name}
    return tool


def _response_format(body: Object, value: JSON, leave_out: LeaveOut) -> None:
    match value:
        case {"type": "json_schema", "json_schema": {**schema}}:
            _set_field(body, "text", "format", {"type": "json_schema", **schema})
        case _:
            _set_field(body, "text", "format", value)


def _set_field(body: Object, name: str, field: str, value: JSON) -> None:
    existing = body.get(name)
    body[name] = {**(existing if isinstance(existing, dict) else {}), field: value}


def _merge_into(name: str) -> Callable[[Object, JSON, LeaveOut], None]:
    """Return a writer for an object whose fields Chat also has as parameters, which win."""

    def write(body: Object, value: JSON, leave_out: LeaveOut) -> None:
        existing = body.get(name)
        if isinstance(value, dict) and isinstance(existing, dict):
            body[name] = {**value, **existing}
        elif existing is None:
            body[name] = value

    return write


def _logprobs(body: Object, value: JSON, leave_out: LeaveOut) -> None:
    if value is not True:
        return
    existing = body.get("include")
    body["include"] = [*(existing if isinstance(existing, list) else []), _LOGPROBS]


def _include(body: Object, value: JSON, leave_out: LeaveOut) -> None:
    existing = body.get("include")
    body["include"] = (
        [*value, *existing] if isinstance(value, list) and isinstance(existing, list) else value
    )


_WRITERS: dict[str, Callable[[Object, JSON, LeaveOut], None]] = {
    "max_tokens": _max_tokens,
    "max_completion_tokens": _max_completion_tokens,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "verbosity": lambda body, value, leave_out: _set_field(body, "text", "verbosity", value),
    "text": _merge_into("text"),
    "reasoning_effort": lambda body, value, leave_out: _set_field(
        body, "reasoning", "effort", value
    ),
    "reasoning": _merge_into("reasoning"),
    "logprobs": _logprobs,
    "include": _include,
}
"""Writers of Chat parameters that have another name or shape in Responses."""
