"""Charge detail records between networks: what partners have to get, and what they billed us."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "cdr_deliveries",
        sa.Column("partner_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("id_key", sa.Text(), nullable=False),
        sa.Column("cdr_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("credit_of", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("partner_id", "party_id", "id_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("cdr_deliveries_state", "cdr_deliveries", ["partner_id", "state"])
    op.create_index("cdr_deliveries_cdr", "cdr_deliveries", ["party_id", "id_key"])
    op.create_table(
        "received_cdrs",
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("id_key", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("partner_id", sa.Text(), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=False),
        sa.Column("token_party", sa.Text(), nullable=False),
        sa.Column("token_uid", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("energy_kwh", sa.Text(), nullable=False),
        sa.Column("before_taxes", sa.Text(), nullable=False),
        sa.Column("after_taxes", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("credit_of", sa.Text(), nullable=True),
        sa.Column("repriced", sa.Text(), nullable=True),
        sa.Column("difference", sa.Text(), nullable=True),
        sa.Column("priced_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("party_id", "id_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("received_cdrs_token_party", "received_cdrs", ["token_party"])
    op.create_index("cdrs_token_party", "cdrs", ["token_party"])
