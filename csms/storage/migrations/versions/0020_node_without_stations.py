"""Nodes to which no stations connect."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column(
        "nodes",
        sa.Column("takes_stations", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
