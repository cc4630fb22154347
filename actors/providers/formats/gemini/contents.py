"""Converts messages to Gemini's `systemInstruction` and `contents`. Pure.

Shapes come from the Gemini API reference, "Content", "Part", "FunctionCall" and
"FunctionResponse".
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from actors.providers.formats.messages import (
    arguments_of,
    calls_of,
    data_url,
    object_of,
    parts_of,
    tool_names,
    unknown_fields,
)
from actors.turn.messages import (
    JSON,
    AssistantMessage,
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
)

_UNSIGNED = "skip_thought_signature_validator"
"""Documented placeholder for an unknown thought signature ("Thought signatures").

Models from Gemini 3 on answer 400 if the first call of a message has no signature at all."""

_WITHOUT_SIGNATURES = re.compile(r"(?:models/)?gemini-[12]\b")

_MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "gif": "image/gif",
    "pdf": "application/pdf",
}
_LINKED = ("http://", "https://", "gs://")

JSONObject = dict[str, JSON]


class Content(Struct, frozen=True):
    """A message of one role with its parts."""

    role: str
    parts: list[JSONObject]


class ContentsBuilder(Struct, frozen=True):
    """A conversation in Gemini's shape."""

    system: list[JSONObject]
    """The parts of `systemInstruction`."""
    contents: list[Content]


def conversation(messages: Sequence[Message], model: str, left_out: list[str]) -> ContentsBuilder:
    """Return the conversation; add the paths of what Gemini cannot express to `left_out`."""
    found = ContentsBuilder([], [])
    builder = _PartsBuilder(tool_names(messages), not _WITHOUT_SIGNATURES.match(model), left_out)
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        left_out += unknown_fields(message, path)
        match message:
            case SystemMessage():
                found.system.extend(builder.parts(message, path))
            case AssistantMessage():
                parts = [*builder.parts(message, path), *builder.calls(message, path)]
                _append(found.contents, "model", parts)
            case ToolMessage():
                _append(found.contents, "user", [builder.result(message, path)])
            case _:
                _append(found.contents, "user", list(builder.parts(message, path)))
                left_out += [f"{path}.role"] if "role" in message.extras else []
    return found


def _append(contents: list[Content], role: str, parts: list[JSONObject]) -> None:
    """Append parts, merging neighbours of one role: Gemini requires it for parallel results."""
    if contents and contents[-1].role == role:
        contents[-1].parts.extend(parts)
    elif parts:
        contents.append(Content(role, parts))


class _PartsBuilder:
    """A converter of messages to parts.

    `names` are function names by call id; `signs` is true if the model requires signatures.
    """

    def __init__(self, names: dict[str | None, str], signs: bool, left_out: list[str]) -> None:
        self._names = names
        self._signs = signs
        self._left_out = left_out

    def parts(self, message: Message, path: str) -> Iterator[JSONObject]:
        """Yield text and media parts; skip empty texts, which Gemini refuses."""
        for where, part in parts_of(message, path):
            match part:
                case TextPart(text) | RefusalPart(text):
                    if text:
                        yield {"text": text}
                case _ if (media := self._media(part, where)) is not None:
                    yield media
                case _:
                    self._left_out.append(where)

    def _media(self, part: Part, path: str) -> JSONObject | None:
        match part:
            case ImagePart(url, detail):
                if detail not in (None, "auto"):
                    self._left_out.append(f"{path}.image_url.detail")
                return _linked(url)
            case AudioPart(data, form):
                return _inline(f"audio/{form}", data)
            case FilePart(str(url)):
                return _linked(url)
            case _:
                return None

    def calls(self, message: AssistantMessage, path: str) -> Iterator[JSONObject]:
        """Yield tool calls as function calls; sign the first if the model requires it."""
        placeholder = _UNSIGNED if self._signs else None
        for where, call in calls_of(message, path):
            if not isinstance(call, ToolCall):
                self._left_out.append(where)
                continue
            built: JSONObject = {
                "name": call.name,
                "args": arguments_of(call, where, self._left_out),
            }
            part: JSONObject = {"functionCall": built | ({"id": call.id} if call.id else {})}
            signature = _signature(call) or placeholder
            yield part | ({"thoughtSignature": signature} if signature else {})
            placeholder = None

    def result(self, message: ToolMessage, path: str) -> JSONObject:
        """Return a tool's result as a function response: an object, with the tool's name."""
        id = message.tool_call_id
        name = self._names.get(id) or message.name
        if not name:
            self._left_out.append(f"{path}.tool_call_id")
        text = "".join(self._texts(message, path))
        response = object_of(text)
        built: JSONObject = {
            "name": name or id or "",
            "response": {"output": text} if response is None else response,
        }
        return {"functionResponse": built | ({"id": id} if id else {})}

    def _texts(self, message: Message, path: str) -> Iterator[str]:
        for where, part in parts_of(message, path):
            match part:
                case TextPart(text) | RefusalPart(text):
                    yield text
                case _:
                    self._left_out.append(where)


def _linked(url: str) -> JSONObject | None:
    """Return the part for media at a URL, or None if Gemini doesn't support the URL."""
    if (found := data_url(url)) is not None:
        return _inline(*found)
    if not url.lower().startswith(_LINKED):
        return None
    ending = url.partition("?")[0].rpartition(".")[2].lower()
    media_type = _MEDIA_TYPES.get(ending)
    return {"fileData": {"fileUri": url} | ({"mimeType": media_type} if media_type else {})}


def _inline(media_type: str, data: str) -> JSONObject:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _signature(call: ToolCall) -> str | None:
    """Return the signature of a call, at the path of Google's own OpenAI-compatible API.

    Source: "Thought signatures".
    """
    match call.extras.get("extra_content"):
        case {"google": {"thought_signature": str(signature)}}:
            return signature
        case _:
            return None
