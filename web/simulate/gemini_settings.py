"""The configuration and the tools of a `GenerateContentRequest` as Chat has them."""

from collections.abc import Iterator, Mapping

from actors.providers.base import JSON
from web.simulate.body import camel

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


def settings(request: Document) -> dict[str, JSON]:
    """Parameters from `generationConfig`."""
    given = request.get("generationConfig")
    config = camel(given) if isinstance(given, dict) else {}
    said = {_SETTINGS.get(name, name): config[name] for name in config if name not in _FORMAT}
    schema = config.get("responseJsonSchema") or _plain(config.get("responseSchema"))
    if schema:
        wanted = {"name": "response", "schema": schema}
        said["response_format"] = {"type": "json_schema", "json_schema": wanted}
    elif config.get("responseMimeType") == "application/json":
        said["response_format"] = {"type": "json_object"}
    return said


def tools(request: Document) -> dict[str, JSON]:
    """`tools` and `tool_choice`."""
    said: dict[str, JSON] = {}
    tools = request.get("tools")
    declared = [
        {"type": "function", "function": _function(function)}
        for tool in (tools if isinstance(tools, list) else [])
        for function in _declarations(tool)
    ]
    if declared:
        said["tools"] = declared
    match request.get("toolConfig"):
        case {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [str(name)]}}:
            said["tool_choice"] = {"type": "function", "function": {"name": name}}
        case {"functionCallingConfig": {"mode": str(mode)}} if mode in _CHOICES:
            said["tool_choice"] = _CHOICES[mode]
    return said


def _declarations(tool: JSON) -> Iterator[Document]:
    match tool:
        case {"functionDeclarations": list(found)} | {"function_declarations": list(found)}:
            yield from (one for one in found if isinstance(one, dict))


def _function(declaration: Document) -> dict[str, JSON]:
    said = camel(declaration)
    function: dict[str, JSON] = {}
    for name in ("name", "description"):
        if name in said:
            function[name] = said[name]
    if schema := said.get("parametersJsonSchema") or _plain(said.get("parameters")):
        function["parameters"] = schema
    return function


def _plain(schema: JSON) -> JSON:
    """A `Schema` as JSON schema, which has the names of types in lower case."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else _plain(value)
        for key, value in schema.items()
    }
