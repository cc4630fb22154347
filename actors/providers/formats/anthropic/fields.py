"""Fields of a Messages request beyond those of Chat, and the betas that some of them need. Pure.

The API answers 400 to a field it doesn't know, and to a field of a beta without its header. Source:
API reference, "Create a message" and "Beta headers".
"""

from actors.providers.formats.parameters import Object, is_default_value

_STABLE = frozenset(
    {
        *("cache_control", "container", "diagnostics", "inference_geo", "output_config", "speed"),
        *("stop_sequences", "thinking", "top_k"),
    }
)
_BETAS = {
    "billing_policy": ("user-profiles-",),
    "compaction": ("compact-",),
    "context_management": ("context-management-", "compact-"),
    "fallback_credit_token": ("fallback-credit-",),
    "fallbacks": ("server-side-fallback-",),
    "mcp_servers": ("mcp-",),
    "output_format": ("structured-outputs-",),
    "thread": ("message-threads-",),
    "user_profile_id": ("user-profiles-",),
}
"""Beginnings of the betas, one of which a field needs."""

_NEEDED = frozenset(
    {
        *("container", "content", "max_tokens", "messages", "model", "output_config", "role"),
        *(
            "stop_sequences",
            "stream",
            "system",
            "temperature",
            "thinking",
            "tool_choice",
            "tools",
            "top_k",
            "top_p",
        ),
    }
)
"""Fields of a request and its messages without which the answer would be to another request."""

TOOL_FIELDS = frozenset(
    {
        *("allowed_callers", "cache_control", "defer_loading", "eager_input_streaming"),
        "input_examples",
    }
)
"""Fields of a tool that Chat doesn't have."""


def is_optional(name: str) -> bool:
    """Return whether a request can do without a field that the server refuses."""
    return name not in _NEEDED


def accepted_fields(given: Object, betas: tuple[str, ...], left_out: list[str]) -> Object:
    """Return the fields that the API takes; add the names of all others to `left_out`.

    A client that sends betas may use fields which are newer than this list.
    """
    accepted: Object = {}
    for name, value in given.items():
        needed = _BETAS.get(name, ("",))
        if name in _STABLE or any(beta.startswith(needed) for beta in betas):
            accepted[name] = value
        elif not is_default_value(name, value):
            left_out.append(name)
    return accepted
