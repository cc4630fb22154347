"""Prompt text: collects the text of a model call that its provider counts as input.

Of a long call only a sample that takes a few milliseconds is read, and the rest is taken to be like
it.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import TypeVar

import msgspec
from msgspec import Struct

from actors.runtime.offload import is_large
from actors.turn.messages import (
    AssistantMessage,
    CustomToolCall,
    Message,
    NativePart,
    Part,
    RefusalPart,
    TextPart,
    ToolCall,
)
from actors.turn.model_call import JSON, ModelCall
from actors.usage.text_features import sample

APART = "\0"
"""Separator of two texts, which has no tokens and keeps their words apart."""

MOST_MESSAGES = 256
"""Maximum number of messages in the sample."""
MOST_PARTS = 2048
"""Maximum number of content parts, and of tool calls, in the sample."""
MOST_TEXT = 65_536
"""Maximum number of characters in the sample."""

_STRIDE = 7919
"""Stride of the sampling; it is a prime, since every second message may be of the same role."""

T = TypeVar("T")


class PromptText(Struct, frozen=True):
    """A sample of a prompt's text, and the approximate length of the whole text in characters."""

    text: str
    size: int
    is_complete: bool = True
    """False if the sample has an image or another part without text."""

    @property
    def times(self) -> float:
        """Length of the whole text relative to the sample."""
        return self.size / len(self.text) if len(self.text) < self.size else 1.0


_Texts = Iterator[tuple[str | None, float]]
"""Sampled texts, each with the number of texts of the prompt that it represents; None for a part
without text."""


def prompt_text(call: ModelCall) -> PromptText:
    """Return a sample of the texts of the messages, their tool calls, and the tools as JSON."""
    sampled = [*_of_messages(call.messages), *_of_tools(call.parameters.get("tools"))]
    found = [(text, times) for text, times in sampled if text is not None]
    size = sum(len(text) * times for text, times in found)
    share = min(1.0, MOST_TEXT / max(1, sum(len(text) for text, _ in found)))
    joined = APART.join([sample(text, round(len(text) * share)) for text, _ in found])
    size = round(size) + max(0, len(found) - 1)
    return PromptText(joined, size, is_complete=len(found) == len(sampled))


def _of_messages(messages: Sequence[Message]) -> _Texts:
    most = MOST_PARTS // max(1, min(len(messages), MOST_MESSAGES))
    for message, times in _spread(messages, MOST_MESSAGES):
        if isinstance(message.content, str):
            yield message.content, times
        elif message.content:
            for part, each in _spread(message.content, most):
                yield _text_of(part), times * each
        if isinstance(message, AssistantMessage) and message.tool_calls:
            for call, each in _spread(message.tool_calls, most):
                match call:
                    case ToolCall(_, name, text) | CustomToolCall(_, name, text):
                        yield name, times * each
                        yield text, times * each


def _text_of(part: Part) -> str | None:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, NativePart):
        return part.text or None
    return part.refusal if isinstance(part, RefusalPart) else None


def _of_tools(tools: JSON) -> _Texts:
    if isinstance(tools, list) and is_large(tools):
        for tool, times in _spread(tools, MOST_MESSAGES):
            yield from _of_json(tool, times)
    elif tools:
        yield from _of_json(tools, 1.0)


def _of_json(value: JSON, times: float) -> _Texts:
    if not is_large(value):
        yield msgspec.json.encode(value).decode(), times
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
    for text in texts:
        yield text, times * (seen + len(waiting)) / seen


def _spread(items: Sequence[T], most: int) -> Iterator[tuple[T, float]]:
    """Yield one item from each of at most `most` equal stretches, with the stretches' length."""
    if len(items) <= most:
        yield from zip(items, repeat(1.0))
        return
    for number in range(most):
        start, end = len(items) * number // most, len(items) * (number + 1) // most
        yield items[start + number * _STRIDE % (end - start)], len(items) / most
