"""`run_turn`: the production of one turn. The one place where its actors are wired.

    streamer ─chunks─▶ accumulator ─drafts─▶ guard ─drafts─▶ persister ─▶ journal ─▶ writers

The first four play in the production nursery below; writers are readers of the journal and
live with their requests (`actors.writer`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import trio

from actors.accumulator import Accumulator, Draft, accumulate
from actors.attempt import Item
from actors.checkpointer import Checkpointer
from actors.ending import Ending
from actors.events import Warning
from actors.failures import conversation_busy
from actors.finalise import INTERNAL, Finaliser, publish, publish_crash
from actors.guard import Guard, Screen, watch
from actors.links import Link, Receiver
from actors.observer import Observer
from actors.outcome import ErrorInfo, Reason
from actors.persister import Persister, persist
from actors.ports import ConversationBusy, StoreUnavailable, TurnStore
from actors.providers.base import Provider
from actors.streamer import Streamer
from actors.turn import Clock, Turn
from actors.upstreams import Upstreams


@dataclass(frozen=True, slots=True)
class Backstage:
    """What turns need from the service: one of these for all of them."""

    store: TurnStore
    upstreams: Upstreams
    checkpointer: Checkpointer
    finaliser: Finaliser
    observer: Observer
    now: Clock
    screens: Callable[[], tuple[Screen, ...]] = tuple
    """Makes a guard's chain: screens hold text back, so every turn has its own."""

    def with_providers(self, providers: Mapping[str, Provider]) -> "Backstage":
        """The same, but for whom a turn asks."""
        return replace(self, upstreams=replace(self.upstreams, providers=providers))


async def run_turn(turn: Turn, backstage: Backstage) -> None:
    """Play the turn to its end. Whatever goes wrong inside becomes its outcome."""
    production = Production(turn, backstage)
    try:
        with turn.scope:
            await production.begin()
            await production.play()
        if turn.scope.cancelled_caught:
            turn.blame_deadline()
    except Exception as error:
        blame_error(turn, backstage.observer, error)
    except BaseException as error:
        turn.blame(Reason.SERVER_SHUTDOWN)
        cancelled, bug = split_cancelled(error)
        if bug is not None:
            backstage.observer.crashed(turn.id, bug)
        raise cancelled from None  # noqa: ASYNC104 (all of it that is no bug)
    finally:
        turn.produced_at = trio.current_time()
        production.consume_leftovers()
        await production.finalise()  # noqa: ASYNC102 (shielded inside, with deadlines)


def blame_error(turn: Turn, observer: Observer, error: Exception) -> None:
    """Make what escaped the actors the turn's cause."""
    if isinstance(error, StoreUnavailable):
        observer.store_trouble(turn.id, error)
        turn.blame(Reason.STORE_UNAVAILABLE, _UNAVAILABLE)
    elif isinstance(error, ConversationBusy):
        turn.blame(Reason.STORE_UNAVAILABLE, conversation_busy(str(error)))
    else:
        observer.crashed(turn.id, error)
        turn.blame(Reason.INTERNAL_ERROR, INTERNAL)


def split_cancelled(error: BaseException) -> tuple[BaseException, BaseException | None]:
    """What must be raised on, and a bug that was grouped with it and must not be lost."""
    if not isinstance(error, BaseExceptionGroup):
        return error, None
    bug, rest = error.split(Exception)
    return rest or error, bug


class Production:
    """The actors of one turn and the links between them."""

    __slots__ = (
        "_accumulator",
        "_backstage",
        "_chunks",
        "_drafts",
        "_events",
        "_guard",
        "_persister",
        "_refused",
        "_streamer",
        "_turn",
    )

    def __init__(self, turn: Turn, backstage: Backstage) -> None:
        self._turn = turn
        self._backstage = backstage
        self._chunks: Link[Item] = Link()
        self._drafts: Link[Draft] = Link()
        self._streamer = Streamer(turn, backstage.upstreams)
        oversize = partial(turn.stop, Reason.SIZE_LIMIT)
        self._accumulator = Accumulator(turn.request.max_answer_bytes, oversize)
        self._guard = Guard()
        self._events: Link[Draft] = Link()
        self._persister = Persister(turn, backstage.checkpointer, backstage.observer)
        self._refused = False

    async def begin(self) -> None:
        """Make the guard, and insert the row, before anything is asked of a provider."""
        self._guard = Guard(self._backstage.screens())
        try:
            await self._backstage.store.begin(self._turn.as_new())
        except (StoreUnavailable, ConversationBusy):
            self._refused = True
            raise
        self._turn.stage = "waiting"

    async def play(self) -> None:
        """Run the actors until the persister has seen the end of the answer."""
        chunks, drafts, events = self._chunks, self._drafts, self._events
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._streamer.run, chunks.sender)
            nursery.start_soon(accumulate, self._accumulator, chunks.receiver, drafts.sender)
            nursery.start_soon(watch, self._guard, drafts.receiver, events.sender)
            await self._persist(events.receiver)
            nursery.cancel_scope.cancel()

    async def _persist(self, inbox: Receiver[Draft]) -> None:
        """The persister; it says when half of the time is gone, whether or not anything comes."""
        with trio.move_on_at(self._turn.half_time):
            await persist(self._persister, inbox)
            return
        self._persister.step([_HALF_TIME])
        await persist(self._persister, inbox)

    def consume_leftovers(self) -> None:
        """Take what a cancel left in the links through the rest of the way, oldest first."""
        try:
            self._persister.step(self._events.leftovers())
            self._persister.step(self._guard.step(self._drafts.leftovers()))
            last = self._accumulator.step(self._chunks.leftovers())
            self._persister.step(self._guard.step(last))
        except Exception as error:
            # A step that raised while the actors played may well raise again here.
            self._backstage.observer.crashed(self._turn.id, error)

    async def finalise(self) -> None:
        """Write the final record; whatever happens, nobody waits for an end that never comes."""
        try:
            await self._finalise()
        except Exception as error:
            self._backstage.observer.crashed(self._turn.id, error)
            if not self._turn.final.is_set():
                publish_crash(self._turn, self._backstage.now())

    async def _finalise(self) -> None:
        self._backstage.checkpointer.forget(self._persister.tail)
        ending = Ending(self._turn, self._persister, self._backstage.upstreams.estimates)
        if self._refused:
            publish(self._turn, self._persister.closing(ending.ended(self._backstage.now())))
        else:
            await self._backstage.finaliser.finalise(self._turn, ending, self._persister)


_HALF_TIME = Warning("half_time", "Half of the turn's time budget is used up.")
_UNAVAILABLE = ErrorInfo(
    status=503,
    message="The store is unavailable: no new turn can be recorded. Try again later.",
    type="server_error",
    code="store_unavailable",
    retry_after_s=2.0,
)
