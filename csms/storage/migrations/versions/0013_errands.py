"""What is asked of others' stations, where their places are, and what their tariffs were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "errands",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("wish", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("requested_by", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("token_party", TEXT, nullable=True),
        sa.Column("token_uid", TEXT, nullable=True),
        sa.Column("location_id", TEXT, nullable=True),
        sa.Column("evse_uid", TEXT, nullable=True),
        sa.Column("connector_id", TEXT, nullable=True),
        sa.Column("session_id", TEXT, nullable=True),
        sa.Column("result", TEXT, nullable=True),
        sa.Column("detail", TEXT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("errands_status", "errands", ["status"])
    op.create_table(
        "neighbour_past_tariffs",
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("id_key", TEXT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("last_updated", MOMENT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("party_id", "id_key", "until"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "neighbour_past_tariffs_tariff", "neighbour_past_tariffs", ["party_id", "id_key"]
    )
    op.add_column("received_cdrs", sa.Column("session_key", TEXT, nullable=True))
    op.create_index("received_cdrs_session", "received_cdrs", ["party_id", "session_key"])
    # Locations that are there already get theirs with the daily reading of the partner's list.
    op.add_column("neighbour_objects", sa.Column("cell", TEXT, nullable=True))
    op.create_index("neighbour_objects_cell", "neighbour_objects", ["module", "cell"])
