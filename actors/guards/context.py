"""Guard context: what a model call tells the guards of its answer, and the calls that they change.

Pure.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from actors.guards.spec import GuardContext
from actors.turn.messages import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
    text_of,
)
from actors.turn.model_call import ModelCall
from actors.turn.outcome import GuardPlan

_AGAIN = (
    "[Note from the server: your previous answer to this was discarded before anyone saw it. "
    "{directive} Answer again, and do not mention this note.]"
)


def context_of(
    model: str, call: ModelCall, plan: GuardPlan, boundary_secret: bytes = b""
) -> GuardContext:
    """Return the context of the answer to this call."""
    messages = call.messages
    newest = _last(messages, UserMessage)
    since = messages[newest + 1 :] if newest is not None else ()
    before = messages[:newest] if newest is not None else messages
    said = _last(before, AssistantMessage)
    return GuardContext(
        question="" if newest is None else text_of(messages[newest]),
        system="\n".join(text_of(one) for one in messages if isinstance(one, SystemMessage)),
        previous="" if said is None else text_of(before[said]),
        model=model,
        tools=frozenset(_tool_names(call.parameters.get("tools"))),
        tools_run=frozenset(_tools_run(since)),
        personal_data=frozenset(plan.personal_data),
        boundary_secret=boundary_secret,
    )


def asked_again(call: ModelCall, directive: str) -> ModelCall:
    """Return the call that asks for another answer, and says what was wrong with the last one.

    The note is the last message, so that a provider's prompt cache still applies, but for a
    message of the assistant that the model continues.
    """
    note = UserMessage(_AGAIN.format(directive=directive))
    *before, last = call.messages or (note,)
    if isinstance(last, AssistantMessage):
        return replace(call, messages=(*before, note, last))
    return replace(call, messages=(*call.messages, note))


def _last(messages: Iterable[Message], kind: type[Message]) -> int | None:
    places = [place for place, one in enumerate(messages) if isinstance(one, kind)]
    return places[-1] if places else None


def _tool_names(tools: object) -> Iterable[str]:
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function", tool) if isinstance(tool, dict) else {}
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str):
            yield name


def _tools_run(messages: Iterable[Message]) -> Iterable[str]:
    """Yield the names of the calls that have a result."""
    names: dict[str | None, str] = {}
    for message in messages:
        if isinstance(message, AssistantMessage):
            names |= {one.id: one.name for one in message.tool_calls if isinstance(one, ToolCall)}
        elif isinstance(message, ToolMessage):
            yield message.name or names.get(message.tool_call_id) or "tool"
