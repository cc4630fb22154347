"""What a socket remembers of responses that are not stored, so that it can go on from them."""

from sys import getsizeof
from types import MappingProxyType

import msgspec

from actors.events import Ended
from actors.turn import Turn
from store.records import ChainLink
from web.responses.chain import MOST_LINKS, Options
from web.responses.state import Unstored


class UnstoredResponses:
    """Responses in memory, at most as many as are read of a chain; the oldest are forgotten first.

    `most_bytes` is what they may take. `links` has them by the ids of their turns.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._links: dict[str, ChainLink] = {}
        self.links: Unstored = MappingProxyType(self._links)

    def keep(self, link: ChainLink) -> None:
        """Remember a response."""
        self._links[link.turn_id] = link
        self._bytes += _size(link)
        while self._links and (self._bytes > self._most_bytes or len(self._links) > MOST_LINKS):
            oldest = next(iter(self._links))
            self._bytes -= _size(self._links.pop(oldest))


def link_of(turn: Turn, ended: Ended, asked: str, said: str) -> ChainLink:
    """The link that this turn would be if it were stored: `asked` and `said` are JSON arrays.

    Of what its response repeats only the instructions hold on for later ones.
    """
    request = turn.request
    options = msgspec.convert(request.dialect_options, Options)
    return ChainLink(
        turn_id=turn.id,
        previous_id=request.previous_id,
        status=ended.status.value,
        dialect=request.dialect,
        dialect_options=msgspec.json.encode(options).decode(),
        input_items=asked,
        answer_items=said,
    )


def _size(link: ChainLink) -> int:
    """Bytes that it takes in memory, but for what all take alike."""
    return sum(map(getsizeof, (link.input_items, link.answer_items, link.dialect_options)))
