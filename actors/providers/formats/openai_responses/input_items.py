"""Converts messages to the `input` items of a Responses request."""

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from actors.providers.formats.conversion import (
    extra_part_fields,
    interleaved,
    parts_of,
    unknown_fields,
    unsigned_reasoning,
)
from actors.providers.formats.media import filename_of, media_type_of
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
                for one in interleaved(message.reasoning, self._answer(message, content, path)):
                    if isinstance(one, chat.Reasoning):
                        yield _reasoning(one)
                    elif one is not None:
                        yield one
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

    def _answer(
        self, message: chat.AssistantMessage, content: chat.JSON, path: str
    ) -> Iterator[Object | None]:
        """Yield an entry for each part and call; the item of the first part has all of them."""
        if content or message.content == "":
            # Reasoning has to stand directly before what followed it, so an empty message between
            # it and a call would make the request invalid.
            empty = not content and message.tool_calls
            yield None if empty else {"role": "assistant", "content": content}
            yield from [None] * (len(tuple(chat.parts_of(message.content))) - 1)
        yield from self._calls(message, path)

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


def _reasoning(reasoning: chat.Reasoning) -> Object:
    summary = [{"type": "summary_text", "text": reasoning.text}] if reasoning.text else []
    return {**reasoning.state, "type": "reasoning", "summary": summary}


def _input_part(part: chat.Part) -> Object | None:
    match part:
        case chat.TextPart(text, extras):
            return {**extras, "type": "input_text", "text": text}
        case chat.ImagePart(extras=extras) | chat.FilePart(extras=extras):
            return {**extras, **media_part(part)}
        case chat.AudioPart(extras=extras):
            return {**extras, **media_part(part)}
        case _:
            return None


def media_part(part: chat.ImagePart | chat.FilePart | chat.AudioPart | chat.VideoPart) -> Object:
    """Return the part for a medium, without its `extras`."""
    match part:
        case chat.ImagePart(url, detail, file_id=file_id):
            source = {"image_url": url} if file_id is None else {"file_id": file_id.id}
            return {"type": "input_image", "detail": detail or "auto", **source}
        case chat.AudioPart(data, form):
            return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
        case chat.VideoPart(url):
            return {"type": "input_video", "video_url": url}
        case chat.FilePart(file_id=chat.FileId(id=id)):
            return {"type": "input_file", "file_id": id}
        case chat.FilePart(url=str(url)) if media_type_of(url) is not None:
            return {"type": "input_file", "filename": filename_of(part), "file_data": url}
        case _:
            return {"type": "input_file", "file_url": part.url}


def _output_part(part: chat.Part) -> Object | None:
    match part:
        case chat.TextPart(text):
            return {"type": "output_text", "text": text, "annotations": []}
        case chat.RefusalPart(refusal):
            return {"type": "refusal", "refusal": refusal}
        case _:
            return None
