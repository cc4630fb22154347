"""Records that `actors` and `store` exchange: plain frozen structs without SQL or actors.

Times are seconds since the epoch (UTC), money is integer micro-dollars, `None` means unknown.
Vocabulary fields (`status`, `reason`, …) hold the values of `actors.turn.outcome`.
"""

from enum import StrEnum
from typing import Literal

from msgspec import Struct

JSON = object
"""A decoded JSON value that the store does not inspect."""

Stored = Literal["committed", "spooled", "unsaved"]
"""The place that took a final record: the database, the spool file, or only the log."""


class Authority(StrEnum):
    """The trust in a caller, lowest first; a server tool declares the level that it needs."""

    EXTERNAL = "external"
    PEER = "peer"
    SELF = "self"
    CREATOR = "creator"


class Principal(Struct, frozen=True, kw_only=True):
    """The authenticated caller, to whose tenant every read and write is limited."""

    tenant_id: str
    user: str | None = None
    key_id: str | None = None
    """API key of the request; None without keys."""
    scopes: frozenset[str] = frozenset()
    authority: Authority = Authority.CREATOR


class BegunTurn(Struct, frozen=True, kw_only=True):
    """The facts about a turn that are known when it begins."""

    id: str
    tenant_id: str
    owner: str
    model: str
    mode: str
    dialect: str
    dialect_options: dict[str, JSON]
    created_at: float
    keep_text: bool = True
    """False for `store: false`: only the row and its usage are stored, no text or segments."""
    previous_id: str | None = None
    """Id of the turn that this one continues."""
    conversation: str | None = None
    """Name of the turn's conversation, unique within the tenant.

    A turn that ends without an answer is removed from it.
    """
    authority: Authority | None = None
    """Trust in the request: that of its key, or less if its input is suspicious."""


class NewTurn(BegunTurn, frozen=True, kw_only=True):
    """A turn as it is inserted, before the first request to a provider."""

    session_id: str | None = None
    input_items: str | None = None
    """JSON array of the input items. None if the turn stores no items, of input or answer."""
    input_ids: tuple[str, ...] = ()
    """Ids of those input items whose ids do not name the turn."""


class Segment(Struct, frozen=True):
    """Consecutive events of one turn: `blob` encodes those numbered `first_seq` … `last_seq`."""

    turn_id: str
    owner: str
    first_seq: int
    last_seq: int
    blob: bytes


class AttemptRecord(Struct, frozen=True, kw_only=True):
    """One try of a step on one route."""

    step: int = 1
    number: int
    provider: str
    upstream_model: str
    started_at: float
    ended_at: float
    result: str
    """`answered`, or the reason why the attempt failed."""
    status_code: int | None = None
    message: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_micros: int | None = None
    """Cost of these tokens at the model's price, whether the turn is charged for them or not."""


class StepRecord(Struct, frozen=True, kw_only=True):
    """One model call of a turn, with its attempts in order."""

    number: int
    started_at: float
    ended_at: float
    finish: str | None
    attempts: tuple[AttemptRecord, ...]


class UsageRecord(Struct, frozen=True, kw_only=True):
    """The usage that a turn is charged for."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cost_micros: int = 0


class FinalRecord(Struct, frozen=True, kw_only=True):
    """All data that one terminal transaction writes.

    It includes the `NewTurn`, so that it can be replayed from the spool even if the insert of the
    turn never reached the database.
    """

    turn: NewTurn
    status: str
    reason: str
    disconnect_stage: str | None
    provider: str | None
    upstream_model: str | None
    usage: UsageRecord | None
    """Usage of the turn; None if no request was ever sent to a provider."""
    text: str = ""
    tool_calls: str | None = None
    """JSON array of the complete tool calls, in OpenAI's format."""
    error: str | None
    """JSON object of `actors.turn.outcome.ErrorInfo`."""
    first_token_at: float | None
    ended_at: float
    last_event: int
    epoch: int = 0
    segment: Segment | None = None
    """The events that no checkpoint has stored yet, including the `ended` event."""
    steps: tuple[StepRecord, ...] = ()
    items: str | None = None
    """JSON array of the answer's items (`actors.answer.items`); None if none are stored."""
    answer_ids: tuple[str, ...] = ()
    """Ids of those of them whose ids do not name the turn."""
    heard: bool = True
    """True if any part of the answer may have reached the client."""
    verdicts: str | None = None
    """JSON array of `actors.turn.guard_plan.GuardVerdict`; None without any."""
    rewrites_journal: bool = False
    """True if `segment` takes the place of all segments of the turn that are stored."""

    @property
    def has_answer(self) -> bool:
        """True if later turns of the conversation continue from this one.

        They don't if the client never received any part of an answer.
        """
        return self.status == "completed" or (self.heard and self.items not in {None, "[]"})


class Finalised(Struct, frozen=True):
    """The result of a compare-and-set: `won`, and the status and reason that the row has now."""

    won: bool
    """True if this record ended the turn; False if the turn had ended before."""
    status: str
    reason: str


class TurnView(BegunTurn, frozen=True, kw_only=True):
    """A turn as the store has it."""

    status: str
    reason: str | None
    disconnect_stage: str | None
    provider: str | None
    upstream_model: str | None
    usage: UsageRecord | None
    text: str
    error: str | None
    first_token_at: float | None
    ended_at: float | None
    last_event: int | None
    """Number of the last stored event; None if no event was journalled yet."""
    epoch: int
    verdicts: str | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    deleted_at: float | None = None
    """Time at which the turn's content was deleted."""
    keeps_items: bool = False
    """True if input items are stored; the answer's items follow when the turn ends."""


class TurnPage(Struct, frozen=True):
    """One page of turns, newest first; `next` is the cursor of the following page, if any."""

    data: tuple[TurnView, ...]
    next: str | None


class StoredResponse(Struct, frozen=True, kw_only=True):
    """A turn and its stored items, as JSON arrays (possibly empty)."""

    turn: TurnView
    """The turn, without its attempts."""
    input_items: str
    answer_items: str


Role = Literal["input", "assistant"]
"""The two lists of items of a turn: its input and its answer."""


class TurnItems(Struct, frozen=True):
    """One list of items of a turn, as a JSON array."""

    turn_id: str
    role: Role
    items: str


class ItemPlace(Struct, frozen=True):
    """The list of a turn that has an item."""

    item_id: str
    turn_id: str
    role: Role


class Conversation(Struct, frozen=True):
    """A conversation that a client created, or that its turns name."""

    id: str
    created_at: float
    metadata: str = "{}"
    """JSON object."""


class ConversationItem(Struct, frozen=True):
    """An item that a client added to a conversation, or a mark that one was deleted."""

    item_id: str
    position: str
    """Sorts the items, also among turns: the characters of an id (`store.records.ids`)."""
    item: str | None
    """The item as a JSON object; None if it was deleted."""


Lost = Literal["missing", "deleted", "not_kept"]
"""Reason for an empty link: the tenant has no such turn, it is deleted, or it stores no items."""


class ChainLink(Struct, frozen=True, kw_only=True):
    """One turn of a chain, with its items. A `lost` link has no items."""

    turn_id: str
    lost: Lost | None = None
    previous_id: str | None = None
    status: str | None = None
    """Status of the turn; while it is not terminal, `answer_items` is still empty."""
    dialect: str | None = None
    # The JSON stays undecoded: few callers need all items of a long chain.
    dialect_options: str = "{}"
    """JSON object of the dialect's options; read for the last link of a chain only."""
    input_items: str = "[]"
    """JSON array of the input items."""
    answer_items: str = "[]"
    """JSON array of the answer's items."""


class StoreUnavailable(Exception):
    """The database cannot be written or read (full, locked, gone). The message is the reason."""


class ConversationBusy(Exception):
    """Another turn of the conversation is in flight, or was added in the meantime.

    The message is the name of the conversation.
    """


class SpoolFailed(Exception):
    """The spool cannot take a record: it is full, or its file cannot be written."""
