"""Allows only one live turn per conversation."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from actors.attempts import client_errors
from actors.turn.state import Turn
from store.records.turn_records import Principal
from web.http.api_error import ApiError


class ConversationLock:
    """Claims on conversations in which a request of this process is about to start a turn.

    The store knows the live turns of all processes. A claim covers the time between checking
    the store and starting the turn, which the store cannot see.
    """

    def __init__(self) -> None:
        self._claimed: set[tuple[str, str]] = set()

    @contextmanager
    def claim(self, principal: Principal, name: str | None, live: Iterable[Turn]) -> Iterator[None]:
        """Claim the conversation for the duration of the context.

        Raises `ApiError` (409) if it is already claimed, or if one of the `live` turns belongs to
        it. Without a name this does nothing.
        """
        if name is None:
            yield
            return
        claimed = (principal.tenant_id, name)
        if claimed in self._claimed or any(_is_live_in(claimed, turn) for turn in live):
            raise conversation_busy(name)
        self._claimed.add(claimed)
        try:
            yield
        finally:
            self._claimed.discard(claimed)


def conversation_busy(name: str) -> ApiError:
    """Return a 409: the conversation has a live turn."""
    return ApiError(client_errors.conversation_busy(name))


def _is_live_in(conversation: tuple[str, str], turn: Turn) -> bool:
    own = (turn.request.principal.tenant_id, turn.request.conversation)
    return own == conversation and not turn.final.is_set()
