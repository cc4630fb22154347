"""Prompt text: collects the text of a model call that its provider counts as input.

A call comes from a client, so values of an unexpected shape are ignored. Of a long call only a
sample that takes a few milliseconds is read, and the rest is taken to be like it.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from actors.runtime.offload import is_large
from actors.turn.messages import (
    AnyToolCall,
    AssistantMessage,
    Message,
    Part,
    RefusalPart,
    TextPart,
    ToolCall,
)
from actors.turn.model_call import JSON, ModelCall

APART = "\0"
"""Separator of two texts, which has no tokens and keeps their words apart."""

MOST_MESSAGES = 256
"""Maximum number of messages in the sample."""
MOST_PARTS = 2048
"""Maximum number of content parts, and of tool calls, in the sample."""
MOST_TEXT = 65_536
"""Maximum number of characters in the sample."""

_SLICE = 1024
"""Length in characters of one slice of a long text."""
_STRIDE = 7919
"""Stride of the sampling; it is a prime, since every second message may be of the same role."""

T = TypeVar("T")


class PromptText(Struct, frozen=True):
    """A sample of a prompt's text, and the approximate length of the whole text in characters."""

    text: str
    size: int

    @property
    def times(self) -> float:
        """Length of the whole text relative to the sample."""
        return self.size / len(self.text) if len(self.text) < self.size else 1.0


class _Weighed(Struct, frozen=True, gc=False):
    text: str
    times: float
    """Number of texts of the prompt that this one represents."""


def prompt_text(call: ModelCall) -> PromptText:
    """Return a sample of the texts of the messages, their tool calls, and the tools as JSON."""
    found = [*_of_messages(call.messages), *_of_tools(call.parameters.get("tools"))]
    size = sum(len(one.text) * one.times for one in found)
    sampled = sum(len(one.text) for one in found)
    share = MOST_TEXT / max(1, sampled)
    texts = [one.text if share >= 1 else _cut(one.text, share) for one in found]
    return PromptText(APART.join(texts), round(size) + max(0, len(found) - 1))


def is_all_text(call: ModelCall) -> bool:
    """Return True if no sampled message has an image or another part without text."""
    return not any(
        not isinstance(part, (TextPart, RefusalPart))
        for message, most in _sample(call.messages)
        if isinstance(message.content, tuple)
        for part in _spread(message.content, most)
    )


def _sample(messages: Sequence[Message]) -> Iterator[tuple[Message, int]]:
    """Yield the sampled messages with the maximum number of parts to read of each."""
    sampled = _spread(messages, MOST_MESSAGES)
    most = MOST_PARTS // max(1, len(sampled))
    return ((message, most) for message in sampled)


def _of_messages(messages: Sequence[Message]) -> Iterator[_Weighed]:
    times = max(1.0, len(messages) / MOST_MESSAGES)
    for message, most in _sample(messages):
        if isinstance(message.content, str):
            yield _Weighed(message.content, times)
        elif message.content:
            yield from _of_parts(message.content, times, most)
        if isinstance(message, AssistantMessage) and message.tool_calls:
            yield from _of_calls(message.tool_calls, times, most)


def _of_parts(parts: Sequence[Part], times: float, most: int) -> Iterator[_Weighed]:
    times *= max(1.0, len(parts) / most)
    for part in _spread(parts, most):
        if isinstance(part, TextPart):
            yield _Weighed(part.text, times)
        elif isinstance(part, RefusalPart):
            yield _Weighed(part.refusal, times)


def _of_calls(calls: Sequence[AnyToolCall], times: float, most: int) -> Iterator[_Weighed]:
    times *= max(1.0, len(calls) / most)
    for call in _spread(calls, most):
        if isinstance(call, ToolCall):
            yield _Weighed(call.name, times)
            yield _Weighed(call.arguments, times)


def _of_tools(tools: JSON) -> Iterator[_Weighed]:
    if isinstance(tools, list) and is_large(tools):
        for tool in _spread(tools, MOST_MESSAGES):
            yield from _of_json(tool, max(1.0, len(tools) / MOST_MESSAGES))
    elif tools:
        yield from _of_json(tools, 1.0)


def _of_json(value: JSON, times: float) -> Iterator[_Weighed]:
    if not is_large(value):
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


def _spread(items: Sequence[T], most: int) -> Sequence[T]:
    """Return at most `most` items, one from each of as many equal stretches."""
    if len(items) <= most:
        return items
    starts = [len(items) * number // most for number in range(most + 1)]
    return [
        items[start + number * _STRIDE % (starts[number + 1] - start)]
        for number, start in enumerate(starts[:most])
    ]


def _cut(text: str, share: float) -> str:
    """Return evenly spaced slices that make up this share of a text."""
    size = round(len(text) * share)
    if size < 2 * _SLICE:
        return text[:size]
    slices = size // _SLICE
    last = len(text) - _SLICE
    starts = [last * number // (slices - 1) for number in range(slices)]
    return "".join([text[start : start + _SLICE] for start in starts])
