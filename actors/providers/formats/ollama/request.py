"""Converts a call to the body of Ollama's `POST /api/chat`. Pure.

Shapes come from Ollama's API documentation, "Generate a chat completion".
"""

from msgspec import Raw

from actors.providers.formats import conversion, parameters
from actors.providers.formats.base import Translation
from actors.providers.formats.custom_tools import custom_as_functions
from actors.providers.formats.parameters import Object
from actors.providers.formats.vendor_extensions import THINKING, as_chat
from actors.turn import messages as chat
from actors.turn.chat_messages import plain_reasoning
from actors.turn.model_call import JSON, ModelCall

_OWN_OPTIONS = frozenset(
    {
        *("frequency_penalty", "min_p", "presence_penalty", "repeat_last_n", "repeat_penalty"),
        *("seed", "stop", "temperature", "top_k", "top_p", "typical_p"),
        *("draft_num_predict", "main_gpu", "num_batch", "num_ctx", "num_gpu", "num_keep"),
        *("num_thread", "use_mmap"),
    }
)
_UNCHANGED = frozenset({"keep_alive", "logprobs", "shift", "top_logprobs", "truncate"})
"""Ollama's own top-level request fields, passed through if given as parameters."""

_THINK: dict[str, JSON] = {
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
    call, left_out = as_chat(custom_as_functions(call), keep=(THINKING,))
    names = conversion.tool_names(call.messages)
    document: Object = {
        "model": call.upstream_model,
        "messages": [
            _message(message, f"messages[{number}]", names, left_out)
            for number, message in enumerate(call.messages)
        ],
        "stream": True,
    }
    parameters.write_parameters(call.parameters, _WRITERS, document, left_out)
    if call.parameters.get("tool_choice") == "none":
        document.pop("tools", None)
    return Translation(document, tuple(left_out))


def _message(
    message: chat.Message, path: str, names: dict[str | None, str], left_out: list[str]
) -> Object:
    left_out += conversion.unknown_fields(message, path, "reasoning")
    content = _content(message, path, left_out)
    match message:
        case chat.SystemMessage():
            return {"role": "system", **content}
        case chat.AssistantMessage():
            return {"role": "assistant", **content, **_assistant(message, path, left_out)}
        case chat.ToolMessage():
            return {"role": "tool", **content, **_tool_reference(message, path, names, left_out)}
        case _:
            return {"role": message.extras.get("role", "user"), **content}


def _content(message: chat.Message, path: str, left_out: list[str]) -> Object:
    """Return `content` (text parts joined by line breaks) and `images`, if any."""
    texts: list[str] = []
    images: list[str] = []
    for where, part in conversion.parts_of(message, path):
        left_out += conversion.extra_part_fields(part, where)
        match part:
            case chat.TextPart(text) | chat.RefusalPart(text):
                texts.append(text)
            case chat.ImagePart(url, detail) if (found := conversion.data_url(url)) is not None:
                images.append(found[1])
                if detail not in (None, "auto"):
                    left_out.append(f"{where}.image_url.detail")
            case _:
                left_out.append(where)
    content: Object = {"content": "\n".join(texts)}
    return content | ({"images": images} if images else {})


def _assistant(message: chat.AssistantMessage, path: str, left_out: list[str]) -> Object:
    """Return `thinking` and `tool_calls`, if any."""
    thought = plain_reasoning(message) or message.extras.get("reasoning")
    calls = [_call(*call) for call in conversion.calls_of(message, path, left_out)]
    fields: Object = {"thinking": thought} if isinstance(thought, str) and thought else {}
    return fields | ({"tool_calls": calls} if calls else {})


def _call(call: chat.ToolCall, arguments: Raw) -> Object:
    built: Object = {"function": {"name": call.name, "arguments": arguments}}
    return built | ({"id": call.id} if call.id else {})


def _tool_reference(
    message: chat.ToolMessage, path: str, names: dict[str | None, str], left_out: list[str]
) -> Object:
    """Return the fields that link a tool result to its call.

    Ollama requires the tool's name; newer versions accept the call id too.
    """
    id, name = message.tool_call_id, conversion.tool_name(message, names, path, left_out)
    reference: Object = {"tool_call_id": id} if id else {}
    return reference | ({"tool_name": name} if name else {})


def _options(document: Object, value: JSON, left_out: list[str]) -> None:
    if isinstance(value, dict):
        parameters.beneath("options")(document, value, left_out)
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


_WRITERS: dict[str, parameters.Writer] = {
    **{name: parameters.into("options", name) for name in _OWN_OPTIONS},
    **{name: parameters.into(name) for name in _UNCHANGED},
    "num_predict": parameters.into("options", "num_predict", keep=True),
    "max_tokens": parameters.into("options", "num_predict"),
    "options": _options,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "reasoning_effort": parameters.mapped("reasoning_effort", _THINK, parameters.into("think")),
}
