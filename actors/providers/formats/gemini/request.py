"""Converts a call to a `GenerateContentRequest`. Pure.

Shapes come from the Gemini API reference, "Generating content", and its guides "Function calling",
"Structured output" and "Thinking".
"""

import re
from urllib.parse import quote

from actors.providers.formats import parameters
from actors.providers.formats.base import Translation
from actors.providers.formats.custom_tools import custom_as_functions
from actors.providers.formats.efforts import is_derived
from actors.providers.formats.gemini.contents import conversation
from actors.providers.formats.parameters import Object
from actors.providers.formats.tool_names import NameRule
from actors.providers.formats.vendor_extensions import as_chat
from actors.turn.model_call import JSON, ModelCall

_CONFIG = "generationConfig"
_SETTINGS = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "stop": "stopSequences",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
"""Fields of `generationConfig` by Chat parameter."""

_OWN_SETTINGS = frozenset(
    {"imageConfig", "mediaResolution", "responseModalities", "speechConfig", "thinkingConfig"}
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

_THINKING: dict[str, JSON] = {
    effort: {"includeThoughts": True, "thinkingBudget": budget} if budget else {"thinkingBudget": 0}
    for effort, budget in _BUDGETS.items()
}
_STOPS_THINKING = re.compile(r"(?:models/)?gemini-2\.5-flash")
_ALWAYS_THINKS = re.compile(r"(?:models/)?gemini-(?:2\.5-pro|[3-9])")
"""Models whose API answers 400 to a budget of 0."""

NAMES = NameRule(64, re.compile(r"[^A-Za-z0-9_.:-]"), re.compile(r"[A-Za-z_]"))
"""Names of functions (API reference, "FunctionDeclaration")."""
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def path_of(model: str) -> str:
    """Return the path of a streamed call, with the model name percent-encoded.

    `models/x` and `tunedModels/x` keep their prefix; any other name gets the prefix `models/`.
    """
    kind, slash, name = model.partition("/")
    if not (slash and kind in ("models", "tunedModels")):
        kind, name = "models", model
    return f"/{kind}/{quote(name, safe='')}:streamGenerateContent?alt=sse"


def translate(call: ModelCall) -> Translation:
    """Return the request document for a call."""
    derived = is_derived(call)
    call, left_out = as_chat(custom_as_functions(call))
    document = conversation(call.messages, call.upstream_model, left_out)
    given = _with_possible_effort(call, left_out, derived=derived)
    parameters.write_parameters(given, _WRITERS, document, left_out)
    if "tools" not in document:
        match document.pop("toolConfig", None):
            case {"functionCallingConfig": {"mode": "ANY" | "VALIDATED"}}:
                left_out.append("tool_choice")
    return Translation(document, tuple(left_out))


def _with_possible_effort(call: ModelCall, left_out: list[str], *, derived: bool) -> Object:
    """Return the parameters without the effort `none` if the model cannot stop thinking.

    A client that only sent `thinking: disabled` asks for nothing of models that may not know it.
    """
    given = {**call.parameters}
    model = call.upstream_model
    if given.get("reasoning_effort") == "none" and not _STOPS_THINKING.match(model):
        if derived:
            del given["reasoning_effort"]
        elif _ALWAYS_THINKS.match(model):
            del given["reasoning_effort"]
            left_out.append("reasoning_effort")
    return given


def _tools(document: Object, tools: JSON, left_out: list[str]) -> None:
    declared: list[JSON] = []
    own: list[JSON] = []
    for number, tool in enumerate(tools if isinstance(tools, list) else []):
        match tool:
            case {"type": "function", "function": dict(function)} if "name" in function:
                declared.append(_declaration(function))
                left_out += parameters.unknown_tool_fields(tool, function, f"tools[{number}]")
                if function.get("strict"):
                    left_out.append(f"tools[{number}].function.strict")
            case dict() if tool and "type" not in tool:  # such as {"googleSearch": {}}
                own.append(tool)
            case _:
                left_out.append(f"tools[{number}]")
    if declared:
        own.insert(0, {"functionDeclarations": declared})
    if own:
        document["tools"] = own


def _declaration(function: Object) -> Object:
    declared: Object = {"name": function["name"]}
    for ours, theirs in (("description", "description"), ("parameters", "parametersJsonSchema")):
        if function.get(ours) not in (None, ""):
            declared[theirs] = function[ours]
    return declared


def _tool_choice(document: Object, choice: JSON, left_out: list[str]) -> None:
    match choice:
        case "auto" | "none" | "required":
            config: Object = {"mode": _MODES[choice]}
        case {"type": "function", "function": {"name": str(name)}}:
            config = {"mode": "ANY", "allowedFunctionNames": [name]}
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}:
            # AUTO accepts no list of names; VALIDATED does and still allows a text answer.
            names = [found for tool in tools if (found := _function_name(tool)) is not None]
            config = {"mode": "ANY" if mode == "required" else "VALIDATED"}
            config["allowedFunctionNames"] = names
        case _:
            left_out.append("tool_choice")
            return
    document["toolConfig"] = {"functionCallingConfig": config}


def _function_name(tool: JSON) -> str | None:
    match tool:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
        case _:
            return None


def _response_format(document: Object, requested: JSON, left_out: list[str]) -> None:
    match requested:
        case {"type": "text"}:
            return
        case {"type": "json_object"}:
            pass
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            parameters.object_at(document, _CONFIG)["responseJsonSchema"] = schema
        case _:
            left_out.append("response_format")
            return
    parameters.object_at(document, _CONFIG)["responseMimeType"] = "application/json"


_WRITERS: dict[str, parameters.Writer] = {
    **{name: parameters.into(_CONFIG, field) for name, field in _SETTINGS.items()},
    **{name: parameters.into(_CONFIG, name) for name in _OWN_SETTINGS},
    **{name: parameters.into(name) for name in _OWN},
    "topK": parameters.into(_CONFIG, "topK", keep=True),
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "reasoning_effort": parameters.mapped(
        "reasoning_effort", _THINKING, parameters.into(_CONFIG, "thinkingConfig", keep=True)
    ),
}
