"""`csms roaming start|stop|unlock|errands`: charges of our drivers at other networks' stations."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from csms.cli.client import Row, segment
from csms.cli.failures import ExitCode, Failure
from csms.cli.neighbours import PANEL, LocationArgument, PartyArgument
from csms.cli.output import cell, column, waiting
from csms.cli.roaming import app
from csms.cli.session import LimitOption, OutputOption, Session, paste

WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait for the result; 0: do not wait.")
]

_COLUMNS = (
    column("id", "id"),
    column("wish", "wish"),
    column("at", "party_id"),
    column("status", "status"),
    column("token", "token_uid"),
    column("location", "location_id"),
    column("EVSE", "evse_uid"),
    column("session", "session_id"),
    column("result", "result"),
    column("detail", "detail"),
    column("asked", "created_at", time=True),
)


@app.command("start", rich_help_panel=PANEL)
def start(
    context: typer.Context,
    party: PartyArgument,
    location: LocationArgument,
    token: Annotated[str, typer.Option("--token", metavar="UID", help="Who charges.")],
    kind: Annotated[str, typer.Option("--kind", help="Of the token: rfid, app or other.")] = "rfid",
    owner: Annotated[
        str | None, typer.Option("--party", help="Owner of the token.", show_default=False)
    ] = None,
    evse: Annotated[
        str | None, typer.Option("--evse", help="Default: one that is free.", show_default=False)
    ] = None,
    connector: Annotated[str | None, typer.Option("--connector", show_default=False)] = None,
    wait: WaitOption = 45.0,
    output: OutputOption = None,
) -> None:
    """Start a charge for one of our drivers at a station of another network.

    Accepted means that the station will try: the session follows when the car is plugged in.

    Example: `csms roaming start 'US*STH' LOC1 --token 04E1A2B3`
    """
    session = Session.of(context, output)
    body = {
        "party_id": party,
        "location_id": location,
        "token": token,
        "token_kind": kind,
        "token_party": owner,
        "evse_uid": evse,
        "connector_id": connector,
    }
    row = _submit(session, "start", party, wait, body)
    begun = row.get("session_id")
    follows = f"session {cell(begun)} of {party}" if begun else "the session follows"
    _finish(session, party, row, wait, f"{follows}: {paste('roaming', 'sessions')}")


@app.command("stop", rich_help_panel=PANEL)
def stop(
    context: typer.Context,
    party: PartyArgument,
    session_id: Annotated[
        str, typer.Argument(metavar="SESSION", help="Its id, as csms roaming sessions shows it.")
    ],
    wait: WaitOption = 45.0,
    output: OutputOption = None,
) -> None:
    """End a charge of one of our drivers at a station of another network.

    Example: `csms roaming stop 'US*STH' 17`
    """
    session = Session.of(context, output)
    row = _submit(session, "stop", party, wait, {"party_id": party, "session_id": session_id})
    _finish(session, party, row, wait, f"its bill follows: {paste('roaming', 'cdrs')}")


@app.command("unlock", rich_help_panel=PANEL)
def unlock(
    context: typer.Context,
    party: PartyArgument,
    location: LocationArgument,
    evse: Annotated[str, typer.Argument(metavar="EVSE", help="Its uid.")],
    connector: Annotated[str, typer.Argument(metavar="CONNECTOR", help="Its id.")] = "1",
    wait: WaitOption = 45.0,
    output: OutputOption = None,
) -> None:
    """Release the cable of a driver of ours at a station of another network.

    Example: `csms roaming unlock 'US*STH' LOC1 E1 1`
    """
    session = Session.of(context, output)
    body = {
        "party_id": party,
        "location_id": location,
        "evse_uid": evse,
        "connector_id": connector,
    }
    _finish(session, party, _submit(session, "unlock", party, wait, body), wait)


@app.command("errands", rich_help_panel=PANEL)
def errands(context: typer.Context, limit: LimitOption = None, output: OutputOption = None) -> None:
    """What other networks were asked for, the newest first: sent, taken (their station is asked),
    then accepted, rejected, failed or timed out; unknown when they may not have heard it.

    Example: `csms roaming errands --limit 5`
    """
    session = Session.of(context, output)
    session.list(
        "/roaming/errands", _COLUMNS, "nothing was asked of others", limit=limit, grows=True
    )


@app.command("errand", rich_help_panel=PANEL)
def errand(
    context: typer.Context,
    errand: Annotated[str, typer.Argument(metavar="ERRAND", help="Its id.")],
    output: OutputOption = None,
) -> None:
    """What became of one errand.

    Example: `csms roaming errand 0190f3a2c4d1`
    """
    session = Session.of(context, output)
    row = session.client.get(f"/roaming/errands/{segment(errand, 'ERRAND')}")
    session.out.record(row, _COLUMNS)


def _submit(session: Session, what: str, party: str, wait_s: float, body: Row) -> Row:
    given = {name: value for name, value in body.items() if value is not None}
    with waiting(f"waiting for {party}"):
        row: Row = session.client.write(
            "POST",
            f"/roaming/errands/{what}",
            given,
            params={"wait": wait_s},
            # Their answer at once may take as long as any request to a partner.
            wait_s=wait_s + 30,
            hints={"not_found": f"{paste('roaming', 'locations')} shows the places"},
        )
    return row


def _finish(session: Session, party: str, row: Row, wait_s: float, accepted: str = "") -> None:
    """Print the outcome in one line. Raises `Failure` unless the station said yes or nobody
    waits."""
    if session.out.is_json:
        session.out.json(row)
    status = str(row.get("status"))
    said: Any = row.get("detail") or row.get("result")
    says_more = said and str(said).casefold() != status
    outcome = f"{status.replace('_', ' ')}: {cell(said)}" if says_more else status.replace("_", " ")
    look = f"{paste('roaming', 'errand', str(row.get('id')))} shows what became of it"
    if status == "accepted" or (status in ("sent", "taken") and wait_s == 0):
        if not session.out.is_json:
            more = accepted if status == "accepted" else look
            session.out.line(f"{outcome}; {more}" if more else outcome)
    elif status in ("sent", "taken"):
        what = f"{party} has not told the result within {wait_s:g} s"
        raise Failure(ExitCode.TIMED_OUT, what, look)
    elif status == "timed_out":
        raise Failure(ExitCode.TIMED_OUT, outcome, f"a late result is noted: {look}")
    elif status == "unknown":
        raise Failure(ExitCode.FAILED, f"{party} may not have heard it: {cell(said)}", look)
    else:
        raise Failure(ExitCode.FAILED, outcome, look)
