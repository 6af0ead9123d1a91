"""What the list of a partner did not hold when it was read in full; errands by their token."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    for table in ("neighbour_objects", "visitor_tokens"):
        op.add_column(table, sa.Column("missing_since", MOMENT, nullable=True))
    op.create_index("errands_token", "errands", ["token_uid"])
    op.add_column(
        "partner_modules", sa.Column("missing", sa.BigInteger(), nullable=False, server_default="0")
    )
