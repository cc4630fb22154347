"""Output items of a simulated Responses answer: their events and their final objects.

Shapes come from OpenAI's API reference, "Streaming events" and "The Response object" of Responses.
"""

from typing import Protocol

Fields = dict[str, object]
Event = tuple[str, Fields]
"""Type of an event and its fields, without `type` and `sequence_number`."""


class Item(Protocol):
    """An output item while it is open."""

    pieces: list[str]
    """Pieces of the item's text so far."""
    delta: str
    """Type of the item's delta events."""

    @property
    def position(self) -> Fields:
        """Fields that all events of the item have."""

    def whole(self, status: str) -> Fields:
        """Return the item object in its current state."""

    def begin(self) -> list[Event]:
        """Return the events after `response.output_item.added`."""

    def end(self) -> list[Event]:
        """Return the events before `response.output_item.done`."""


class _Base:
    def __init__(self, id: str, index: int) -> None:
        self.id = id
        self.index = index
        self.pieces: list[str] = []

    @property
    def text(self) -> str:
        """The item's text so far."""
        return "".join(self.pieces)

    @property
    def _item_fields(self) -> Fields:
        return {"item_id": self.id, "output_index": self.index}


class MessageItem(_Base):
    """A message with one part: text or refusal."""

    def __init__(self, id: str, index: int, *, refusal: bool) -> None:
        super().__init__(id, index)
        self._refusal = refusal
        self.delta = "response.refusal.delta" if refusal else "response.output_text.delta"

    @property
    def position(self) -> Fields:
        plain = {**self._item_fields, "content_index": 0}
        return plain if self._refusal else {**plain, "logprobs": []}

    def whole(self, status: str) -> Fields:
        return {
            "id": self.id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [self._part()] if status != "in_progress" else [],
        }

    def _part(self) -> Fields:
        if self._refusal:
            return {"type": "refusal", "refusal": self.text}
        return {"type": "output_text", "text": self.text, "annotations": [], "logprobs": []}

    def begin(self) -> list[Event]:
        return [("response.content_part.added", {**self._part_position, "part": self._part()})]

    def end(self) -> list[Event]:
        name = "refusal" if self._refusal else "output_text"
        field = "refusal" if self._refusal else "text"
        return [
            (f"response.{name}.done", {**self.position, field: self.text}),
            ("response.content_part.done", {**self._part_position, "part": self._part()}),
        ]

    @property
    def _part_position(self) -> Fields:
        return {**self._item_fields, "content_index": 0}


class ReasoningItem(_Base):
    """Reasoning with a summary of one part."""

    delta = "response.reasoning_summary_text.delta"

    @property
    def position(self) -> Fields:
        return {**self._item_fields, "summary_index": 0}

    def whole(self, status: str) -> Fields:
        summary = [self._part()] if status != "in_progress" else []
        return {"id": self.id, "type": "reasoning", "status": status, "summary": summary}

    def _part(self) -> Fields:
        return {"type": "summary_text", "text": self.text}

    def begin(self) -> list[Event]:
        return [("response.reasoning_summary_part.added", {**self.position, "part": self._part()})]

    def end(self) -> list[Event]:
        return [
            ("response.reasoning_summary_text.done", {**self.position, "text": self.text}),
            ("response.reasoning_summary_part.done", {**self.position, "part": self._part()}),
        ]


class CallItem(_Base):
    """A function call."""

    delta = "response.function_call_arguments.delta"

    def __init__(self, id: str, index: int, call_id: str, name: str) -> None:
        super().__init__(id, index)
        self._call_id = call_id
        self._name = name

    @property
    def position(self) -> Fields:
        return self._item_fields

    def whole(self, status: str) -> Fields:
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": self.text,
        }

    def begin(self) -> list[Event]:
        return []

    def end(self) -> list[Event]:
        return [
            ("response.function_call_arguments.done", {**self.position, "arguments": self.text})
        ]
