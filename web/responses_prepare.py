"""A request together with all that it goes on from."""

from functools import partial

import trio
from msgspec import Struct

from actors.heavy import off_loop
from web.planning import Plan
from web.responses_conversation import Conversation, conversation_of
from web.responses_items import Item
from web.responses_request import ResponsesAsk
from web.responses_state import NONE_UNSTORED, Recalled, Unstored, recall
from web.service import Service

_MANY_ITEMS = 1_000
"""A conversation of more is put together in a thread, so that nobody else has to wait for it."""


class Prepared(Struct, frozen=True, kw_only=True):
    """A request, the routes that may answer it, and its conversation."""

    ask: ResponsesAsk
    plan: Plan
    recalled: Recalled
    conversation: Conversation

    @property
    def items(self) -> list[Item]:
        """All items of the conversation, oldest first."""
        return [*self.recalled.chain.items, *self.ask.input]


async def prepare(
    service: Service,
    ask: ResponsesAsk,
    threads: trio.CapacityLimiter,
    unstored: Unstored = NONE_UNSTORED,
) -> Prepared:
    """Find what a request goes on from; raises `ApiError`.

    A large conversation is put together in one of `threads`.
    """
    plan = service.planner.find(ask.model)
    recalled = await recall(service, ask.past, threads, unstored)
    put_together = partial(conversation_of, ask, recalled.chain)
    many = len(recalled.chain.items) + len(ask.input) > _MANY_ITEMS
    conversation = await off_loop(many, threads, put_together)
    return Prepared(ask=ask, plan=plan, recalled=recalled, conversation=conversation)
