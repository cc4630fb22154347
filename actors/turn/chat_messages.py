"""Reads and writes messages in the form of OpenAI's Chat Completions. Pure.

Reading accepts any object: a field that isn't of its type stays in `extras`, from which it is
written unchanged. Source: OpenAI's API reference, "Create chat completion".
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from actors.turn import messages as chat
from actors.turn.messages import JSON

T = TypeVar("T")

Object = dict[str, JSON]

REASONING = "reasoning_content"
"""Message field for reasoning: not part of Chat, but used by some servers that speak it."""
SIGNED = "thinking_blocks"
"""Message field for signed reasoning, as Anthropic's blocks, which other gateways use too."""
DETAILS = "reasoning_details"
"""Message field for opaque reasoning: OpenRouter's, which many clients send back."""
THINKING_API = "anthropic"
"""Format of the providers that sign thinking blocks."""
CHAT_API = "openai-chat"
"""Format of the providers of this form; the state of their reasoning are fields of a message."""
STATE_FIELDS = (DETAILS, SIGNED, "extra_content", "reasoning_opaque")
"""Their names; the last one is GitHub Copilot's."""
CALL_FIELDS = ("extra_content", "provider_specific_fields")
"""Fields of a tool call with such a state: Google's, and LiteLLM's for Google's."""
OF_CALL = "call"
"""Field of such a state that has fields of the next tool call."""


def read_messages(messages: Iterable[Mapping[str, JSON]]) -> tuple[chat.Message, ...]:
    """Return the messages of a Chat request."""
    return tuple(map(read_message, messages))


def read_message(message: Mapping[str, JSON]) -> chat.Message:
    """Return a Chat message. An unknown role is read as the user's, and kept in `extras`."""
    fields = {**message}
    role, content = fields.pop("role", None), _take_content(fields)
    match role:
        case "user":
            return chat.UserMessage(content, fields)
        case "assistant":
            return _assistant(content, fields)
        case "system" | "developer":
            return chat.SystemMessage(content, role, fields)
        case "tool" | "function":
            return chat.ToolMessage(
                content=content,
                tool_call_id=_take_id(fields, "tool_call_id"),
                name=_take(fields, "name", str),
                is_error=_take_true(fields, "is_error"),
                role=role,
                extras=fields,
            )
        case _:
            return chat.UserMessage(content, {**fields, "role": role})


def read_part(part: JSON) -> chat.Part:
    """Return a content part of a Chat message."""
    fields = _object(part)
    match fields:
        case {"type": "text", "text": str(text)}:
            return chat.TextPart(text, _rest(fields, "type", "text"))
        case {"type": "refusal", "refusal": str(refusal)}:
            return chat.RefusalPart(refusal, _rest(fields, "type", "refusal"))
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            image = _take_inner(fields, "image_url", "url")
            return chat.ImagePart(
                url, _take(image, "detail", str), _nested(fields, "image_url", image)
            )
        case {"type": "input_audio", "input_audio": {"data": str(audio_data), "format": str(form)}}:
            audio = _take_inner(fields, "input_audio", "data", "format")
            return chat.AudioPart(audio_data, form, _nested(fields, "input_audio", audio))
        case {"type": "file", "file": dict()}:
            file = _take_inner(fields, "file")
            names = ("file_data", "file_id", "filename")
            data, id, filename = (_take(file, name, str) for name in names)
            file_id = None if id is None else chat.FileId("openai", id)
            return chat.FilePart(data, file_id, filename, _nested(fields, "file", file))
        case {"type": "video_url", "video_url": {"url": str(url)}}:
            video = _take_inner(fields, "video_url", "url")
            return chat.VideoPart(url, _nested(fields, "video_url", video))
        case _:
            return chat.OtherPart(fields)


def read_call(call: JSON) -> chat.AnyToolCall:
    """Return a tool call of an assistant's Chat message."""
    fields = _object(call)
    match fields:
        case {"function": {"name": str(name)}}:
            function = _take_inner(fields, "function", "name")
            id, arguments = _take_id(fields, "id"), _take_arguments(function)
            return chat.ToolCall(id, name, arguments, _nested(fields, "function", function))
        case {"custom": {"name": str(name), "input": str(text)}}:
            custom = _take_inner(fields, "custom", "name", "input")
            id = _take_id(fields, "id")
            return chat.CustomToolCall(id, name, text, _nested(fields, "custom", custom))
        case _:
            return chat.OtherToolCall(fields)


def write_messages(messages: Iterable[chat.Message]) -> list[Object]:
    """Return the messages of a Chat request."""
    return list(map(write_message, messages))


def write_message(message: chat.Message) -> Object:
    """Return a Chat message, with the state that a provider of this form sent with it."""
    written: Object = {"role": message.role, "content": write_content(message.content)}
    match message:
        case chat.AssistantMessage():
            written |= _state_fields(message)
            written |= _given(
                refusal=message.refusal,
                tool_calls=_calls(message) or None,
                reasoning_content=plain_reasoning(message) or None,
                thinking_blocks=signed_blocks(message) or None,
            )
        case chat.ToolMessage(tool_call_id=id, name=name, is_error=failed):
            written |= _given(tool_call_id=id, name=name, is_error=failed or None)
    return written | message.extras


def _calls(message: chat.AssistantMessage) -> list[Object]:
    signed = {
        chat.next_call(message, one): one.state[OF_CALL]
        for one in message.reasoning
        if one.api == CHAT_API and OF_CALL in one.state
    }
    calls = []
    for index, call in enumerate(message.tool_calls):
        state = signed.get(index)
        calls.append((state if isinstance(state, dict) else {}) | write_call(call))
    return calls


def _state_fields(message: chat.AssistantMessage) -> Object:
    """Return the fields with the state of the whole message."""
    fields: Object = {}
    for one in message.reasoning:
        if one.api == CHAT_API:
            given = {name: one.state[name] for name in STATE_FIELDS if name in one.state}
            add_fields(fields, given)
    return fields


def add_fields(fields: Object, more: Mapping[str, JSON]) -> None:
    """Add fields to others; a list is added to the end of another one."""
    for name, value in more.items():
        before = fields.get(name)
        if isinstance(value, list):
            fields[name] = before = before if isinstance(before, list) else []
            before += value
        else:
            fields[name] = value


def write_content(content: chat.Content) -> JSON:
    """Return the content of a Chat message."""
    if content is None or isinstance(content, str):
        return content
    return list(map(write_part, content))


def write_part(part: chat.Part) -> Object:
    """Return a content part of a Chat message."""
    match part:
        case chat.TextPart():
            return {"type": "text", "text": part.text, **part.extras}
        case chat.RefusalPart():
            return {"type": "refusal", "refusal": part.refusal, **part.extras}
        case chat.ImagePart():
            # Only Responses has a higher resolution.
            detail = "high" if part.detail == "original" else part.detail
            return _with("image_url", part.extras, url=part.url, detail=detail)
        case chat.VideoPart():
            return _with("video_url", part.extras, url=part.url)
        case chat.AudioPart():
            return _with("input_audio", part.extras, data=part.data, format=part.format)
        case chat.FilePart():
            id = None if part.file_id is None else part.file_id.id
            names = {"file_data": part.url, "file_id": id, "filename": part.filename}
            return _with("file", part.extras, **names)
        case chat.NativePart():
            return {**part.item}
        case chat.OtherPart():
            return {**part.extras}


def write_call(call: chat.AnyToolCall) -> Object:
    """Return a tool call of an assistant's Chat message."""
    match call:
        case chat.ToolCall():
            written = _with("function", call.extras, name=call.name, arguments=call.arguments)
        case chat.CustomToolCall():
            written = _with("custom", call.extras, name=call.name, input=call.input)
        case chat.OtherToolCall():
            return {**call.extras}
    return _given(id=call.id) | written


def _assistant(content: chat.Content, fields: Object) -> chat.AssistantMessage:
    return chat.AssistantMessage(
        content=content,
        refusal=_take(fields, "refusal", str),
        reasoning=_take_reasoning(fields),
        tool_calls=tuple(map(read_call, _take(fields, "tool_calls", list) or ())),
        extras=fields,
    )


def plain_reasoning(message: chat.AssistantMessage) -> str:
    """Return the reasoning that has no signature in it, joined."""
    plain = (one.text for one in message.reasoning if one.api in (None, CHAT_API))
    return "\n\n".join([text for text in plain if text])


def signed_blocks(message: chat.AssistantMessage) -> list[Object]:
    """Return the reasoning that Anthropic's API signed or redacted, as its blocks."""
    signed = (one for one in message.reasoning if one.api == THINKING_API)
    return [thinking_block(one.text, one.state) for one in signed]


def thinking_block(text: str, state: chat.Extras) -> Object:
    """Return reasoning in the form of Anthropic's API, with its state in that form."""
    if "data" in state:
        return {**state, "type": "redacted_thinking"}
    return {**state, "type": "thinking", "thinking": text}


def read_thinking_block(block: JSON) -> chat.Reasoning | None:
    """Return the reasoning in a signed or redacted block, or None if it isn't one.

    The signature may be the sealed state of another API.
    """
    match block:
        case {"type": "thinking", "thinking": str(text), "signature": str(opaque)} if opaque:
            known: tuple[str, ...] = ("type", "thinking")
        case {"type": "redacted_thinking", "data": str(opaque)}:
            text, known = "", ("type",)
        case _:
            return None
    api, state = chat.unsealed(opaque) or (THINKING_API, _rest(_object(block), *known))
    return chat.Reasoning(text, api, state)


def _take_reasoning(fields: Object) -> tuple[chat.Reasoning, ...]:
    # An empty text stays a field: some servers require it on every message with tool calls.
    text = _take(fields, REASONING, str) if fields.get(REASONING) else None
    plain = (chat.Reasoning(text),) if text else ()
    return (*plain, *_take_signed(fields), *_take_details(fields))


def _take_signed(fields: Object) -> list[chat.Reasoning]:
    """Remove and return the reasoning in thinking blocks, if all of them can be read."""
    blocks = fields.get(SIGNED)
    signed = [read_thinking_block(one) for one in blocks] if isinstance(blocks, list) else [None]
    found = [one for one in signed if one is not None]
    if len(found) < len(signed):
        return []
    del fields[SIGNED]
    return found


def _take_details(fields: Object) -> list[chat.Reasoning]:
    """Remove and return the sealed states; details that a provider sent stay a field."""
    details = fields.get(DETAILS)
    if not isinstance(details, list):
        return []
    states = [chat.unsealed(_opaque(one)) for one in details]
    found = [chat.Reasoning("", *state) for state in states if state is not None]
    others = [one for one, state in zip(details, states, strict=True) if state is None]
    if found:
        fields[DETAILS] = others
    if found and not others:
        del fields[DETAILS]
    return found


def _opaque(detail: JSON) -> str:
    match detail:
        case {"type": "reasoning.encrypted", "data": str(data)}:
            return data
        case _:
            return ""


def _take_content(fields: Object) -> chat.Content:
    content = fields.pop("content", None)
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, list):
        return tuple(map(read_part, content))
    fields["content"] = content
    return None


def _take(fields: Object, name: str, kind: type[T]) -> T | None:
    """Remove and return a field if it is of this type."""
    value = fields.get(name)
    if not isinstance(value, kind):
        return None
    del fields[name]
    return value


def _take_id(fields: Object, name: str) -> str | None:
    """Remove and return the id of a call, which some servers number; None if it has none."""
    id = fields.pop(name, None)
    if isinstance(id, int) and not isinstance(id, bool):
        return str(id)
    return id if isinstance(id, str) and id else None


def _take_true(fields: Object, name: str) -> bool:
    return fields.get(name) is True and fields.pop(name) is True


def _take_arguments(function: Object) -> str:
    """Remove and return a call's arguments as text; some clients send a JSON value."""
    arguments = function.pop("arguments", None)
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _rest(fields: Object, *known: str) -> chat.Extras:
    return {name: value for name, value in fields.items() if name not in known}


def _object(value: JSON) -> Object:
    return {**value} if isinstance(value, dict) else {}


def _take_inner(fields: Object, kind: str, *known: str) -> Object:
    """Remove the object named like the part's type; return its fields that aren't `known`."""
    fields.pop("type", None)
    return {name: one for name, one in _object(fields.pop(kind)).items() if name not in known}


def _nested(fields: Object, kind: str, inner: Object) -> chat.Extras:
    return {**fields, kind: inner} if inner else fields


def _with(kind: str, extras: chat.Extras, **fields: JSON) -> Object:
    """Return a part whose fields are in an object named like its type; omit what is None."""
    given = _given(**fields)
    inner = extras.get(kind)
    if not isinstance(inner, dict):
        return {"type": kind, kind: given, **extras}
    return {"type": kind, **extras, kind: {**given, **inner}}


def _given(**fields: JSON) -> Object:
    return {name: value for name, value in fields.items() if value is not None}
