"""Converts a call to a `GenerateContentRequest`. Pure.

Shapes come from the Gemini API reference, "Generating content", and its guides "Function calling",
"Structured output" and "Thinking".
"""

from collections.abc import Mapping
from urllib.parse import quote

from actors.providers.formats.chat_call import is_default_value, stop_words, with_effort
from actors.providers.formats.gemini.contents import JSONObject, conversation
from actors.providers.formats.vendor_extensions import as_chat
from actors.turn.chat_messages import write_messages
from actors.turn.model_call import JSON, ModelCall

_SETTINGS = {
    "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
"""Fields of `generationConfig` by Chat parameter; of two for one field the later one wins."""

_OWN_SETTINGS = frozenset(
    {
        "imageConfig",
        "mediaResolution",
        "responseModalities",
        "speechConfig",
        "thinkingConfig",
        "topK",
    }
)
_OWN = frozenset({"cachedContent", "safetySettings", "serviceTier"})
"""Gemini's own top-level fields, passed through if given as parameters."""

_BUDGETS = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
}
"""Thinking tokens by effort, as in Google's OpenAI-compatible API.

24,576 is the most that all thinking models accept."""

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def path_of(model: str) -> str:
    """Return the path of a streamed call, with the model name percent-encoded.

    `models/x` and `tunedModels/x` keep their prefix; any other name gets the prefix `models/`.
    """
    kind, slash, name = model.partition("/")
    if not (slash and kind in ("models", "tunedModels")):
        kind, name = "models", model
    return f"/{kind}/{quote(name, safe='')}:streamGenerateContent?alt=sse"


def request_of(call: ModelCall) -> tuple[JSONObject, tuple[str, ...]]:
    """Return the request document and the paths of what it leaves out."""
    call, left_out = as_chat(call)
    chat = conversation(write_messages(call.messages), call.upstream_model, left_out)
    document: JSONObject = {"contents": chat.contents}
    if chat.system:
        document["systemInstruction"] = {"parts": chat.system}
    builder = _Builder(document, left_out)
    parameters = with_effort(call.parameters, left_out)
    given = {name: value for name, value in parameters.items() if not is_default_value(name, value)}
    for name, value in given.items():
        builder.take(name, value)
    for name, field in _SETTINGS.items():
        if name in given:
            builder.settings[field] = given[name]
    if builder.settings:
        document["generationConfig"] = builder.settings
    return document, tuple(left_out)


class _Builder:
    """A builder that puts Chat parameters into a request document."""

    def __init__(self, document: JSONObject, left_out: list[str]) -> None:
        self._document = document
        self._left_out = left_out
        self.settings: JSONObject = {}

    def take(self, name: str, value: JSON) -> None:
        match name:
            case "stop":
                self.settings["stopSequences"] = stop_words(value)
            case "tools":
                self._tools(value)
            case "tool_choice":
                self._tool_choice(value)
            case "response_format":
                self._response_format(value)
            case "reasoning_effort":
                self._reasoning_effort(value)
            case _ if name in _OWN_SETTINGS:
                self.settings[name] = value
            case _ if name in _OWN:
                self._document[name] = value
            case _ if name not in _SETTINGS:
                self._left_out.append(name)

    def _tools(self, tools: JSON) -> None:
        declared: list[JSON] = []
        own: list[JSON] = []
        for number, tool in enumerate(tools if isinstance(tools, list) else []):
            match tool:
                case {"type": "function", "function": dict(function)} if "name" in function:
                    declared.append(_declaration(function))
                    if function.get("strict"):
                        self._left_out.append(f"tools[{number}].function.strict")
                case dict() if tool and "type" not in tool:  # such as {"googleSearch": {}}
                    own.append(tool)
                case _:
                    self._left_out.append(f"tools[{number}]")
        if declared:
            own.insert(0, {"functionDeclarations": declared})
        if own:
            self._document["tools"] = own

    def _tool_choice(self, choice: JSON) -> None:
        config: JSONObject | None = None
        match choice:
            case str() if choice in _MODES:
                config = {"mode": _MODES[choice]}
            case {"type": "function", "function": {"name": str(name)}}:
                config = {"mode": "ANY", "allowedFunctionNames": [name]}
            case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}:
                # AUTO accepts no list of names; VALIDATED does and still allows a text answer.
                names = [found for tool in tools if (found := _function_name(tool)) is not None]
                config = {"mode": "ANY" if mode == "required" else "VALIDATED"}
                config["allowedFunctionNames"] = names
        if config is None:
            self._left_out.append("tool_choice")
        else:
            self._document["toolConfig"] = {"functionCallingConfig": config}

    def _response_format(self, requested: JSON) -> None:
        match requested:
            case {"type": "text"}:
                pass
            case {"type": "json_object"}:
                self.settings["responseMimeType"] = "application/json"
            case {"type": "json_schema", "json_schema": {"schema": schema}}:
                self.settings["responseMimeType"] = "application/json"
                self.settings["responseJsonSchema"] = schema
            case _:
                self._left_out.append("response_format")

    def _reasoning_effort(self, effort: JSON) -> None:
        budget = _BUDGETS.get(effort) if isinstance(effort, str) else None
        if budget is None:
            self._left_out.append("reasoning_effort")
        else:
            shown = {"includeThoughts": True} if budget else {}
            self.settings.setdefault("thinkingConfig", shown | {"thinkingBudget": budget})


def _declaration(function: Mapping[str, JSON]) -> JSONObject:
    declared: JSONObject = {"name": function["name"]}
    for ours, theirs in (("description", "description"), ("parameters", "parametersJsonSchema")):
        if function.get(ours) not in (None, ""):
            declared[theirs] = function[ours]
    return declared


def _function_name(tool: JSON) -> str | None:
    match tool:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
        case _:
            return None
