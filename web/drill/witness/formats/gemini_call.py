"""Converts a `GenerateContentRequest` to a Chat call: contents, settings and tools.

This is the inverse of `actors.providers.formats.gemini.contents`: a chat converted there comes back
unchanged, so that a simulated model gives the same answer over every wire format.
"""

from collections.abc import Iterator, Mapping

import msgspec

from actors.turn.chat_messages import read_messages
from actors.turn.model_call import JSON, ModelCall
from web.drill.witness.formats.base import BadCall, camel

Document = Mapping[str, JSON]

_SETTINGS = {
    "candidateCount": "n",
    "frequencyPenalty": "frequency_penalty",
    "logprobs": "top_logprobs",
    "maxOutputTokens": "max_tokens",
    "presencePenalty": "presence_penalty",
    "responseLogprobs": "logprobs",
    "stopSequences": "stop",
    "topK": "top_k",
    "topP": "top_p",
}
_FORMAT = frozenset({"responseJsonSchema", "responseMimeType", "responseSchema"})
_CHOICES = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto"}

_FIELDS = frozenset(
    {
        "cachedContent",
        "contents",
        "generationConfig",
        "labels",
        "safetySettings",
        "serviceTier",
        "store",
        "systemInstruction",
        "toolConfig",
        "tools",
    }
)
_CONVERTED = frozenset({"contents", "generationConfig", "systemInstruction", "toolConfig", "tools"})
"""Fields that have another name or shape in Chat."""


def chat_call(model: str, document: Document) -> ModelCall:
    """Return the call of a request to `model`. Raises `BadCall`."""
    request = camel(document)
    for name in request:
        if name not in _FIELDS:
            raise BadCall(f'Unknown name "{name}": Cannot find field.', name)
    chat = _Chat()
    chat.system(request.get("systemInstruction"))
    for number, content in enumerate(_contents(request.get("contents"))):
        chat.add(content, f"contents[{number}]")
    kept = {name: value for name, value in request.items() if name not in _CONVERTED}
    return ModelCall(
        upstream_model=model,
        messages=read_messages(chat.messages),
        parameters={**kept, **settings(request), **tools(request)},
    )


def _contents(contents: JSON) -> list[JSON]:
    if not isinstance(contents, list) or not contents:
        raise BadCall("contents is not specified", "contents")
    return contents


def parts_of(content: JSON, path: str) -> list[Document]:
    """Return the parts of a content. Raises `BadCall` if it has none."""
    parts = content.get("parts") if isinstance(content, dict) else None
    one = [parts] if isinstance(parts, dict) else parts
    if not isinstance(one, list) or not one or not all(isinstance(part, dict) for part in one):
        raise BadCall(f"{path}.parts: must include at least one parts field", f"{path}.parts")
    return [camel(part) for part in one]


class _Chat:
    """A builder of Chat messages from contents."""

    def __init__(self) -> None:
        self.messages: list[dict[str, JSON]] = []
        self._unanswered: list[tuple[str, JSON]] = []
        """Ids and names of calls without a result."""

    def system(self, content: JSON) -> None:
        for part in parts_of(content, "systemInstruction") if content else ():
            self.messages.append({"role": "system", "content": part.get("text")})

    def add(self, content: JSON, path: str) -> None:
        parts = parts_of(content, path)
        role = content.get("role", "user") if isinstance(content, dict) else "user"
        if role == "model":
            self.messages.append(self._assistant(parts))
        elif role in ("user", "function"):
            self._user(parts)
        else:
            message = "Please use a valid role: user, model."
            raise BadCall(message, f"{path}.role")

    def _assistant(self, parts: list[Document]) -> dict[str, JSON]:
        texts = [part["text"] for part in parts if not part.get("thought") and "text" in part]
        text = "".join(one for one in texts if isinstance(one, str))
        functions = [part.get("functionCall") for part in parts]
        calls = [self._call(function) for function in functions if isinstance(function, dict)]
        if not calls:
            return {"role": "assistant", "content": text}
        return {"role": "assistant", "content": text or None, "tool_calls": calls}

    def _call(self, function: Document) -> dict[str, JSON]:
        name = function.get("name")
        id = str(function.get("id") or f"call_{len(self.messages)}_{len(self._unanswered)}")
        self._unanswered.append((id, name))
        arguments = msgspec.json.encode(function.get("args") or {}).decode()
        return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _user(self, parts: list[Document]) -> None:
        """Add tool results, then the user's own parts of the same content."""
        responses = [part.get("functionResponse") for part in parts]
        results = [response for response in responses if isinstance(response, dict)]
        self.messages += [self._result(response) for response in results]
        content = list(_chat_parts(parts))
        match content:
            case []:
                pass
            case [{"type": "text", "text": text}]:
                self.messages.append({"role": "user", "content": text})
            case _:
                self.messages.append({"role": "user", "content": content})

    def _result(self, response: Document) -> dict[str, JSON]:
        name, id = response.get("name"), response.get("id")
        known = (call for call in self._unanswered if call[0] == id or (not id and call[1] == name))
        found = next(known, (str(id or name), name))
        if found in self._unanswered:
            self._unanswered.remove(found)
        match response.get("response"):
            case {"output": str(text), **rest} if not rest:
                content = text
            case value:
                content = msgspec.json.encode(value).decode()
        return {"role": "tool", "tool_call_id": found[0], "content": content}


def _chat_parts(parts: list[Document]) -> Iterator[dict[str, JSON]]:
    for part in parts:
        match part:
            case {"text": text}:
                yield {"type": "text", "text": text}
            case {"inlineData": {"mimeType": kind, "data": data}}:
                url = f"data:{kind};base64,{data}"
                yield {"type": "image_url", "image_url": {"url": url}}
            case {"fileData": {"fileUri": url}}:
                yield {"type": "image_url", "image_url": {"url": url}}


def settings(request: Document) -> dict[str, JSON]:
    """Return the parameters in `generationConfig`."""
    given = request.get("generationConfig")
    config = camel(given) if isinstance(given, dict) else {}
    result = {_SETTINGS.get(name, name): config[name] for name in config if name not in _FORMAT}
    schema = config.get("responseJsonSchema") or _plain(config.get("responseSchema"))
    if schema:
        wanted = {"name": "response", "schema": schema}
        result["response_format"] = {"type": "json_schema", "json_schema": wanted}
    elif config.get("responseMimeType") == "application/json":
        result["response_format"] = {"type": "json_object"}
    return result


def tools(request: Document) -> dict[str, JSON]:
    """Return `tools` and `tool_choice`."""
    result: dict[str, JSON] = {}
    tools = request.get("tools")
    declared = [
        {"type": "function", "function": _function(function)}
        for tool in (tools if isinstance(tools, list) else [])
        for function in _declarations(tool)
    ]
    if declared:
        result["tools"] = declared
    match request.get("toolConfig"):
        case {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [str(name)]}}:
            result["tool_choice"] = {"type": "function", "function": {"name": name}}
        case {"functionCallingConfig": {"mode": str(mode)}} if mode in _CHOICES:
            result["tool_choice"] = _CHOICES[mode]
    return result


def _declarations(tool: JSON) -> Iterator[Document]:
    match tool:
        case {"functionDeclarations": list(found)} | {"function_declarations": list(found)}:
            yield from (one for one in found if isinstance(one, dict))


def _function(declaration: Document) -> dict[str, JSON]:
    result = camel(declaration)
    function: dict[str, JSON] = {}
    for name in ("name", "description"):
        if name in result:
            function[name] = result[name]
    if schema := result.get("parametersJsonSchema") or _plain(result.get("parameters")):
        function["parameters"] = schema
    return function


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
