"""The last fault of each module of a partner, also after the next success."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("partner_modules", sa.Column("fault", TEXT, nullable=True))
    op.add_column("partner_modules", sa.Column("fault_at", MOMENT, nullable=True))
