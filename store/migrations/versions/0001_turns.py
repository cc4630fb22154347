"""Create tenants, sessions, messages, turns and the tables that belong to a turn."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    _tenants_and_sessions()
    _turns()
    _messages()
    _steps_and_attempts()
    _segments()
    _usage()


def _tenants_and_sessions() -> None:
    tenants = op.create_table(
        "tenants",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
    )
    # All rows belong to this tenant until API keys exist.
    op.bulk_insert(tenants, [{"id": "tenant_default", "name": "default", "created_at": 0.0}])
    op.create_table(
        "sessions",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_tenant_id_id", "sessions", ["tenant_id", "id"])


def _turns() -> None:
    op.create_table(
        "turns",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("tenant_id", sa.String, nullable=False),
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
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("first_token_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("last_event", sa.BigInteger),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
    )
    op.create_index("ix_turns_tenant_id_id", "turns", ["tenant_id", "id"])
    op.create_index("ix_turns_tenant_id_status_id", "turns", ["tenant_id", "status", "id"])
    op.create_index("ix_turns_status_owner", "turns", ["status", "owner"])


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("session_id", sa.String),
        sa.Column("turn_id", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("tool_calls", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        _of_turn("messages"),
    )
    op.create_index("ix_messages_turn_id_role", "messages", ["turn_id", "role"])


def _steps_and_attempts() -> None:
    op.create_table(
        "turn_steps",
        sa.Column("turn_id", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double, nullable=False),
        sa.Column("finish", sa.String),
        sa.PrimaryKeyConstraint("turn_id", "number", name="pk_turn_steps"),
        _of_turn("turn_steps"),
    )
    op.create_table(
        "turn_attempts",
        sa.Column("turn_id", sa.String, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("provider", sa.String, nullable=False),
        sa.Column("upstream_model", sa.String, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double, nullable=False),
        sa.Column("result", sa.String, nullable=False),
        sa.Column("status_code", sa.Integer),
        sa.Column("message", sa.Text),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.PrimaryKeyConstraint("turn_id", "step", "number", name="pk_turn_attempts"),
        _of_turn("turn_attempts"),
    )


def _segments() -> None:
    op.create_table(
        "turn_segments",
        sa.Column("turn_id", sa.String, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("turn_id", "first_seq", name="pk_turn_segments"),
        _of_turn("turn_segments"),
    )
    op.create_index("ix_turn_segments_created_at", "turn_segments", ["created_at"])


def _usage() -> None:
    op.create_table(
        "usage_records",
        sa.Column("turn_id", sa.String, nullable=False),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger, nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("cost_micros", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("turn_id", name="pk_usage_records"),
        _of_turn("usage_records"),
    )


def _of_turn(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["turn_id"], ["turns.id"], name=f"fk_{table}_turn_id", ondelete="CASCADE"
    )
