"""Operators: the audit trail, the message log, keys of parties, quarantine that is assigned."""

from __future__ import annotations

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nothing yet: the tables of this block come with it."""
