"""Live state of a turn, which its actors share, and the leases that clients hold on it.

When the last lease of a turn is released, the turn's mode decides what happens (`Turn.release`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import trio
from msgspec import Struct
from msgspec.structs import replace

from actors.answer.builder import AnswerBuilder
from actors.journal.journal import Journal
from actors.turn.events import Started
from actors.turn.model_call import ModelCall, Route
from actors.turn.outcome import DisconnectStage, ErrorInfo, GuardVerdict, Mode, Reason
from actors.turn.request import TurnRequest
from actors.turn.step import Step
from actors.turn.store_records import Authority, NewTurn, Stored

_NO_CALL = ModelCall(upstream_model="", messages=(), parameters={})
"""Placeholder for an ended turn's call, so that its messages (maybe megabytes) can be freed."""


class Cause(Struct, frozen=True):
    """The cause of an end without a finish reason; the first one recorded is kept."""

    reason: Reason
    error: ErrorInfo | None = None


@dataclass(slots=True, eq=False)
class Turn:
    """A live turn: its request and its state. Only `run_turn` and its actors set attributes.

    All others change it through its methods.

    `scope` is the production scope: cancelling it stops everything upstream of the journal and
    nothing else. `final` is set once the terminal record is decided and `ended` is published.
    """

    id: str
    request: TurnRequest
    owner: str
    created_at: float
    """Creation time in seconds since the epoch."""
    journal: Journal = field(default_factory=Journal)
    answer: AnswerBuilder = field(default_factory=AnswerBuilder)
    """Answer as far as it is in the journal; only the persister and the finaliser feed it."""
    steps: list[Step] = field(default_factory=list)
    """Model calls of the turn, in order."""
    verdicts: list[GuardVerdict] = field(default_factory=list)
    """Decisions of guards, in order."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    cause: Cause | None = None
    final: trio.Event = field(default_factory=trio.Event)
    stored: Stored | None = None
    first_token_at: float | None = None
    deleted_at: float | None = None
    """Deletion time in seconds since the epoch; no content is stored or shown after it."""
    answered_by: Route | None = None
    produced_at: float | None = None
    """End of production, with upstream closed, on trio's clock."""
    stage: str = "queued"
    """Current stage of the turn, for metrics and the dashboard."""
    leases: int = 0
    """Number of clients that start or read the turn."""
    budget_ends: float = 0.0
    """End of the time budget on trio's clock."""

    def __post_init__(self) -> None:
        """Start the time budget, and take over the verdicts on the request."""
        self.verdicts += self.request.verdicts
        self.budget_ends = trio.current_time() + self.request.total_s
        self.scope.deadline = self.budget_ends

    def as_new(self) -> NewTurn:
        """Return the record that the store inserts when the turn begins."""
        request = self.request
        return NewTurn(
            id=self.id,
            tenant_id=request.principal.tenant_id,
            owner=self.owner,
            model=request.model,
            mode=request.mode.value,
            dialect=request.dialect,
            dialect_options=request.dialect_options if self.keeps_content else {},
            created_at=self.created_at,
            keep_text=request.keep_text,
            previous_id=request.previous_id,
            conversation=request.conversation,
            input_items=request.input_items if self.keeps_content else None,
            input_ids=request.input_ids if self.keeps_content else (),
            authority=self.authority,
        )

    def started(self, route: Route | None) -> Started:
        """Return the `started` event if `route` is the first that answers, or if none does."""
        return Started(
            turn_id=self.id,
            model=self.request.model,
            provider=route.provider if route else None,
            upstream_model=route.upstream_model if route else None,
            created_at=self.created_at,
            input_estimate=self.steps[-1].input_estimate if route else 0,
        )

    @property
    def authority(self) -> Authority:
        """Trust in the request: that of its caller, or less if its input is suspicious."""
        return self.request.authority or self.request.principal.authority

    @property
    def kept_verdicts(self) -> list[GuardVerdict]:
        """The verdicts, without the text that guards removed if its content is not kept."""
        if self.keeps_content:
            return self.verdicts
        return [replace(one, original=None) for one in self.verdicts]

    @property
    def keeps_content(self) -> bool:
        """True if content may be stored: the client has neither forbidden it nor deleted it."""
        return self.request.keep_text and self.deleted_at is None

    @property
    def keeps_items(self) -> bool:
        """True if the output items of the answer are stored in addition to its text."""
        return self.request.input_items is not None and self.keeps_content

    @property
    def finish(self) -> Reason | None:
        """Finish reason of the last step, once the persister has consumed it."""
        return self.steps[-1].finish if self.steps else None

    def begin_step(self, call: ModelCall) -> Step:
        """Add a step that makes this call, and return it."""
        step = Step(len(self.steps) + 1, call)
        self.steps.append(step)
        return step

    def forget_calls(self) -> None:
        """Free the calls, the input items and the routes of an ended turn."""
        self.request = replace(self.request, call=_NO_CALL, input_items=None, routes=())
        for step in self.steps:
            step.call = _NO_CALL

    def mark_deleted(self, now: float) -> None:
        """Record that the store has deleted the turn: its content is no longer stored or shown."""
        self.deleted_at = now

    def set_cause(self, reason: Reason, error: ErrorInfo | None = None) -> None:
        """Record the cause of an end without a finish reason, unless one is recorded already."""
        if self.cause is None:
            self.cause = Cause(reason, error)

    def stop(self, reason: Reason, error: ErrorInfo | None = None) -> None:
        """Cancel production and record the reason."""
        self.set_cause(reason, error)
        self.scope.cancel()

    def acquire(self) -> None:
        """Count one more client and restore the deadline to the full time budget."""
        self.leases += 1
        if not self.final.is_set():
            # Cancels the earlier deadline that `release` set for a lingering turn.
            self.scope.deadline = self.budget_ends

    def release(self) -> None:
        """Count one client less and apply the turn's mode when the last one leaves."""
        self.leases -= 1
        if self.leases or self.final.is_set():
            return
        if self.request.mode is Mode.ATTACHED:
            self.stop(Reason.CLIENT_DISCONNECTED)
        elif self.request.mode is Mode.LINGER:
            leave = trio.current_time() + self.request.resume_window_s
            self.scope.deadline = min(self.budget_ends, leave)

    def set_deadline_cause(self) -> None:
        """Record the cause after the production scope has reached its deadline."""
        if trio.current_time() >= self.budget_ends:
            self.set_cause(Reason.TIME_BUDGET)
        else:
            self.set_cause(Reason.CLIENT_DISCONNECTED)

    @property
    def half_time(self) -> float:
        """Time on trio's clock at which half of the time budget is used up."""
        return self.budget_ends - self.request.total_s / 2

    @property
    def disconnect_stage(self) -> DisconnectStage | None:
        """Stage at which the last client left, or None if the end had another cause."""
        if self.cause is None or self.cause.reason is not Reason.CLIENT_DISCONNECTED:
            return None
        if self.finish is not None:
            return DisconnectStage.AFTER_END
        if self.first_token_at is None:
            return DisconnectStage.BEFORE_FIRST_TOKEN
        return DisconnectStage.MID_STREAM


class Lease:
    """An async context manager that holds an interest in `turn`.

    The last exit from an `attached` turn ends the turn and waits until it is final, shielded and
    for at most `settle_s` seconds, so that no work outlives its request unnoticed.
    """

    __slots__ = ("_settle_s", "_turn")

    def __init__(self, turn: Turn, *, settle_s: float) -> None:
        self._turn = turn
        self._settle_s = settle_s

    async def __aenter__(self) -> None:
        self._turn.acquire()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        turn = self._turn
        turn.release()
        if turn.leases == 0 and turn.request.mode is Mode.ATTACHED and not turn.final.is_set():
            # Shielded: the usual reason to leave is that the request was cancelled.
            with trio.move_on_after(self._settle_s, shield=True):
                await turn.final.wait()


Clock = Callable[[], float]
"""Function that returns the current time in seconds since the epoch."""
