"""Reasoning efforts that models of OpenAI and of servers like it accept. Pure."""

import re

from actors.turn.model_call import ModelCall

_MODEL = r"(?:.*/)?"
_HAS_NONE = re.compile(_MODEL + r"gpt-(?:5\.[1-9]|[6-9]|[1-9]\d)(?!.*-pro)", re.IGNORECASE)
_LACKS_NONE = re.compile(
    _MODEL + r"(?:gpt-[34]|chatgpt-|o[1-9]\b|gpt-5(?![.\d])|gpt-.*-pro\b)", re.IGNORECASE
)
"""Models whose API answers 400 to the effort `none`, which only GPT-5.1 and later have."""

_NEAREST = {
    "minimal": ("low",),
    "low": ("medium",),
    "xhigh": ("high",),
    "max": ("xhigh", "high"),
}
"""Efforts to ask for instead of one that the server refuses."""


def is_derived(call: ModelCall) -> bool:
    """Return whether the effort `none` only restates `thinking: disabled` of a Messages client.

    Such a client asks for nothing, so a model that has no such effort still answers.
    """
    match call.parameters:
        case {"thinking": {"type": "disabled"}, "reasoning_effort": "none"}:
            return "thinking" in call.foreign
    return False


def openai_effort(call: ModelCall, *, derived: bool) -> str | None:
    """Return the effort to ask for, or None if the server accepts none that is like it."""
    effort = call.parameters.get("reasoning_effort")
    if not isinstance(effort, str) or "reasoning_effort" in call.refused:
        return None
    if effort == "none":
        if _HAS_NONE.match(call.upstream_model):
            return effort
        if derived or _LACKS_NONE.match(call.upstream_model):
            return None
    for candidate in (effort, *_NEAREST.get(effort, ())):
        if f"reasoning_effort={candidate}" not in call.refused:
            return candidate
    return None
