"""Converts a call to the body of a Responses request."""

from actors.providers.formats import parameters
from actors.providers.formats.base import Translation
from actors.providers.formats.openai_responses.frames import API
from actors.providers.formats.openai_responses.input_items import items_of
from actors.providers.formats.parameters import Object
from actors.providers.formats.vendor_extensions import as_chat
from actors.turn.model_call import JSON, ModelCall

_LOGPROBS = "message.output_text.logprobs"
_SEALED = "reasoning.encrypted_content"
"""Reasoning in a form that can be sent back to a provider which doesn't store it."""

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


def translate(call: ModelCall, *, stream: bool = False) -> Translation:
    """Return the body for a call; `stream` only exists over HTTP.

    Unknown parameters and tools that aren't functions are passed through: they may be the
    provider's own.
    """
    native = call.native_for(API)
    call, left_out = as_chat(call) if native is None else (call, [*native.left_out])
    body: Object = {"model": call.upstream_model, "store": False}
    if stream:
        body["stream"] = True
    given = call.parameters
    if native is None:
        body["input"] = items_of(call.messages, left_out)
    else:
        added = call.messages[len(native.messages) :]
        body["input"] = [*native.items, *items_of(added, left_out)]
        given = {**given, **native.parameters}
    for name, value in given.items():
        if value is None or name in _SET_HERE:
            continue
        if name in _UNSUPPORTED:
            left_out += [] if value in _UNSUPPORTED[name] else [name]
        elif (write := _WRITERS.get(name)) is not None:
            write(body, value, left_out)
        elif name in body:
            left_out.append(name)
        else:
            body[name] = value
    if _reasons(body.get("reasoning")):
        _add_included(body, _SEALED)
    return Translation(body, tuple(left_out))


def _tools(body: Object, value: JSON, left_out: list[str]) -> None:
    tools = []
    for tool in value if isinstance(value, list) else ():
        match tool:
            case {"type": "custom", "custom": dict(custom)}:
                tools.append(_custom(custom))
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


def _custom(custom: Object) -> Object:
    match custom.get("format"):
        case {"type": "grammar", "grammar": dict(grammar)}:
            return {"type": "custom", **custom, "format": {"type": "grammar", **grammar}}
        case _:
            return {"type": "custom", **custom}


def _tool_choice(body: Object, value: JSON, left_out: list[str]) -> None:
    match value:
        case {"type": "allowed_tools", "allowed_tools": {"tools": [*tools], **allowed}}:
            named = [_tool_reference(tool) for tool in tools]
            body["tool_choice"] = {"type": "allowed_tools", **allowed, "tools": named}
        case _:
            body["tool_choice"] = _tool_reference(value)


def _tool_reference(tool: JSON) -> JSON:
    match tool:
        case {"type": "function", "function": {"name": name}}:
            return {"type": "function", "name": name}
        case {"type": "custom", "custom": {"name": name}}:
            return {"type": "custom", "name": name}
    return tool


def _response_format(body: Object, value: JSON, left_out: list[str]) -> None:
    match value:
        case {"type": "json_schema", "json_schema": {**schema}}:
            parameters.object_at(body, "text")["format"] = {"type": "json_schema", **schema}
        case _:
            parameters.object_at(body, "text")["format"] = value


def _logprobs(body: Object, value: JSON, left_out: list[str]) -> None:
    if value is True:
        _add_included(body, _LOGPROBS)


def _add_included(body: Object, name: str) -> None:
    existing = body.get("include")
    included = existing if isinstance(existing, list) else []
    if name not in included:
        body["include"] = [*included, name]


def _reasons(reasoning: JSON) -> bool:
    """Return whether the model was asked to reason; other models refuse to include reasoning."""
    return isinstance(reasoning, dict) and reasoning.get("effort") not in (None, "none")


def _include(body: Object, value: JSON, left_out: list[str]) -> None:
    existing = body.get("include")
    body["include"] = (
        [*value, *existing] if isinstance(value, list) and isinstance(existing, list) else value
    )


_WRITERS: dict[str, parameters.Writer] = {
    "max_tokens": parameters.into("max_output_tokens", keep=True),
    "max_completion_tokens": parameters.into("max_output_tokens"),
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "verbosity": parameters.into("text", "verbosity"),
    "text": parameters.beneath("text"),
    "reasoning_effort": parameters.into("reasoning", "effort"),
    "reasoning": parameters.beneath("reasoning"),
    "logprobs": _logprobs,
    "include": _include,
}
"""Writers of Chat parameters that have another name or shape in Responses."""
