"""What a call asks of a route beyond text, and whether the route has it. Pure."""

from typing import Literal

from msgspec import Struct

from actors.providers.base import JSON, Capabilities, ModelCall

MARGIN = 1.5
"""How far an estimate must exceed a context window for the route to be passed over.

Estimates go wrong by a third either way, and more in scripts that nothing was learnt of. A route
that is passed over wrongly may be the only one; one that is asked in vain says so at once.
"""

Lack = Literal["no_images", "no_tools", "no_reasoning", "context_window"]


class Needs(Struct, frozen=True, kw_only=True):
    """What a route must be able to do."""

    images: bool = False
    tools: bool = False
    reasoning: bool = False
    context_tokens: int = 0
    """The prompt, estimated, and the longest answer that was asked for."""


def needs_of(call: ModelCall, input_tokens: int) -> Needs:
    """What the call needs; `input_tokens` is about how long its prompt is."""
    return Needs(
        images=any(_has_image(message.get("content")) for message in call.messages),
        tools=_wants_tools(call),
        reasoning=_wants_reasoning(call.parameters),
        context_tokens=input_tokens + _longest_answer(call.parameters),
    )


def lacking(needs: Needs, capabilities: Capabilities) -> Lack | None:
    """Why the route cannot answer; None where it can, or might: an unknown window is large."""
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


def _has_image(content: JSON) -> bool:
    if not isinstance(content, list):
        return False
    return any(isinstance(part, dict) and part.get("type") == "image_url" for part in content)


def _wants_tools(call: ModelCall) -> bool:
    """Tools to call, or calls and their results in the conversation so far."""
    if call.parameters.get("tools") or call.parameters.get("functions"):
        return True
    return any(
        message.get("role") in ("tool", "function") or message.get("tool_calls")
        for message in call.messages
    )


def _wants_reasoning(parameters: dict[str, JSON]) -> bool:
    """Only where it is asked for by name: a model that always thinks needs no asking."""
    asked = parameters.get("reasoning")
    effort = asked.get("effort") if isinstance(asked, dict) else None
    efforts = (parameters.get("reasoning_effort"), effort)
    return any(isinstance(given, str) and given != "none" for given in efforts)


def _longest_answer(parameters: dict[str, JSON]) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        asked = parameters.get(name)
        if isinstance(asked, int) and not isinstance(asked, bool):
            return max(0, asked)
    return 0
