"""Run one turn: connects its actors and finalises it, whatever happens.

    streamer ─chunks─▶ accumulator ─drafts─▶ guard ─drafts─▶ persister ─▶ journal ─▶ writers

The first four run in the production nursery below. Writers read the journal and run in the scope
of their requests (`actors.writer`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import trio

from actors.accumulator import Accumulator, Draft, accumulate
from actors.attempts.attempt import Item
from actors.attempts.client_errors import conversation_busy
from actors.finalisation.finaliser import INTERNAL, Finaliser, publish, publish_crash
from actors.finalisation.outcome_decision import TurnEnding
from actors.guard import Guard, Guards, watch
from actors.journal.checkpointer import Checkpointer
from actors.persister import Persister, persist, record
from actors.ports import EventBus, TurnStore
from actors.runtime.batch_channel import BatchChannel, Receiver
from actors.streamer import Streamer, Upstreams
from actors.turn.events import Warning
from actors.turn.lifecycle_events import ActorCrashed, StoreRefusal
from actors.turn.model_call import ModelCall
from actors.turn.outcome import ErrorInfo, Reason
from actors.turn.state import Clock, Turn
from actors.turn.store_records import ConversationBusy, StoreUnavailable


@dataclass(frozen=True, slots=True)
class TurnDependencies:
    """The dependencies of turns; one instance serves all turns of a service."""

    store: TurnStore
    upstreams: Upstreams
    checkpointer: Checkpointer
    finaliser: Finaliser
    bus: EventBus
    now: Clock
    guards: Guards = field(default_factory=Guards)


async def run_turn(turn: Turn, dependencies: TurnDependencies) -> None:
    """Run the turn to its end. Any error inside becomes its outcome."""
    production = Production(turn, dependencies)
    try:
        with turn.scope:
            await production.begin()
            await production.run()
        if turn.scope.cancelled_caught:
            turn.set_deadline_cause()
    except Exception as error:
        set_error_cause(turn, dependencies.bus, error)
    except BaseException as error:
        turn.set_cause(Reason.SERVER_SHUTDOWN)
        cancelled, bug = split_cancelled(error)
        if bug is not None:
            dependencies.bus.publish(ActorCrashed(turn.id, bug))
        raise cancelled from None  # noqa: ASYNC104 (re-raises all of it except the bug)
    finally:
        turn.produced_at = trio.current_time()
        production.consume_leftovers()
        await production.check_shown()  # noqa: ASYNC102 (shielded inside, with a deadline)
        await production.finalise()  # noqa: ASYNC102 (shielded inside, with deadlines)


def set_error_cause(turn: Turn, bus: EventBus, error: Exception) -> None:
    """Report an exception that escaped the actors and record it as the turn's cause."""
    if isinstance(error, StoreUnavailable):
        bus.publish(StoreRefusal(turn.id, error))
        turn.set_cause(Reason.STORE_UNAVAILABLE, _UNAVAILABLE)
    elif isinstance(error, ConversationBusy):
        turn.set_cause(Reason.STORE_UNAVAILABLE, conversation_busy(str(error)))
    else:
        bus.publish(ActorCrashed(turn.id, error))
        turn.set_cause(Reason.INTERNAL_ERROR, INTERNAL)


def split_cancelled(error: BaseException) -> tuple[BaseException, BaseException | None]:
    """Split an exception into the part to re-raise and a bug that was grouped with it, or None."""
    if not isinstance(error, BaseExceptionGroup):
        return error, None
    bug, rest = error.split(Exception)
    return rest or error, bug


CHECK_TIMEOUT_S = 5.0
"""Longest time to check the shown text of an answer that was cut off."""


class Pipeline:
    """The actors of one model call but for the persister, and the channels between them."""

    __slots__ = ("_accumulator", "_chunks", "_drafts", "_events", "_gate", "_guard", "_streamer")

    def __init__(
        self, turn: Turn, call: ModelCall, upstreams: Upstreams, guard: Guard | None
    ) -> None:
        self._chunks: BatchChannel[Item] = BatchChannel()
        self._drafts: BatchChannel[Draft] = BatchChannel()
        self._streamer = Streamer(turn, turn.begin_step(call), upstreams)
        self._accumulator = Accumulator(turn.request.max_answer_bytes, turn.id)
        self._guard = guard
        self._events: BatchChannel[Draft] = BatchChannel()
        self._gate = None if guard is None else guard.begin_call()

    def start(self, nursery: trio.Nursery, turn: Turn) -> Receiver[Draft]:
        """Start the actors and return the events for the persister."""
        chunks, drafts, events = self._chunks, self._drafts, self._events
        nursery.start_soon(self._streamer.run, chunks.sender)
        nursery.start_soon(accumulate, self._accumulator, turn, chunks.receiver, drafts.sender)
        if self._guard is None:
            return drafts.receiver
        nursery.start_soon(watch, self._guard, drafts.receiver, events.sender)
        return events.receiver

    def leftovers(self) -> Iterator[list[Draft]]:
        """Yield the items that a cancellation left in the channels, oldest first."""
        # From the last channel back to the first: items further along the pipeline are older.
        yield self._events.leftovers()
        yield self._guarded(self._drafts.leftovers())
        yield self._guarded(self._accumulator.step(self._chunks.leftovers()))

    @property
    def is_full(self) -> bool:
        """True if the answer has exceeded its size limit."""
        return self._accumulator.full

    def _guarded(self, drafts: list[Draft]) -> list[Draft]:
        guard, gate = self._guard, self._gate
        if guard is None or gate is None:
            return drafts
        return [] if gate.stop or guard.is_interrupted else gate.feed(drafts)


class Production:
    """The production of one turn's answer: one pipeline after another, and the persister."""

    __slots__ = (
        "_dependencies",
        "_guard",
        "_persister",
        "_pipeline",
        "_record",
        "_refused",
        "_turn",
    )

    def __init__(self, turn: Turn, dependencies: TurnDependencies) -> None:
        self._turn = turn
        self._dependencies = dependencies
        self._guard: Guard | None = None
        if turn.request.guards.is_needed:
            self._guard = Guard(turn, dependencies.guards, dependencies.bus, dependencies.now)
        self._pipeline: Pipeline | None = None
        self._persister = Persister(turn)
        # A partial object, not a method: it is called for every batch.
        self._record = partial(record, self._persister, dependencies.checkpointer, dependencies.bus)
        self._refused = False

    async def begin(self) -> None:
        """Insert the turn's row before any provider request."""
        try:
            await self._dependencies.store.begin(self._turn.as_new())
        except (StoreUnavailable, ConversationBusy):
            self._refused = True
            raise
        self._turn.stage = "waiting"

    async def run(self) -> None:
        """Make model calls until the persister has seen the end of the answer."""
        turn, guard = self._turn, self._guard
        call: ModelCall | None = turn.request.call
        if guard is not None:
            call = await guard.prepare()
        while call is not None:
            pipeline = Pipeline(turn, call, self._dependencies.upstreams, guard)
            self._pipeline = pipeline
            async with trio.open_nursery() as nursery:
                await self._persist(pipeline.start(nursery, turn))
                nursery.cancel_scope.cancel()
            call = guard.next_call() if guard else None

    async def _persist(self, inbox: Receiver[Draft]) -> None:
        """Run the persister and add the half-time warning, even while no drafts arrive."""
        if trio.current_time() < self._turn.half_time:
            with trio.move_on_at(self._turn.half_time):
                await persist(self._record, inbox)
                return
            self._record([_HALF_TIME])
        await persist(self._record, inbox)

    def consume_leftovers(self) -> None:
        """Process the items that a cancellation left in the channels."""
        try:
            if self._pipeline is not None:
                for drafts in self._pipeline.leftovers():
                    self._record(drafts)
                if self._pipeline.is_full:
                    self._turn.set_cause(Reason.SIZE_LIMIT)
        except Exception as error:
            # A step that raised while the actors ran may raise again here.
            self._dependencies.bus.publish(ActorCrashed(self._turn.id, error))

    async def check_shown(self) -> None:
        """Check the shown text of an answer that was cut off, before it is stored."""
        guard = self._guard
        if guard is None:
            return
        try:
            with trio.move_on_after(CHECK_TIMEOUT_S, shield=True) as scope:
                self._record(await guard.conclude_part())
            if scope.cancelled_caught:
                self._record(guard.unchecked_part())
            guard.end_call()
        except Exception as error:
            self._dependencies.bus.publish(ActorCrashed(self._turn.id, error))

    async def finalise(self) -> None:
        """Write the final record, and publish an end even if that crashes: readers wait for it."""
        try:
            await self._finalise()
        except Exception as error:
            self._dependencies.bus.publish(ActorCrashed(self._turn.id, error))
            if not self._turn.final.is_set():
                publish_crash(self._turn, self._dependencies.now())

    async def _finalise(self) -> None:
        tail = self._persister.tail
        self._dependencies.checkpointer.forget(tail)
        ending = TurnEnding(self._turn, tail, self._dependencies.upstreams.estimates)
        if self._refused:
            publish(self._turn, self._persister.closing(ending.ended(self._dependencies.now())))
        else:
            await self._dependencies.finaliser.finalise(self._turn, ending, self._persister)


_HALF_TIME = Warning("half_time", "Half of the turn's time budget is used up.")
_UNAVAILABLE = ErrorInfo(
    status=503,
    message="The store is unavailable: no new turn can be recorded. Try again later.",
    type="server_error",
    code="store_unavailable",
    retry_after_s=2.0,
)
