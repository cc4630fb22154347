"""Removes vendor extensions of the client's API from calls to other APIs. Pure.

Extensions are the parameters and fields listed in `ModelCall.foreign`.
"""

from collections.abc import Collection
from typing import TypeVar

from msgspec.structs import replace

from actors.turn import messages as chat
from actors.turn.chat_messages import REASONING
from actors.turn.model_call import ModelCall

T = TypeVar("T", bound=chat.Message | chat.Part | chat.AnyToolCall)

THINKING = REASONING


def as_chat(call: ModelCall, keep: Collection[str] = ()) -> tuple[ModelCall, list[str]]:
    """Return the call in plain Chat form and the paths of what was left out.

    The fields in `keep` are kept. A parameter that Chat parameters express as well is removed
    without being reported.
    """
    foreign = {name: chat for name, chat in call.foreign.items() if name not in keep}
    if not foreign:
        return call, []
    remover = _Remover(frozenset(foreign))
    parameters = {name: value for name, value in call.parameters.items() if name not in foreign}
    unexpressed = [name for name in call.parameters if name in foreign and not foreign[name]]
    if isinstance(tools := parameters.get("tools"), list):
        parameters["tools"] = [
            remover.without(tool, f"tools[{index}]") if isinstance(tool, dict) else tool
            for index, tool in enumerate(tools)
        ]
    messages = tuple(
        remover.message(message, f"messages[{index}]")
        for index, message in enumerate(call.messages)
    )
    plain = replace(call, messages=messages, parameters=parameters, foreign={})
    return plain, unexpressed + remover.left_out


def redundant_parameters(call: ModelCall) -> frozenset[str]:
    """Return the Chat parameters that restate an extension: they are for other formats."""
    present = call.foreign.keys() & call.parameters.keys()
    return frozenset(chat for name in present for chat in call.foreign[name])


class _Remover:
    """Removes the `names` from objects; `left_out` gets the paths of what it removes."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self.left_out: list[str] = []

    def without(self, fields: chat.Extras, path: str) -> chat.Extras:
        """Return the fields without those that are removed."""
        self.left_out += [f"{path}.{name}" for name in fields if name in self._names]
        return {name: value for name, value in fields.items() if name not in self._names}

    def message(self, message: chat.Message, path: str) -> chat.Message:
        """Return the message without extensions in its fields, parts and calls."""
        if isinstance(message, chat.ToolMessage) and message.is_error and "is_error" in self._names:
            self.left_out.append(f"{path}.is_error")
            message = replace(message, is_error=False)
        if isinstance(message, chat.AssistantMessage) and message.reasoning:
            message = replace(message, reasoning=self._reasoning(message, path))
        message = self._plain(message, path)
        if isinstance(message.content, tuple):
            parts = self._each_plain(message.content, f"{path}.content")
            message = replace(message, content=parts)
        if isinstance(message, chat.AssistantMessage) and message.tool_calls:
            calls = self._each_plain(message.tool_calls, f"{path}.tool_calls")
            message = replace(message, tool_calls=calls)
        return message

    def _reasoning(self, message: chat.AssistantMessage, path: str) -> tuple[chat.Reasoning, ...]:
        if THINKING not in self._names:
            return message.reasoning
        signed = tuple(one for one in message.reasoning if one.api is not None)
        if len(signed) < len(message.reasoning):
            self.left_out.append(f"{path}.{THINKING}")
        return signed

    def _each_plain(self, items: tuple[T, ...], path: str) -> tuple[T, ...]:
        return tuple(self._plain(item, f"{path}[{at}]") for at, item in enumerate(items))

    def _plain(self, item: T, path: str) -> T:
        if self._names.isdisjoint(item.extras):
            return item
        return replace(item, extras=self.without(item.extras, path))
