"""Fields of a Messages request beyond those of Chat, and the betas that some of them need. Pure.

The API answers 400 to a field it doesn't know, and to a field of a beta without its header. Source:
API reference, "Create a message" and "Beta headers".
"""

from actors.providers.formats.parameters import Object, is_default_value

_STABLE = frozenset(
    {
        *("cache_control", "container", "diagnostics", "inference_geo", "output_config"),
        *("speed", "stop_sequences", "thinking", "top_k"),
    }
)
_BETAS = {
    "billing_policy": ("user-profiles-",),
    "compaction": ("compact-",),
    "context_management": ("context-management-", "compact-"),
    "fallback_credit_token": ("fallback-credit-",),
    "mcp_servers": ("mcp-client-",),
    "output_format": ("structured-outputs-",),
    "user_profile_id": ("user-profiles-",),
}
"""Betas, one of which a field needs, if their names don't contain that of the field."""

_NEEDED = frozenset(
    {
        *("container", "content", "max_tokens", "mcp_servers", "messages", "model"),
        *("output_config", "role", "stop_sequences", "stream", "system", "temperature"),
        *("thinking", "tool_choice", "tools", "top_k", "top_p"),
    }
)
"""Fields of a request and its messages without which the answer would be to another request."""

CALL_FIELDS = ("caller", "toolset_name")
"""Fields of a call that Chat doesn't have: the tool that made it, and the set that its tool is
in."""
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
    """Return the fields that the API takes; add the names of all others to `left_out`."""
    accepted: Object = {}
    for name, value in given.items():
        if name in _STABLE or is_in_beta(name, betas):
            accepted[name] = value
        elif not is_default_value(name, value):
            left_out.append(name)
    return accepted


def is_in_beta(field: str, betas: tuple[str, ...]) -> bool:
    """Return whether a field belongs to one of the betas, which may be newer than this module."""
    named = field.removesuffix("s").replace("_", "-")
    return any(part in beta for part in _BETAS.get(field, (named,)) for beta in betas)
