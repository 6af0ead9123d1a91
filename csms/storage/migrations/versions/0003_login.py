"""How stations log in: credentials that rotate, security profiles."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Nothing yet: the tables of this block come with it."""
