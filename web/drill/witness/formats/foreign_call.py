"""Reads calls of APIs without a surface of ours: converts them to Chat Completions requests.

A chat that `actors.providers.formats` converts to such an API comes back unchanged, so that a
simulated model gives the same answer over every wire format.
"""

from collections.abc import Mapping, Sequence

import msgspec
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from actors.turn.chunks import ToolCallChunk
from actors.turn.model_call import JSON, ModelCall
from web.drill.witness.formats.base import Content, IncomingCall, Renderer, encode
from web.surfaces.chat_completions.request import read_chat_request

Part = dict[str, JSON]
Called = tuple[str | None, str, Mapping[str, JSON]]
"""Id, name and arguments of a tool call."""


class Fields(BaseModel):
    """Base of the models of requests, which ignore unknown fields."""

    model_config = ConfigDict(strict=True, frozen=True)


class CamelFields(Fields):
    """Base of models whose fields may be in camel case or, as protocol buffers allow, snake."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Chat:
    """A builder of a Chat Completions request."""

    def __init__(self) -> None:
        self._messages: list[Part] = []
        self._unanswered: list[tuple[str, str]] = []
        """Ids and names of calls without a result."""

    def say(self, role: str, parts: Sequence[Part]) -> None:
        """Add a message; a single text is a string, and a message without parts is left out."""
        match parts:
            case [{"type": "text", "text": content}]:
                self._messages.append({"role": role, "content": content})
            case [_, *_]:
                self._messages.append({"role": role, "content": parts})

    def answer(self, text: str, calls: Sequence[Called]) -> None:
        """Add a message of the model."""
        message: Part = {"role": "assistant", "content": text}
        if calls:
            made = [self._call(*call) for call in calls]
            message |= {"content": text or None, "tool_calls": made}
        self._messages.append(message)

    def _call(self, id: str | None, name: str, arguments: Mapping[str, JSON]) -> Part:
        id = id or f"call_{len(self._messages)}_{len(self._unanswered)}"
        self._unanswered.append((id, name))
        function = {"name": name, "arguments": encode(arguments).decode()}
        return {"id": id, "type": "function", "function": function}

    def result(self, id: str | None, name: str | None, content: str) -> None:
        """Add the result of the call with this id, or else of the first call of this tool."""
        known = (call for call in self._unanswered if call[0] == id or (not id and call[1] == name))
        found = next(known, (str(id or name), ""))
        if found in self._unanswered:
            self._unanswered.remove(found)
        self._messages.append({"role": "tool", "tool_call_id": found[0], "content": content})

    def call(self, model: str, parameters: Mapping[str, JSON]) -> ModelCall:
        """Return the call. Raises `ApiError` with the parameter's name in Chat Completions."""
        document = {**parameters, "model": model, "messages": self._messages}
        request = read_chat_request(document)
        return msgspec.structs.replace(request.call, upstream_model=request.model)


def text_part(text: str) -> Part:
    """Return a text part."""
    return {"type": "text", "text": text}


def image_part(url: str) -> Part:
    """Return an image part."""
    return {"type": "image_url", "image_url": {"url": url}}


def json_schema(schema: JSON) -> Part:
    """Return the `response_format` for a schema."""
    return {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}


class WholeCallRenderer(Renderer):
    """Base of renderers for APIs that send tool calls whole; a call that is cut off is dropped."""

    def __init__(self, incoming: IncomingCall, number: int, created: int) -> None:
        super().__init__(incoming, number, created)
        self._pieces: list[ToolCallChunk] = []
        """Pieces of a call that may be incomplete."""

    def content(self, chunk: Content | None) -> bytes:
        """Return the frames of everything that a chunk, or the end of the answer, completes."""
        return b"".join([self.whole_frame(one) for one in self.completed(chunk)])

    def whole_frame(self, content: Content) -> bytes:
        """Return the frame of a whole call, or of a piece of anything else."""
        raise NotImplementedError

    def completed(self, *chunks: Content | None) -> list[Content]:
        """Return the chunks with whole calls, each before the chunk, or None, that follows it."""
        completed: list[Content] = []
        for chunk in chunks:
            if isinstance(chunk, ToolCallChunk) and chunk.id is None:
                self._pieces.append(chunk)
                continue
            completed += _whole_call(self._pieces)
            self._pieces = [chunk] if isinstance(chunk, ToolCallChunk) else []
            completed += [] if chunk is None or self._pieces else [chunk]
        return completed


def _whole_call(pieces: Sequence[ToolCallChunk]) -> list[ToolCallChunk]:
    arguments = "".join([piece.arguments for piece in pieces])
    try:
        msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return []
    return [msgspec.structs.replace(pieces[0], arguments=arguments)]
