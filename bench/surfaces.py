"""The surfaces of a relay: their requests, and patterns that find text and end in a response."""

import re
from typing import Literal

from msgspec import Struct

Name = Literal["chat", "responses", "messages"]


class Surface(Struct, frozen=True, kw_only=True):
    """An API that a relay may have. Patterns match JSON with and without white space."""

    path: str
    question: str
    """Name of the request field with the user's question."""
    more: dict[str, object] = {}
    """Further fields of all requests."""
    of_stream: dict[str, object] = {}
    """Further fields of streaming requests."""
    delta: re.Pattern[bytes]
    """Pattern of a piece of text in a stream."""
    whole: re.Pattern[bytes]
    """Pattern of the text in a non-streaming response."""
    finish: re.Pattern[bytes]
    """Pattern of a normal finish reason."""
    done: bytes
    """Bytes of the last event of a complete stream."""
    usage: bytes
    """Bytes that occur only in a response with usage."""

    def body(self, model: str, text: str, *, stream: bool) -> dict[str, object]:
        """Return the body of a request."""
        question: object = text if self.question == "input" else [{"role": "user", "content": text}]
        body: dict[str, object] = {"model": model, self.question: question, "stream": stream}
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
