"""`csms tariff`: prices, where they apply, and why a session costs what it costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from csms.cli.client import Row, segment
from csms.cli.failures import ExitCode, Failure, usage
from csms.cli.output import Column, cell, column
from csms.cli.places import LocationArgument, PartyOption, owner, present, the_one
from csms.cli.session import LimitOption, OutputOption, Session, paste

app = typer.Typer(
    help="Tariffs: prices, where they apply, and why a session costs what it costs.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
TariffArgument = Annotated[
    str, typer.Argument(metavar="TARIFF", help="Its id, as csms tariff list shows it.")
]


def _elements(row: Row) -> str:
    return str(len((row.get("tariff") or {}).get("elements") or []))


_COLUMNS = (
    column("id", "id"),
    column("version", "version", right=True),
    column("currency", "currency"),
    column("for", "kind"),
    Column("elements", _elements, right=True),
    Column("taxes included", lambda t: (t.get("tariff") or {}).get("tax_included")),
    column("from", "starts_at", time=True),
    column("until", "ends_at", time=True),
    column("party", "party_id"),
    column("updated", "last_updated", time=True),
)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file. Raises `Failure`."""
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise usage(f"{path}: {error.strerror}", "name a file that can be read") from None
    except ValueError as error:
        raise usage(f"{path}: not valid JSON: {error}", "config/tariffs has examples") from None
    if not isinstance(found, dict):
        raise usage(f"{path}: one tariff is expected", "config/tariffs has examples")
    return found


def _path(row: Row) -> str:
    return f"/tariffs/{segment(str(row['party_id']), '--party')}/{segment(str(row['id']), 'ID')}"


@app.command("add")
def add_tariff(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="In the shape of OCPI.")],
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """Add a tariff, or a new version of the one with its id. Sessions that run keep the version
    that they started with. One that cannot be priced is refused, naming the element.

    Example: `csms tariff add config/tariffs/energy.json`
    """
    session = Session.of(context, output)
    body = {**read_json(file), **owner(party)}
    row = session.client.write("POST", "/tariffs", body)
    if session.out.is_json:
        session.out.json(row)
        return
    session.out.line(f"tariff {cell(row['id'])} of {row['party_id']}, version {row['version']}")
    session.out.line(f"Where it applies: {paste('tariff', 'assign', str(row['id']), 'LOCATION')}")


@app.command("list")
def list_tariffs(
    context: typer.Context,
    all_versions: Annotated[
        bool, typer.Option("--all", help="Also versions that were replaced.")
    ] = False,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """The tariffs that new sessions may get.

    Example: `csms tariff list`
    """
    session = Session.of(context, output)
    empty = "there are no tariffs; add one: csms tariff add FILE.json"
    params = {"all_versions": "true"} if all_versions else {}
    session.list("/tariffs", _COLUMNS, empty, params=params, limit=limit)


@app.command("show")
def show_tariff(
    context: typer.Context,
    tariff: TariffArgument,
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """One tariff: its text, and where it applies.

    Example: `csms tariff show DAY`
    """
    session = Session.of(context, output)
    row = the_one(session, "/tariffs", "tariff", tariff, party)
    places = list(session.client.pages(f"{_path(row)}/assignments"))
    if session.out.is_json:
        session.out.json({**row, "assignments": places})
        return
    session.out.record(row, _COLUMNS)
    session.out.line()
    columns = (column("location", "location_key"), column("evse", "uid_key"))
    nowhere = f"it applies nowhere: {paste('tariff', 'assign', str(row['id']), 'LOCATION')}"
    session.out.rows(places, columns, nowhere)
    session.out.line()
    session.out.json(row["tariff"])


@app.command("retire")
def retire_tariff(
    context: typer.Context,
    tariff: TariffArgument,
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """Let no new session get it. Sessions that run keep it.

    Example: `csms tariff retire OLD`
    """
    session = Session.of(context, output)
    row = the_one(session, "/tariffs", "tariff", tariff, party)
    row = session.client.write("DELETE", _path(row))
    if session.out.is_json:
        session.out.json(row)
        return
    session.out.line(f"tariff {cell(row['id'])} is retired")


@app.command("assign")
def assign_tariff(
    context: typer.Context,
    tariff: TariffArgument,
    location: LocationArgument,
    evse: Annotated[
        str | None,
        typer.Option("--evse", metavar="UID", help="Only this EVSE.", show_default=False),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="It applies no longer.")] = False,
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """Let a tariff apply at a location, or at one EVSE of it (then those of the location do not).

    Example: `csms tariff assign DAY DEPOT`

    Example: `csms tariff assign NIGHT DEPOT --evse 1f0c61e8d1c24a1f9a4f2d3c --remove`
    """
    session = Session.of(context, output)
    row = the_one(session, "/tariffs", "tariff", tariff, party)
    body = present({"location_id": location, "evse_uid": evse})
    path = f"{_path(row)}/assignments{'/remove' if remove else ''}"
    answer = session.client.write("POST", path, body)
    if session.out.is_json:
        session.out.json(answer)
        return
    where = f"{cell(location)}{f' (EVSE {cell(evse)})' if evse else ''}"
    if remove and not answer["removed"]:
        what = f"{row['id']} did not apply at {location}"
        raise Failure(ExitCode.FAILED, what, "csms location show says which tariffs do")
    verb = "no longer applies" if remove else "applies"
    session.out.line(f"tariff {cell(row['id'])} {verb} at {where}")


# -- why a session costs what it costs -------------------------------------------------------------


@app.command("price")
def price(
    context: typer.Context,
    tariff: Annotated[
        str | None,
        typer.Argument(metavar="[TARIFF]", help="Its id, or a file FILE.json.", show_default=False),
    ] = None,
    transaction: Annotated[
        int | None, typer.Option(min=1, help="A transaction that there was.", show_default=False)
    ] = None,
    kwh: Annotated[float, typer.Option(min=0, help="Energy charged.")] = 0.0,
    minutes: Annotated[float, typer.Option(min=0, help="Time charging.")] = 0.0,
    idle: Annotated[float, typer.Option(min=0, help="Minutes plugged in afterwards.")] = 0.0,
    start: Annotated[
        str | None,
        typer.Option(metavar="ISO", help="Local time there; default: now.", show_default=False),
    ] = None,
    zone: Annotated[str, typer.Option(help="Time zone there (IANA).")] = "UTC",
    country: Annotated[
        str | None, typer.Option(help="For taxes, like CA.", show_default=False)
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="For taxes, like QC.", show_default=False)
    ] = None,
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """Explain a price line by line: an imagined session under a tariff, or a transaction.

    Example: `csms tariff price DAY --kwh 20 --minutes 45 --start 2026-03-02T16:40
    --zone America/Toronto --country CA --state QC`

    Example: `csms tariff price config/tariffs/energy.json --kwh 20 --minutes 45`

    Example: `csms tariff price --transaction 17`
    """
    session = Session.of(context, output)
    if (tariff is None) == (transaction is None):
        example = "an example is csms tariff price --transaction 17"
        raise usage("a tariff or --transaction is needed, one of them", example)
    if transaction is not None:
        answer = session.client.get(f"/transactions/{transaction}/price")
    else:
        body = {
            "kwh": kwh,
            "minutes": minutes,
            "idle_minutes": idle,
            "start": start,
            "time_zone": zone,
            "country": country,
            "state": state,
            **_named(session, tariff or "", party),
        }
        answer = session.client.write("POST", "/tariffs/price", present(body))
    if session.out.is_json:
        session.out.json(answer)
        return
    _explain(session, answer)


def _named(session: Session, tariff: str, party: str | None) -> dict[str, Any]:
    if tariff.endswith(".json"):
        return {"tariff": read_json(Path(tariff))}
    row = the_one(session, "/tariffs", "tariff", tariff, party)
    return {"party_id": row["party_id"], "tariff_id": row["id"]}


def _quantity(line: Row, name: str) -> str:
    unit = line.get("unit")
    return f"{cell(line.get(name))}{f' {unit}' if unit else ''}"


def _unit_price(line: Row) -> str | None:
    if line.get("unit_price") is None:
        return "free"
    per = {"kWh": "/kWh", "s": "/h"}.get(str(line.get("unit")), "")
    return f"{line['unit_price']}{per}"


_LINES = (
    column("part", "part"),
    column("dimension", "dimension"),
    column("element", "element", right=True),
    Column("measured", lambda x: _quantity(x, "measured"), right=True),
    Column("billed", lambda x: _quantity(x, "billed"), right=True),
    Column("price", _unit_price, right=True),
    column("before taxes", "before_taxes", right=True),
    Column(
        "taxes",
        lambda x: " ".join(f"{t['name']}={t['amount']}" for t in x.get("taxes") or []) or None,
    ),
    column("after taxes", "after_taxes", right=True),
)
_PERIODS = (
    column("from", "start", time=True),
    column("until", "end", time=True),
    column("kWh", "energy_kwh", right=True),
    column("charging s", "charging_s", right=True),
    column("idle s", "idle_s", right=True),
    column("kW", "max_power_kw", right=True),
)


def _explain(session: Session, answer: Row) -> None:
    out = session.out
    if "transaction_id" in answer:
        out.line(
            f"Transaction {answer['transaction_id']} ({answer['state']}): tariff "
            f"{cell(answer['tariff_id'])} of {answer['party_id']}, version "
            f"{answer['tariff_version']}, at {cell(answer['location_id'])} "
            f"({cell(answer['time_zone'])})"
        )
        out.line()
    out.rows(list(answer["lines"]), _LINES, "nothing is charged")
    out.line()
    for line in answer["lines"]:
        for why in line["why"]:
            out.line(f"{line['dimension']}: {why}")
    if len(answer["periods"]) > 1:
        out.line()
        out.rows(list(answer["periods"]), _PERIODS, "")
    out.line()
    currency = cell(answer["currency"])
    out.line(f"Before taxes  {answer['before_taxes']} {currency}")
    for tax in answer["taxes"]:
        rate = f" {tax['percentage']} %" if tax["percentage"] is not None else ""
        account = f" ({cell(tax['account_number'])})" if tax["account_number"] else ""
        out.line(f"{cell(tax['name'])}{rate}{account}  {tax['amount']} {currency}")
    out.line(f"After taxes   {answer['after_taxes']} {currency}")
    for text in answer["notes"]:
        out.line(f"Note: {text}")
    for text in answer["warnings"]:
        out.line(f"Look at: {text}")
