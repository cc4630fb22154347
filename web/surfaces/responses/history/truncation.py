"""Drops the oldest messages that don't fit into the context window (`truncation: auto`). Pure."""

from collections.abc import Sequence

from msgspec import Struct

from web.surfaces.responses.history.message_groups import MessageGroup

_INSTRUCTION_ROLES = ("system", "developer")


class CountedGroup(Struct, frozen=True):
    """A message group with its estimated number of tokens."""

    group: MessageGroup
    tokens: int


def fitting(groups: Sequence[CountedGroup], room: int) -> list[MessageGroup]:
    """Drop the oldest groups until the others take at most `room` tokens.

    Instructions and the last group always stay. If something is dropped, the rest begins with a
    user message, provided that it contains one.
    """
    excess = sum(counted.tokens for counted in groups) - room
    users = [place for place, counted in enumerate(groups) if counted.group.role == "user"]
    last_user = users[-1] if users else 0
    kept: list[MessageGroup] = []
    dropping = excess > 0
    for place, counted in enumerate(groups):
        group = counted.group
        headless = group.role != "user" and place < last_user
        if group.role in _INSTRUCTION_ROLES or place == len(groups) - 1:
            kept.append(group)
        elif dropping and (excess > 0 or headless):
            excess -= counted.tokens
        else:
            dropping = False
            kept.append(group)
    return kept
