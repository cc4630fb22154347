"""Converts messages to Gemini's `systemInstruction` and `contents`. Pure.

Shapes come from the Gemini API reference, "Content", "Part", "FunctionCall" and
"FunctionResponse".
"""

import re
from collections.abc import Iterator, Sequence

from actors.providers.formats import conversion
from actors.turn import messages as chat
from actors.turn.chat_messages import Object

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


def conversation(messages: Sequence[chat.Message], model: str, left_out: list[str]) -> Object:
    """Return `contents` and, if there is one, `systemInstruction`.

    The paths of what Gemini cannot express are added to `left_out`.
    """
    system: list[Object] = []
    contents: list[conversion.Turn] = []
    names = conversion.tool_names(messages)
    pictures: list[Object] = []
    """Pictures of the results before, which follow behind the last one."""
    placeholder = None if _WITHOUT_SIGNATURES.match(model) else _UNSIGNED
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        left_out += conversion.unsigned_reasoning(message, path)
        left_out += conversion.unknown_fields(message, path)
        if isinstance(message, chat.ToolMessage):
            result = _result(message, path, names, pictures, left_out)
            conversion.append_turn(contents, "user", [result])
            continue
        conversion.append_turn(contents, "user", pictures)
        pictures = []
        parts = list(_parts(message, path, left_out))
        match message:
            case chat.SystemMessage():
                system += parts
            case chat.AssistantMessage():
                parts += _calls(message, path, placeholder, left_out)
                conversion.append_turn(contents, "model", parts)
            case _:
                conversion.append_turn(contents, "user", parts)
                left_out += [f"{path}.role"] if "role" in message.extras else []
    conversion.append_turn(contents, "user", pictures)
    instruction: Object = {"systemInstruction": {"parts": system}} if system else {}
    return {"contents": contents} | instruction


def _parts(message: chat.Message, path: str, left_out: list[str]) -> Iterator[Object]:
    """Yield text and media parts; skip empty texts, which Gemini refuses."""
    for where, part in conversion.parts_of(message, path):
        left_out += conversion.extra_part_fields(part, where)
        match part:
            case chat.TextPart(text) | chat.RefusalPart(text):
                if text:
                    yield {"text": text}
            case _ if (media := _media(part, where, left_out)) is not None:
                yield media
            case _:
                left_out.append(where)


def _media(part: chat.Part, path: str, left_out: list[str]) -> Object | None:
    match part:
        case chat.ImagePart(url, detail):
            if detail not in (None, "auto"):
                left_out.append(f"{path}.image_url.detail")
            return _linked(url)
        case chat.AudioPart(data, form):
            return _inline(f"audio/{form}", data)
        case chat.FilePart(str(url)):
            return _linked(url)
        case _:
            return None


def _calls(
    message: chat.AssistantMessage, path: str, placeholder: str | None, left_out: list[str]
) -> Iterator[Object]:
    """Yield tool calls as function calls; the first gets the placeholder if it isn't signed."""
    for call, arguments in conversion.calls_of(message, path, left_out):
        built: Object = {"name": call.name, "args": arguments}
        part: Object = {"functionCall": built | ({"id": call.id} if call.id else {})}
        signature = _signature(call) or placeholder
        yield part | ({"thoughtSignature": signature} if signature else {})
        placeholder = None


def _result(
    message: chat.ToolMessage,
    path: str,
    names: dict[str | None, str],
    pictures: list[Object],
    left_out: list[str],
) -> Object:
    """Return a tool's result as a function response: an object, with the tool's name.

    Its media are added to `pictures`: a response is JSON.
    """
    id, name = message.tool_call_id, conversion.tool_name(message, names, path, left_out)
    parts = list(_parts(message, path, left_out))
    texts = [part["text"] for part in parts if "text" in part]
    if media := [part for part in parts if "text" not in part]:
        pictures += [{"text": f"From the result of {name or id or 'a call'}:"}, *media]
    text = "".join(map(str, texts))
    response = conversion.object_of(text)
    built: Object = {
        "name": name or id or "",
        "response": {"output": text} if response is None else response,
    }
    return {"functionResponse": built | ({"id": id} if id else {})}


def _linked(url: str) -> Object | None:
    """Return the part for media at a URL, or None if Gemini doesn't support the URL."""
    if (found := conversion.data_url(url)) is not None:
        return _inline(*found)
    if not url.lower().startswith(_LINKED):
        return None
    ending = url.partition("?")[0].rpartition(".")[2].lower()
    media_type = _MEDIA_TYPES.get(ending)
    return {"fileData": {"fileUri": url} | ({"mimeType": media_type} if media_type else {})}


def _inline(media_type: str, data: str) -> Object:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _signature(call: chat.ToolCall) -> str | None:
    """Return the signature of a call, at the path of Google's own OpenAI-compatible API.

    Source: "Thought signatures".
    """
    match call.extras.get("extra_content"):
        case {"google": {"thought_signature": str(signature)}}:
            return signature
        case _:
            return None
