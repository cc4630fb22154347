"""Parses Responses streams and objects with the openai SDK, and checks the order of events.

The checker shares no code with the renderer: it builds the items from the deltas and compares them
with the items that the stream repeats.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, get_args

from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent

from tests.support.messages_readers import Frame, frames_of
from tests.support.strict_types import strictly

DOCUMENTED = {"store", "frequency_penalty", "presence_penalty", "status"}
"""Fields that OpenAI's API and we send and the SDK's types lack.

`status` is lacking in custom tool calls, the others in responses."""

_EVENTS = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(ResponseStreamEvent)[0])
}
LAST = {"response.completed", "response.incomplete", "response.failed"}
_EMPTY_PARTS = {
    "output_text": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    "refusal": {"type": "refusal", "refusal": ""},
    "summary_text": {"type": "summary_text", "text": ""},
}
_PARTS_IN = {"message": "content", "reasoning": "summary"}
_TEXT_IN = {"function_call": "arguments", "custom_tool_call": "input"}
"""Fields of items with parts, and of items with one text; other items are complete at once."""


def read_event(frame: Frame) -> Any:
    """Parse the event strictly as the SDK's type, and check the frame's name and number."""
    event = strictly(_EVENTS[frame.event], frame.data, {*DOCUMENTED, "error", "warnings"})
    assert event.type == frame.event
    number = frame.id.partition(":")[2].partition("@")[0]
    assert event.sequence_number == int(number)
    return event


def read_object(body: bytes) -> Response:
    """Parse the response strictly as the SDK's type, and check that no field is missing."""
    response = strictly(Response, body, {*DOCUMENTED, "warnings"})
    assert isinstance(response, Response)
    assert json.loads(body).keys() - {"warnings"} == Response.model_fields.keys() | (
        DOCUMENTED - {"status"}
    )
    return response


def read_stream(stream: bytes) -> list[dict[str, Any]]:
    """Return the events of a complete stream as JSON, after checking each and their order."""
    assert stream.endswith(b"\n\ndata: [DONE]\n\n")
    frames = frames_of(stream)
    for frame in frames:
        read_event(frame)
    found: list[dict[str, Any]] = [json.loads(frame.data) for frame in frames]
    check_grammar(found)
    return found


def check_grammar(found: Sequence[dict[str, Any]]) -> None:
    """Check the first events, those of items and parts, and the end, which repeats the items."""
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"] for event in found[:2]] == ["response.created", "response.in_progress"]
    assert found[0]["response"] == found[1]["response"]
    assert found[0]["response"]["status"] == "in_progress"
    assert found[0]["response"]["output"] == []
    assert found[-1]["type"] in LAST
    assert found[-1]["response"]["id"] == found[0]["response"]["id"]
    error = found[-1]["response"]["error"]
    if error is not None:
        flat = {name: error[name] for name in ("code", "message", "param")}
        number = found[-1]["sequence_number"] - 1
        expected = {"type": "error", "sequence_number": number, **flat, "error": error}
        assert found[-2] == expected
    assert rebuilt(found[2 : -2 if error else -1]) == found[-1]["response"]["output"]


def rebuilt(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Build the items from their events, and check that all are done."""
    items: list[_Item] = []
    for event in found:
        kind, index = event["type"], event["output_index"]
        if kind == "response.output_item.added":
            assert index == len(items)
            items.append(_Item(event["item"]))
        else:
            assert "item_id" not in event or event["item_id"] == items[index].made["id"]
            items[index].take(kind.removeprefix("response."), event)
    assert all(item.done for item in items)
    return [item.made for item in items]


class _Item:
    """An output item built from its events."""

    def __init__(self, added: dict[str, Any]) -> None:
        assert added["status"] == "in_progress"
        self.made = deepcopy(added)
        self.done = False
        self._text = ""
        self._logprobs: list[object] = []
        self._annotations: list[object] = []
        self._parts = _PARTS_IN.get(added["type"])
        self._field = _TEXT_IN.get(added["type"])
        self._part: dict[str, Any] | None = None
        self._text_done = self._field is None  # encrypted reasoning has no part
        assert self._parts is None or added[self._parts] == []
        assert self._field is None or added[self._field] == ""

    def take(self, kind: str, event: dict[str, Any]) -> None:
        assert not self.done
        if kind == "output_item.done":
            self._finish(event["item"])
        elif kind in ("content_part.added", "reasoning_summary_part.added"):
            self._begin_part(event)
        elif kind in ("content_part.done", "reasoning_summary_part.done"):
            self._end_part(event)
        elif kind.endswith(".delta"):
            assert not self._text_done
            self._check_place(kind, event)
            self._text += event["delta"]
            self._logprobs += event.get("logprobs", [])
        elif kind == "output_text.annotation.added":
            self._check_place("output_text", event)
            assert event["annotation_index"] == len(self._annotations)
            self._annotations.append(event["annotation"])
        else:
            assert kind.endswith(".done")
            self._end_text(kind, event)

    def _begin_part(self, event: dict[str, Any]) -> None:
        assert self._part is None
        assert event["part"] == _EMPTY_PARTS[event["part"]["type"]]
        self._part, self._text, self._text_done, self._logprobs = event["part"], "", False, []
        self._annotations = []
        assert self._index_of(event) == len(self._members)

    def _end_text(self, kind: str, event: dict[str, Any]) -> None:
        assert not self._text_done
        self._text_done = True
        self._check_place(kind, event)
        field = self._field or ("refusal" if kind == "refusal.done" else "text")
        assert event[field] == self._text
        assert event.get("logprobs", []) == self._logprobs

    def _end_part(self, event: dict[str, Any]) -> None:
        assert self._part is not None
        assert self._text_done
        part, field = event["part"], "refusal" if "refusal" in event["part"] else "text"
        assert part[field] == self._text
        assert part["type"] == self._part["type"]
        assert part.get("annotations", []) == self._annotations
        assert [token["token"] for token in part.get("logprobs", [])] == [
            token["token"]  # type: ignore[index]
            for token in self._logprobs
        ]
        assert self._index_of(event) == len(self._members)
        self._members.append(part)
        self._part = None

    def _finish(self, item: dict[str, Any]) -> None:
        assert self._part is None
        assert self._text_done
        if self._field is not None:
            self.made[self._field] = self._text
        assert item["status"] in ("completed", "incomplete")
        late = item.keys() & {"encrypted_content", "status"}
        assert item == {**self.made, **{name: item[name] for name in late}}
        self.made, self.done = item, True

    def _check_place(self, kind: str, event: dict[str, Any]) -> None:
        """Check that the text belongs to the open part or to a function call."""
        types = {
            "output_text": "output_text",
            "refusal": "refusal",
            "reasoning_summary_text": "summary_text",
        }
        name = kind.partition(".")[0]
        if self._field is not None:
            kinds = {"arguments": "function_call_arguments", "input": "custom_tool_call_input"}
            assert name == kinds[self._field]
        else:
            assert self._part is not None
            assert self._part["type"] == types[name]
            assert self._index_of(event) == len(self._members)

    @property
    def _members(self) -> list[Any]:
        assert self._parts is not None
        members: list[Any] = self.made[self._parts]
        return members

    def _index_of(self, event: dict[str, Any]) -> object:
        return event["content_index" if self._parts == "content" else "summary_index"]


def sdk_final_response(stream: bytes) -> Response | None:
    """Return the response that the SDK's stream helper ends with, or None if it did not complete.

    The helper raises for errors such as two items with one index or an item whose id changes.
    """
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    for frame in frames_of(stream):
        state.handle_event(read_event(frame))
    completed: Response | None = state._completed_response
    return completed
