"""The items of a simulated Responses answer: how each begins, grows, ends and looks when whole.

Shapes from OpenAI's API reference, "Streaming events" and "The Response object" of Responses.
"""

from typing import Protocol

Fields = dict[str, object]
Event = tuple[str, Fields]
"""An event's type, and its fields without `type` and `sequence_number`."""


class Item(Protocol):
    """An item of the output while it is open."""

    pieces: list[str]
    """What of its text has been said."""
    delta: str
    """The type of the events that bring its pieces."""

    @property
    def place(self) -> Fields:
        """What all of its events have."""

    def whole(self, status: str) -> Fields:
        """The item as it is now."""

    def begin(self) -> list[Event]:
        """What follows the item's own beginning."""

    def end(self) -> list[Event]:
        """What precedes the item's own end."""


class _Base:
    def __init__(self, id: str, index: int) -> None:
        self.id = id
        self.index = index
        self.pieces: list[str] = []

    @property
    def said(self) -> str:
        """Its text so far."""
        return "".join(self.pieces)

    @property
    def _here(self) -> Fields:
        return {"item_id": self.id, "output_index": self.index}


class MessageItem(_Base):
    """A message with one part: a text, or a refusal."""

    def __init__(self, id: str, index: int, *, refusal: bool) -> None:
        super().__init__(id, index)
        self._refusal = refusal
        self.delta = "response.refusal.delta" if refusal else "response.output_text.delta"

    @property
    def place(self) -> Fields:
        plain = {**self._here, "content_index": 0}
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
            return {"type": "refusal", "refusal": self.said}
        return {"type": "output_text", "text": self.said, "annotations": [], "logprobs": []}

    def begin(self) -> list[Event]:
        return [("response.content_part.added", {**self._part_place, "part": self._part()})]

    def end(self) -> list[Event]:
        name = "refusal" if self._refusal else "output_text"
        field = "refusal" if self._refusal else "text"
        return [
            (f"response.{name}.done", {**self.place, field: self.said}),
            ("response.content_part.done", {**self._part_place, "part": self._part()}),
        ]

    @property
    def _part_place(self) -> Fields:
        return {**self._here, "content_index": 0}


class ReasoningItem(_Base):
    """Reasoning that is told in a summary of one part."""

    delta = "response.reasoning_summary_text.delta"

    @property
    def place(self) -> Fields:
        return {**self._here, "summary_index": 0}

    def whole(self, status: str) -> Fields:
        summary = [self._part()] if status != "in_progress" else []
        return {"id": self.id, "type": "reasoning", "status": status, "summary": summary}

    def _part(self) -> Fields:
        return {"type": "summary_text", "text": self.said}

    def begin(self) -> list[Event]:
        return [("response.reasoning_summary_part.added", {**self.place, "part": self._part()})]

    def end(self) -> list[Event]:
        return [
            ("response.reasoning_summary_text.done", {**self.place, "text": self.said}),
            ("response.reasoning_summary_part.done", {**self.place, "part": self._part()}),
        ]


class CallItem(_Base):
    """A call of a function."""

    delta = "response.function_call_arguments.delta"

    def __init__(self, id: str, index: int, call_id: str, name: str) -> None:
        super().__init__(id, index)
        self._call_id = call_id
        self._name = name

    @property
    def place(self) -> Fields:
        return self._here

    def whole(self, status: str) -> Fields:
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": self.said,
        }

    def begin(self) -> list[Event]:
        return []

    def end(self) -> list[Event]:
        return [("response.function_call_arguments.done", {**self.place, "arguments": self.said})]
