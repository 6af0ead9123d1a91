"""What is asked of other networks' stations, and where their places are."""

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
    # Locations that are there already get theirs with the daily reading of the partner's list.
    op.add_column("neighbour_objects", sa.Column("cell", sa.Text(), nullable=True))
    op.create_index("neighbour_objects_cell", "neighbour_objects", ["module", "cell"])
