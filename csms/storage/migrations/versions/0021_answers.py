"""At which station a visitor's home network was asked: its answer holds for a start there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("visitor_tokens", sa.Column("answer_station_id", TEXT, nullable=True))
