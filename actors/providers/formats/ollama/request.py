"""Converts a call to the body of Ollama's `POST /api/chat`. Pure.

Shapes come from Ollama's API documentation, "Generate a chat completion".
"""

from collections.abc import Iterator, Sequence

from actors.providers.formats.chat_call import (
    Message,
    arguments_of,
    data_url,
    is_default_value,
    parts_of,
    reasoning_of,
    stop_words,
    text_of,
    tool_calls_of,
    tool_names,
    unknown_keys,
    with_effort,
)
from actors.providers.formats.vendor_extensions import THINKING, as_chat
from actors.turn.chat_messages import write_messages
from actors.turn.model_call import JSON, ModelCall

JSONObject = dict[str, JSON]

_OPTIONS = {"max_tokens": "num_predict", "max_completion_tokens": "num_predict"}
"""Ollama options by Chat parameter; of two for one option the later one wins."""

_UNCHANGED_OPTIONS = frozenset(
    {
        "draft_num_predict",
        "frequency_penalty",
        "main_gpu",
        "min_p",
        "num_batch",
        "num_ctx",
        "num_gpu",
        "num_keep",
        "num_predict",
        "num_thread",
        "presence_penalty",
        "repeat_last_n",
        "repeat_penalty",
        "seed",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
        "use_mmap",
    }
)
_UNCHANGED = frozenset({"keep_alive", "logprobs", "shift", "top_logprobs", "truncate"})
"""Ollama's own top-level request fields, passed through if given as parameters."""

_HANDLED_TOOL_CHOICES = (("tool_choice", "auto"), ("tool_choice", "none"))
"""Tool choices that aren't reported as left out.

`auto` is Ollama's behaviour; `none` is implemented by leaving out the tools."""

_THINK: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "max",
}


def request_of(call: ModelCall) -> tuple[JSONObject, tuple[str, ...]]:
    """Return the request document and the paths of what it leaves out."""
    call, left_out = as_chat(call, keep_field=THINKING)
    names = tool_names(write_messages(call.messages))
    document: JSONObject = {
        "model": call.upstream_model,
        "messages": list(_messages(write_messages(call.messages), names, left_out)),
        "stream": True,
    }
    parameters = with_effort(call.parameters, left_out)
    given = {name: value for name, value in parameters.items() if not is_default_value(name, value)}
    builder = _Builder(document, left_out)
    for name, value in given.items():
        builder.take(name, value)
    for name, option in _OPTIONS.items():
        if name in given:
            builder.options[option] = given[name]
    if builder.options:
        document["options"] = builder.options
    if given.get("tool_choice") == "none":
        document.pop("tools", None)
    return document, tuple(left_out)


def _messages(
    messages: Sequence[Message], names: dict[str, str], left_out: list[str]
) -> Iterator[JSONObject]:
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        left_out += unknown_keys(message, path)
        role = message.get("role")
        converted: JSONObject = {"role": "system" if role == "developer" else role}
        converted |= _content(message, path, left_out)
        if role == "assistant":
            if (thought := reasoning_of(message)) is not None:
                converted["thinking"] = thought
            if calls := list(_calls(message, path, left_out)):
                converted["tool_calls"] = calls
        elif role in ("tool", "function"):
            converted |= _tool_reference(message, names, path, left_out) | {"role": "tool"}
        yield converted


def _content(message: Message, path: str, left_out: list[str]) -> JSONObject:
    """Return `content` (text parts joined by line breaks) and `images`, if any."""
    texts: list[str] = []
    images: list[str] = []
    for where, part in parts_of(message, path):
        if (text := text_of(part)) is not None:
            texts.append(text)
            continue
        match part:
            case {"type": "image_url", "image_url": {"url": str(url), **rest}}:
                found = data_url(url)
                if found is not None and rest.get("detail") not in (None, "auto"):
                    left_out.append(f"{where}.image_url.detail")
            case _:
                found = None
        if found is None:
            left_out.append(where)
        else:
            images.append(found[1])
    content: JSONObject = {"content": "\n".join(texts)}
    return content | ({"images": images} if images else {})


def _calls(message: Message, path: str, left_out: list[str]) -> Iterator[JSONObject]:
    for where, call in tool_calls_of(message, path):
        match call:
            case {"function": dict(function)} if isinstance(function.get("name"), str):
                arguments = arguments_of(function)
                if arguments is None:
                    left_out.append(f"{where}.function.arguments")
                built: JSONObject = {"name": function["name"], "arguments": arguments or {}}
                id = call.get("id")
                yield {"function": built} | ({"id": id} if isinstance(id, str) and id else {})
            case _:
                left_out.append(where)


def _tool_reference(
    message: Message, names: dict[str, str], path: str, left_out: list[str]
) -> JSONObject:
    """Return the fields that link a tool result to its call.

    Ollama requires the tool's name; newer versions accept the call id too.
    """
    id, name = message.get("tool_call_id"), message.get("name")
    reference: JSONObject = {}
    if isinstance(id, str) and id:
        reference["tool_call_id"] = id
        name = names.get(id, name)
    if isinstance(name, str) and name:
        reference["tool_name"] = name
    else:
        left_out.append(f"{path}.tool_call_id")
    return reference


class _Builder:
    """A builder that puts Chat parameters into a request document."""

    def __init__(self, document: JSONObject, left_out: list[str]) -> None:
        self._document = document
        self._left_out = left_out
        self.options: JSONObject = {}

    def take(self, name: str, value: JSON) -> None:
        match name:
            case "stop":
                self.options["stop"] = stop_words(value)
            case "options" if isinstance(value, dict):
                self.options = value | self.options
            case "tools":
                self._tools(value)
            case "response_format":
                self._response_format(value)
            case "reasoning_effort":
                self._reasoning_effort(value)
            case _:
                self._take_unchanged(name, value)

    def _take_unchanged(self, name: str, value: JSON) -> None:
        if name in _UNCHANGED_OPTIONS:
            self.options[name] = value
        elif name in _UNCHANGED:
            self._document[name] = value
        elif name not in _OPTIONS and (name, value) not in _HANDLED_TOOL_CHOICES:
            self._left_out.append(name)

    def _tools(self, tools: JSON) -> None:
        functions: list[JSON] = []
        for number, tool in enumerate(tools if isinstance(tools, list) else []):
            match tool:
                case {"type": "function", "function": dict(function)}:
                    functions.append(tool)
                    if function.get("strict"):
                        self._left_out.append(f"tools[{number}].function.strict")
                case _:
                    self._left_out.append(f"tools[{number}]")
        if functions:
            self._document["tools"] = functions

    def _response_format(self, requested: JSON) -> None:
        match requested:
            case {"type": "text"}:
                pass
            case {"type": "json_object"}:
                self._document["format"] = "json"
            case {"type": "json_schema", "json_schema": {"schema": schema}}:
                self._document["format"] = schema
            case _:
                self._left_out.append("response_format")

    def _reasoning_effort(self, effort: JSON) -> None:
        think = _THINK.get(effort) if isinstance(effort, str) else None
        if think is None:
            self._left_out.append("reasoning_effort")
        else:
            self._document["think"] = think
