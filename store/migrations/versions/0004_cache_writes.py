"""Add a column for the tokens that were written to a cache."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a nullable column without a default, so that no existing row is rewritten."""
    op.add_column("usage_records", sa.Column("cache_write_tokens", sa.BigInteger))
