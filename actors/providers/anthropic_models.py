"""Reads from a Claude model's name which request parameters the model accepts.

Sources: Anthropic's pages "Extended thinking", "Adaptive thinking", "Effort", "Migration guide" and
"Models overview". A name without a Claude version is assumed to be another vendor's model behind
the same API and treated as generation 4.0, which accepts the API's classic parameters.
"""

import re

from msgspec import Struct

_NAME = re.compile(r"claude-(?:[a-z]{1,20}-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_CLASSIC = (4, 0)

_OLD_MODEL_MAX_TOKENS = 4096
_MAX_TOKENS = 32_000


class Traits(Struct, frozen=True):
    """Request parameters that a model accepts."""

    effort: bool
    """True if thinking is adaptive and steered by an effort; budgets are refused or deprecated."""
    sampling: bool
    """True if the model accepts `temperature`, `top_p` and `top_k`."""
    temperature_with_top_p: bool
    """True if the model accepts `temperature` and `top_p` in one request."""
    max_tokens: int
    """Default `max_tokens`, accepted by all models of the generation."""


def traits(model: str) -> Traits:
    """Return the traits of the named model."""
    found = _NAME.search(model)
    version = (int(found[1]), int(found[2] or 0)) if found else _CLASSIC
    return Traits(
        effort=version >= (4, 6),
        sampling=version < (4, 7),
        temperature_with_top_p=version < (4, 1),
        max_tokens=_MAX_TOKENS if version >= _CLASSIC else _OLD_MODEL_MAX_TOKENS,
    )
