"""How stations log in: credentials that rotate, security profiles, guests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    no = sa.false()
    op.add_column("credentials", sa.Column("weak", sa.Boolean(), nullable=False, server_default=no))
    op.add_column("credentials", sa.Column("used_at", MOMENT, nullable=True))
    op.add_column("stations", sa.Column("profile", sa.BigInteger(), nullable=True))
    op.add_column("stations", sa.Column("guest", sa.Boolean(), nullable=False, server_default=no))
    op.add_column("station_policies", sa.Column("wanted_profile", sa.BigInteger(), nullable=True))
