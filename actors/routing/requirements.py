"""Requirements: capabilities that a call needs and a route may lack, decided without I/O."""

from typing import Literal

from msgspec import Struct

from actors.turn.messages import AssistantMessage, ImagePart, Message, ToolMessage
from actors.turn.model_call import JSON, Capabilities, ModelCall

MARGIN = 1.5
"""Factor by which an estimate must exceed a context window before the route is skipped.

Estimates can be off by a third either way, and by more in scripts that the estimator has not learnt
yet. A route that is skipped wrongly may be the only one; a route that is called in vain rejects the
call at once.
"""

MissingCapability = Literal["no_images", "no_tools", "no_reasoning", "context_window"]


class Requirements(Struct, frozen=True, kw_only=True):
    """Capabilities that a route must have."""

    images: bool = False
    tools: bool = False
    reasoning: bool = False
    context_tokens: int = 0
    """Estimated tokens of the prompt plus the requested maximum of the answer."""


def requirements_of(call: ModelCall, input_tokens: int) -> Requirements:
    """Return the requirements of a call; `input_tokens` is the estimated length of its prompt."""
    return Requirements(
        images=any(map(_has_image, call.messages)),
        tools=_wants_tools(call),
        reasoning=_wants_reasoning(call.parameters),
        context_tokens=input_tokens + _longest_answer(call.parameters),
    )


def missing_capability(needs: Requirements, capabilities: Capabilities) -> MissingCapability | None:
    """Return the capability that the route lacks, or None.

    A route with an unknown context window is taken to be large enough.
    """
    if needs.images and not capabilities.images:
        return "no_images"
    if needs.tools and not capabilities.tools:
        return "no_tools"
    if needs.reasoning and not capabilities.reasoning:
        return "no_reasoning"
    window = capabilities.context_window
    if window is not None and needs.context_tokens > window * MARGIN:
        return "context_window"
    return None


def _has_image(message: Message) -> bool:
    content = message.content
    return type(content) is tuple and any(isinstance(part, ImagePart) for part in content)


def _wants_tools(call: ModelCall) -> bool:
    """Return True if the call offers tools, or its history has tool calls or their results."""
    if call.parameters.get("tools") or call.parameters.get("functions"):
        return True
    return any(
        isinstance(message, ToolMessage)
        or (isinstance(message, AssistantMessage) and bool(message.tool_calls))
        for message in call.messages
    )


def _wants_reasoning(parameters: dict[str, JSON]) -> bool:
    """Return True if the call sets a reasoning effort.

    Without one a model that always reasons and a model that never does are both acceptable.
    """
    reasoning = parameters.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    efforts = (parameters.get("reasoning_effort"), effort)
    return any(isinstance(value, str) and value != "none" for value in efforts)


def _longest_answer(parameters: dict[str, JSON]) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        limit = parameters.get(name)
        if isinstance(limit, int) and not isinstance(limit, bool):
            return max(0, limit)
    return 0
