"""Server side of Google's Gemini API, sans IO.

Shapes come from the Gemini API reference, "Generating content" and "GenerateContentResponse".
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal
from urllib.parse import parse_qs, unquote

from msgspec import Raw
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_snake

from actors.providers.simulated.messages import count_input_tokens
from actors.turn.chunks import ReasoningChunk, RefusalChunk, TextChunk, ToolCallChunk
from actors.turn.model_call import JSON
from actors.turn.outcome import ErrorInfo, Reason, Usage
from web.drill.witness.formats.base import FAILED, Content, IncomingCall, WireFormat, encode
from web.drill.witness.formats.foreign_call import (
    CamelFields,
    Chat,
    Part,
    WholeCallRenderer,
    image_part,
    json_schema,
    text_part,
)
from web.http.api_error import invalid
from web.http.validation_errors import validated

_PATH = r"/v1(?:alpha|beta)?/models/([^/?]{1,500}):(g|streamG)enerateContent"
_SSE = "text/event-stream"
_JSON = "application/json; charset=UTF-8"
_TYPE = "type.googleapis.com/google.rpc."

_SETTINGS = {
    "candidate_count": "n",
    "logprobs": "top_logprobs",
    "max_output_tokens": "max_tokens",
    "response_logprobs": "logprobs",
    "stop_sequences": "stop",
}
_FORMAT = {"response_json_schema", "response_mime_type", "response_schema"}
_CHOICES = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto"}
_FINISHES = {
    Reason.STOP: "STOP",
    Reason.TOOL_CALLS: "STOP",
    Reason.LENGTH: "MAX_TOKENS",
    Reason.CONTENT_FILTER: "SAFETY",
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class _Call(CamelFields):
    name: str
    id: str | None = None
    args: dict[str, JSON] | None = None


class _Result(CamelFields):
    name: str
    id: str | None = None
    response: dict[str, JSON]

    @property
    def text(self) -> str:
        match self.response:
            case {"output": str(text), **rest} if not rest:
                return text
        return encode(self.response).decode()


class _Blob(CamelFields):
    mime_type: str
    data: str


class _File(CamelFields):
    file_uri: str


class _Part(CamelFields):
    text: str | None = None
    thought: bool = False
    function_call: _Call | None = None
    function_response: _Result | None = None
    inline_data: _Blob | None = None
    file_data: _File | None = None


class _Content(CamelFields):
    parts: Annotated[list[_Part], Field(min_length=1)]
    role: Literal["user", "model", "function"] | None = None


class _Function(CamelFields):
    name: str
    description: str | None = None
    parameters: dict[str, JSON] | None = None
    parameters_json_schema: dict[str, JSON] | None = None


class _Tool(CamelFields):
    function_declarations: list[_Function] | None = None


class _Choice(CamelFields):
    mode: str = "AUTO"
    allowed_function_names: list[str] | None = None


class _ToolConfig(CamelFields):
    function_calling_config: _Choice | None = None


class _Request(CamelFields):
    model_config = ConfigDict(extra="forbid")

    contents: Annotated[list[_Content], Field(min_length=1)]
    system_instruction: _Content | None = None
    generation_config: dict[str, JSON] | None = None
    tools: list[_Tool] | None = None
    tool_config: _ToolConfig = _ToolConfig()
    cached_content: JSON = None
    labels: JSON = None
    safety_settings: JSON = None
    service_tier: JSON = None
    store: JSON = None


def _parse(document: dict[str, JSON], path: str) -> IncomingCall:
    target, _, query = path.partition("?")
    found = re.fullmatch(_PATH, target)
    if found is None:
        raise invalid("the path contains no model")
    try:
        request = validated(_Request, document)
        call = _chat(request).call(unquote(found[1]), _parameters(request))
    except RecursionError:
        raise invalid("the body is nested too deeply") from None
    return IncomingCall(
        call=call,
        stream=found[2] == "streamG",
        stream_type=_SSE if parse_qs(query).get("alt") == ["sse"] else _JSON,
        input_tokens=count_input_tokens(call.messages),
    )


def _error_body(error: ErrorInfo) -> bytes:
    details: list[Part] = []
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if error.retry_after_s is not None:
        delay = f"{error.retry_after_s:g}s"
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": delay})
    return encode(_error(error.status, error.message, error.code, details))


def _chat(request: _Request) -> Chat:
    chat = Chat()
    for part in request.system_instruction.parts if request.system_instruction else ():
        chat.say("system", list(_chat_parts([part])))
    for content in request.contents:
        calls = [part.function_call for part in content.parts if part.function_call]
        if content.role == "model":
            texts = [part.text or "" for part in content.parts if not part.thought]
            chat.answer("".join(texts), [(call.id, call.name, call.args or {}) for call in calls])
            continue
        for result in [part.function_response for part in content.parts if part.function_response]:
            chat.result(result.id, result.name, result.text)
        chat.say("user", list(_chat_parts(content.parts)))
    return chat


def _chat_parts(parts: Sequence[_Part]) -> Iterator[Part]:
    for part in parts:
        if part.text is not None:
            yield text_part(part.text)
        elif part.inline_data is not None:
            yield image_part(f"data:{part.inline_data.mime_type};base64,{part.inline_data.data}")
        elif part.file_data is not None:
            yield image_part(part.file_data.file_uri)


def _parameters(request: _Request) -> dict[str, JSON]:
    config = request.generation_config or {}
    given = {to_snake(name): value for name, value in config.items()}
    parameters = {_SETTINGS.get(name, name): given[name] for name in given if name not in _FORMAT}
    if schema := given.get("response_json_schema") or _plain(given.get("response_schema")):
        parameters["response_format"] = json_schema(schema)
    elif given.get("response_mime_type") == "application/json":
        parameters["response_format"] = {"type": "json_object"}
    declared = [tool.function_declarations or () for tool in request.tools or ()]
    if functions := [_function(one) for group in declared for one in group]:
        parameters["tools"] = functions
    if (choice := request.tool_config.function_calling_config) is not None:
        parameters["tool_choice"] = _tool_choice(choice)
    return parameters


def _function(declared: _Function) -> Part:
    schema = declared.parameters_json_schema or _plain(declared.parameters)
    fields = {"name": declared.name, "description": declared.description, "parameters": schema}
    function = {name: value for name, value in fields.items() if value}
    return {"type": "function", "function": function}


def _tool_choice(choice: _Choice) -> JSON:
    match choice.mode, choice.allowed_function_names:
        case "ANY", [name]:
            return {"type": "function", "function": {"name": name}}
    return _CHOICES.get(choice.mode)


def _plain(schema: JSON) -> JSON:
    """Return Google's `Schema` as JSON Schema, whose type names are in lower case."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else _plain(value)
        for key, value in schema.items()
    }


class ResponseRenderer(WholeCallRenderer):
    """A renderer of one response; refusals are text, and responses have no creation time."""

    def __init__(self, incoming: IncomingCall, number: int, created: int) -> None:
        super().__init__(incoming, number, created)
        self._events = incoming.stream_type == _SSE
        self.frame_end = b"\r\n\r\n" if self._events else b""
        self._started = False
        model = incoming.call.upstream_model
        self._meta = {"modelVersion": model, "responseId": f"simulated-{number}"}
        given = incoming.input_tokens
        so_far = {"usageMetadata": {"promptTokenCount": given, "totalTokenCount": given}}
        rest = encode((so_far if incoming.include_usage else {}) | self._meta)
        self._start = b'{"candidates":[{"content":{"parts":['
        self._end = b'],"role":"model"},"index":0}],' + rest[1:]

    def whole_frame(self, content: Content) -> bytes:
        return self._framed(self._start + encode(_part(content)) + self._end)

    def finish(self, reason: Reason, usage: Usage | None) -> bytes:
        calls = self.content(None)
        parts: list[Part] = [{"text": ""}] if self._started else []
        return calls + self._framed(encode(self._last(reason, parts, usage)))

    def malformed(self) -> bytes:
        return self._framed(b'{"candidates":[}')

    def half_frame(self) -> bytes:
        return (b"data: " if self._events else b",\r\n") + self._start[: len(self._start) // 2]

    def error_frame(self, code: str | None) -> bytes:
        return self._framed(encode(_error(500, FAILED, code, [])))

    def end(self) -> bytes:
        """Return the end of the array; server-sent events have no end marker."""
        if self._events:
            return b""
        return b"]" if self._started else b"[]"

    def document(self, content: Sequence[Content], reason: Reason, usage: Usage | None) -> bytes:
        parts: list[Part] = []
        for one in self.completed(*content, None):
            _grow(parts, _part(one))
        return encode(self._last(reason, parts, usage))

    def _last(self, reason: Reason, parts: list[Part], usage: Usage | None) -> Part:
        """Return the response with the finish; a filter without any content blocks the prompt."""
        counted = {} if usage is None else {"usageMetadata": _usage(usage)}
        if reason is Reason.CONTENT_FILTER and not parts:
            return {"promptFeedback": {"blockReason": "SAFETY"}, **counted, **self._meta}
        content = {"parts": parts, "role": "model"}
        candidate = {"content": content, "finishReason": _FINISHES[reason], "index": 0}
        return {"candidates": [candidate], **counted, **self._meta}

    def _framed(self, document: bytes) -> bytes:
        before = b"data: " if self._events else b",\r\n" if self._started else b"["
        self._started = True
        return before + document + self.frame_end


def _part(content: Content) -> Part:
    match content:
        case ToolCallChunk(id=id, name=name, arguments=arguments):
            return {"functionCall": {"id": id, "name": name, "args": Raw(arguments.encode())}}
        case ReasoningChunk(text=text):
            return {"thought": True, "text": text}
        case TextChunk(text=text) | RefusalChunk(text=text):
            return {"text": text}


def _grow(parts: list[Part], part: Part) -> None:
    """Append a part; neighbouring texts of one kind are merged."""
    if parts and "text" in part and parts[-1].keys() == part.keys():
        parts[-1]["text"] = f"{parts[-1]['text']}{part['text']}"
    else:
        parts.append(part)


def _usage(usage: Usage) -> dict[str, int]:
    """Return the non-zero counts; candidate tokens exclude thinking."""
    thoughts = usage.reasoning_tokens
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - thoughts,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
        "cachedContentTokenCount": usage.cached_input_tokens,
        "thoughtsTokenCount": thoughts,
    }
    return {name: count for name, count in counts.items() if count or name == "promptTokenCount"}


def _error(status: int, message: str, code: str | None, details: list[Part]) -> Part:
    if code is not None:
        details = [*details, {"@type": f"{_TYPE}ErrorInfo", "reason": code, "domain": "trouper"}]
    name = _STATUSES.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
    error: Part = {"code": status, "message": message, "status": name}
    return {"error": error | ({"details": details} if details else {})}


WIRE = WireFormat(_PATH, _parse, ResponseRenderer, _error_body)
"""Wire format `gemini`; a stream without `alt=sse` is one JSON array."""
