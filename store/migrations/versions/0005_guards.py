"""Add what guards decide about a turn, and the costs of its attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add nullable columns without defaults, so that no existing row is rewritten."""
    op.add_column("turns", sa.Column("authority", sa.String))
    op.add_column("turns", sa.Column("verdicts", sa.Text))
    op.add_column("turn_attempts", sa.Column("cost_micros", sa.BigInteger))
