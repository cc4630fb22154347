"""Fakes for turns: scripted providers, an in-memory store with faults, an observer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

import trio
from msgspec import structs

from actors.finalisation.finaliser import Finaliser
from actors.guard import Guards
from actors.guards.spec import Action, Check, GuardSpec, SpanCheck
from actors.journal.checkpointer import Checkpointer, decode_events
from actors.ports import AnswerStream, ignore
from actors.routing.breaker import BreakerSettings
from actors.routing.route_board import RouteBoard
from actors.run_turn import TurnDependencies
from actors.streamer import Upstreams
from actors.turn import events
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import Chunk, FinishChunk, TextChunk
from actors.turn.events import AnyEvent, Ended
from actors.turn.lifecycle_events import (
    ActorCrashed,
    EventDropped,
    LifecycleEvent,
    RecordUnsaved,
    StoreRefusal,
    TurnEnded,
)
from actors.turn.model_call import ModelCall, Route
from actors.turn.outcome import Mode, Price, Reason
from actors.turn.request import PlannedRoute, Timeouts, TurnRequest
from actors.turn.state import Turn
from actors.turn.store_records import (
    Finalised,
    FinalRecord,
    NewTurn,
    Principal,
    Segment,
    SpoolFailed,
    Stored,
    StoreUnavailable,
    TurnView,
)
from actors.usage.estimator import LearningEstimator

EPOCH = 1_700_000_000.0
FLUSH_S = 0.25
FINALISE_S = 5.0
FOREVER = math.inf

Line = list[Chunk] | float | Exception | None
"""Result of a read: chunks, a pause in seconds before the next line, an error, or a sign of life.

The latter, None, is a read without chunks.
"""


def now() -> float:
    """Return trio's virtual time as seconds since the epoch."""
    return EPOCH + trio.current_time()


def text(*pieces: str) -> list[Chunk]:
    """Return a read with these pieces of text."""
    return [TextChunk(piece) for piece in pieces]


def stop(reason: Reason = Reason.STOP) -> list[Chunk]:
    """Return a read with the finish."""
    return [FinishChunk(reason)]


class ScriptedAnswer:
    """An answer that returns its lines, one per read, and records how it was closed."""

    def __init__(
        self,
        lines: Sequence[Line],
        ignored: tuple[str, ...] = (),
        alive: Callable[[], None] = ignore,
    ) -> None:
        self.ignored = ignored
        self._lines = list(lines)
        self._alive = alive
        self.said: list[Chunk] = []
        self.released = 0
        self.closed = 0
        self.left_at: float | None = None

    async def receive(self) -> list[Chunk]:
        assert self.left == 0, "read after it was closed or released"
        await trio.lowlevel.checkpoint()
        while self._lines:
            line = self._lines[0]
            if isinstance(line, float):
                await trio.sleep(line)
            self._lines.pop(0)
            if isinstance(line, Exception):
                raise line
            if isinstance(line, list):
                self.said += line
                return list(line)
            if line is None:
                self._alive()
        return []

    def release(self) -> None:
        self.released += 1
        self.left_at = trio.current_time()

    def close(self) -> None:
        self.closed += 1
        self.left_at = trio.current_time()

    @property
    def left(self) -> int:
        """Number of times it was closed or released; exactly one is correct."""
        return self.released + self.closed

    @property
    def text(self) -> str:
        """Visible text that it has returned."""
        return "".join(chunk.text for chunk in self.said if isinstance(chunk, TextChunk))


@dataclass(frozen=True)
class Scene:
    """The script of one call; `head` is a pause before the response head, or an error."""

    lines: tuple[Line, ...] = ()
    head: Line = 0.0


class ScriptedProvider:
    """A provider that answers each call with the next scene; the last scene repeats."""

    def __init__(
        self,
        *lines: Line,
        head: Line = 0.0,
        name: str = "main",
        then: Sequence[Scene] = (),
        cannot: tuple[str, ...] = (),
        api: str | None = None,
    ) -> None:
        self.name = name
        self._api = api
        self._scenes = (Scene(lines, head), *then)
        self._cannot = cannot
        self.calls: list[tuple[ModelCall, float]] = []
        self.answers: list[ScriptedAnswer] = []
        self.opening = 0
        self._next = 0

    def skip_to(self, scene: int) -> None:
        """Answer the next call with this scene."""
        self._next = scene

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        if call.native is None or call.native.api == self._api:
            return self._cannot
        return (*self._cannot, *call.native.unexpressed)

    async def open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None] = ignore
    ) -> AnswerStream:
        scene = self._scenes[min(self._next, len(self._scenes) - 1)]
        self._next += 1
        self.calls.append((call, connect_s))
        self.opening += 1
        try:
            await trio.lowlevel.checkpoint()
            if isinstance(scene.head, float):
                await trio.sleep(scene.head)
            elif isinstance(scene.head, Exception):
                raise scene.head
        finally:
            self.opening -= 1
        answer = ScriptedAnswer(scene.lines, await self.unsupported(call), alive)
        self.answers.append(answer)
        return answer

    @property
    def answer(self) -> ScriptedAnswer:
        """Only answer that was opened."""
        (answer,) = self.answers
        return answer


HELD = SpanCheck(settle=lambda text: text.rfind(".") + 1, find=lambda text: [])
"""A check that holds text back until a full stop."""


def a_guard(
    check: Check | None, *, name: str = "guard", action: Action = Action.REWRITE, **more: object
) -> GuardSpec:
    """Return a guard that has this check in every turn."""
    return GuardSpec(name=name, does="Tests.", action=action, make=lambda context: check, **more)  # type: ignore[arg-type]


class AtStep(trio.abc.Instrument):
    """An instrument that calls `action` once after the given number of task steps."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self._left = step
        self._action = action

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._action()


class StoreFault(Enum):
    """A fault of a store's method."""

    REFUSES = auto()
    HANGS = auto()
    CRASHES = auto()


class StoreBug(Exception):
    """Raised by a store's method with the fault `CRASHES`."""


class MemoryStore:
    """A store and spool in memory. `trouble` maps operations to faults; each takes `takes_s`."""

    def __init__(self) -> None:
        self.begun: dict[str, NewTurn] = {}
        self.kept: dict[str, dict[int, Segment]] = {}
        self.finals: list[FinalRecord] = []
        self.spooled: list[FinalRecord] = []
        self.lost_owner: set[str] = set()
        self.winner: Finalised | None = None
        """Result of another writer that has finalised the turn already, or None."""
        self.trouble: dict[str, StoreFault] = {}
        self.takes_s = 0.0
        self.flushes: list[tuple[float, list[Segment]]] = []
        self.refusals = 0
        self.refuses_after_s = 0.0
        self.in_flight: list[TurnView] = []

    async def begin(self, turn: NewTurn) -> None:
        await self._try("begin", StoreUnavailable("disk full"))
        self.begun[turn.id] = turn
        await trio.sleep(self.takes_s)

    async def checkpoint(self, segments: Sequence[Segment]) -> frozenset[str]:
        await self._try("checkpoint", StoreUnavailable("locked"))
        self.flushes.append((trio.current_time(), list(segments)))
        gone = {s.turn_id for s in segments if s.turn_id in self.lost_owner or self._final(s)}
        for segment in segments:
            if segment.turn_id not in gone:
                self._keep(segment)
        await trio.sleep(self.takes_s)
        return frozenset(gone)

    async def finalise(self, record: FinalRecord) -> Finalised:
        await self._try("finalise", StoreUnavailable("locked"))
        if self.winner is not None:
            return self.winner
        self.finals.append(record)
        if record.rewrites_journal:
            self.kept.pop(record.turn.id, None)
        if record.segment is not None:
            self._keep(record.segment)
        await trio.sleep(self.takes_s)
        return Finalised(True, record.status, record.reason)

    async def append(self, record: FinalRecord) -> None:
        await self._try("spool", SpoolFailed("spool full"))
        self.spooled.append(record)
        await trio.sleep(self.takes_s)

    async def adopt(self) -> int:
        await trio.lowlevel.checkpoint()
        return 0

    async def orphans(self) -> Sequence[TurnView]:
        await trio.lowlevel.checkpoint()
        return self.in_flight

    async def segments(self, turn_id: str) -> Sequence[Segment]:
        await trio.lowlevel.checkpoint()
        return [segment for _, segment in sorted(self.kept.get(turn_id, {}).items())]

    def journal(self, turn_id: str) -> list[AnyEvent]:
        """Return a turn's stored events after checking for gaps and overlaps in its segments."""
        kept: list[AnyEvent] = []
        for first, segment in sorted(self.kept.get(turn_id, {}).items()):
            assert first == len(kept), "segments overlap or leave a gap"
            kept += decode_events(segment.blob)
            assert segment.last_seq == len(kept) - 1
        return kept

    @property
    def records(self) -> list[FinalRecord]:
        """Terminal records in the database and in the spool."""
        return self.finals + self.spooled

    def _keep(self, segment: Segment) -> None:
        kept = self.kept.setdefault(segment.turn_id, {})
        there = kept.get(segment.first_seq)
        if there is None or there.last_seq < segment.last_seq:
            kept[segment.first_seq] = segment

    def _final(self, segment: Segment) -> bool:
        return any(record.turn.id == segment.turn_id for record in self.finals)

    async def _try(self, method: str, refusal: Exception) -> None:
        await trio.lowlevel.checkpoint()
        match self.trouble.get(method):
            case StoreFault.REFUSES:
                self.refusals += 1
                await trio.sleep(self.refuses_after_s)
                raise refusal
            case StoreFault.HANGS:
                await trio.sleep_forever()
            case StoreFault.CRASHES:
                raise StoreBug(method)
            case None:
                pass


@dataclass
class RecordingObserver:
    """An event bus that records all lifecycle events."""

    ended: list[tuple[str, FinalRecord, Stored]] = field(default_factory=list)
    lost: list[FinalRecord] = field(default_factory=list)
    troubles: list[BaseException] = field(default_factory=list)
    out_of_order: list[BaseException] = field(default_factory=list)
    crashes: list[BaseException] = field(default_factory=list)
    published: list[LifecycleEvent] = field(default_factory=list)

    def publish(self, event: LifecycleEvent) -> None:
        self.published.append(event)
        match event:
            case TurnEnded(record, stored, took_s):
                assert took_s >= 0
                self.ended.append((record.turn.id, record, stored))
            case RecordUnsaved(record):
                self.lost.append(record)
            case StoreRefusal(_, error):
                self.troubles.append(error)
            case EventDropped(_, error):
                self.out_of_order.append(error)
            case ActorCrashed(_, error):
                self.crashes.append(error)


class TurnHarness:
    """The dependencies of turns, with fakes for providers, store and observer."""

    def __init__(
        self,
        *providers: ScriptedProvider,
        guards: Sequence[GuardSpec] = (),
        store: MemoryStore | None = None,
    ) -> None:
        self.store = store or MemoryStore()
        self.observer = RecordingObserver()
        self.checkpointer = Checkpointer(self.store, flush_s=FLUSH_S, flush_bytes=1000)
        self.providers = {provider.name: provider for provider in providers}
        self.board = RouteBoard(BreakerSettings(), {}, {}, trio.current_time)
        self.upstreams = Upstreams(
            self.providers, self.board, LearningEstimator(), now, lambda: 0.5
        )
        self.dependencies = TurnDependencies(
            store=self.store,
            upstreams=self.upstreams,
            checkpointer=self.checkpointer,
            finaliser=Finaliser(
                self.store, self.store, self.observer, now, finalise_timeout_s=FINALISE_S
            ),
            bus=self.observer,
            now=now,
            guards=Guards({guard.name: guard for guard in guards}),
        )

    def turn(self, asked: TurnRequest | None = None, turn_id: str = "turn_1") -> Turn:
        """Return a turn that is not running yet, by default with a route to each provider."""
        asked = asked or a_request(*self.providers)
        if not asked.guards.guards:
            names = tuple(self.dependencies.guards.specs)
            asked = structs.replace(asked, guards=structs.replace(asked.guards, guards=names))
        return Turn(turn_id, asked, "owner_1", now())

    @property
    def record(self) -> FinalRecord:
        """Only terminal record."""
        (record,) = self.store.records
        return record


FREE = Price()
GENEROUS = Timeouts(connect_s=5, first_byte_s=1000, first_token_s=1000, idle_s=1000, total_s=1000)


@dataclass(frozen=True)
class Terms:
    """The parts of a request that a test may vary."""

    timeouts: Timeouts = GENEROUS
    total_s: float = 1000.0
    mode: Mode = Mode.BACKGROUND
    resume_window_s: float = 0.0
    keep_text: bool = True
    max_answer_bytes: int = 1_000_000
    price: Price = FREE


def a_request(*providers: str, terms: Terms | None = None, **varied: object) -> TurnRequest:
    """Return a request with a route to each of these providers."""
    given = replace(terms or Terms(), **varied)  # type: ignore[arg-type]  # fields of Terms
    return TurnRequest(
        model="large",
        routes=tuple(
            PlannedRoute(Route(name, f"{name}-model"), given.timeouts)
            for name in providers or ("main",)
        ),
        call=ModelCall(
            upstream_model="",
            messages=read_messages([{"role": "user", "content": "Say something nice."}]),
            parameters={"temperature": 0.5},
        ),
        dialect="openai-chat",
        dialect_options={"include_usage": True},
        total_s=given.total_s,
        principal=Principal(tenant_id="tenant_1"),
        mode=given.mode,
        resume_window_s=given.resume_window_s,
        keep_text=given.keep_text,
        max_answer_bytes=given.max_answer_bytes,
        price=given.price,
    )


def the_end(turn: Turn) -> Ended:
    """Return the `ended` event of a turn that has ended."""
    assert turn.journal.closed
    last = turn.journal.events[-1]
    assert isinstance(last, Ended)
    return last


def text_in(journal: Sequence[AnyEvent]) -> str:
    """Return the text of a journal without replacements."""
    return "".join(event.delta for event in journal if isinstance(event, events.Text))
