"""Who may speak next in a conversation: one turn at a time."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from actors import failures
from actors.turn import Turn
from web.errors import ApiError


class Conversations:
    """Conversations whose next turn is about to begin; those of this process.

    The store knows the turns that play, in whichever process. What it cannot know is who has just
    looked and is about to begin.
    """

    def __init__(self) -> None:
        self._claimed: set[tuple[str, str]] = set()

    @contextmanager
    def claim(self, tenant_id: str, name: str | None, live: Iterable[Turn]) -> Iterator[None]:
        """Be the only one to begin a turn of this conversation meanwhile.

        Raises `ApiError` (409) where somebody else does, or where one of `live` is of it. Without
        a name there is nothing to claim.
        """
        if name is None:
            yield
            return
        claimed = (tenant_id, name)
        if claimed in self._claimed or any(_plays(turn, claimed) for turn in live):
            raise conversation_busy(name)
        self._claimed.add(claimed)
        try:
            yield
        finally:
            self._claimed.discard(claimed)


def conversation_busy(name: str) -> ApiError:
    """A 409: a turn of the conversation plays."""
    return ApiError(failures.conversation_busy(name))


def _plays(turn: Turn, claimed: tuple[str, str]) -> bool:
    request = turn.request
    return not turn.final.is_set() and (request.tenant_id, request.conversation) == claimed
