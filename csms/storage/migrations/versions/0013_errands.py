"""What is asked of others' stations, where their places are, and what their tariffs were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "errands",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("wish", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("partner_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("token_party", sa.Text(), nullable=True),
        sa.Column("token_uid", sa.Text(), nullable=True),
        sa.Column("location_id", sa.Text(), nullable=True),
        sa.Column("evse_uid", sa.Text(), nullable=True),
        sa.Column("connector_id", sa.Text(), nullable=True),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("errands_status", "errands", ["status"])
    op.create_table(
        "neighbour_past_tariffs",
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("id_key", sa.Text(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("last_updated", MOMENT, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("party_id", "id_key", "until"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "neighbour_past_tariffs_tariff", "neighbour_past_tariffs", ["party_id", "id_key"]
    )
    op.add_column("received_cdrs", sa.Column("session_key", sa.Text(), nullable=True))
    op.create_index("received_cdrs_session", "received_cdrs", ["party_id", "session_key"])
    # Locations that are there already get theirs with the daily reading of the partner's list.
    op.add_column("neighbour_objects", sa.Column("cell", sa.Text(), nullable=True))
    op.create_index("neighbour_objects_cell", "neighbour_objects", ["module", "cell"])
