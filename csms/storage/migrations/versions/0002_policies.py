"""Policies of stations: security profile, switches, exceptions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.Text().with_variant(postgresql.JSON(), "postgresql")

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "station_policies",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("min_profile", sa.BigInteger(), nullable=False),
        sa.Column("switches", JSON, nullable=False),
        sa.Column("exceptions", JSON, nullable=False),
        sa.PrimaryKeyConstraint("station_id"),
        sqlite_with_rowid=True,
    )
