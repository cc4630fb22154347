"""Prepares a call for any format: tools without effect, the tool calls of its history, and names.

Pure. The formats convert what this returns.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from actors.providers.formats.parameters import Object, without_tools
from actors.providers.formats.refusals import PARTS_OF_TOOLS, objects_in
from actors.providers.formats.tool_history import call_ids, has_calls, repaired
from actors.providers.formats.tool_names import NameRule, with_accepted_names
from actors.turn.model_call import JSON, ModelCall

_ABOUT_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")


class Prepared(Struct, frozen=True):
    """A call to be converted."""

    call: ModelCall
    names: Mapping[str, str]
    """Names of tools that were shortened: the client's by those in the call."""
    call_ids: frozenset[str]
    """Ids of the tool calls in the call's history."""
    left_out: tuple[str, ...]


def prepared(call: ModelCall, rule: NameRule | None) -> Prepared:
    """Return the call with a usable history, and names of tools that the rule accepts.

    What the client sent in the form of the provider's own API stays as it is, but for names.
    """
    if call.native is not None:
        call, names = with_accepted_names(call, rule, calling=False)
        return Prepared(call, names, call_ids(call.messages), ())
    left_out: list[str] = []
    parameters = _accepted_tools(_without_empty_tools(call.parameters, left_out), call, left_out)
    calling = has_calls(call.messages)
    messages = repaired(call.messages) if calling else call.messages
    if parameters is not call.parameters or calling:
        call = replace(call, parameters=parameters, messages=messages)
    call, names = with_accepted_names(call, rule, calling=calling)
    ids = call_ids(messages) if calling else frozenset[str]()
    return Prepared(call, names, ids, tuple(left_out))


def _without_empty_tools(parameters: Object, left_out: list[str]) -> Object:
    """Remove everything about tools if there are none; report a choice that demands a call."""
    if parameters.get("tools") or parameters.keys().isdisjoint(_ABOUT_TOOLS):
        return parameters
    rest = {name: value for name, value in parameters.items() if name != "tools"}
    left_out += without_tools(rest)
    return rest


def _accepted_tools(parameters: Object, call: ModelCall, left_out: list[str]) -> Object:
    """Remove the fields of tools and of their functions that the server refuses."""
    tools = parameters.get("tools")
    if not call.refused or not isinstance(tools, list):
        return parameters
    refused = call.refused - PARTS_OF_TOOLS
    if all(refused.isdisjoint(one) for one in objects_in(tools)):
        return parameters
    accepted = [
        _accepted(tool, refused, f"tools[{index}]", left_out) for index, tool in enumerate(tools)
    ]
    return {**parameters, "tools": accepted}


def _accepted(value: JSON, refused: frozenset[str], path: str, left_out: list[str]) -> JSON:
    if not isinstance(value, dict):
        return value
    left_out += [f"{path}.{name}" for name in value if name in refused]
    kept = {name: one for name, one in value.items() if name not in refused}
    if "function" in kept:
        kept["function"] = _accepted(kept["function"], refused, f"{path}.function", left_out)
    return kept
