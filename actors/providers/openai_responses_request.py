"""A call as the body of a Responses request, and what of it such a body cannot say."""

from collections.abc import Callable

from msgspec import Struct

from actors.providers.base import JSON, ModelCall
from actors.providers.foreign import as_chat
from actors.providers.openai_responses_input import Miss, Object, items_of

_LOGPROBS = "message.output_text.logprobs"

_NO_PLACE: dict[str, tuple[JSON, ...]] = {
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
"""Parameters of Chat Completions that Responses has no word for, and values that ask for nothing
that it would not do anyway."""

_OURS = frozenset({"stream", "stream_options", "store"})
"""What is ours to say: answers are kept here or nowhere, not with the provider."""


class Translation(Struct, frozen=True):
    """A request's body, and the paths of what it leaves out."""

    body: Object
    unsaid: tuple[str, ...]


def translate(call: ModelCall) -> Translation:
    """The body for a call, without `stream`, which only HTTP knows.

    Unknown parameters are passed on, as are tools that are no functions: they may be the
    provider's own.
    """
    call, unsaid = as_chat(call)
    body: Object = {"model": call.upstream_model, "store": False}
    body["input"] = items_of(call.messages, unsaid.append)
    for name, value in call.parameters.items():
        if value is None or name in _OURS:
            continue
        if name in _NO_PLACE:
            if value not in _NO_PLACE[name]:
                unsaid.append(name)
        elif (say := _SAYINGS.get(name)) is not None:
            say(body, value, unsaid.append)
        elif name in body:
            unsaid.append(name)
        else:
            body[name] = value
    return Translation(body, tuple(unsaid))


def _max_tokens(body: Object, value: JSON, miss: Miss) -> None:
    body.setdefault("max_output_tokens", value)


def _max_completion_tokens(body: Object, value: JSON, miss: Miss) -> None:
    body["max_output_tokens"] = value


def _tools(body: Object, value: JSON, miss: Miss) -> None:
    tools = []
    for number, tool in enumerate(value if isinstance(value, list) else ()):
        match tool:
            case {"type": "custom"}:
                miss(f"tools[{number}]")
            case {"type": "function", "function": dict(function)}:
                tools.append(_function(function))
            case _:
                tools.append(tool)
    if tools:
        body["tools"] = tools


def _function(function: Object) -> Object:
    # Responses is strict where nothing is said, Chat Completions is not
    strict = function.get("strict") or False
    return {"type": "function", "parameters": None, **function, "strict": strict}


def _tool_choice(body: Object, value: JSON, miss: Miss) -> None:
    match value:
        case {"type": "function", "function": {"name": name}}:
            body["tool_choice"] = {"type": "function", "name": name}
        case {"type": "allowed_tools", "allowed_tools": {"tools": [*tools], **allowed}}:
            named = [_chosen(tool) for tool in tools]
            body["tool_choice"] = {"type": "allowed_tools", **allowed, "tools": named}
        case {"type": "custom"}:
            miss("tool_choice")
        case _:
            body["tool_choice"] = value


def _chosen(tool: JSON) -> JSON:
    match tool:
        case {"type": "function", "function": {"name": name}}:
            return {"type": "function", "name": name}
    return tool


def _response_format(body: Object, value: JSON, miss: Miss) -> None:
    match value:
        case {"type": "json_schema", "json_schema": {**schema}}:
            _inside(body, "text", "format", {"type": "json_schema", **schema})
        case _:
            _inside(body, "text", "format", value)


def _inside(body: Object, name: str, field: str, value: JSON) -> None:
    there = body.get(name)
    body[name] = {**(there if isinstance(there, dict) else {}), field: value}


def _merged(name: str) -> Callable[[Object, JSON, Miss], None]:
    """For an object of which Chat Completions has single fields as parameters, which count."""

    def say(body: Object, value: JSON, miss: Miss) -> None:
        there = body.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            body[name] = {**value, **there}
        elif there is None:
            body[name] = value

    return say


def _logprobs(body: Object, value: JSON, miss: Miss) -> None:
    if value is not True:
        return
    there = body.get("include")
    body["include"] = [*(there if isinstance(there, list) else []), _LOGPROBS]


def _include(body: Object, value: JSON, miss: Miss) -> None:
    there = body.get("include")
    body["include"] = (
        [*value, *there] if isinstance(value, list) and isinstance(there, list) else value
    )


_SAYINGS: dict[str, Callable[[Object, JSON, Miss], None]] = {
    "max_tokens": _max_tokens,
    "max_completion_tokens": _max_completion_tokens,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "verbosity": lambda body, value, miss: _inside(body, "text", "verbosity", value),
    "text": _merged("text"),
    "reasoning_effort": lambda body, value, miss: _inside(body, "reasoning", "effort", value),
    "reasoning": _merged("reasoning"),
    "logprobs": _logprobs,
    "include": _include,
}
"""How parameters are said that have another name or shape."""
