"""Messages of a conversation, independent of the client's dialect and the provider's format.

Every surface reads its body into them, and every provider format writes its request from them.
`extras` are fields that this vocabulary doesn't have, by name, as the client sent them: the format
of an API that has them sends them, and other formats leave them out.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

JSON = object
"""A decoded JSON value of any shape."""

Extras = dict[str, JSON]


class TextPart(Struct, frozen=True, tag="text"):
    """Text."""

    text: str
    extras: Extras = {}


class RefusalPart(Struct, frozen=True, tag="refusal"):
    """Text of an assistant's refusal."""

    refusal: str
    extras: Extras = {}


class ImagePart(Struct, frozen=True, tag="image"):
    """An image at an http(s) or `data:` URL."""

    url: str
    detail: str | None = None
    """Resolution at which the model sees the image: `auto`, `low`, `high` or `original`."""
    extras: Extras = {}


class AudioPart(Struct, frozen=True, tag="audio"):
    """Audio in base64; `format` is its file format, such as `wav`."""

    data: str
    format: str
    extras: Extras = {}


class FilePart(Struct, frozen=True, tag="file"):
    """A file: its content as a `data:` URL, or the provider's id of an uploaded file."""

    data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    extras: Extras = {}


class DocumentPart(Struct, frozen=True, tag="document"):
    """A document that the model can cite: its text, or its content at an http(s) or `data:` URL."""

    text: str | None = None
    url: str | None = None
    title: str | None = None
    context: str | None = None
    """Information about the document that the model sees but doesn't cite."""
    citations: bool = False
    extras: Extras = {}


class OtherPart(Struct, frozen=True, tag="other"):
    """A part of a kind that only one API has; `extras` has all of its fields."""

    extras: Extras


Part = TextPart | RefusalPart | ImagePart | AudioPart | FilePart | DocumentPart | OtherPart

Content = str | tuple[Part, ...] | None
"""Content of a message. A plain string stays one, since it is the form that all servers accept."""


class Reasoning(Struct, frozen=True):
    """Reasoning that led to an assistant's message.

    If it is signed or redacted, only the API that produced it accepts it, unchanged.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    """Encrypted reasoning, which is sent instead of text."""
    extras: Extras = {}


class ToolCall(Struct, frozen=True, tag="function"):
    """A call of a function. `arguments` is the JSON text that the model wrote; may be invalid."""

    id: str | None
    name: str
    arguments: str
    extras: Extras = {}


class CustomToolCall(Struct, frozen=True, tag="custom"):
    """A call of a custom tool, whose input is free text."""

    id: str | None
    name: str
    input: str
    extras: Extras = {}


class OtherToolCall(Struct, frozen=True, tag="other"):
    """A call that is neither; `extras` has all of its fields."""

    extras: Extras


AnyToolCall = ToolCall | CustomToolCall | OtherToolCall


class SystemMessage(Struct, frozen=True, tag="system"):
    """Instructions of the operator or the developer."""

    content: Content
    role: Literal["system", "developer"] = "system"
    extras: Extras = {}


class UserMessage(Struct, frozen=True, tag="user"):
    """A message of the user."""

    content: Content
    extras: Extras = {}
    role: Literal["user"] = "user"


class AssistantMessage(Struct, frozen=True, kw_only=True, tag="assistant"):
    """A message of the model, with the reasoning before it and the tool calls after it."""

    content: Content = None
    refusal: str | None = None
    reasoning: tuple[Reasoning, ...] = ()
    tool_calls: tuple[AnyToolCall, ...] = ()
    extras: Extras = {}
    role: Literal["assistant"] = "assistant"


class ToolMessage(Struct, frozen=True, kw_only=True, tag="tool"):
    """The result of a tool call."""

    content: Content
    tool_call_id: str | None
    name: str | None = None
    is_error: bool = False
    role: Literal["tool", "function"] = "tool"
    """`function` is Chat's deprecated form, which has a name and no call id."""
    extras: Extras = {}


Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage


def parts_of(content: Content) -> Iterable[Part]:
    """Return the parts of a message's content; a string is one text part."""
    if isinstance(content, str):
        return (TextPart(content),)
    return content or ()


def texts_of(content: Content) -> Iterator[str]:
    """Yield the texts of the text parts."""
    for part in parts_of(content):
        if isinstance(part, TextPart):
            yield part.text


def text_of(message: Message) -> str:
    """Return the text of a message, joined."""
    content = message.content
    return content if isinstance(content, str) else "".join(texts_of(content))
