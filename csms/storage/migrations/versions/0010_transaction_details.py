"""What stations say of a transaction beyond what it is billed by (OCPP 2.1 has most of it)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.Text().with_variant(postgresql.JSON(), "postgresql")

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("transactions", sa.Column("details", JSON, nullable=True))
