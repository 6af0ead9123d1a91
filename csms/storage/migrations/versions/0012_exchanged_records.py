"""Charge detail records between networks: what partners have to get, and what they billed us."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "cdr_deliveries",
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("id_key", TEXT, nullable=False),
        sa.Column("cdr_id", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("credit_of", TEXT, nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.Column("location", TEXT, nullable=True),
        sa.Column("error", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("partner_id", "party_id", "id_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("cdr_deliveries_state", "cdr_deliveries", ["partner_id", "state"])
    op.create_index("cdr_deliveries_cdr", "cdr_deliveries", ["party_id", "id_key"])
    op.create_table(
        "received_cdrs",
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("id_key", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=False),
        sa.Column("token_party", TEXT, nullable=False),
        sa.Column("token_uid", TEXT, nullable=False),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("energy_kwh", TEXT, nullable=False),
        sa.Column("before_taxes", TEXT, nullable=False),
        sa.Column("after_taxes", TEXT, nullable=True),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("credit_of", TEXT, nullable=True),
        sa.Column("repriced", TEXT, nullable=True),
        sa.Column("difference", TEXT, nullable=True),
        sa.Column("priced_by", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("party_id", "id_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("received_cdrs_token_party", "received_cdrs", ["token_party"])
    op.create_index("cdrs_token_party", "cdrs", ["token_party"])
