"""Converts Chat messages to the `input` items of a Responses request."""

from collections.abc import Callable, Iterator

from actors.providers.formats.chat_call import unknown_keys
from actors.turn.model_call import JSON

Object = dict[str, JSON]
LeaveOut = Callable[[str], None]
"""Called with the path of each thing that is left out."""

_ROLES = ("system", "developer", "user", "assistant", "tool")


def items_of(messages: list[Object], leave_out: LeaveOut) -> list[Object]:
    """Return the items of all messages in order; call `leave_out` for what they leave out."""
    conversation = _Conversation(leave_out)
    return [
        item
        for number, message in enumerate(messages)
        for item in conversation.items(message, f"messages[{number}]")
    ]


class _Conversation:
    def __init__(self, leave_out: LeaveOut) -> None:
        self._leave_out = leave_out
        self._custom: set[JSON] = set()
        """Ids of custom tool calls, whose results have another item type."""

    def items(self, message: Object, path: str) -> Iterator[Object]:
        """Yield the items of the message at `path`."""
        role = message.get("role")
        if role not in _ROLES:
            self._leave_out(path)
            return
        for odd in unknown_keys(message, path):
            self._leave_out(odd)
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
                self._leave_out(f"{path}.tool_calls[{number}]")
            else:
                yield item

    def _assistant_content(self, message: Object, path: str) -> JSON:
        content, refusal = message.get("content"), message.get("refusal")
        if isinstance(content, list):
            converted = self._parts(content, path, _assistant_part)
        elif isinstance(content, str) and not refusal:
            return content
        else:
            converted = [_output_text(content)] if content else []
        if refusal:
            converted.append({"type": "refusal", "refusal": refusal})
        return converted

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
        converted = []
        for number, part in enumerate(content):
            item = translate(part) if isinstance(part, dict) else None
            if item is None:
                self._leave_out(f"{path}.content[{number}]")
            else:
                converted.append(item)
        return converted


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
