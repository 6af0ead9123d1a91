"""`csms audit`: who changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from csms.cli.moments import SinceOption, moment
from csms.cli.output import Column, column
from csms.cli.session import LimitOption, OutputOption, Session

app = typer.Typer(rich_markup_mode="markdown")
_COLUMNS = (
    column("at", "at", time=True),
    Column("who", lambda entry: entry.get("actor_name") or entry.get("actor")),
    column("action", "action"),
    column("target", "target"),
    column("asked", "facts"),
    column("from", "remote_address"),
)


@app.command("audit", rich_help_panel="Administration")
def audit(
    context: typer.Context,
    station: Annotated[
        str | None, typer.Option("--station", help="About one station.", show_default=False)
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option("--actor", help="By one API key: its name or id.", show_default=False),
    ] = None,
    action: Annotated[
        str | None,
        typer.Option("--action", help="Of one kind, like station_added.", show_default=False),
    ] = None,
    since: SinceOption = None,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """Who changed what and asked what of stations, the newest first.

    It needs an admin key for all parties. Secrets are not kept; for programs every entry has all
    that was asked.

    Example: `csms audit --station CP-1`

    Example: `csms audit --actor "night shift" --since 7d --output json`
    """
    session = Session.of(context, output)
    params = {
        "station": station,
        "actor": actor,
        "action": action,
        "since": moment(since, "--since"),
    }
    empty = "nothing was changed"
    session.list("/audit", _COLUMNS, empty, params=params, limit=limit, grows=True)
