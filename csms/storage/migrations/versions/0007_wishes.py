"""What operators want of stations beyond one link; how a card is read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("tokens", sa.Column("technology", sa.Text(), nullable=True))
