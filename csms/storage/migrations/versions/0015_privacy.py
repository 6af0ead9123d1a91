"""Privacy: what partners were told of drivers, and drivers who are forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
STRUCTURE = sa.Text().with_variant(postgresql.JSON(), "postgresql")

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "disclosures",
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("uid_key", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("module", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
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
        sa.Column("id", TEXT, nullable=False),
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("uid_key", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=True),
        sa.Column("ours", sa.Boolean(), nullable=False),
        sa.Column("pseudonym", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("requested_by", TEXT, nullable=False),
        sa.Column("names", STRUCTURE, nullable=False),
        sa.Column("told_seq", sa.BigInteger(), nullable=True),
        sa.Column("since", MOMENT, nullable=True),
        sa.Column("place", TEXT, nullable=True),
        sa.Column("after", STRUCTURE, nullable=True),
        sa.Column("rewritten", sa.BigInteger(), nullable=False),
        sa.Column("waits_for", TEXT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("forgettings_uid", "forgettings", ["uid_key"])
    op.create_index("forgettings_state", "forgettings", ["state"])
