"""Caches the unstored responses of a WebSocket, so that later requests on it can continue them."""

from sys import getsizeof
from types import MappingProxyType

import msgspec

from actors.turn.events import Ended
from actors.turn.state import Turn
from store.records.turn_records import ChainLink
from web.dialects.openai_responses.items import turn_id_of
from web.surfaces.responses.history.history import MAX_LINKS, Options, Unstored


class UnstoredResponses:
    """A cache of responses, bounded by `max_bytes` and the length of a chain.

    The oldest are removed first. `links` maps turn ids to the responses. Those that are `evicted`
    stay as part of the history of others.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._links: dict[str, ChainLink] = {}
        self.links: Unstored = MappingProxyType(self._links)
        self.evicted: set[str] = set()

    def keep(self, link: ChainLink) -> None:
        """Add a response, and remove the oldest ones if the cache is full."""
        self._links[link.turn_id] = link
        self._bytes += _size(link)
        while self._links and (self._bytes > self._max_bytes or len(self._links) > MAX_LINKS):
            oldest = next(iter(self._links))
            self._bytes -= _size(self._links.pop(oldest))
            self.evicted.discard(oldest)

    def evict(self, previous_id: str | None) -> None:
        """Refuse from now on to continue the response that a failed request continued.

        OpenAI's API does so, after which clients send the whole history.
        """
        turn_id = turn_id_of(previous_id or "")
        if turn_id in self._links:
            self.evicted.add(turn_id)


def link_of(turn: Turn, ended: Ended, input_items: str, answer_items: str) -> ChainLink:
    """Return the chain link that this turn would be if it were stored.

    `input_items` and `answer_items` are JSON arrays. Of the echoed fields only the
    instructions are kept, since later responses inherit nothing else.
    """
    request = turn.request
    options = msgspec.convert(request.dialect_options, Options)
    return ChainLink(
        turn_id=turn.id,
        previous_id=request.previous_id,
        status=ended.status.value,
        dialect=request.dialect,
        dialect_options=msgspec.json.encode(options).decode(),
        input_items=input_items,
        answer_items=answer_items,
    )


def _size(link: ChainLink) -> int:
    """Return its size in memory in bytes, without the fixed part that all links have."""
    return sum(map(getsizeof, (link.input_items, link.answer_items, link.dialect_options)))
