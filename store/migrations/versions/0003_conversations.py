"""Add conversations with items of their own, and the turns of items whose ids do not name them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables; existing turns have no rows in them."""
    op.create_table(
        "item_ids",
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("item_id", sa.String, nullable=False),
        sa.Column("turn_id", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "item_id", "turn_id", name="pk_item_ids"),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turns.id"], name="fk_item_ids_turn_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_item_ids_turn_id", "item_ids", ["turn_id"])
    op.create_table(
        "conversations",
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_conversations"),
    )
    op.create_table(
        "conversation_items",
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("conversation", sa.String, nullable=False),
        sa.Column("item_id", sa.String, nullable=False),
        sa.Column("position", sa.String, nullable=False),
        sa.Column("item", sa.Text),
        sa.PrimaryKeyConstraint(
            "tenant_id", "conversation", "item_id", name="pk_conversation_items"
        ),
    )
    op.create_index(
        "ix_conversation_items_tenant_id_item_id", "conversation_items", ["tenant_id", "item_id"]
    )
