"""Whose a visitor's charge is, where it was, and what networks have agreed about money."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.Text().with_variant(postgresql.JSON(), "postgresql")

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "visits",
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("uid_key", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("contract_id", TEXT, nullable=False),
        sa.Column("auth_method", TEXT, nullable=False),
        sa.Column("reference", TEXT, nullable=True),
        sa.Column("contract", JSON, nullable=False),
        sa.PrimaryKeyConstraint("transaction_id"),
    )
    op.create_index("visits_token", "visits", ["party_id", "uid_key"])
    for table, column in (("partners", "contract"), ("transaction_prices", "place")):
        op.add_column(table, sa.Column(column, JSON, nullable=False, server_default="{}"))
    op.add_column("received_cdrs", sa.Column("fee", TEXT, nullable=True))
