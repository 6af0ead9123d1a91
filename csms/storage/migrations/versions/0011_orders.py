"""Orders of partners for our stations, and the short names of long tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "partner_orders",
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("response_url", TEXT, nullable=False),
        sa.Column("wish", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("answer", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=True),
        sa.Column("station_id", TEXT, nullable=True),
        sa.Column("evse", sa.BigInteger(), nullable=True),
        sa.Column("party_id", TEXT, nullable=True),
        sa.Column("uid_key", TEXT, nullable=True),
        sa.Column("token_type", TEXT, nullable=True),
        sa.Column("reference", TEXT, nullable=True),
        sa.Column("command_id", TEXT, nullable=True),
        sa.Column("result", TEXT, nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("try_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("partner_id", "response_url"),
        sqlite_with_rowid=False,
    )
    op.create_index("partner_orders_place", "partner_orders", ["station_id", "uid_key"])
    op.create_index("partner_orders_command", "partner_orders", ["command_id"])
    op.create_index("partner_orders_state", "partner_orders", ["state"])
    op.create_table(
        "token_aliases",
        sa.Column("alias_key", TEXT, nullable=False),
        sa.Column("alias", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("alias_key"),
        sqlite_with_rowid=True,
    )
