"""Reads the system prompt and the messages of a Messages request with their content blocks.

Tool results become messages of their own, placed before the rest of the user message. Source:
Anthropic's API reference, "Create a message", and its page "Extended thinking".
"""

import re
from collections.abc import Iterator, Sequence
from typing import Self

import msgspec

from actors.turn import messages
from actors.turn.chat_messages import REASONING, SIGNED
from actors.turn.messages import JSON, Content, Extras, Message, Part, Reasoning, TextPart, ToolCall
from web.http.api_error import ApiError
from web.surfaces.content_parts import (
    MAX_PARTS,
    URL_CODE,
    http_url,
    is_base64,
    joined,
    plain_message,
)
from web.surfaces.validation import Fields, wrong

_ROLES = ("user", "assistant", "system")
_ASSISTANT_BLOCKS = ("text", "tool_use", "thinking", "redacted_thinking")
_USER_BLOCKS = ("text", "image", "tool_result")
_MEDIA = re.compile(r"image/[a-z0-9.+-]{1,100}", re.IGNORECASE)
_CHAT_FIELDS = frozenset(
    {
        *("arguments", "content", "detail", "function", "id", "image_url", "name"),
        *("reasoning_content", "refusal", "role", "text", "tool_call_id", "tool_calls"),
        *("type", "url"),
    }
)
"""Field names with a meaning in a chat; on a block they would be misread."""
_PARTS = ("text", "image")


class Block(Fields):
    """An object that may have fields which only Anthropic's API has.

    They become `extras`. Their names are collected in `vendor_fields`, so that routes with another
    API can remove them by name.
    """

    __slots__ = ("vendor_fields",)

    def __init__(self, given: JSON, path: str, vendor_fields: set[str]) -> None:
        super().__init__(given, path)
        self.vendor_fields = vendor_fields

    def child(self, given: JSON, path: str) -> Self:
        """Return an object in this one, which adds to the same names."""
        return type(self)(given, path, self.vendor_fields)

    def extras(self, *known: str) -> Extras:
        """Return the fields that aren't `known` or null; raises `ApiError` (400)."""
        extras = {name: value for name, value in self.rest(*known).items() if value is not None}
        for name in extras:
            if name in _CHAT_FIELDS:
                raise self.wrong(name, "unknown field. Remove it.")
        self.vendor_fields.update(extras)
        return extras

    def blocks(self, name: str) -> Iterator[Self]:
        """Yield the blocks of a list; a string is one text block. Raises `ApiError` (400)."""
        given, path = self.required(name), self.at(name)
        if isinstance(given, str):
            given = [{"type": "text", "text": given}]
        if not isinstance(given, list):
            raise wrong(path, "must be a string or a list of content blocks.")
        if len(given) > MAX_PARTS:
            raise wrong(path, f"may have at most {MAX_PARTS} content blocks.")
        for index, block in enumerate(given):
            yield self.child(block, f"{path}[{index}]")

    def content(self, name: str, types: Sequence[str] = _PARTS) -> Content:
        """Return content of parts of these types; raises `ApiError` (400)."""
        return joined([_part(block, types) for block in self.blocks(name)]) or ""


def read_conversation(body: Block, given: Sequence[JSON]) -> tuple[Message, ...]:
    """Return the body's system prompt and its `given` messages; raises `ApiError` (400)."""
    read: list[Message] = []
    if body.values.get("system") is not None and (content := body.content("system", ("text",))):
        read.append(messages.SystemMessage(content))
    for index, message in enumerate(given):
        if plain := plain_message(message):
            read.append(plain)
        else:
            read += _messages(body.child(message, f"messages[{index}]"))
    return tuple(read)


def _messages(message: Block) -> Iterator[Message]:
    role = message.required("role")
    extras = message.extras("role", "content")
    match role:
        case "user":
            yield from _user_messages(message, extras)
        case "assistant":
            yield _assistant_message(message, extras)
        case "system":
            yield messages.SystemMessage(message.content("content", ("text",)), extras=extras)
        case _:
            raise message.wrong("role", f"must be one of {', '.join(_ROLES)}.")


def _user_messages(message: Block, extras: Extras) -> Iterator[Message]:
    results: list[Message] = []
    rest: list[Part] = []
    for block in message.blocks("content"):
        if block.values.get("type") == "tool_result":
            results.append(_result(block))
        else:
            rest.append(_part(block, _USER_BLOCKS))
    if not results and not rest:
        raise message.wrong("content", "must not be empty.")
    yield from results
    if rest:
        yield messages.UserMessage(joined(rest), extras)


def _result(block: Block) -> Message:
    call_id = block.call_id("tool_use_id")
    content = "" if block.values.get("content") is None else block.content("content")
    failed = block.one_of("is_error", (True, False))
    if failed:
        block.vendor_fields.add("is_error")
    return messages.ToolMessage(
        content=content,
        tool_call_id=call_id,
        is_error=bool(failed),
        extras=block.extras("type", "tool_use_id", "content", "is_error"),
    )


def _assistant_message(message: Block, extras: Extras) -> Message:
    parts: list[Part] = []
    calls: list[ToolCall] = []
    thinking: list[Reasoning] = []
    for block in message.blocks("content"):
        match block.values.get("type"):
            case "text":
                parts.append(_part(block))
            case "tool_use":
                calls.append(_call(block))
            case "thinking":
                thinking += _thinking(block)
            case "redacted_thinking":
                block.vendor_fields.add(SIGNED)
                rest = block.rest("type", "data")
                thinking.append(Reasoning(redacted=block.text("data"), extras=rest))
            case _:
                raise _unknown_type(block, _ASSISTANT_BLOCKS)
    return messages.AssistantMessage(
        content=(joined(parts) or "") if parts or not calls else None,
        reasoning=tuple(thinking),
        tool_calls=tuple(calls),
        extras=extras,
    )


def _call(block: Block) -> ToolCall:
    arguments = msgspec.json.encode(block.object("input").values).decode()
    extras = block.extras("type", "id", "name", "input", "caller")
    for field in sorted(extras.keys() - {"cache_control"}):
        raise block.wrong(field, "unknown field of a tool_use block. Remove it.")
    if block.values.get("caller") not in (None, {"type": "direct"}):
        raise block.wrong("caller", "must be of type direct: the model made the call itself.")
    return ToolCall(block.call_id("id"), block.text("name"), arguments, extras)


def _thinking(block: Block) -> Iterator[Reasoning]:
    """Yield the thinking of an earlier answer; only the API that signed it accepts a signature."""
    text, signature = block.text("thinking"), block.optional("signature", str, "a string")
    if signature:
        block.vendor_fields.add(SIGNED)
        yield Reasoning(text, signature, extras=block.rest("type", "thinking", "signature"))
    elif text:
        block.vendor_fields.add(REASONING)
        yield Reasoning(text)


def _part(block: Block, types: Sequence[str] = _PARTS) -> Part:
    """Return the part of a text or image block; raises `ApiError` (400)."""
    kind = block.values.get("type")
    if kind not in types:
        raise _unknown_type(block, types)
    if kind == "text":
        return TextPart(block.text("text"), block.extras("type", "text"))
    return messages.ImagePart(
        _image_url(block.object("source")), extras=block.extras("type", "source")
    )


def _unknown_type(block: Block, types: Sequence[str]) -> ApiError:
    """Return a 400 for a content block whose type is not among `types`."""
    words = f"must be one of {', '.join(types)}."
    return wrong(block.at("type"), words, "unsupported_content_type")


def _image_url(source: Fields) -> str:
    match source.values.get("type"):
        case "base64":
            return _data_url(source)
        case "url":
            return http_url(source.text("url"), source.at("url"))
        case _:
            words = "must be base64 or url; files are not supported."
            raise wrong(source.at("type"), words, URL_CODE)


def _data_url(source: Fields) -> str:
    media, data = source.text("media_type"), source.text("data")
    if not _MEDIA.fullmatch(media):
        words = "must be an image type such as image/png."
        raise wrong(source.at("media_type"), words, URL_CODE)
    if not is_base64(data):
        raise wrong(source.at("data"), "must be base64 with padding.", URL_CODE)
    return f"data:{media};base64,{data}"
