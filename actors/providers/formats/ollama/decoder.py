"""Wire format `ollama`: Ollama's own `/api/chat`, as JSON lines or as one document."""

import re

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.base import Format, FormatSpec
from actors.providers.formats.decoding import Document, LineStream
from actors.providers.formats.lenient_fields import NULL, FrameType, Number, read_or_none, word
from actors.providers.formats.ollama.request import translate
from actors.providers.formats.reader import Reader
from actors.providers.formats.token_usage import merged
from actors.turn.chunks import Chunk, ReasoningChunk, TextChunk


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


LINE = FrameType(Line, done_reason=word)
read_logprobs = msgspec.json.Decoder(list[Logprob]).decode


class _Lines(Reader[Line]):
    """Reader that turns lines into chunks. `done` is the finish and the end marker in one."""

    _frame_type = LINE
    _text_in = re.compile(
        rb'"(?:(?:content|thinking)"\s{0,8}:\s{0,8}"[^"]|tool_calls"\s{0,8}:\s{0,8}\[\s{0,8}\{)'
    )

    def _read_frame(self, line: Line, data: bytes, chunks: list[Chunk]) -> None:
        if line.error != NULL:
            raise self._fail_with(data)
        if line.message is not None:
            self._emit(line.message, line, chunks)
        if line.prompt_eval_count is not None:
            # Ollama omits an answer count of zero.
            counts = {"input": line.prompt_eval_count, "output": line.eval_count or 0}
            self._counts = merged(self._counts, counts)
        if line.done:
            self._done(line, chunks)

    def _emit(self, message: Message, line: Line, chunks: list[Chunk]) -> None:
        if message.thinking:
            chunks.append(ReasoningChunk(message.thinking))
        if message.content:
            chunks.append(TextChunk(message.content, _logprobs(line)))
        for call in message.tool_calls or ():
            function = call.function or Function()
            # Calls always come whole; old Ollama versions send no id.
            chunks.append(self._whole_call(call.id, function.name, function.arguments))

    def _done(self, line: Line, chunks: list[Chunk]) -> None:
        self._report_usage(chunks)
        self.saw_end_marker = True
        self._read_finish(line.done_reason or "stop", chunks)

    def _conclude(self, chunks: list[Chunk]) -> None:
        """Do nothing: a line that isn't `done` is not the end, even if it is the only one."""


class OllamaDecoder(_Lines, LineStream[Line]):
    """Decoder for a stream of lines."""


class OllamaWholeDecoder(_Lines, Document[Line]):
    """Decoder for an answer sent as one document although a stream was requested."""


def _logprobs(line: Line) -> str | None:
    """Return the log probabilities as JSON in the shape of Chat Completions."""
    content = read_or_none(read_logprobs, line.logprobs)
    return None if content is None else msgspec.json.encode({"content": content}).decode()


OLLAMA = Format(
    api="ollama",
    path=lambda model: "/api/chat",
    translate=translate,
    stream_decoder=OllamaDecoder,
    whole_decoder=OllamaWholeDecoder,
    stream_type="application/x-ndjson",
)
"""Ollama's API."""

FORMAT = FormatSpec("ollama", OLLAMA, "http://127.0.0.1:11434", "/v1/embeddings")
