"""Converts a call to the body of a Responses request."""

from actors.providers.formats import parameters
from actors.providers.formats.base import Translation
from actors.providers.formats.efforts import is_derived, openai_effort
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

_FIELDS = frozenset(
    {
        *("access_programs", "context_management", "conversation", "image", "instructions"),
        *("max_output_tokens", "max_tool_calls", "metadata", "moderation", "parallel_tool_calls"),
        *("previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_options"),
        *("prompt_cache_retention", "safety_identifier", "service_tier", "temperature"),
        *("top_logprobs", "top_p", "truncation", "user"),
    }
)
"""Parameters that are sent unchanged (API reference, "Create a response")."""
_OPTIONAL = frozenset(
    {
        *("annotations", "detail", "include", "max_tool_calls", "metadata", "moderation"),
        *("parallel_tool_calls", "phase", "prompt_cache_breakpoint", "prompt_cache_key"),
        *("prompt_cache_options", "prompt_cache_retention", "reasoning_effort"),
        *("safety_identifier", "service_tier", "top_logprobs", "truncation", "user"),
    }
)
"""Fields without which an answer is still one to the request."""

_SET_HERE = frozenset({"stream", "stream_options", "store"})
"""Parameters that Trouper sets itself; answers are never stored at the provider."""


def is_optional(name: str) -> bool:
    """Return whether a request can do without a field that the server refuses."""
    return name in _OPTIONAL


def translate(call: ModelCall, *, stream: bool = False) -> Translation:
    """Return the body for a call; `stream` only exists over HTTP.

    Tools that aren't functions are passed through: they may be the provider's own.
    """
    derived = is_derived(call)
    effort, left_out = openai_effort(call, derived=derived), list[str]()
    if call.native is None:
        own = call.client == API
        call, left_out = as_chat(call, keep=_FIELDS | _WRITERS.keys() if own else ())
    body: Object = {"model": call.upstream_model, "store": False}
    if stream:
        body["stream"] = True
    body["input"] = _input(call, left_out)
    given = {**call.parameters}
    if effort is not None:
        given["reasoning_effort"] = effort
    elif given.pop("reasoning_effort", None) is not None and not derived:
        left_out.append("reasoning_effort")
    if call.native is not None:
        given |= call.native.parameters
    _write(body, given, left_out)
    if "tools" not in body and call.native is None:
        left_out += parameters.without_tools(body)
    if _reasons(body.get("reasoning")):
        _add_included(body, _SEALED)
    return Translation(body, tuple(left_out))


def _input(call: ModelCall, left_out: list[str]) -> list[Object]:
    own, native = call.client == API, call.native
    if native is None:
        return items_of(call.messages, left_out, own_client=own)
    left_out += native.left_out
    added = call.messages[len(native.messages) :]
    return [*native.items, *items_of(added, left_out, own_client=own)]


def _write(body: Object, given: Object, left_out: list[str]) -> None:
    for name, value in given.items():
        if value is None or name in _SET_HERE:
            continue
        if name in _UNSUPPORTED:
            left_out += [] if value in _UNSUPPORTED[name] else [name]
        elif (write := _WRITERS.get(name)) is not None:
            write(body, value, left_out)
        elif name in _FIELDS and name not in body:
            body[name] = value
        else:
            left_out += [] if parameters.is_default_value(name, value) else [name]


def _tools(body: Object, value: JSON, left_out: list[str]) -> None:
    tools = []
    for number, tool in enumerate(value if isinstance(value, list) else ()):
        match tool:
            case {"type": "custom", "custom": dict(custom)}:
                tools.append(_custom(custom))
            case {"type": "function", "function": dict(function)}:
                tools.append(_function(function))
                left_out += parameters.unknown_tool_fields(tool, function, f"tools[{number}]")
            case _:
                tools.append(tool)
    if tools:
        body["tools"] = tools


def _function(function: Object) -> Object:
    # The default of `strict` is true in Responses and false in Chat Completions.
    known = {name: function[name] for name in function if name in parameters.FUNCTION_FIELDS}
    strict = function.get("strict") or False
    return {"type": "function", "parameters": None, **known, "strict": strict}


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
