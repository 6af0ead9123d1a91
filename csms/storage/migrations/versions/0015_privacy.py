"""Privacy: what partners were told of drivers, and drivers who are forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
STRUCTURE = sa.Text().with_variant(postgresql.JSONB(), "postgresql")

revision = "0015"
down_revision = "0014"


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
    op.create_table(
        "forgettings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("uid_key", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("ours", sa.Boolean(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("names", STRUCTURE, nullable=False),
        sa.Column("told_seq", sa.BigInteger(), nullable=True),
        sa.Column("since", MOMENT, nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("after", STRUCTURE, nullable=True),
        sa.Column("rewritten", sa.BigInteger(), nullable=False),
        sa.Column("waits_for", sa.Text(), nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("forgettings_uid", "forgettings", ["uid_key"])
    op.create_index("forgettings_state", "forgettings", ["state"])
