"""Roaming: locations, tariffs, partners, tokens of others, sessions, charge detail records."""

from __future__ import annotations

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Nothing yet: the tables of this block come with it."""
