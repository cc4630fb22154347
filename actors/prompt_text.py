"""The text of a model call that its provider counts as input, and whether there is more than text.

Everything in a call came from a client: whatever has not the shape it should have is no text.
"""

from collections.abc import Iterator

import msgspec

from actors.providers.base import JSON, ModelCall

APART = "\0"
"""Between two texts, where the features see neither a character nor one word."""


def prompt_text(call: ModelCall) -> str:
    """Texts of the messages, tool calls in them, and the tools that are offered, as JSON."""
    texts = [text for message in call.messages for text in _of_message(message)]
    tools = call.parameters.get("tools")
    if tools:
        texts.append(msgspec.json.encode(tools).decode())
    return APART.join(texts)


def is_all_text(call: ModelCall) -> bool:
    """Whether no message has an image or anything else whose tokens are not in its text."""
    return not any(
        "text" not in part and "refusal" not in part
        for message in call.messages
        for part in _parts(message.get("content"))
    )


def _of_message(message: dict[str, JSON]) -> Iterator[str]:
    content = message.get("content")
    yield from _strings(content)
    for part in _parts(content):
        yield from _strings(part.get("text"), part.get("refusal"))
    for call in _parts(message.get("tool_calls")):
        function = call.get("function")
        if isinstance(function, dict):
            yield from _strings(function.get("name"), function.get("arguments"))


def _strings(*values: JSON) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def _parts(value: JSON) -> list[dict[str, JSON]]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []
