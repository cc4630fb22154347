"""Converts a call to the body of Ollama's `POST /api/chat`. Pure.

Shapes come from Ollama's API documentation, "Generate a chat completion".
"""

from collections.abc import Iterator

from actors.providers.formats.base import Translation
from actors.providers.formats.messages import (
    arguments_of,
    calls_of,
    data_url,
    parts_of,
    tool_names,
    unknown_fields,
)
from actors.providers.formats.parameters import (
    Object,
    Writer,
    beneath,
    into,
    into_unset,
    lookup,
    write_parameters,
)
from actors.providers.formats.vendor_extensions import THINKING, as_chat
from actors.turn.chat_messages import plain_reasoning
from actors.turn.messages import (
    AssistantMessage,
    ImagePart,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
)
from actors.turn.model_call import JSON, ModelCall

_OWN_OPTIONS = frozenset(
    {
        "draft_num_predict",
        "frequency_penalty",
        "main_gpu",
        "min_p",
        "num_batch",
        "num_ctx",
        "num_gpu",
        "num_keep",
        "num_thread",
        "presence_penalty",
        "repeat_last_n",
        "repeat_penalty",
        "seed",
        "stop",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
        "use_mmap",
    }
)
_UNCHANGED = frozenset({"keep_alive", "logprobs", "shift", "top_logprobs", "truncate"})
"""Ollama's own top-level request fields, passed through if given as parameters."""

_THINK: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "max",
}


def translate(call: ModelCall) -> Translation:
    """Return the request document for a call."""
    call, left_out = as_chat(call, keep_field=THINKING)
    names = tool_names(call.messages)
    document: Object = {
        "model": call.upstream_model,
        "messages": [
            _message(message, f"messages[{number}]", names, left_out)
            for number, message in enumerate(call.messages)
        ],
        "stream": True,
    }
    write_parameters(call.parameters, _WRITERS, document, left_out)
    if call.parameters.get("tool_choice") == "none":
        document.pop("tools", None)
    return Translation(document, tuple(left_out))


def _message(
    message: Message, path: str, names: dict[str | None, str], left_out: list[str]
) -> Object:
    left_out += unknown_fields(message, path)
    content = _content(message, path, left_out)
    match message:
        case SystemMessage():
            return {"role": "system", **content}
        case AssistantMessage():
            return {"role": "assistant", **content, **_assistant(message, path, left_out)}
        case ToolMessage():
            return {"role": "tool", **content, **_tool_reference(message, path, names, left_out)}
        case _:
            return {"role": message.extras.get("role", "user"), **content}


def _content(message: Message, path: str, left_out: list[str]) -> Object:
    """Return `content` (text parts joined by line breaks) and `images`, if any."""
    texts: list[str] = []
    images: list[str] = []
    for where, part in parts_of(message, path):
        match part:
            case TextPart(text) | RefusalPart(text):
                texts.append(text)
            case ImagePart(url, detail) if (found := data_url(url)) is not None:
                images.append(found[1])
                if detail not in (None, "auto"):
                    left_out.append(f"{where}.image_url.detail")
            case _:
                left_out.append(where)
    content: Object = {"content": "\n".join(texts)}
    return content | ({"images": images} if images else {})


def _assistant(message: AssistantMessage, path: str, left_out: list[str]) -> Object:
    """Return `thinking` and `tool_calls`, if any."""
    thought = plain_reasoning(message) or message.extras.get("reasoning")
    calls = list(_calls(message, path, left_out))
    fields: Object = {"thinking": thought} if isinstance(thought, str) and thought else {}
    return fields | ({"tool_calls": calls} if calls else {})


def _calls(message: AssistantMessage, path: str, left_out: list[str]) -> Iterator[Object]:
    for where, call in calls_of(message, path):
        if isinstance(call, ToolCall):
            arguments = arguments_of(call, where, left_out)
            built: Object = {"function": {"name": call.name, "arguments": arguments}}
            yield built | ({"id": call.id} if call.id else {})
        else:
            left_out.append(where)


def _tool_reference(
    message: ToolMessage, path: str, names: dict[str | None, str], left_out: list[str]
) -> Object:
    """Return the fields that link a tool result to its call.

    Ollama requires the tool's name; newer versions accept the call id too.
    """
    id = message.tool_call_id
    reference: Object = {"tool_call_id": id} if id else {}
    if name := names.get(id) or message.name:
        reference["tool_name"] = name
    else:
        left_out.append(f"{path}.tool_call_id")
    return reference


def _options(document: Object, value: JSON, left_out: list[str]) -> None:
    if isinstance(value, dict):
        beneath("options")(document, value, left_out)
    else:
        left_out.append("options")


def _tools(document: Object, tools: JSON, left_out: list[str]) -> None:
    functions: list[JSON] = []
    for number, tool in enumerate(tools if isinstance(tools, list) else []):
        match tool:
            case {"type": "function", "function": dict(function)}:
                functions.append(tool)
                if function.get("strict"):
                    left_out.append(f"tools[{number}].function.strict")
            case _:
                left_out.append(f"tools[{number}]")
    if functions:
        document["tools"] = functions


def _tool_choice(document: Object, choice: JSON, left_out: list[str]) -> None:
    # `auto` is Ollama's behaviour; `none` is implemented by leaving out the tools.
    if choice not in ("auto", "none"):
        left_out.append("tool_choice")


def _response_format(document: Object, requested: JSON, left_out: list[str]) -> None:
    match requested:
        case {"type": "text"}:
            pass
        case {"type": "json_object"}:
            document["format"] = "json"
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            document["format"] = schema
        case _:
            left_out.append("response_format")


def _reasoning_effort(document: Object, effort: JSON, left_out: list[str]) -> None:
    think = lookup(_THINK, effort)
    if think is None:
        left_out.append("reasoning_effort")
    else:
        document["think"] = think


_WRITERS: dict[str, Writer] = {
    **{name: into("options", name) for name in _OWN_OPTIONS},
    **{name: into(name) for name in _UNCHANGED},
    "num_predict": into_unset("options", "num_predict"),
    "max_tokens": into("options", "num_predict"),
    "options": _options,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "reasoning_effort": _reasoning_effort,
}
