"""Phases: of how many the registers of a transaction's samples are the sum."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("transactions", sa.Column("phases", sa.BigInteger(), nullable=True))
