"""Loads everything that a request needs: routes, history and conversation."""

from functools import partial

import trio
from msgspec import Struct

from actors.runtime.offload import off_loop
from web.planning import Plan
from web.responses.conversation import Conversation, conversation_of
from web.responses.items import Item
from web.responses.request import ResponsesRequest
from web.responses.state import NONE_UNSTORED, LoadedHistory, Unstored, load_history
from web.service import Service

_LARGE = 131_072
"""Characters of JSON items that take at most 5 ms, whatever the number of items and parts."""
_MANY_ITEMS = 1_000
"""Input items that take at most 5 ms; item references are not counted by their characters."""


class Prepared(Struct, frozen=True, kw_only=True):
    """A request, the routes that may answer it, and its conversation."""

    ask: ResponsesRequest
    plan: Plan
    history: LoadedHistory
    conversation: Conversation
    large: bool
    """True if work on the whole conversation may take more than 5 ms."""

    @property
    def items(self) -> list[Item]:
        """All items of the conversation, oldest first."""
        return [*self.history.chain.items, *self.ask.input]


async def prepare(
    service: Service,
    ask: ResponsesRequest,
    threads: trio.CapacityLimiter,
    unstored: Unstored = NONE_UNSTORED,
) -> Prepared:
    """Find the routes and the history of a request; raises `ApiError`.

    A large conversation is built in one of `threads`.
    """
    plan = service.planner.find(ask.model)
    history = await load_history(service, ask.past, threads, unstored)
    put_together = partial(conversation_of, ask, history.chain)
    large = history.size + len(ask.stored_input) > _LARGE or len(ask.input) > _MANY_ITEMS
    conversation = await off_loop(large, threads, put_together)
    return Prepared(ask=ask, plan=plan, history=history, conversation=conversation, large=large)
