"""Chat messages as the `input` items of a Responses request."""

from collections.abc import Callable, Iterator

from actors.providers.base import JSON
from actors.providers.neutral import odd_keys

Object = dict[str, JSON]
Miss = Callable[[str], None]
"""Takes the path of something that cannot be said."""

_ROLES = ("system", "developer", "user", "assistant", "tool")


def items_of(messages: list[Object], miss: Miss) -> list[Object]:
    """The items of all messages in order; `miss` is told of what is left out."""
    conversation = _Conversation(miss)
    return [
        item
        for number, message in enumerate(messages)
        for item in conversation.items(message, f"messages[{number}]")
    ]


class _Conversation:
    def __init__(self, miss: Miss) -> None:
        self._miss = miss
        self._custom: set[JSON] = set()
        """Ids of the calls of custom tools, whose results are items of another type."""

    def items(self, message: Object, path: str) -> Iterator[Object]:
        """The items of one message, which has this path."""
        role = message.get("role")
        if role not in _ROLES:
            self._miss(path)
            return
        for odd in odd_keys(message, path):
            self._miss(odd)
        if role == "tool":
            yield self._tool_output(message, path)
        elif role == "assistant":
            yield from self._assistant(message, path)
        else:
            yield {"role": role, "content": self._content(message, path)}

    def _tool_output(self, message: Object, path: str) -> Object:
        id = message.get("tool_call_id")
        custom = isinstance(id, str) and id in self._custom
        return {
            "type": "custom_tool_call_output" if custom else "function_call_output",
            "call_id": id,
            "output": self._content(message, path),
        }

    def _assistant(self, message: Object, path: str) -> Iterator[Object]:
        content = self._assistant_content(message, path)
        if content or message.get("content") == "":
            yield {"role": "assistant", "content": content}
        calls = message.get("tool_calls")
        for number, call in enumerate(calls if isinstance(calls, list) else ()):
            item = self._call(call)
            if item is None:
                self._miss(f"{path}.tool_calls[{number}]")
            else:
                yield item

    def _assistant_content(self, message: Object, path: str) -> JSON:
        content, refusal = message.get("content"), message.get("refusal")
        if isinstance(content, list):
            said = self._parts(content, path, _assistant_part)
        elif isinstance(content, str) and not refusal:
            return content
        else:
            said = [_output_text(content)] if content else []
        if refusal:
            said.append({"type": "refusal", "refusal": refusal})
        return said

    def _call(self, call: JSON) -> Object | None:
        if not isinstance(call, dict):
            return None
        id = call.get("id")
        match call:
            case {"function": dict(function)}:
                given = {"name": function.get("name"), "arguments": function.get("arguments")}
                return {"type": "function_call", "call_id": id, **given}
            case {"custom": dict(custom)} if isinstance(id, str):
                self._custom.add(id)
                given = {"name": custom.get("name"), "input": custom.get("input")}
                return {"type": "custom_tool_call", "call_id": id, **given}
        return None

    def _content(self, message: Object, path: str) -> JSON:
        content = message.get("content")
        if isinstance(content, list):
            return self._parts(content, path, _input_part)
        return "" if content is None else content

    def _parts(
        self, content: list[JSON], path: str, translate: Callable[[Object], Object | None]
    ) -> list[Object]:
        said = []
        for number, part in enumerate(content):
            item = translate(part) if isinstance(part, dict) else None
            if item is None:
                self._miss(f"{path}.content[{number}]")
            else:
                said.append(item)
        return said


def _input_part(part: Object) -> Object | None:
    match part:
        case {"type": "text", "text": text, **others}:
            return {**others, "type": "input_text", "text": text}
        case {"type": "image_url", "image_url": dict(image), **others}:
            detail = image.get("detail") or "auto"
            return {
                **others,
                "type": "input_image",
                "detail": detail,
                "image_url": image.get("url"),
            }
        case {"type": "file", "file": dict(file), **others}:
            return {**others, "type": "input_file", **file}
    return None


def _assistant_part(part: Object) -> Object | None:
    match part:
        case {"type": "text", "text": text}:
            return _output_text(text)
        case {"type": "refusal", "refusal": refusal}:
            return {"type": "refusal", "refusal": refusal}
    return None


def _output_text(text: JSON) -> Object:
    return {"type": "output_text", "text": text, "annotations": []}
