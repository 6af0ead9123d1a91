"""Privacy: what partners were told of drivers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
STRUCTURE = sa.Text().with_variant(postgresql.JSONB(), "postgresql")

revision = "0020"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "disclosures",
        sa.Column("partner_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("uid_key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("first_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("facts", STRUCTURE, nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "party_id", "uid_key", "type", "module"),
        sqlite_with_rowid=False,
    )
    op.create_index("disclosures_token", "disclosures", ["party_id", "uid_key"])
