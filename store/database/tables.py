"""Table definitions of the current schema. A test checks that `migrations` produces the same.

Times are seconds since the epoch (UTC), money is integer micro-dollars. Every row has its tenant,
and every query that a user can trigger has an index that begins with the tenant.
"""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant_id", sa.String, nullable=False)


def _turn(*, primary_key: bool = False) -> sa.Column[str]:
    """Return the column of the turn that a row belongs to and is deleted with."""
    parent = sa.ForeignKey("turns.id", ondelete="CASCADE")
    return sa.Column("turn_id", sa.String, parent, primary_key=primary_key, nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    _time("created_at"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _tenant(),
    _time("created_at"),
    sa.Index(None, "tenant_id", "id"),
)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _tenant(),
    sa.Column("session_id", sa.String),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("reason", sa.String),
    sa.Column("disconnect_stage", sa.String),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("provider", sa.String),
    sa.Column("upstream_model", sa.String),
    sa.Column("mode", sa.String, nullable=False),
    sa.Column("dialect", sa.String, nullable=False),
    sa.Column("dialect_options", sa.Text, nullable=False),
    sa.Column("keep_text", sa.Boolean, nullable=False),
    sa.Column("error", sa.Text),
    _time("created_at"),
    _time("first_token_at", nullable=True),
    _time("ended_at", nullable=True),
    sa.Column("last_event", sa.BigInteger),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("previous_id", sa.String),
    sa.Column("conversation", sa.String),
    _time("deleted_at", nullable=True),
    sa.Column("authority", sa.String),
    sa.Column("verdicts", sa.Text),
    # `previous_id` is in the index for chains: in the row it is stored behind `dialect_options`,
    # which may be large.
    sa.Index(None, "tenant_id", "id", "previous_id"),
    sa.Index(None, "tenant_id", "status", "id"),
    # For recovery, which selects the turns in flight by owner, across tenants.
    sa.Index(None, "status", "owner"),
)

# Both indexes are partial, so turns outside conversations cost nothing in them.
CONTINUABLE = sa.and_(
    turns.c.conversation.is_not(None), turns.c.deleted_at.is_(None), turns.c.keep_text
)
"""Matches turns that later turns of their conversation can continue, once they have ended."""
LIVE = sa.and_(turns.c.conversation.is_not(None), turns.c.ended_at.is_(None))
"""Matches turns of conversations that are in flight."""

_in_conversation = (turns.c.tenant_id, turns.c.conversation)
sa.Index(
    None, *_in_conversation, turns.c.id, sqlite_where=CONTINUABLE, postgresql_where=CONTINUABLE
)
sa.Index(None, *_in_conversation, sqlite_where=LIVE, postgresql_where=LIVE)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _tenant(),
    sa.Column("session_id", sa.String),
    _turn(),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("tool_calls", sa.Text),
    _time("created_at"),
    sa.Column("items", sa.Text),
    sa.Index(None, "turn_id", "role"),
)

turn_steps = sa.Table(
    "turn_steps",
    metadata,
    _turn(primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    _tenant(),
    _time("started_at"),
    _time("ended_at"),
    sa.Column("finish", sa.String),
)

turn_attempts = sa.Table(
    "turn_attempts",
    metadata,
    _turn(primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    _tenant(),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("upstream_model", sa.String, nullable=False),
    _time("started_at"),
    _time("ended_at"),
    sa.Column("result", sa.String, nullable=False),
    sa.Column("status_code", sa.Integer),
    sa.Column("message", sa.Text),
    sa.Column("input_tokens", sa.BigInteger),
    sa.Column("output_tokens", sa.BigInteger),
    sa.Column("cost_micros", sa.BigInteger),
)

turn_segments = sa.Table(
    "turn_segments",
    metadata,
    _turn(primary_key=True),
    sa.Column("first_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    _tenant(),
    _time("created_at"),
    sa.Column("blob", sa.LargeBinary, nullable=False),
    # For the sweep, which selects the oldest segments, across tenants.
    sa.Index(None, "created_at"),
)

# Append-only. The primary key ensures that a turn is charged only once.
usage_records = sa.Table(
    "usage_records",
    metadata,
    _turn(primary_key=True),
    _tenant(),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("cached_input_tokens", sa.BigInteger, nullable=False),
    sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
    sa.Column("estimated", sa.Boolean, nullable=False),
    sa.Column("cost_micros", sa.BigInteger, nullable=False),
    _time("created_at"),
    sa.Column("cache_write_tokens", sa.BigInteger),
)

# The ids of items that do not name their turn: those that clients gave, and those of providers.
item_ids = sa.Table(
    "item_ids",
    metadata,
    sa.Column("tenant_id", sa.String, primary_key=True),
    sa.Column("item_id", sa.String, primary_key=True),
    _turn(primary_key=True),
    sa.Column("role", sa.String, nullable=False),
    # For deletion.
    sa.Index(None, "turn_id"),
)

conversations = sa.Table(
    "conversations",
    metadata,
    sa.Column("tenant_id", sa.String, primary_key=True),
    sa.Column("id", sa.String, primary_key=True),
    _time("created_at"),
    sa.Column("metadata", sa.Text, nullable=False),
)

# Items that a client added to a conversation itself. A row without an item marks one as deleted,
# also one of a turn.
conversation_items = sa.Table(
    "conversation_items",
    metadata,
    sa.Column("tenant_id", sa.String, primary_key=True),
    sa.Column("conversation", sa.String, primary_key=True),
    sa.Column("item_id", sa.String, primary_key=True),
    sa.Column("position", sa.String, nullable=False),
    sa.Column("item", sa.Text),
    sa.Index(None, "tenant_id", "item_id"),
)
