"""`csms cdr`: charge detail records, by which charges are billed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from csms.cli.client import Row, segment
from csms.cli.output import Column, cell, column, kwh
from csms.cli.session import LimitOption, OutputOption, Session

app = typer.Typer(
    help="Charge detail records (CDRs): what charges are billed by.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

PartyArgument = Annotated[str, typer.Argument(metavar="PARTY", help="Its owner, like CA*NTH.")]
CdrArgument = Annotated[str, typer.Argument(metavar="CDR", help="Its id.")]


def _standing(cdr: Row) -> str:
    if cdr.get("credit_of"):
        return f"credit of {cdr['credit_of']}"
    return "credited" if cdr.get("credited_by") else "billed"


_COLUMNS = (
    column("party", "party_id"),
    column("id", "id"),
    column("transaction", "transaction_id", right=True),
    column("driver of", "token_party"),
    column("token", "token_uid"),
    column("ended", "ended_at", time=True),
    Column("kWh", lambda c: kwh(c.get("energy_wh")), right=True),
    column("before taxes", "before_taxes", right=True),
    column("after taxes", "after_taxes", right=True),
    column("currency", "currency"),
    Column("state", _standing),
)
_DETAILS = (
    *_COLUMNS[:5],
    column("started", "started_at", time=True),
    *_COLUMNS[5:],
    column("credited by", "credited_by"),
    column("created", "created_at", time=True),
    Column("place", lambda c: _place(c.get("cdr") or {})),
    Column("remark", lambda c: (c.get("cdr") or {}).get("remark")),
)
_WHY = {
    "refused": "its driver was refused, and drew no energy to speak of",
    "no_tariff": "no tariff applied where it started",
    "not_priced": "its price is not known yet",
    "not_billed": "its price is known, its record is not made",
}
_MISSING = (
    column("transaction", "transaction_id", right=True),
    column("station", "station"),
    column("party", "party_id"),
    column("token", "token_uid"),
    column("ended", "ended_at", time=True),
    Column("kWh", lambda t: kwh(t.get("energy_wh")), right=True),
    Column("why", lambda t: _WHY.get(str(t.get("why")), t.get("why"))),
)


_WHY_NOT = {
    "removed": "the connection was removed, and none of that name took its place",
    "suspended": "the connection is suspended",
    "waiting": "it was not begun with",
    "unknown_network": "it is not known over which connection the driver came",
}
_UNDELIVERED = (
    *_COLUMNS[:6],
    *_COLUMNS[8:10],
    column("partner", "partner_id"),
    Column("why", lambda c: _WHY_NOT.get(str(c.get("why")), c.get("why"))),
)


def _place(said: Row) -> str | None:
    place = said.get("cdr_location") or {}
    words = [place.get(name) for name in ("id", "evse_id", "address", "city", "country")]
    return ", ".join(str(word) for word in words if word) or None


@app.command("list")
def list_cdrs(
    context: typer.Context,
    transaction: Annotated[
        int | None, typer.Option("--transaction", min=1, help="Of one.", show_default=False)
    ] = None,
    token_party: Annotated[
        str | None,
        typer.Option("--token-party", help="Of the drivers of one party.", show_default=False),
    ] = None,
    credited: Annotated[
        bool | None,
        typer.Option(
            "--credited/--not-credited",
            help="Only what was cancelled, with the credits; or only the rest.",
            show_default=False,
        ),
    ] = None,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """Charge detail records, the newest first.

    Example: `csms cdr list --token-party 'US*STH'`

    Example: `csms cdr list --transaction 17 --output json`
    """
    session = Session.of(context, output)
    params = {
        "transaction": transaction,
        "token_party": token_party,
        "credited": None if credited is None else json.dumps(credited),
    }
    empty = "there are no such records; csms cdr missing shows what is not billed"
    session.list("/cdrs", _COLUMNS, empty, params=params, limit=limit, grows=True)


@app.command("show")
def show(
    context: typer.Context, party: PartyArgument, cdr: CdrArgument, output: OutputOption = None
) -> None:
    """One record; with `--output json` all that it says.

    Example: `csms cdr show 'CA*NTH' 0190f3a2c4d1 --output json`
    """
    session = Session.of(context, output)
    session.out.record(session.client.get(_path(party, cdr)), _DETAILS)


@app.command("credit")
def credit(
    context: typer.Context,
    party: PartyArgument,
    cdr: CdrArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; partners read it as well.")],
    output: OutputOption = None,
) -> None:
    """Cancel a record: a credit record is made, and told to whom the record was told.

    Example: `csms cdr credit 'CA*NTH' 0190f3a2c4d1 --reason "charged twice"`
    """
    session = Session.of(context, output)
    made: Any = session.client.write("POST", f"{_path(party, cdr)}/credit", {"reason": reason})
    if session.out.is_json:
        session.out.json(made)
        return
    amount = f"{made['after_taxes']} {made['currency']}"
    session.out.line(f"{cell(made['credit_of'])} is credited by {cell(made['id'])}: {amount}")


@app.command("missing")
def missing(context: typer.Context, limit: LimitOption = None, output: OutputOption = None) -> None:
    """Charges that ended over a minute ago and are billed by no record, with the reason.

    Example: `csms cdr missing`
    """
    session = Session.of(context, output)
    empty = "every charge that ended is billed"
    session.list("/cdrs/missing", _MISSING, empty, limit=limit, grows=True)


@app.command("unmatched")
def unmatched(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """Records whose charge is not here any more (retention.transactions_days), the newest first.

    Example: `csms cdr unmatched`
    """
    session = Session.of(context, output)
    empty = "the charge of every record is here"
    session.list("/cdrs/unmatched", _COLUMNS, empty, limit=limit, grows=True)


@app.command("undelivered")
def undelivered(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """Records for drivers of other networks that nobody sends at the moment, with the reason. A
    connection that was removed is followed by one that is made under the same name
    (`csms partner invite`), which gets what that one was owed. What is on its way is in
    `csms roaming deliveries`.

    Example: `csms cdr undelivered`
    """
    session = Session.of(context, output)
    empty = "every record for another network is settled or on its way"
    session.list("/cdrs/undelivered", _UNDELIVERED, empty, limit=limit, grows=True)


def _path(party: str, cdr: str) -> str:
    return f"/cdrs/{segment(party, 'PARTY')}/{segment(cdr, 'CDR')}"
