"""Add columns for items, the previous turn, conversations and deletion."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add nullable columns without defaults, so that no existing row is rewritten."""
    op.add_column("turns", sa.Column("previous_id", sa.String))
    op.add_column("turns", sa.Column("conversation", sa.String))
    op.add_column("turns", sa.Column("deleted_at", sa.Double))
    op.add_column("messages", sa.Column("items", sa.Text))
    _index_chains()
    _index_conversations()


def _index_chains() -> None:
    op.drop_index("ix_turns_tenant_id_id", "turns")
    op.create_index(
        "ix_turns_tenant_id_id_previous_id", "turns", ["tenant_id", "id", "previous_id"]
    )


def _index_conversations() -> None:
    conversation = sa.column("conversation", sa.String)
    followed = sa.and_(
        conversation.is_not(None),
        sa.column("deleted_at").is_(None),
        sa.column("keep_text", sa.Boolean),
    )
    playing = sa.and_(conversation.is_not(None), sa.column("ended_at").is_(None))
    op.create_index(
        "ix_turns_tenant_id_conversation_id",
        "turns",
        ["tenant_id", "conversation", "id"],
        sqlite_where=followed,
        postgresql_where=followed,
    )
    op.create_index(
        "ix_turns_tenant_id_conversation",
        "turns",
        ["tenant_id", "conversation"],
        sqlite_where=playing,
        postgresql_where=playing,
    )
