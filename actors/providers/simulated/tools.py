"""Tool calls of a simulated model, with arguments that fit the tools' schemas."""

from collections.abc import Mapping

import msgspec

from actors.providers.simulated.examples import example
from actors.providers.simulated.messages import ends_with
from actors.providers.simulated.prose import pieces
from actors.turn.chunks import ToolCallChunk
from actors.turn.model_call import JSON, ModelCall

_Function = Mapping[str, JSON]


def tool_calls(call: ModelCall, wanted: int, seed: int) -> list[ToolCallChunk]:
    """Return the tool calls, one chunk per piece; an empty list for a text answer.

    With `wanted` = 0 a tool is called only if `tool_choice` demands it. A tool result is always
    answered with text, so that tool loops end.
    """
    functions = _functions(call.parameters)
    choice = call.parameters.get("tool_choice")
    number = wanted or int(choice == "required" or isinstance(choice, dict))
    if not functions or not number or choice == "none" or ends_with(call.messages, "tool"):
        return []
    if call.parameters.get("parallel_tool_calls") is False:
        number = 1
    chosen = _chosen(functions, choice)
    return [
        chunk
        for index in range(number)
        for chunk in _pieces_of_call(index, chosen[index % len(chosen)], seed + index)
    ]


def _functions(parameters: Mapping[str, JSON]) -> list[_Function]:
    tools = parameters.get("tools")
    entries = tools if isinstance(tools, list) else []
    found = [entry.get("function") for entry in entries if isinstance(entry, dict)]
    return [function for function in found if isinstance(function, dict)]


def _chosen(functions: list[_Function], choice: JSON) -> list[_Function]:
    if isinstance(choice, dict) and isinstance(named := choice.get("function"), dict):
        return [f for f in functions if f.get("name") == named.get("name")] or functions
    return functions


def _pieces_of_call(index: int, function: _Function, seed: int) -> list[ToolCallChunk]:
    arguments = pieces(msgspec.json.encode(example(_schema(function), seed)).decode())
    first, *rest = arguments
    head = ToolCallChunk(index, f"call_{seed % 16**20:020x}", str(function.get("name")), first)
    return [head, *(ToolCallChunk(index, None, None, piece) for piece in rest)]


def _schema(function: _Function) -> JSON:
    return function.get("parameters") or {"type": "object"}
