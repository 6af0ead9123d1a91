"""The device model: variables of stations, desired values, inventories."""

from __future__ import annotations

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nothing yet: the tables of this block come with it."""
