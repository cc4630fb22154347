"""What the store keeps of a turn, as plain frozen records.

These are the words that `actors` and `store` have in common: no SQL in them, and no actors.
Times are seconds since the epoch (UTC), money is integer micro-dollars, `None` means unknown.
Vocabulary fields (`status`, `reason`, …) hold the values of `actors.outcome`.
"""

from typing import Literal

from msgspec import Struct

JSON = object
"""A decoded JSON value that nobody here looks into."""

Stored = Literal["committed", "spooled", "unsaved"]
"""Where a final record came to rest: the database, the spool file, or only the log."""


class NewTurn(Struct, frozen=True, kw_only=True):
    """A turn as it is inserted, before anything was asked of a provider."""

    id: str
    tenant_id: str
    owner: str
    model: str
    mode: str
    dialect: str
    dialect_options: dict[str, JSON]
    created_at: float
    session_id: str | None = None
    keep_text: bool = True
    """False (`store: false`): only the row and its usage are kept, no text and no segments."""
    previous_id: str | None = None
    """The turn that this one goes on from."""
    conversation: str | None = None
    """The name of the conversation that it belongs to, among those of its tenant.

    A turn that ends without an answer leaves it.
    """
    input_items: str | None = None
    """JSON array of what was asked. None where no items are kept, those of the answer neither."""


class Segment(Struct, frozen=True):
    """Consecutive events of one turn: `blob` holds those numbered `first_seq` … `last_seq`."""

    turn_id: str
    owner: str
    first_seq: int
    last_seq: int
    blob: bytes


class AttemptRecord(Struct, frozen=True, kw_only=True):
    """One try of a step on one route."""

    number: int
    provider: str
    upstream_model: str
    started_at: float
    ended_at: float
    result: str
    """`answered`, or the reason why it did not."""
    status_code: int | None = None
    message: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class StepRecord(Struct, frozen=True, kw_only=True):
    """One model call of a turn, with its attempts in order."""

    number: int
    started_at: float
    ended_at: float
    finish: str | None
    attempts: tuple[AttemptRecord, ...]


class UsageRecord(Struct, frozen=True, kw_only=True):
    """What a turn is charged."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cost_micros: int = 0


class FinalRecord(Struct, frozen=True, kw_only=True):
    """Everything that one terminal transaction writes.

    It carries the `NewTurn`, so that it can be replayed from the spool even where the insert of
    the turn never reached the database.
    """

    turn: NewTurn
    status: str
    reason: str
    disconnect_stage: str | None
    provider: str | None
    upstream_model: str | None
    usage: UsageRecord | None
    """None where no provider was ever asked."""
    text: str
    tool_calls: str | None
    """JSON array of the whole tool calls, as OpenAI spells them."""
    error: str | None
    """JSON object of `actors.outcome.ErrorInfo`."""
    first_token_at: float | None
    ended_at: float
    last_event: int
    epoch: int
    segment: Segment | None
    """The events not yet flushed, the `ended` event among them."""
    steps: tuple[StepRecord, ...] = ()
    items: str | None = None
    """JSON array of the answer's items (`actors.answer_items`); None where none is kept."""
    heard: bool = True
    """Whether anything of the answer can have reached who asked for it."""

    @property
    def answers(self) -> bool:
        """Whether its conversation goes on from it: not from who never got an answer."""
        return self.status == "completed" or (self.heard and self.items not in {None, "[]"})


class Finalised(Struct, frozen=True):
    """The answer to a compare-and-set: who decided, and what stands in the row now."""

    won: bool
    status: str
    reason: str


class TurnView(Struct, frozen=True, kw_only=True):
    """A turn as it stands in the store."""

    id: str
    tenant_id: str
    owner: str
    status: str
    reason: str | None
    disconnect_stage: str | None
    model: str
    provider: str | None
    upstream_model: str | None
    mode: str
    dialect: str
    dialect_options: dict[str, JSON]
    keep_text: bool
    usage: UsageRecord | None
    text: str
    error: str | None
    created_at: float
    first_token_at: float | None
    ended_at: float | None
    last_event: int | None
    """Number of the last event kept; None where nothing was journalled yet."""
    epoch: int
    attempts: tuple[AttemptRecord, ...] = ()
    previous_id: str | None = None
    conversation: str | None = None
    deleted_at: float | None = None
    """Since when nothing is kept of what was said in it."""
    keeps_items: bool = False
    """Whether its items are kept: what was asked stands there, and the answer's are to follow."""


class TurnPage(Struct, frozen=True):
    """One page of turns, newest first; `next` is the cursor of the following page."""

    data: tuple[TurnView, ...]
    next: str | None


class StoredResponse(Struct, frozen=True, kw_only=True):
    """A turn whose items are kept, with them: JSON arrays, empty ones where there are none."""

    turn: TurnView
    """Without its attempts."""
    input_items: str
    answer_items: str


Lost = Literal["missing", "deleted", "not_kept"]
"""Why a link is empty: no such turn (of this tenant), a deleted one, one that keeps no items."""


class ChainLink(Struct, frozen=True, kw_only=True):
    """One turn of a chain, with its items; empty but for its id where it is `lost`."""

    turn_id: str
    lost: Lost | None = None
    previous_id: str | None = None
    status: str | None = None
    """Not a terminal one while the turn plays; then the answer's items are still to come."""
    dialect: str | None = None
    dialect_options: str = "{}"
    input_items: str = "[]"
    answer_items: str = "[]"
    """JSON all three, to be read by who needs it: of a long chain hardly anybody needs all.

    The options are those of the last link; of the others nobody needs any.
    """


class StoreUnavailable(Exception):
    """The database could not take or give a record (full, locked, gone). The message says why."""


class ConversationBusy(Exception):
    """Another turn of the conversation plays, or has come in between; the message is its name."""


class SpoolFailed(Exception):
    """The spool could not keep a record either."""
