"""Converts items to chat messages, in groups that are kept or dropped together. Pure.

Chat Completions requires the calls of a model in one message, directly followed by their results,
wherever they were among the items. These messages are one group, with the reasoning that led to the
calls. Every other message is a group by itself.
"""

from collections.abc import Iterable

from msgspec import Struct

from actors.providers.formats.vendor_extensions import THINKING
from actors.turn.model_call import JSON
from web.surfaces.responses.input.compaction_summary import summary_message
from web.surfaces.responses.input.items import Item

Message = dict[str, JSON]


class MessageGroup(Struct):
    """Chat messages that are valid only together."""

    messages: list[Message]
    pending: int = 0
    """Number of its calls without a result so far."""
    reasoning: list[str] | None = None
    """Reasoning that preceded the first message; `MessageGroups.finish` adds it to that message."""

    @property
    def role(self) -> JSON:
        """The role of the first message."""
        return self.messages[0]["role"]


class Mismatch(Exception):
    """Error for calls and results that don't match; `place` is the index of the item at fault."""

    def __init__(self, place: int, words: str) -> None:
        super().__init__(words)
        self.place = place
        self.words = words


class MessageGroups:
    """A builder that converts items to message groups, in their order."""

    def __init__(self) -> None:
        self.groups: list[MessageGroup] = []
        self.dropped_reasoning = 0
        """Number of dropped reasoning items, which have no text or precede no message."""
        self.orphans = 0
        """Number of results that were dropped because their calls are missing."""
        self._open: MessageGroup | None = None
        """The group of the last message, while further items may extend that message."""
        self._waiting_reasoning: list[str] = []
        """Reasoning that waits for the message it led to."""
        self._calls: dict[str, tuple[MessageGroup, int]] = {}
        """Calls without a result, by call id, with the index of the item."""
        self._answered: set[str] = set()
        self._place = 0

    def add(self, items: Iterable[Item], *, forgiving: bool = False) -> None:
        """Add items; raises `Mismatch`.

        With `forgiving`, results whose calls are missing are dropped.
        """
        for item in items:
            if forgiving and self._is_orphan(item):
                self.orphans += 1
            else:
                self._add(item)
            self._place += 1

    def finish(self) -> list[MessageGroup]:
        """Return all groups; raises `Mismatch` if a call has no result."""
        self._drop_reasoning()
        for call_id, (_, place) in self._calls.items():
            raise Mismatch(
                place,
                f"there is no output for the function call {call_id!r:.200}."
                " Send its function_call_output.",
            )
        for group in self.groups:
            if group.reasoning is not None:
                group.messages[0][THINKING] = "\n\n".join(group.reasoning)
        return self.groups

    def _is_orphan(self, item: Item) -> bool:
        return item["type"] == "function_call_output" and item["call_id"] not in self._calls

    def _add(self, item: Item) -> None:
        match item["type"]:
            case "message" if item["role"] == "assistant":
                self._assistant_content(assistant_content(item["content"]))
            case "message":
                self._other({"role": item["role"], "content": input_content(item["content"])})
            case "function_call":
                self._call(item)
            case "function_call_output":
                self._result(item)
            case "reasoning":
                self._reasoning(item)
            case "compaction":
                self._other(summary_message(item["encrypted_content"]))

    def _other(self, message: Message) -> None:
        self._drop_reasoning()
        self._open = None
        self.groups.append(MessageGroup([message]))

    def _assistant(self) -> MessageGroup:
        """Return the open assistant group, or a new one, with the reasoning before it."""
        group = self._open
        if group is None:
            group = self._open = MessageGroup([{"role": "assistant", "content": None}])
            self.groups.append(group)
        if self._waiting_reasoning:
            group.reasoning = group.reasoning or []
            group.reasoning += self._waiting_reasoning
            self._waiting_reasoning.clear()
        return group

    def _assistant_content(self, content: JSON) -> None:
        if self._open is not None and not self._open.pending:
            self._open = None
        message = self._assistant().messages[0]
        match message["content"]:
            case None:
                message["content"] = content
            case list(there):  # may be changed in place: this message owns its list
                there += _parts(content)
            case there:
                message["content"] = [*_parts(there), *_parts(content)]

    def _call(self, item: Item) -> None:
        call_id = str(item["call_id"])
        if call_id in self._calls:
            raise Mismatch(self._place, f"there are two function calls with id {call_id!r:.200}.")
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": call_id, "type": "function", "function": function}
        group = self._assistant()
        calls = group.messages[0].setdefault("tool_calls", [])
        if isinstance(calls, list):
            calls.append(call)
        group.pending += 1
        self._calls[call_id] = group, self._place
        self._answered.discard(call_id)

    def _result(self, item: Item) -> None:
        call_id = str(item["call_id"])
        group, _ = self._calls.pop(call_id, (None, 0))
        if group is None:
            why = "already has an output" if call_id in self._answered else "is missing"
            text = f"the function call {call_id!r:.200} of this output {why}."
            raise Mismatch(self._place, text)
        content = output_content(item["output"])
        group.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})
        group.pending -= 1
        self._answered.add(call_id)
        self._drop_reasoning()
        self._open = None

    def _reasoning(self, item: Item) -> None:
        texts = _texts(item.get("content")) or _texts(item.get("summary"))
        if texts:
            self._waiting_reasoning.append("\n\n".join(texts))
        else:
            self.dropped_reasoning += 1

    def _drop_reasoning(self) -> None:
        """Drop reasoning that no message follows."""
        self.dropped_reasoning += len(self._waiting_reasoning)
        self._waiting_reasoning.clear()


def input_content(parts: JSON) -> JSON:
    """Convert message content to the form of Chat Completions; a single plain text is a string."""
    match parts:
        case [{"type": "input_text", "text": text, **others}] if not others:
            return text
        case [*_]:
            return [_input_part(part) for part in parts if isinstance(part, dict)]
    return parts


def output_content(output: JSON) -> JSON:
    """Convert a function's output to the content of a tool message."""
    return input_content(output) if isinstance(output, list) else output


def assistant_content(parts: JSON) -> JSON:
    """Convert the content of an assistant message, without its annotations and logprobs."""
    match parts:
        case [{"type": "output_text", "text": text}]:
            return text
        case []:
            return ""
        case [*_]:
            return [_output_part(part) for part in parts if isinstance(part, dict)]
    return parts


def _input_part(part: Item) -> Item:
    match part:
        case {"type": "input_text", "text": text, **others}:
            return {"type": "text", "text": text, **others}
        case {"type": "input_image", "image_url": url, **others}:
            detail = others.pop("detail", None)
            image = {"url": url} if detail in (None, "auto") else {"url": url, "detail": detail}
            return {"type": "image_url", "image_url": image, **others}
    return part


def _output_part(part: Item) -> Item:
    match part:
        case {"type": "output_text", "text": text}:
            return {"type": "text", "text": text}
    return part


def _parts(content: JSON) -> list[JSON]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _texts(parts: JSON) -> list[str]:
    if not isinstance(parts, list):
        return []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return [text for text in texts if isinstance(text, str) and text]
