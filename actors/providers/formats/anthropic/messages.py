"""Converts messages to `system` and `messages` of Anthropic's Messages API.

The rules come from the API reference, "Create a message", and its errors: roles alternate, text
blocks aren't blank, tool call ids contain only letters, digits, `_` and `-`, and a final assistant
message (prefill) doesn't end in white space.
"""

import re
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from itertools import chain, groupby

import msgspec
from msgspec.structs import replace

from actors.providers.formats import conversion
from actors.providers.formats.anthropic.fields import CALL_FIELDS
from actors.providers.formats.media import COMMON_IMAGES, text_of
from actors.turn import messages as chat
from actors.turn.chat_messages import Object, thinking_block

_ID_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_THINKING = frozenset({"thinking", "redacted_thinking"})
_ASSISTANT_PARTS = (chat.TextPart, chat.RefusalPart, chat.NativePart)
_USER_PARTS = (chat.TextPart, chat.ImagePart, chat.FilePart, chat.NativePart)
_PART_FIELDS = ("cache_control", "citations", "context", "image_url")
"""Extra fields of parts that are read here."""


class MessagesBuilder(msgspec.Struct, frozen=True):
    """A conversation in the shape of the Messages API."""

    system: list[Object]
    turns: list[conversion.Turn]

    @property
    def _spoken(self) -> list[conversion.Turn]:
        """The last two turns of the user and the assistant."""
        return [turn for turn in self.turns[-4:] if turn.role != "system"][-2:]

    @property
    def prefilled(self) -> bool:
        """True if the last message is the assistant's, for the model to continue."""
        return bool(self.turns) and self.turns[-1].role == "assistant"

    @property
    def within_tool_loop(self) -> bool:
        """True if the last message holds tool results."""
        return bool(self._spoken) and self._spoken[-1].parts[0]["type"] == "tool_result"

    @property
    def lacks_thinking(self) -> bool:
        """True if tool results come last and the thinking that led to the calls is missing."""
        if not self.within_tool_loop or len(self._spoken) < 2:
            return False
        return self._spoken[-2].parts[0]["type"] not in _THINKING


class SystemPlace(Enum):
    """The places in which system messages stay; all others are moved to `system` at the top.

    Moving them changes the prefix of the prompt that the provider has cached.
    """

    TOP = auto()
    """No other place."""
    ANSWERED = auto()
    """Between a user's and an assistant's message, or at the end."""
    ANY = auto()
    """Anywhere but at the beginning."""


def conversation(
    messages: Sequence[chat.Message], left_out: list[str], place: SystemPlace = SystemPlace.TOP
) -> MessagesBuilder:
    """Return the conversation; add the paths of unsupported content to `left_out`."""
    system: list[Object] = []
    turns: list[conversion.Turn] = []
    groups = [list(group) for _, group in groupby(enumerate(messages), _is_system)]
    for number, group in enumerate(groups):
        after = groups[number + 1][0][1] if number + 1 < len(groups) else None
        answered = after is None or isinstance(after, chat.AssistantMessage)
        after_user = bool(turns) and turns[-1].role == "user"
        in_place = (place is SystemPlace.ANSWERED and answered and after_user) or (
            place is SystemPlace.ANY and bool(turns)
        )
        for index, message in group:
            path = f"messages[{index}]"
            if message.role == "function" or "role" in message.extras:
                left_out.append(path)
                continue
            left_out += conversion.unsigned_reasoning(message, path)
            known = ("cache_control", "toolset_name")
            left_out += conversion.extra_fields(message.extras, path, *known)
            blocks = _with_cache_control([*_blocks_of(message, path, left_out)], message.extras)
            if not isinstance(message, chat.SystemMessage):
                role = "assistant" if message.role == "assistant" else "user"
                conversion.append_turn(turns, role, blocks)
            elif in_place:
                conversion.append_turn(turns, "system", blocks)
            else:
                system += blocks
    _strip_prefill(turns)
    return MessagesBuilder(system, turns)


def _is_system(numbered: tuple[int, chat.Message]) -> bool:
    return isinstance(numbered[1], chat.SystemMessage)


def _blocks_of(message: chat.Message, path: str, left_out: list[str]) -> Iterator[Object]:
    match message:
        case chat.SystemMessage():
            yield from _content(message, (chat.TextPart, chat.NativePart), path, left_out)
        case chat.AssistantMessage():
            yield from _assistant(message, path, left_out)
        case chat.ToolMessage():
            yield from _result(message, path, left_out)
        case _:
            yield from _content(message, _USER_PARTS, path, left_out)


def _assistant(message: chat.AssistantMessage, path: str, left_out: list[str]) -> Iterator[Object]:
    """Yield text, calls and signed thinking in their order; the API refuses other thinking."""
    texts = (
        _blocks(part, at, _ASSISTANT_PARTS, left_out)
        for at, part in conversion.parts_of(message, path)
    )
    calls = ([one] for one in _tool_uses(message, path, left_out))
    for one in conversion.interleaved(message.reasoning, chain(texts, calls)):
        if isinstance(one, chat.Reasoning):
            yield thinking_block(one.text, one.state)
        else:
            yield from one


def _content(
    message: chat.Message, kinds: tuple[type[chat.Part], ...], path: str, left_out: list[str]
) -> Iterator[Object]:
    """Yield the blocks of a message's content; parts that aren't of these `kinds` are left out."""
    for at, part in conversion.parts_of(message, path):
        yield from _blocks(part, at, kinds, left_out)


def _blocks(
    part: chat.Part, path: str, kinds: tuple[type[chat.Part], ...], left_out: list[str]
) -> list[Object]:
    if not isinstance(part, kinds):
        left_out.append(path)
        return []
    left_out += conversion.extra_fields(part.extras, path, *_PART_FIELDS)
    return _with_cache_control([*_part(part, path, left_out)], part.extras)


def _part(part: chat.Part, path: str, left_out: list[str]) -> Iterator[Object]:
    match part:
        case chat.TextPart(text) | chat.RefusalPart(text):
            # The API refuses blank text blocks.
            if text and not text.isspace():
                block: Object = {"type": "text", "text": text}
                citations = part.extras.get("citations")
                yield {**block, "citations": citations} if citations else block
        case chat.NativePart(item=item):
            yield {**item}
        case chat.ImagePart(url, detail, file_id=file_id):
            source = _image(url) if file_id is None else _uploaded(file_id)
            if source is None:
                left_out.append(path)
                return
            if detail not in (None, "auto"):
                left_out.append(f"{path}.image_url.detail")
            yield {"type": "image", "source": source}
        case chat.FilePart(filename=filename):
            block = {"type": "document", "source": _document(part)}
            given = {name: part.extras.get(name) for name in ("context", "citations")}
            given = {"title": filename, **given}
            yield block | {name: value for name, value in given.items() if value}


def _uploaded(file: chat.FileId) -> Object:
    return {"type": "file", "file_id": file.id}


def _document(file: chat.FilePart) -> Object:
    if file.file_id is not None:
        return _uploaded(file.file_id)
    found = conversion.data_url(file.url or "")
    if found is None:
        return {"type": "url", "url": file.url}
    text = text_of(replace(file, filename=None))
    if text is not None:
        return {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "base64", "media_type": found[0], "data": found[1]}


def _image(url: str) -> Object | None:
    if url[:8].lower().startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    media, data = conversion.data_url(url) or ("", "")
    if media not in COMMON_IMAGES:
        return None
    return {"type": "base64", "media_type": COMMON_IMAGES[media], "data": data}


def _with_cache_control(blocks: list[Object], extras: chat.Extras) -> list[Object]:
    """Return the blocks of a part or message, with its `cache_control` on the last block."""
    if blocks and extras.get("cache_control"):
        blocks[-1].setdefault("cache_control", extras["cache_control"])
    return blocks


def _strip_prefill(turns: list[conversion.Turn]) -> None:
    if not turns or turns[-1].role != "assistant":
        return
    last = turns[-1].parts[-1]
    if isinstance(text := last.get("text"), str):
        last["text"] = text.rstrip()


def _tool_uses(message: chat.AssistantMessage, path: str, left_out: list[str]) -> Iterator[Object]:
    for call, arguments in conversion.calls_of(message, path, left_out):
        block: Object = {
            "type": "tool_use",
            "id": _id(call.id or ""),
            "name": call.name,
            "input": arguments,
        }
        block |= {name: call.extras[name] for name in CALL_FIELDS if call.extras.get(name)}
        yield from _with_cache_control([block], call.extras)


def _result(message: chat.ToolMessage, path: str, left_out: list[str]) -> Iterator[Object]:
    blocks = list(_content(message, _USER_PARTS, path, left_out))
    if message.tool_call_id is None:
        left_out.append(path)
        return
    result: Object = {"type": "tool_result", "tool_use_id": _id(message.tool_call_id)}
    if blocks:
        result["content"] = message.content if isinstance(message.content, str) else blocks
    if message.is_error:
        result["is_error"] = True
    if message.extras.get("toolset_name"):
        result["toolset_name"] = message.extras["toolset_name"]
    yield result


def _id(id: str) -> str:
    """Return a valid id; equal inputs give equal ids, so that calls and results still match.

    Other providers' ids may contain dots and colons, which Anthropic refuses.
    """
    return _ID_FORBIDDEN.sub("_", id) or "_"
