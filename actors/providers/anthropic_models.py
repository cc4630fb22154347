"""What a Claude model takes, read from its name, where models refuse what others take.

Sources: Anthropic's pages "Extended thinking", "Adaptive thinking", "Effort", "Migration guide" and
"Models overview". A name that is not of this shape is another vendor's model behind the same API;
it is taken for one of the fourth generation, which has the API's classic parameters.
"""

import re

from msgspec import Struct

_NAME = re.compile(r"claude-(?:[a-z]{1,20}-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_CLASSIC = (4, 0)

_LEAST_DEFAULT = 4096
_DEFAULT = 32_000


class Traits(Struct, frozen=True):
    """What a model takes."""

    effort: bool
    """It thinks as much as it likes, guided by an effort; a budget is refused or deprecated."""
    sampling: bool
    """It takes `temperature`, `top_p` and `top_k`."""
    both: bool
    """It takes `temperature` and `top_p` together."""
    max_tokens: int
    """What is asked for where the client sets no limit: it is taken by all models of the kind."""


def traits(model: str) -> Traits:
    """What the model of this name takes."""
    found = _NAME.search(model)
    version = (int(found[1]), int(found[2] or 0)) if found else _CLASSIC
    return Traits(
        effort=version >= (4, 6),
        sampling=version < (4, 7),
        both=version < (4, 1),
        max_tokens=_DEFAULT if version >= _CLASSIC else _LEAST_DEFAULT,
    )
