"""Converts messages to the `input` items of a Responses request."""

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from actors.providers.formats.conversion import (
    extra_part_fields,
    parts_of,
    unknown_fields,
    unsigned_reasoning,
)
from actors.turn import messages as chat
from actors.turn.chat_messages import Object

_BREAKPOINT = "prompt_cache_breakpoint"
"""The one extra field of parts that a chat has in OpenAI's API too."""


def items_of(
    messages: Sequence[chat.Message], left_out: list[str], *, own_client: bool
) -> list[Object]:
    """Return the items of all messages in order; add what they leave out to `left_out`.

    Fields of parts that a chat doesn't have are only sent if the client speaks the same API.
    """
    conversation = _Conversation(left_out, own_client=own_client)
    return [
        item
        for number, message in enumerate(messages)
        for item in conversation.items(message, f"messages[{number}]")
    ]


class _Conversation:
    def __init__(self, left_out: list[str], *, own_client: bool) -> None:
        self._left_out = left_out
        self._own_client = own_client
        self._custom: set[str | None] = set()
        """Ids of custom tool calls, whose results have another item type."""

    def items(self, message: chat.Message, path: str) -> Iterator[Object]:
        """Yield the items of the message at `path`."""
        if message.role == "function" or "role" in message.extras:
            self._left_out.append(path)
            return
        self._left_out += unsigned_reasoning(message, path) + unknown_fields(message, path)
        translate = _output_part if isinstance(message, chat.AssistantMessage) else _input_part
        content = self._content(message, path, translate)
        match message:
            case chat.ToolMessage(tool_call_id=id):
                kind = "custom_tool_call" if id in self._custom else "function_call"
                yield {"type": f"{kind}_output", "call_id": id, "output": content}
            case chat.AssistantMessage():
                if content or message.content == "":
                    yield {"role": "assistant", "content": content}
                yield from self._calls(message, path)
            case _:
                yield {"role": message.role, "content": content}

    def _content(
        self, message: chat.Message, path: str, translate: Callable[[chat.Part], Object | None]
    ) -> chat.JSON:
        refused = isinstance(message, chat.AssistantMessage) and message.refusal
        if not isinstance(message.content, tuple) and not refused:
            return message.content or ""
        converted = []
        for where, part in parts_of(message, path):
            if not self._own_client and (extras := extra_part_fields(part, where, _BREAKPOINT)):
                self._left_out += extras
                both = _BREAKPOINT in part.extras
                part = replace(part, extras={_BREAKPOINT: part.extras[_BREAKPOINT]} if both else {})
            item = translate(part)
            if item is None:
                self._left_out.append(where)
            else:
                converted.append(item)
        return converted

    def _calls(self, message: chat.AssistantMessage, path: str) -> Iterator[Object]:
        for index, call in enumerate(message.tool_calls):
            match call:
                case chat.ToolCall(id, name, arguments):
                    yield {
                        "type": "function_call",
                        "call_id": id,
                        "name": name,
                        "arguments": arguments,
                    }
                case chat.CustomToolCall(str(id), name, text):
                    self._custom.add(id)
                    yield {"type": "custom_tool_call", "call_id": id, "name": name, "input": text}
                case _:
                    self._left_out.append(f"{path}.tool_calls[{index}]")


def _input_part(part: chat.Part) -> Object | None:
    match part:
        case chat.TextPart(text, extras):
            return {**extras, "type": "input_text", "text": text}
        case chat.ImagePart(url, detail, extras):
            kind = {"type": "input_image", "detail": detail or "auto"}
            return {**extras, **kind, "image_url": url}
        case chat.FilePart(data, file_id, filename, extras):
            given = {"file_data": data, "file_id": file_id, "filename": filename}
            file = {name: value for name, value in given.items() if value is not None}
            return {**extras, "type": "input_file", **file}
        case _:
            return None


def _output_part(part: chat.Part) -> Object | None:
    match part:
        case chat.TextPart(text):
            return {"type": "output_text", "text": text, "annotations": []}
        case chat.RefusalPart(refusal):
            return {"type": "refusal", "refusal": refusal}
        case _:
            return None
