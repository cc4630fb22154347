"""What a simulated model remembers between calls, so that faults can pass."""

from collections import OrderedDict

import msgspec

from actors.providers.base import ModelCall
from actors.providers.simulated.messages import text_of
from actors.providers.simulated.script import Past

_KEPT = 10_000
"""Conversations and models remembered; the oldest are forgotten first."""
_TOLD_APART_BY = 200
"""Characters of a question, and of a `user`, that are remembered."""


class History:
    """Counts the requests of each conversation and the age of each model.

    A conversation is a model, a `user` and a first user message, so that a retry, a continuation
    and the next turn of a chat belong to the same one.
    """

    def __init__(self) -> None:
        self._asked: OrderedDict[tuple[str, object, str], int] = OrderedDict()
        self._since: OrderedDict[str, float] = OrderedDict()

    def meet(self, call: ModelCall, now_s: float) -> Past:
        """Note a call, and tell what came before it."""
        key = (call.upstream_model, _user(call), _first_question(call))
        asked = self._asked.pop(key, 0)
        self._asked[key] = asked + 1
        since = self._since.setdefault(call.upstream_model, now_s)
        for kept in (self._asked, self._since):
            if len(kept) > _KEPT:
                kept.popitem(last=False)
        return Past(asked, now_s - since)


def _user(call: ModelCall) -> str:
    return msgspec.json.encode(call.parameters.get("user")).decode()[:_TOLD_APART_BY]


def _first_question(call: ModelCall) -> str:
    asked = (text_of(message) for message in call.messages if message.get("role") == "user")
    return next(asked, "")[:_TOLD_APART_BY]
