"""Lines of Ollama's `/api/chat`.

Only the fields that are used are declared. Shapes come from Ollama's API documentation, "Generate a
chat completion".
"""

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import NULL, FrameType, Number


class Function(Struct, gc=False):
    name: str | None = None
    arguments: Raw = NULL


class Call(Struct, gc=False):
    id: str | None = None
    function: Function | None = None


class Message(Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Line(Struct, gc=False):
    """One line of a stream, or a whole answer."""

    message: Message | None = None
    created_at: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Number | None = None
    eval_count: Number | None = None
    logprobs: Raw = NULL
    error: Raw = NULL


class TokenLogprob(Struct):
    """A token and its log probability, as in Chat Completions."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Logprob(TokenLogprob):
    top_logprobs: list[TokenLogprob] = []


LINE = FrameType(Line)
read_logprobs = msgspec.json.Decoder(list[Logprob]).decode
