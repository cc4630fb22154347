"""Converts messages to Gemini's `systemInstruction` and `contents`. Pure.

Shapes come from the Gemini API reference, "Content", "Part", "FunctionCall" and
"FunctionResponse".
"""

import re
from collections.abc import Iterator, Sequence

from actors.providers.formats import conversion
from actors.turn import messages as chat
from actors.turn.chat_messages import Object

API = "gemini"
_SIGNATURE = "thoughtSignature"
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
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
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
        left_out += conversion.unknown_fields(message, path, "extra_content")
        if isinstance(message, chat.ToolMessage):
            # Models without signatures have no media in function responses either.
            behind = pictures if placeholder is None else None
            result = _result(message, path, names, behind, left_out)
            conversion.append_turn(contents, "user", [result])
            continue
        conversion.append_turn(contents, "user", pictures)
        pictures = []
        parts = list(_parts(message, path, left_out))
        match message:
            case chat.SystemMessage():
                system += parts
            case chat.AssistantMessage():
                parts = _signed(message, parts)
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
        case chat.FilePart(url=str(url)) | chat.VideoPart(url):
            return _linked(url)
        case _:
            return None


def _calls(
    message: chat.AssistantMessage, path: str, placeholder: str | None, left_out: list[str]
) -> Iterator[Object]:
    """Yield tool calls as function calls; the first gets the placeholder if it isn't signed."""
    signed = {
        chat.next_call(message, one): one.state.get(_SIGNATURE)
        for one in message.reasoning
        if one.state.get("part") == "functionCall"
    }
    for index, (call, arguments) in enumerate(conversion.calls_of(message, path, left_out)):
        built: Object = {"name": call.name, "args": arguments}
        part: Object = {"functionCall": built | ({"id": call.id} if call.id else {})}
        signature = _signature(call.extras) or signed.get(index) or placeholder
        yield part | ({_SIGNATURE: signature} if signature else {})
        placeholder = None


def _result(
    message: chat.ToolMessage,
    path: str,
    names: dict[str | None, str],
    pictures: list[Object] | None,
    left_out: list[str],
) -> Object:
    """Return a tool's result as a function response: an object, with the tool's name.

    Its media are added to `pictures` or, without that list, nested in the response.
    """
    id, name = message.tool_call_id, conversion.tool_name(message, names, path, left_out)
    parts = list(_parts(message, path, left_out))
    text = "".join([str(part["text"]) for part in parts if "text" in part])
    media = [part for part in parts if "text" not in part]
    if media and pictures is not None:
        pictures += [{"text": f"From the result of {name or id or 'a call'}:"}, *media]
    response = conversion.object_of(text)
    built: Object = {
        "name": name or id or "",
        "response": {"output": text} if response is None else response,
    }
    if media and pictures is None:
        built["parts"] = media
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


def _signed(message: chat.AssistantMessage, parts: list[Object]) -> list[Object]:
    """Return the parts with the signatures of thoughts and texts; the last text is signed."""
    thoughts: list[Object] = []
    texts: list[chat.JSON] = [_signature(message.extras)]
    for one in message.reasoning:
        match one.state:
            case {"part": "thought", "thoughtSignature": signature}:
                thoughts.append({"text": one.text, "thought": True, _SIGNATURE: signature})
            case {"part": "text", "thoughtSignature": signature}:
                texts.append(signature)
    signed = [*thoughts, *parts]
    for signature in filter(None, texts):
        if not signed or "text" not in signed[-1] or _SIGNATURE in signed[-1]:
            signed.append({"text": ""})
        signed[-1] = {**signed[-1], _SIGNATURE: signature}
    return signed


def _signature(extras: chat.Extras) -> str | None:
    """Return the signature of a call or a message, as Google's OpenAI-compatible API has it.

    Source: "Thought signatures".
    """
    match extras.get("extra_content"):
        case {"google": {"thought_signature": str(signature)}}:
            return signature
        case _:
            return None
