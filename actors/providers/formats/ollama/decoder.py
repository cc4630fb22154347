"""Wire format `ollama`: Ollama's own `/api/chat`, as JSON lines or as one document."""

import re

import msgspec

from actors.providers.formats.base import Decoder, FormatSpec, RequestParts
from actors.providers.formats.decoding import Document, LineStream, Reader
from actors.providers.formats.lenient_fields import NULL, arguments, derive_call_id
from actors.providers.formats.ollama.frames import (
    Call,
    Function,
    Line,
    Message,
    read_line,
    read_logprobs,
)
from actors.providers.formats.ollama.request import request_of
from actors.providers.redaction import Scrub
from actors.runtime.json_pieces import encoded
from actors.turn.chunks import Chunk, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from actors.turn.model_call import ModelCall
from actors.turn.outcome import Reason, Usage


class Ollama:
    """Ollama's API as an `actors.providers.formats.base.Format`."""

    stream_type = "application/x-ndjson"

    def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        return request_of(call)[1]

    def build(self, call: ModelCall, api_key: str | None) -> RequestParts:
        headers = [
            ("content-type", "application/json"),
            ("accept", "application/x-ndjson, application/json"),
        ]
        if api_key is not None:
            headers.append(("authorization", f"Bearer {api_key}"))
        document, left_out = request_of(call)
        return RequestParts("/api/chat", tuple(headers), encoded(document), left_out)

    def stream_decoder(self, scrub: Scrub) -> Decoder:
        return OllamaDecoder(scrub)

    def whole_decoder(self, scrub: Scrub) -> Decoder:
        return OllamaWholeDecoder(scrub)


class _Lines(Reader):
    """Reader that turns lines into chunks. `done` is the finish and the end marker in one."""

    _text_in = re.compile(
        rb'"(?:(?:content|thinking)"\s{0,8}:\s{0,8}"[^"]|tool_calls"\s{0,8}:\s{0,8}\[\s{0,8}\{)'
    )

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._calls = 0

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of one line. Raises `UpstreamFailure`."""
        try:
            line, strict = read_line(data)
        except msgspec.DecodeError:
            self._repair_or_skip(data, chunks)
            return
        try:
            self._read_parts(data, line, strict, chunks)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._skip_or_fail(data, chunks)

    def _read_parts(self, data: bytes, line: Line, strict: bool, chunks: list[Chunk]) -> None:
        if line.error != NULL:
            raise self._fail_with(data)
        before = len(chunks)
        if line.message is not None:
            self._emit(line.message, line, chunks)
        if line.done:
            self._done(line, chunks)
        if not strict and len(chunks) == before:
            chunks.append(self._skipped(data))

    def _emit(self, message: Message, line: Line, chunks: list[Chunk]) -> None:
        if message.thinking:
            chunks.append(ReasoningChunk(message.thinking))
        if message.content:
            chunks.append(TextChunk(message.content, _logprobs(line)))
        calls = message.tool_calls or ()
        chunks.extend(self._call(call, line.created_at or "") for call in calls)

    def _call(self, call: Call, created_at: str) -> ToolCallChunk:
        """Return the chunk of a call, which always comes whole; old Ollama versions send no id."""
        function = call.function or Function()
        args, name, index = arguments(function.arguments), function.name or "", self._calls
        self._calls += 1
        id = call.id or derive_call_id(created_at, str(index), name, args)
        return ToolCallChunk(index, id, name, args)

    def _done(self, line: Line, chunks: list[Chunk]) -> None:
        if (usage := _usage(line)) is not None:
            chunks.append(UsageChunk(usage))
        reason = Reason.TOOL_CALLS if self._calls else Reason.STOP
        self._finish(Reason.LENGTH if line.done_reason == "length" else reason, chunks)
        self.saw_end_marker = True


class OllamaDecoder(_Lines, LineStream):
    """Decoder for a stream of lines."""


class OllamaWholeDecoder(_Lines, Document):
    """Decoder for an answer sent as one document although a stream was requested."""


def _usage(line: Line) -> Usage | None:
    """Return the usage, or None without a prompt count. Ollama omits an answer count of zero."""
    input_count, output_count = line.prompt_eval_count, line.eval_count or 0
    if input_count is None or input_count < 0 or output_count < 0:
        return None
    return Usage(input_tokens=input_count, output_tokens=output_count)


def _logprobs(line: Line) -> str | None:
    """Return the log probabilities as JSON in the shape of Chat Completions."""
    content = None if line.logprobs == NULL else read_logprobs(line.logprobs)
    return None if content is None else msgspec.json.encode({"content": content}).decode()


FORMAT = FormatSpec("ollama", Ollama, "http://127.0.0.1:11434", "/v1/embeddings")
