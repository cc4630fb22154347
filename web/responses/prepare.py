"""A request together with all that it goes on from."""

from functools import partial

import trio
from msgspec import Struct

from actors.heavy import off_loop
from web.planning import Plan
from web.responses.conversation import Conversation, conversation_of
from web.responses.items import Item
from web.responses.request import ResponsesAsk
from web.responses.state import NONE_UNSTORED, Recalled, Unstored, recall
from web.service import Service

_LARGE = 131_072
"""Characters of items as JSON that are worked on in 5 ms, however many items and parts they are."""
_MANY_ITEMS = 1_000
"""The same of a request alone: what it only refers to is not among the characters."""


class Prepared(Struct, frozen=True, kw_only=True):
    """A request, the routes that may answer it, and its conversation."""

    ask: ResponsesAsk
    plan: Plan
    recalled: Recalled
    conversation: Conversation
    large: bool
    """Work on all of it may take more than 5 ms."""

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
    large = recalled.size + len(ask.kept) > _LARGE or len(ask.input) > _MANY_ITEMS
    conversation = await off_loop(large, threads, put_together)
    return Prepared(ask=ask, plan=plan, recalled=recalled, conversation=conversation, large=large)
