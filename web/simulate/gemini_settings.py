"""Converts configuration and tools of a `GenerateContentRequest` to Chat parameters."""

from collections.abc import Iterator, Mapping

from actors.turn.model_call import JSON
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
