"""A turn: what was asked for, and the live state that its actors share."""

from collections.abc import Callable

import trio
from msgspec import Struct

from actors.answer_items import Item
from actors.continuing import DEFAULT_INSTRUCTION
from actors.events import Warning
from actors.journal import Journal
from actors.ledger import Ledger
from actors.outcome import DisconnectStage, ErrorInfo, Mode, OnCut, Reason
from actors.ports import NewTurn, Stored
from actors.price import Price
from actors.providers.base import JSON, Capabilities, ModelCall, Route
from actors.timeouts import Timeouts


class PlannedRoute(Struct, frozen=True):
    """A route that may answer, with the clocks of an attempt on it."""

    route: Route
    timeouts: Timeouts
    capabilities: Capabilities = Capabilities()


class TurnRequest(Struct, frozen=True, kw_only=True):
    """What a surface asks of a turn. Nothing in it is about HTTP."""

    model: str
    """The name the client asked for."""
    routes: tuple[PlannedRoute, ...]
    """Tried in this order."""
    call: ModelCall
    """What is asked; its `upstream_model` is filled in for each route."""
    dialect: str
    dialect_options: dict[str, JSON]
    total_s: float
    """The time budget of the whole turn, all attempts together."""
    tenant_id: str
    mode: Mode = Mode.ATTACHED
    resume_window_s: float = 0.0
    keep_text: bool = True
    max_answer_bytes: int = 2 * 1024 * 1024
    price: Price = Price()
    on_cut: OnCut = OnCut.CONTINUE
    continue_instruction: str = DEFAULT_INSTRUCTION
    """What asks a model to go on with an answer that broke off."""
    strict: bool = False
    """The client takes an error over an answer that leaves something out that it asked for."""
    replaceable: bool = False
    """Nothing of the answer reaches the client before its end, so that it can be taken back."""
    previous_id: str | None = None
    """The turn that this one goes on from."""
    conversation: str | None = None
    """The name of the conversation that it belongs to."""
    input_items: str | None = None
    """JSON array of what was asked, kept for later turns together with the answer's items.

    None where no items are kept.
    """
    notes: tuple[Warning, ...] = ()
    """What the client is to be told once a route answers, whichever it is."""


class Cause(Struct, frozen=True):
    """Why a turn is to end without a finish of its own; the first one given stands."""

    reason: Reason
    error: ErrorInfo | None = None


class Turn:
    """One live turn. Only `run_turn` and the actors it starts write to it.

    `scope` is the production scope: cancelling it stops everything upstream of the journal and
    nothing else. `final` is set once the terminal record is decided and `ended` is published.
    """

    __slots__ = (
        "_budget_ends",
        "_leases",
        "answered_by",
        "cause",
        "created_at",
        "deleted_at",
        "final",
        "first_token_at",
        "id",
        "items",
        "journal",
        "ledger",
        "owner",
        "produced_at",
        "request",
        "scope",
        "stage",
        "stored",
    )

    def __init__(self, turn_id: str, request: TurnRequest, owner: str, now: float) -> None:
        self.id = turn_id
        self.request = request
        self.owner = owner
        self.created_at = now
        """Seconds since the epoch."""
        self.journal = Journal()
        self.items: list[Item] | None = None
        """Those of its answer, once that is over and somebody has made them."""
        self.ledger = Ledger()
        """What became of every attempt."""
        self.scope = trio.CancelScope()
        self.cause: Cause | None = None
        self.final = trio.Event()
        self.stored: Stored | None = None
        self.first_token_at: float | None = None
        self.deleted_at: float | None = None
        """Since when nothing that is said in it is kept or shown, in seconds since the epoch."""
        self.answered_by: Route | None = None
        self.produced_at: float | None = None
        """When production was over and upstream closed, on trio's clock."""
        self.stage = "queued"
        """What the turn is at, for metrics and the dashboard."""
        self._leases = 0
        self._budget_ends = trio.current_time() + request.total_s
        self.scope.deadline = self._budget_ends

    def as_new(self) -> NewTurn:
        """The turn as the store first sees it."""
        request = self.request
        return NewTurn(
            id=self.id,
            tenant_id=request.tenant_id,
            owner=self.owner,
            model=request.model,
            mode=request.mode.value,
            dialect=request.dialect,
            dialect_options=request.dialect_options if self.keeps_said else {},
            created_at=self.created_at,
            keep_text=request.keep_text,
            previous_id=request.previous_id,
            conversation=request.conversation,
            input_items=request.input_items if self.keeps_said else None,
        )

    @property
    def keeps_said(self) -> bool:
        """Whether what is said may be kept: the client did not forbid it, nor delete the turn."""
        return self.request.keep_text and self.deleted_at is None

    @property
    def keeps_items(self) -> bool:
        """Whether the items of the answer are to be kept besides its text."""
        return self.request.input_items is not None and self.keeps_said

    def mark_deleted(self, now: float) -> None:
        """The store has deleted it: neither keep nor show anything that is said in it."""
        self.deleted_at = now

    def blame(self, reason: Reason, error: ErrorInfo | None = None) -> None:
        """Say why the turn will have no finish. The first reason wins."""
        if self.cause is None:
            self.cause = Cause(reason, error)

    def stop(self, reason: Reason, error: ErrorInfo | None = None) -> None:
        """End production now, for this reason."""
        self.blame(reason, error)
        self.scope.cancel()

    def acquire(self) -> None:
        """Somebody starts or reads the turn."""
        self._leases += 1
        if not self.final.is_set():
            self.scope.deadline = self._budget_ends

    def release(self) -> None:
        """Somebody left. The last to leave stops production when the mode says so."""
        self._leases -= 1
        if self._leases or self.final.is_set():
            return
        if self.request.mode is Mode.ATTACHED:
            self.stop(Reason.CLIENT_DISCONNECTED)
        elif self.request.mode is Mode.LINGER:
            leave = trio.current_time() + self.request.resume_window_s
            self.scope.deadline = min(self._budget_ends, leave)

    @property
    def leases(self) -> int:
        """How many clients hold an interest in the turn."""
        return self._leases

    def blame_deadline(self) -> None:
        """Name the cause where the production scope ran into its deadline."""
        if trio.current_time() >= self._budget_ends:
            self.blame(Reason.TIME_BUDGET)
        else:
            self.blame(Reason.CLIENT_DISCONNECTED)

    @property
    def half_time(self) -> float:
        """When half of the time budget is gone, in trio's time."""
        return self._budget_ends - self.request.total_s / 2

    def disconnect_stage(self, *, finished: bool) -> DisconnectStage | None:
        """How far the turn had come when its last client left, if that is what happened."""
        if self.cause is None or self.cause.reason is not Reason.CLIENT_DISCONNECTED:
            return None
        if finished:
            return DisconnectStage.AFTER_END
        if self.first_token_at is None:
            return DisconnectStage.BEFORE_FIRST_TOKEN
        return DisconnectStage.MID_STREAM


Clock = Callable[[], float]
"""Gives the time in seconds since the epoch."""
