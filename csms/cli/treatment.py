"""How a station is treated and how it broke the protocol, as people read it."""

from __future__ import annotations

from csms.cli.client import Row
from csms.cli.output import Column, column
from csms.cli.session import Session

SWITCHES = (
    column("switch", "name"),
    Column("value", lambda s: shown(s.get("value"))),
    column("from", "origin"),
    column("meaning", "meaning"),
)
VIOLATIONS = (
    column("violation", "kind"),
    column("count", "count", right=True),
    column("meaning", "meaning"),
)


def shown(value: object) -> str:
    """A value as it is typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def show_treatment(session: Session, path: str) -> None:
    """What of a station's switches is not the default, and its violations; `path` is its path in
    the API."""
    switches: list[Row] = list(session.client.get(f"{path}/switches"))
    told = [s for s in switches if s.get("origin") != "default"]
    violations: list[Row] = list(session.client.get(f"{path}/violations"))
    for rows, columns in ((told, SWITCHES), (violations, VIOLATIONS)):
        if rows:
            session.out.line()
            session.out.rows(rows, columns, "")
