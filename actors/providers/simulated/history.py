"""Call history of simulated models, which decides when a temporary fault is over."""

from collections import OrderedDict

import msgspec

from actors.providers.simulated.messages import text_of
from actors.providers.simulated.script import PriorCalls
from actors.turn.model_call import ModelCall

_KEPT = 10_000
"""Maximum number of conversations and of models remembered; the oldest are dropped first."""
_KEY_LENGTH = 200
"""Characters of the question and of `user` that identify a conversation."""


class History:
    """Request counts per conversation and the first request time per model.

    A conversation is identified by the model, `user` and the first user message, so that a retry,
    a continuation and the next turn of a chat belong to the same one.
    """

    def __init__(self) -> None:
        self._asked: OrderedDict[tuple[str, object, str], int] = OrderedDict()
        self._since: OrderedDict[str, float] = OrderedDict()

    def note(self, call: ModelCall, now_s: float) -> PriorCalls:
        """Record a call and return the calls before it."""
        key = (call.upstream_model, _user(call), _first_question(call))
        asked = self._asked.pop(key, 0)
        self._asked[key] = asked + 1
        since = self._since.setdefault(call.upstream_model, now_s)
        for kept in (self._asked, self._since):
            if len(kept) > _KEPT:
                kept.popitem(last=False)
        return PriorCalls(asked, now_s - since)


def _user(call: ModelCall) -> str:
    return msgspec.json.encode(call.parameters.get("user")).decode()[:_KEY_LENGTH]


def _first_question(call: ModelCall) -> str:
    questions = (text_of(message) for message in call.messages if message.get("role") == "user")
    return next(questions, "")[:_KEY_LENGTH]
