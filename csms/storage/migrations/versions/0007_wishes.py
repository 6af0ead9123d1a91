"""What operators want of stations beyond one link; how a card is read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("tokens", sa.Column("technology", TEXT, nullable=True))
    op.create_table(
        "desired_availability",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("evse", sa.BigInteger(), nullable=False),
        sa.Column("connector", sa.BigInteger(), nullable=False),
        sa.Column("available", sa.Boolean(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("requested_by", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("told_at", MOMENT, nullable=True),
        sa.Column("command_id", TEXT, nullable=True),
        sa.Column("detail", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("station_id", "evse", "connector"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "desired_availability_station", "desired_availability", ["station_id"], unique=False
    )
