"""Reads and writes messages in the form of OpenAI's Chat Completions. Pure.

Reading accepts any object: a field that isn't of its type stays in `extras`, from which it is
written unchanged. Source: OpenAI's API reference, "Create chat completion".
"""

from collections.abc import Iterable, Mapping

import msgspec

from actors.turn.messages import (
    JSON,
    AnyToolCall,
    AssistantMessage,
    AudioPart,
    Content,
    CustomToolCall,
    DocumentPart,
    Extras,
    FilePart,
    ImagePart,
    Message,
    OtherPart,
    OtherToolCall,
    Part,
    Reasoning,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

Object = dict[str, JSON]

REASONING = "reasoning_content"
"""Message field for reasoning: not part of Chat, but used by some servers that speak it."""
SIGNED = "thinking_blocks"
"""Message field for signed reasoning, as Anthropic's blocks, which other gateways use too."""


def read_messages(messages: Iterable[Mapping[str, JSON]]) -> tuple[Message, ...]:
    """Return the messages of a Chat request."""
    return tuple(map(read_message, messages))


def read_message(message: Mapping[str, JSON]) -> Message:
    """Return a Chat message. An unknown role is read as the user's, and kept in `extras`."""
    fields = {**message}
    role, content = fields.pop("role", None), _take_content(fields)
    match role:
        case "user":
            return UserMessage(content, fields)
        case "assistant":
            return _assistant(content, fields)
        case "system" | "developer":
            return SystemMessage(content, role, fields)
        case "tool" | "function":
            return ToolMessage(
                content=content,
                tool_call_id=_take_str(fields, "tool_call_id"),
                name=_take_str(fields, "name"),
                is_error=_take_true(fields, "is_error"),
                role=role,
                extras=fields,
            )
        case _:
            return UserMessage(content, {**fields, "role": role})


def read_part(part: JSON) -> Part:
    """Return a content part of a Chat message."""
    fields = _object(part)
    match fields:
        case {"type": "text", "text": str(text)}:
            return TextPart(text, _rest(fields, "type", "text"))
        case {"type": "refusal", "refusal": str(refusal)}:
            return RefusalPart(refusal, _rest(fields, "type", "refusal"))
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            image = _take_inner(fields, "image_url", "url")
            return ImagePart(url, _take_str(image, "detail"), _nested(fields, "image_url", image))
        case {"type": "input_audio", "input_audio": {"data": str(audio_data), "format": str(form)}}:
            audio = _take_inner(fields, "input_audio", "data", "format")
            return AudioPart(audio_data, form, _nested(fields, "input_audio", audio))
        case {"type": "file", "file": dict()}:
            file = _take_inner(fields, "file")
            names = ("file_data", "file_id", "filename")
            data, file_id, filename = (_take_str(file, name) for name in names)
            return FilePart(data, file_id, filename, _nested(fields, "file", file))
        case _:
            return OtherPart(fields)


def read_call(call: JSON) -> AnyToolCall:
    """Return a tool call of an assistant's Chat message."""
    fields = _object(call)
    match fields:
        case {"function": {"name": str(name)}}:
            function = _take_inner(fields, "function", "name")
            id, arguments = _take_str(fields, "id"), _take_arguments(function)
            return ToolCall(id, name, arguments, _nested(fields, "function", function))
        case {"custom": {"name": str(name), "input": str(text)}}:
            custom = _take_inner(fields, "custom", "name", "input")
            id = _take_str(fields, "id")
            return CustomToolCall(id, name, text, _nested(fields, "custom", custom))
        case _:
            return OtherToolCall(fields)


def write_messages(messages: Iterable[Message]) -> list[Object]:
    """Return the messages of a Chat request."""
    return list(map(write_message, messages))


def write_message(message: Message) -> Object:
    """Return a Chat message."""
    content = write_content(message.content)
    written: Object = {"role": message.role, "content": content}
    if isinstance(message, AssistantMessage):
        _write_assistant(message, written)
    elif isinstance(message, ToolMessage):
        named = {"tool_call_id": message.tool_call_id} if message.tool_call_id is not None else {}
        written = {"role": message.role, **named, "content": content}
        _add(written, name=message.name, is_error=message.is_error or None)
    return written | message.extras


def write_content(content: Content) -> JSON:
    """Return the content of a Chat message."""
    if content is None or isinstance(content, str):
        return content
    return list(map(write_part, content))


def write_part(part: Part) -> Object:
    """Return a content part of a Chat message."""
    match part:
        case TextPart():
            return {"type": "text", "text": part.text, **part.extras}
        case RefusalPart():
            return {"type": "refusal", "refusal": part.refusal, **part.extras}
        case ImagePart():
            return _with("image_url", part.extras, url=part.url, detail=part.detail)
        case AudioPart():
            return _with("input_audio", part.extras, data=part.data, format=part.format)
        case FilePart():
            names = {"file_data": part.data, "file_id": part.file_id, "filename": part.filename}
            return _with("file", part.extras, **names)
        case DocumentPart():
            return _with("file", part.extras, file_data=part.url, filename=part.title)
        case OtherPart():
            return {**part.extras}


def write_call(call: AnyToolCall) -> Object:
    """Return a tool call of an assistant's Chat message."""
    match call:
        case ToolCall():
            named = {"id": call.id} if call.id is not None else {}
            rest = _with("function", call.extras, name=call.name, arguments=call.arguments)
            return {**named, **rest}
        case CustomToolCall():
            named = {"id": call.id} if call.id is not None else {}
            return {**named, **_with("custom", call.extras, name=call.name, input=call.input)}
        case OtherToolCall():
            return {**call.extras}


def _assistant(content: Content, fields: Object) -> AssistantMessage:
    calls = fields.get("tool_calls")
    if isinstance(calls, list):
        del fields["tool_calls"]
    return AssistantMessage(
        content=content,
        refusal=_take_str(fields, "refusal"),
        reasoning=_take_reasoning(fields),
        tool_calls=tuple(map(read_call, calls)) if isinstance(calls, list) else (),
        extras=fields,
    )


def _write_assistant(message: AssistantMessage, written: Object) -> None:
    _add(written, refusal=message.refusal)
    if message.tool_calls:
        written["tool_calls"] = list(map(write_call, message.tool_calls))
    if plain := plain_reasoning(message):
        written[REASONING] = plain
    if signed := signed_blocks(message):
        written[SIGNED] = signed


def plain_reasoning(message: AssistantMessage) -> str:
    """Return the reasoning without a signature, joined."""
    return "\n\n".join([one.text for one in message.reasoning if not is_signed(one)])


def is_signed(reasoning: Reasoning) -> bool:
    """Return True if only the API that produced the reasoning accepts it."""
    return reasoning.signature is not None or reasoning.redacted is not None


def signed_blocks(message: AssistantMessage) -> list[Object]:
    """Return the signed and redacted reasoning as Anthropic's blocks."""
    return [_signed_block(one) for one in message.reasoning if is_signed(one)]


def _signed_block(reasoning: Reasoning) -> Object:
    if reasoning.redacted is not None:
        return {"type": "redacted_thinking", "data": reasoning.redacted, **reasoning.extras}
    return {
        "type": "thinking",
        "thinking": reasoning.text,
        "signature": reasoning.signature,
        **reasoning.extras,
    }


def _take_reasoning(fields: Object) -> tuple[Reasoning, ...]:
    text, blocks = fields.get(REASONING), fields.get(SIGNED)
    found: list[Reasoning] = []
    if isinstance(text, str):
        del fields[REASONING]
        found += [Reasoning(text)] if text else []
    if isinstance(blocks, list):
        read = list(map(_read_block, blocks))
        if None not in read:
            del fields[SIGNED]
            found += [one for one in read if one is not None]
    return tuple(found)


def _read_block(block: JSON) -> Reasoning | None:
    match block:
        case {"type": "thinking", "thinking": str(text), "signature": str(signature)}:
            known = ("type", "thinking", "signature")
            return Reasoning(text, signature, extras=_rest(_object(block), *known))
        case {"type": "redacted_thinking", "data": str(data)}:
            return Reasoning(redacted=data, extras=_rest(_object(block), "type", "data"))
        case _:
            return None


def _take_content(fields: Object) -> Content:
    content = fields.get("content")
    if content is None or isinstance(content, str):
        fields.pop("content", None)
        return content
    if isinstance(content, list):
        del fields["content"]
        return tuple(map(read_part, content))
    return None


def _take_str(fields: Object, name: str) -> str | None:
    value = fields.get(name)
    if not isinstance(value, str):
        return None
    del fields[name]
    return value


def _take_true(fields: Object, name: str) -> bool:
    return fields.get(name) is True and fields.pop(name) is True


def _take_arguments(function: Object) -> str:
    """Remove and return a call's arguments as text; some clients send a JSON value."""
    arguments = function.get("arguments")
    if arguments is None:
        return ""
    del function["arguments"]
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _rest(fields: Object, *known: str) -> Extras:
    return {name: value for name, value in fields.items() if name not in known}


def _object(value: JSON) -> Object:
    return {**value} if isinstance(value, dict) else {}


def _take_inner(fields: Object, kind: str, *known: str) -> Object:
    """Remove the object named like the part's type; return its fields that aren't `known`."""
    fields.pop("type", None)
    return {name: one for name, one in _object(fields.pop(kind)).items() if name not in known}


def _nested(fields: Object, kind: str, inner: Object) -> Extras:
    return {**fields, kind: inner} if inner else fields


def _with(kind: str, extras: Extras, **fields: JSON) -> Object:
    """Return a part whose fields are in an object named like its type; omit what is None."""
    given: Object = {name: value for name, value in fields.items() if value is not None}
    inner = extras.get(kind)
    if not isinstance(inner, dict):
        return {"type": kind, kind: given, **extras}
    return {"type": kind, **extras, kind: {**given, **inner}}


def _add(written: Object, **fields: JSON) -> None:
    written.update({name: value for name, value in fields.items() if value is not None})
