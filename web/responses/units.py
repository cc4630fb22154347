"""Items as chat messages, in units that stand or fall together. Pure.

Chat Completions wants a model's calls in one message and their results right behind it, wherever
they stood among the items; so that is a unit, with the thoughts that led to the calls. Every other
message is a unit by itself.
"""

from collections.abc import Iterable

from msgspec import Struct

from actors.providers.base import JSON
from actors.providers.foreign import THINKING
from web.responses.items import Item
from web.responses.summary import summary_message

Message = dict[str, JSON]


class Unit(Struct):
    """Messages that cannot do without each other."""

    messages: list[Message]
    pending: int = 0
    """Calls in it that have no result yet."""
    thoughts: list[str] | None = None
    """What led to its first message, which gets them in the end."""

    @property
    def role(self) -> JSON:
        """Whose the first of them is."""
        return self.messages[0]["role"]


class Mismatch(Exception):
    """Calls and their results do not go together; `place` is that of the item at fault."""

    def __init__(self, place: int, words: str) -> None:
        super().__init__(words)
        self.place = place
        self.words = words


class Units:
    """Puts items together, one after the other."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.sealed = 0
        """Reasoning items of which there is no text that could go on, or no answer to go with."""
        self.orphans = 0
        """Results that were left out, since their calls are not there."""
        self._open: Unit | None = None
        """The model's last message, while it is its turn to speak."""
        self._thought: list[str] = []
        self._calls: dict[str, tuple[Unit, int]] = {}
        """Calls without a result, with the places of their items."""
        self._answered: set[str] = set()
        self._place = 0

    def add(self, items: Iterable[Item], *, forgiving: bool = False) -> None:
        """Take these items; raises `Mismatch`.

        With `forgiving` results whose calls are not there are left out.
        """
        for item in items:
            if forgiving and self._is_orphan(item):
                self.orphans += 1
            else:
                self._add(item)
            self._place += 1

    def finish(self) -> list[Unit]:
        """All units; raises `Mismatch` where a call has no result."""
        self._drop_thought()
        for call_id, (_, place) in self._calls.items():
            raise Mismatch(
                place,
                f"there is no output for the function call {call_id!r:.200}."
                " Send its function_call_output.",
            )
        for unit in self.units:
            if unit.thoughts is not None:
                unit.messages[0][THINKING] = "\n\n".join(unit.thoughts)
        return self.units

    def _is_orphan(self, item: Item) -> bool:
        return item["type"] == "function_call_output" and item["call_id"] not in self._calls

    def _add(self, item: Item) -> None:
        match item["type"]:
            case "message" if item["role"] == "assistant":
                self._say(assistant_content(item["content"]))
            case "message":
                self._other({"role": item["role"], "content": input_content(item["content"])})
            case "function_call":
                self._call(item)
            case "function_call_output":
                self._result(item)
            case "reasoning":
                self._think(item)
            case "compaction":
                self._other(summary_message(item["encrypted_content"]))

    def _other(self, message: Message) -> None:
        self._drop_thought()
        self._open = None
        self.units.append(Unit([message]))

    def _assistant(self) -> Unit:
        """The unit of the message that the model is saying, with what it thought before."""
        unit = self._open
        if unit is None:
            unit = self._open = Unit([{"role": "assistant", "content": None}])
            self.units.append(unit)
        if self._thought:
            unit.thoughts = unit.thoughts or []
            unit.thoughts += self._thought
            self._thought.clear()
        return unit

    def _say(self, content: JSON) -> None:
        if self._open is not None and not self._open.pending:
            self._open = None
        message = self._assistant().messages[0]
        match message["content"]:
            case None:
                message["content"] = content
            case list(there):  # which nobody else has
                there += _parts(content)
            case there:
                message["content"] = [*_parts(there), *_parts(content)]

    def _call(self, item: Item) -> None:
        call_id = str(item["call_id"])
        if call_id in self._calls:
            raise Mismatch(self._place, f"there are two calls of the id {call_id!r:.200}.")
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": call_id, "type": "function", "function": function}
        unit = self._assistant()
        calls = unit.messages[0].setdefault("tool_calls", [])
        if isinstance(calls, list):
            calls.append(call)
        unit.pending += 1
        self._calls[call_id] = unit, self._place
        self._answered.discard(call_id)

    def _result(self, item: Item) -> None:
        call_id = str(item["call_id"])
        unit, _ = self._calls.pop(call_id, (None, 0))
        if unit is None:
            why = "has an output already" if call_id in self._answered else "is not there"
            text = f"the function call {call_id!r:.200} that this is the output of {why}."
            raise Mismatch(self._place, text)
        content = output_content(item["output"])
        unit.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})
        unit.pending -= 1
        self._answered.add(call_id)
        self._drop_thought()
        self._open = None

    def _think(self, item: Item) -> None:
        texts = _texts(item.get("content")) or _texts(item.get("summary"))
        if texts:
            self._thought.append("\n\n".join(texts))
        else:
            self.sealed += 1

    def _drop_thought(self) -> None:
        """What was thought before nothing has no message to go with."""
        self.sealed += len(self._thought)
        self._thought.clear()


def input_content(parts: JSON) -> JSON:
    """The content of a message as Chat Completions has it; a single plain text is a string."""
    match parts:
        case [{"type": "input_text", "text": text, **others}] if not others:
            return text
        case [*_]:
            return [_input_part(part) for part in parts if isinstance(part, dict)]
    return parts


def output_content(output: JSON) -> JSON:
    """What a function gave, as a chat's tool message has it."""
    return input_content(output) if isinstance(output, list) else output


def assistant_content(parts: JSON) -> JSON:
    """The same of what the model said; its annotations and logprobs have no place there."""
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
