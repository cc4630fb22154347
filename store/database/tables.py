"""Table definitions of the current schema. A test checks that `migrations` produces the same.

Times are seconds since the epoch (UTC), money is integer micro-dollars. Every row has its tenant,
and every query that a user can trigger has an index that begins with the tenant.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    and_,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def _tenant() -> Column[str]:
    return Column("tenant_id", String, nullable=False)


def _turn(*, primary_key: bool = False) -> Column[str]:
    """Return the column of the turn that a row belongs to and is deleted with."""
    parent = ForeignKey("turns.id", ondelete="CASCADE")
    return Column("turn_id", String, parent, primary_key=primary_key, nullable=False)


def _time(name: str, *, nullable: bool = False) -> Column[float]:
    return Column(name, Double, nullable=nullable)


tenants = Table(
    "tenants",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    _time("created_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    _tenant(),
    _time("created_at"),
    Index(None, "tenant_id", "id"),
)

turns = Table(
    "turns",
    metadata,
    Column("id", String, primary_key=True),
    _tenant(),
    Column("session_id", String),
    Column("owner", String, nullable=False),
    Column("status", String, nullable=False),
    Column("reason", String),
    Column("disconnect_stage", String),
    Column("model", String, nullable=False),
    Column("provider", String),
    Column("upstream_model", String),
    Column("mode", String, nullable=False),
    Column("dialect", String, nullable=False),
    Column("dialect_options", Text, nullable=False),
    Column("keep_text", Boolean, nullable=False),
    Column("error", Text),
    _time("created_at"),
    _time("first_token_at", nullable=True),
    _time("ended_at", nullable=True),
    Column("last_event", BigInteger),
    Column("epoch", Integer, nullable=False),
    Column("previous_id", String),
    Column("conversation", String),
    _time("deleted_at", nullable=True),
    # `previous_id` is in the index for chains: in the row it is stored behind `dialect_options`,
    # which may be large.
    Index(None, "tenant_id", "id", "previous_id"),
    Index(None, "tenant_id", "status", "id"),
    # For recovery, which selects the turns in flight by owner, across tenants.
    Index(None, "status", "owner"),
)

# Both indexes are partial, so turns outside conversations cost nothing in them.
CONTINUABLE = and_(
    turns.c.conversation.is_not(None), turns.c.deleted_at.is_(None), turns.c.keep_text
)
"""Matches turns that later turns of their conversation can continue, once they have ended."""
LIVE = and_(turns.c.conversation.is_not(None), turns.c.ended_at.is_(None))
"""Matches turns of conversations that are in flight."""

_in_conversation = (turns.c.tenant_id, turns.c.conversation)
Index(None, *_in_conversation, turns.c.id, sqlite_where=CONTINUABLE, postgresql_where=CONTINUABLE)
Index(None, *_in_conversation, sqlite_where=LIVE, postgresql_where=LIVE)

messages = Table(
    "messages",
    metadata,
    Column("id", String, primary_key=True),
    _tenant(),
    Column("session_id", String),
    _turn(),
    Column("role", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("tool_calls", Text),
    _time("created_at"),
    Column("items", Text),
    Index(None, "turn_id", "role"),
)

turn_steps = Table(
    "turn_steps",
    metadata,
    _turn(primary_key=True),
    Column("number", Integer, primary_key=True),
    _tenant(),
    _time("started_at"),
    _time("ended_at"),
    Column("finish", String),
)

turn_attempts = Table(
    "turn_attempts",
    metadata,
    _turn(primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    _tenant(),
    Column("provider", String, nullable=False),
    Column("upstream_model", String, nullable=False),
    _time("started_at"),
    _time("ended_at"),
    Column("result", String, nullable=False),
    Column("status_code", Integer),
    Column("message", Text),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
)

turn_segments = Table(
    "turn_segments",
    metadata,
    _turn(primary_key=True),
    Column("first_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
    _tenant(),
    _time("created_at"),
    Column("blob", LargeBinary, nullable=False),
    # For the sweep, which selects the oldest segments, across tenants.
    Index(None, "created_at"),
)

# Append-only. The primary key ensures that a turn is charged only once.
usage_records = Table(
    "usage_records",
    metadata,
    _turn(primary_key=True),
    _tenant(),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    _time("created_at"),
)
