"""How each surface of a relay is asked, and where in its answers text and end stand."""

import re
from typing import Literal

from msgspec import Struct

Name = Literal["chat", "responses", "messages"]


class Surface(Struct, frozen=True, kw_only=True):
    """One of the APIs that a relay may have. Patterns are for JSON without white space, or with."""

    path: str
    question: str
    """The field of the request that has the question."""
    more: dict[str, object] = {}
    """What else is asked for, …"""
    of_stream: dict[str, object] = {}
    """… and of a stream."""
    delta: re.Pattern[bytes]
    """A piece of text in a stream, …"""
    whole: re.Pattern[bytes]
    """… and in an answer that is no stream."""
    finish: re.Pattern[bytes]
    done: bytes
    """What a whole stream ends with."""
    usage: bytes

    def body(self, model: str, text: str, *, stream: bool) -> dict[str, object]:
        """The request's body."""
        asked: object = text if self.question == "input" else [{"role": "user", "content": text}]
        body: dict[str, object] = {"model": model, self.question: asked, "stream": stream}
        return body | self.more | (self.of_stream if stream else {})


_STRING = rb'"((?:[^"\\]|\\.)*)"'

SURFACES: dict[Name, Surface] = {
    "chat": Surface(
        path="/v1/chat/completions",
        question="messages",
        of_stream={"stream_options": {"include_usage": True}},
        delta=re.compile(rb'"content":\s*' + _STRING),
        whole=re.compile(rb'"content":\s*' + _STRING),
        finish=re.compile(rb'"finish_reason":\s*"stop"'),
        done=b"data: [DONE]",
        usage=b'"completion_tokens"',
    ),
    "responses": Surface(
        path="/v1/responses",
        question="input",
        delta=re.compile(rb'"delta":\s*' + _STRING),
        whole=re.compile(rb'"text":\s*' + _STRING),
        finish=re.compile(rb'"type":\s*"response\.completed"|"status":\s*"completed"'),
        done=b"event: response.completed",
        usage=b'"output_tokens"',
    ),
    "messages": Surface(
        path="/v1/messages",
        question="messages",
        more={"max_tokens": 1_000_000},
        delta=re.compile(rb'"text_delta",\s*"text":\s*' + _STRING),
        whole=re.compile(rb'"text":\s*' + _STRING),
        finish=re.compile(rb'"stop_reason":\s*"end_turn"'),
        done=b"event: message_stop",
        usage=b'"output_tokens"',
    ),
}
