"""`csms roaming`: charges of our drivers elsewhere, and what networks bill each other for.

Where they can charge and how they are started is in `neighbours` and `errands` beside."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from csms.cli.client import Row, segment
from csms.cli.output import Column, column
from csms.cli.session import LimitOption, OutputOption, Session

app = typer.Typer(
    help="Charging at other networks, and what networks bill each other.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


class State(StrEnum):
    """Where a record is on its way."""

    DUE = "due"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"


_RECEIVED = (
    column("billed by", "party_id"),
    column("id", "id"),
    column("token", "token_uid"),
    column("ended", "ended_at", time=True),
    column("kWh", "energy_kwh", right=True),
    column("before taxes", "before_taxes", right=True),
    column("currency", "currency"),
    column("expected", "repriced", right=True),
    column("difference", "difference", right=True),
    column("fee", "fee", right=True),
    column("by", "priced_by"),
)
_DETAILS = (
    *_RECEIVED[:3],
    column("driver of", "token_party"),
    column("started", "started_at", time=True),
    *_RECEIVED[3:6],
    column("after taxes", "after_taxes"),
    *_RECEIVED[6:],
    column("credit of", "credit_of"),
    column("received", "received_at", time=True),
)
_DELIVERIES = (
    column("party", "party_id"),
    column("id", "cdr_id"),
    column("partner", "partner_id"),
    column("state", "state"),
    column("attempts", "attempts", right=True),
    column("last", "sent_at", time=True),
    column("settled", "settled_at", time=True),
    column("why", "error"),
)


def _told(title: str, path: str, *, time: bool = False, right: bool = False) -> Column:
    """The column of a field of the session, as it was told."""

    def value(row: Row) -> Any:
        found: Any = row.get("session")
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    return Column(title, value, time, right)


_SESSIONS = (
    column("at", "party_id"),
    column("id", "id"),
    _told("status", "status"),
    _told("token", "cdr_token.uid"),
    _told("location", "location_id"),
    _told("EVSE", "evse_uid"),
    _told("started", "start_date_time", time=True),
    _told("kWh", "kwh", right=True),
    _told("cost", "total_cost.excl_vat", right=True),
    _told("currency", "currency"),
)


@app.command("sessions")
def sessions(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """Charges of our drivers at other networks, as those told last; costs are before taxes.

    Example: `csms roaming sessions`
    """
    session = Session.of(context, output)
    empty = "no other network has told of a session of our drivers"
    session.list("/roaming/sessions", _SESSIONS, empty, limit=limit)


@app.command("unbilled")
def unbilled(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """Charges of our drivers elsewhere that were completed over an hour ago and are billed by no
    record.

    Example: `csms roaming unbilled`
    """
    session = Session.of(context, output)
    empty = "every charge that was completed is billed"
    session.list("/roaming/sessions/unbilled", _SESSIONS, empty, limit=limit)


@app.command("unmatched")
def unmatched(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """Records of other networks for charges that nobody has told us of: ask before you pay.

    Example: `csms roaming unmatched`
    """
    session = Session.of(context, output)
    empty = "the charge of every record was told"
    session.list("/roaming/cdrs/unmatched", _RECEIVED, empty, limit=limit)


@app.command("cdrs")
def cdrs(
    context: typer.Context,
    differing: Annotated[
        bool, typer.Option("--differing", help="Only where the price is not as expected.")
    ] = False,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """What other networks bill for charges of our drivers, beside what was expected: the price by
    the tariff that they told us. The difference should be 0, and the fee is what our contract adds.

    Example: `csms roaming cdrs --differing`
    """
    session = Session.of(context, output)
    params = {"differing": "true" if differing else None}
    empty = "every price is as expected" if differing else "no network has billed us yet"
    session.list("/roaming/cdrs", _RECEIVED, empty, params=params, limit=limit)


@app.command("cdr")
def cdr(
    context: typer.Context,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="Who bills, like US*STH.")],
    cdr: Annotated[str, typer.Argument(metavar="CDR", help="Its id.")],
    output: OutputOption = None,
) -> None:
    """One record of another network; with `--output json` as it came.

    Example: `csms roaming cdr US*STH C1 --output json`
    """
    session = Session.of(context, output)
    path = f"/roaming/cdrs/{segment(party, 'PARTY')}/{segment(cdr, 'CDR')}"
    session.out.record(session.client.get(path), _DETAILS)


@app.command("deliveries")
def deliveries(
    context: typer.Context,
    state: Annotated[
        State | None, typer.Option("--state", help="Only in that state.", show_default=False)
    ] = None,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """Our records on their way to the networks of their drivers: due, sent (no answer that settles
    it, tried again), confirmed, or refused with their words.

    Example: `csms roaming deliveries --state refused`
    """
    session = Session.of(context, output)
    empty = "no record is on its way, and none was"
    params = {"state": state.value if state else None}
    session.list("/roaming/deliveries", _DELIVERIES, empty, params=params, limit=limit)
