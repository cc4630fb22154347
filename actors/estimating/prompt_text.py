"""The text of a model call that its provider counts as input, and whether there is more than text.

Everything in a call came from a client: whatever has not the shape it should have is no text. Of a
long call only so much is looked at as takes a few milliseconds; the rest is taken to be like it.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from actors.heavy import is_large_value
from actors.providers.base import JSON, ModelCall

APART = "\0"
"""Between two texts, where the features see neither a character nor one word."""

MOST_MESSAGES = 256
MOST_PARTS = 2048
"""Messages, and parts and calls of tools in all of them, that are looked at."""
MOST_TEXT = 65_536
"""Characters of them that are."""

_SLICE = 1024
"""Characters of a long text that are looked at in one piece."""
_STRIDE = 7919
"""A prime: what is looked at must not be every second one, which may all be of one side."""

T = TypeVar("T")


class PromptText(Struct, frozen=True):
    """What is looked at of a prompt's text, and how many characters all of it has, or nearly."""

    text: str
    size: int

    @property
    def times(self) -> float:
        """How many times as long as what is looked at the whole is."""
        return self.size / len(self.text) if len(self.text) < self.size else 1.0


class _Weighed(Struct, frozen=True, gc=False):
    text: str
    times: float
    """So many texts of the prompt it stands for."""


def prompt_text(call: ModelCall) -> PromptText:
    """Texts of the messages, tool calls in them, and the tools that are offered, as JSON."""
    found = [*_of_messages(call.messages), *_of_tools(call.parameters.get("tools"))]
    size = sum(len(one.text) * one.times for one in found)
    looked_at = sum(len(one.text) for one in found)
    share = MOST_TEXT / max(1, looked_at)
    texts = [one.text if share >= 1 else _cut(one.text, share) for one in found]
    return PromptText(APART.join(texts), round(size) + max(0, len(found) - 1))


def is_all_text(call: ModelCall) -> bool:
    """Whether no message has an image or anything else whose tokens are not in its text."""
    return not any(
        "text" not in part and "refusal" not in part
        for message, most in _looked_at(call.messages)
        for part in _objects(message.get("content"), most)[0]
    )


def _looked_at(messages: Sequence[dict[str, JSON]]) -> Iterator[tuple[dict[str, JSON], int]]:
    """Messages, and how many parts of each to look at."""
    looked_at = _spread(messages, MOST_MESSAGES)
    most = MOST_PARTS // max(1, len(looked_at))
    return ((message, most) for message in looked_at)


def _of_messages(messages: Sequence[dict[str, JSON]]) -> Iterator[_Weighed]:
    times = max(1.0, len(messages) / MOST_MESSAGES)
    for message, most in _looked_at(messages):
        content, calls = message.get("content"), message.get("tool_calls")
        if isinstance(content, str):
            yield _Weighed(content, times)
        elif content:
            yield from _of_parts(content, times, most)
        if calls:
            yield from _of_calls(calls, times, most)


def _of_parts(content: JSON, times: float, most: int) -> Iterator[_Weighed]:
    parts, each = _objects(content, most)
    for part in parts:
        yield from _weighed(times * each, part.get("text"), part.get("refusal"))


def _of_calls(calls: JSON, times: float, most: int) -> Iterator[_Weighed]:
    objects, each = _objects(calls, most)
    for call in objects:
        function = call.get("function")
        if isinstance(function, dict):
            yield from _weighed(times * each, function.get("name"), function.get("arguments"))


def _of_tools(tools: JSON) -> Iterator[_Weighed]:
    if isinstance(tools, list) and is_large_value(tools):
        for tool in _spread(tools, MOST_MESSAGES):
            yield from _of_json(tool, max(1.0, len(tools) / MOST_MESSAGES))
    elif tools:
        yield from _of_json(tools, 1.0)


def _of_json(value: JSON, times: float) -> Iterator[_Weighed]:
    if not is_large_value(value):
        yield _Weighed(msgspec.json.encode(value).decode(), times)
        return
    waiting, seen = [value], 0
    texts: list[str] = []
    while waiting and seen < MOST_PARTS:
        one = waiting.pop()
        seen += 1
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
    yield from _weighed(times * (seen + len(waiting)) / seen, *texts)


def _weighed(times: float, *values: JSON) -> Iterator[_Weighed]:
    return (_Weighed(value, times) for value in values if isinstance(value, str))


def _objects(value: JSON, most: int) -> tuple[list[dict[str, JSON]], float]:
    """Objects of a list, at most so many, and how many times as many there are."""
    if not isinstance(value, list):
        return [], 1.0
    objects = [one for one in _spread(value, most) if isinstance(one, dict)]
    return objects, max(1.0, len(value) / most)


def _spread(items: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of the items, one out of each stretch of them."""
    if len(items) <= most:
        return items
    starts = [len(items) * number // most for number in range(most + 1)]
    return [
        items[start + number * _STRIDE % (starts[number + 1] - start)]
        for number, start in enumerate(starts[:most])
    ]


def _cut(text: str, share: float) -> str:
    """Slices of a text, evenly from its start to its end, that make this share of it."""
    size = round(len(text) * share)
    if size < 2 * _SLICE:
        return text[:size]
    slices = size // _SLICE
    last = len(text) - _SLICE
    starts = [last * number // (slices - 1) for number in range(slices)]
    return "".join([text[start : start + _SLICE] for start in starts])
