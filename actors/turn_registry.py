"""Registry of the live turns of this process; starts them in the service's nursery."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial

import trio

from actors.run_turn import TurnDependencies, run_turn
from actors.turn.outcome import Reason
from actors.turn.request import TurnRequest
from actors.turn.state import Turn
from actors.turn.store_records import Principal, Stored

UNSETTLED_KEPT = 1000
"""Maximum number of ended turns kept readable in memory until their record is in the database."""


class TooManyTurns(Exception):
    """Raised when the limit on live turns is reached; retry after one has ended."""


class Draining(Exception):
    """Raised when the server is shutting down and accepts no new turns."""


class Registry:
    """A collection of live turns. `nursery` belongs to the service, so turns outlive requests."""

    def __init__(
        self,
        nursery: trio.Nursery,
        dependencies: TurnDependencies,
        *,
        owner: str,
        max_turns: int,
        new_id: Callable[[], str],
    ) -> None:
        self._nursery = nursery
        self._dependencies = dependencies
        self._owner = owner
        self._max_turns = max_turns
        self._new_id = new_id
        # Copied outside of any request: a turn would keep a request's variables alive to its end.
        self._context = copy_context()
        self._live: dict[str, Turn] = {}
        self._unsettled: OrderedDict[str, Turn] = OrderedDict()
        self._empty = trio.Event()
        self.draining = False

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Turn]:
        return iter(list(self._live.values()))

    def start(self, request: TurnRequest, mark: Callable[[str], object] = str) -> Turn:
        """Start a turn in the background; raises `TooManyTurns` or `Draining`.

        Take a lease before the next checkpoint: a turn without a lease runs until it finishes.
        `mark` is called with the turn's id; context variables that it sets apply to the turn's
        tasks.
        """
        if self.draining:
            raise Draining
        if len(self._live) >= self._max_turns:
            raise TooManyTurns
        turn = Turn(self._new_id(), request, self._owner, self._dependencies.now())
        self._live[turn.id] = turn
        context = self._context.copy()
        context.run(mark, turn.id)
        context.run(partial(self._nursery.start_soon, self._run, turn, name=turn.id))
        return turn

    def find(self, principal: Principal, turn_id: str) -> Turn | None:
        """Return the tenant's turn if it is live or its record is not in the database yet."""
        turn = self._live.get(turn_id) or self._unsettled.get(turn_id)
        if turn is None or turn.request.principal.tenant_id != principal.tenant_id:
            return None
        return turn

    def unsettled(self) -> list[Turn]:
        """Return the ended turns whose final record is not in the database yet."""
        turns = (*self._live.values(), *self._unsettled.values())
        return [turn for turn in turns if turn.stored in ("spooled", "unsaved")]

    async def wait_empty(self) -> None:
        """Wait until no turn is live."""
        while self._live:
            if self._empty.is_set():
                self._empty = trio.Event()
            await self._empty.wait()

    def stop_all(self, reason: Reason) -> None:
        """Stop production of every live turn with this reason."""
        for turn in self:
            turn.stop(reason)

    def settled(self, stored: Stored) -> None:
        """Drop ended turns whose records (`spooled` or `unsaved`) are in the database now."""
        for turn in [turn for turn in self._unsettled.values() if turn.stored == stored]:
            del self._unsettled[turn.id]

    async def _run(self, turn: Turn) -> None:
        try:
            await run_turn(turn, self._dependencies)
        finally:
            del self._live[turn.id]
            if turn.stored in ("spooled", "unsaved"):
                self._keep_unsettled(turn)
            if not self._live:
                self._empty.set()

    def _keep_unsettled(self, turn: Turn) -> None:
        turn.forget_calls()
        self._unsettled[turn.id] = turn
        if len(self._unsettled) > UNSETTLED_KEPT:
            self._unsettled.popitem(last=False)
