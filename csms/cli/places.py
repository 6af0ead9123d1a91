"""`csms location`: where stations stand, as drivers and other networks see it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csms.cli import place_files
from csms.cli.client import Row, segment
from csms.cli.failures import ExitCode, Failure, usage
from csms.cli.output import Column, cell, column, note
from csms.cli.session import LimitOption, OutputOption, Session, paste

app = typer.Typer(
    help="Locations: where stations stand, as drivers and other networks see it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
LocationArgument = Annotated[
    str, typer.Argument(metavar="LOCATION", help="Its id, as csms location list shows it.")
]
PartyOption = Annotated[
    str | None, typer.Option("--party", help="Its owner, like CA*NTH.", show_default=False)
]


def _evse_states(row: Row) -> str | None:
    states: dict[str, int] = {}
    for evse in row.get("evses") or []:
        status = str(evse.get("status", "UNKNOWN")).lower()
        states[status] = states.get(status, 0) + 1
    return " ".join(f"{count}:{status}" for status, count in sorted(states.items())) or None


_COLUMNS = (
    column("id", "id"),
    column("name", "name"),
    column("city", "city"),
    column("state", "state"),
    column("country", "country"),
    column("time zone", "time_zone"),
    Column("EVSEs", _evse_states),
    column("published", "publish"),
    column("owner", "owner"),
    column("updated", "last_updated", time=True),
)
_DETAILS = (
    column("id", "id"),
    column("owner", "owner"),
    column("name", "name"),
    column("address", "address"),
    column("city", "city"),
    column("postal code", "postal_code"),
    column("state", "state"),
    column("country", "country"),
    column("coordinates", "coordinates"),
    column("time zone", "time_zone"),
    column("published", "publish"),
    column("parking", "parking_type"),
    column("facilities", "facilities"),
    column("updated", "last_updated", time=True),
)


def _connectors(evse: Row) -> str | None:
    """`1:IEC_62196_T2 CABLE AC_3_PHASE 400V 32A`."""
    found = []
    for c in evse.get("connectors") or []:
        words = [c.get("standard"), c.get("format"), c.get("power_type")]
        limits = [f"{c.get('max_voltage')}V", f"{c.get('max_amperage')}A"]
        found.append(f"{c.get('id')}:{' '.join(cell(w) for w in [*words, *limits])}")
    return "; ".join(found) or None


_EVSE_COLUMNS = (
    column("uid", "uid"),
    column("evse id", "evse_id"),
    column("status", "status"),
    column("operative", "operative"),
    column("station", "station"),
    column("evse", "evse", right=True),
    Column("connectors", _connectors),
    column("updated", "last_updated", time=True),
)


def the_one(session: Session, path: str, noun: str, wanted: str, party: str | None) -> Row:
    """The only thing with that id, of any party that the key sees. Raises `Failure`."""
    found = [
        row
        for row in session.client.pages(path)
        if str(row["id"]).casefold() == wanted.strip().casefold()
        and party in (None, row.get("owner"), row.get("party_id"))
    ]
    if not found:
        next_step = f"csms {noun} list shows those there are"
        raise Failure(ExitCode.FAILED, f"no {noun} {wanted}", next_step)
    if len(found) > 1:
        owners = " or ".join(str(row.get("owner") or row.get("party_id")) for row in found)
        raise usage(f"there are {len(found)} of {wanted}", f"choose one with --party {owners}")
    return found[0]


def _path(row: Row) -> str:
    return f"/locations/{segment(str(row['owner']), '--party')}/{segment(str(row['id']), 'ID')}"


def _show(session: Session, row: Row) -> None:
    session.out.record(row, _DETAILS)
    if not session.out.is_json:
        session.out.line()
        session.out.rows(list(row.get("evses") or []), _EVSE_COLUMNS, "it has no EVSEs")


@app.command("add")
def add_location(
    context: typer.Context,
    location: Annotated[str, typer.Argument(metavar="ID", help="At most 36 characters.")],
    address: Annotated[str, typer.Option(help="Street and number.")],
    city: Annotated[str, typer.Option()],
    country: Annotated[str, typer.Option(help="ISO 3166, like CAN.")],
    latitude: Annotated[float, typer.Option(help="Decimal degrees.")],
    longitude: Annotated[float, typer.Option(help="Decimal degrees.")],
    time_zone: Annotated[str, typer.Option(help="IANA, like America/Toronto.")],
    name: Annotated[str | None, typer.Option(show_default=False)] = None,
    state: Annotated[
        str | None, typer.Option(help="Province or state; taxes need it.", show_default=False)
    ] = None,
    postal_code: Annotated[str | None, typer.Option(show_default=False)] = None,
    publish: Annotated[bool, typer.Option(help="Show it on maps.")] = True,
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """Add a location, or replace what is said of it; its EVSEs stay.

    Example: `csms location add DEPOT --address "1 Main St" --city Laval --state QC --country CAN
    --latitude 45.57 --longitude -73.69 --time-zone America/Toronto`
    """
    session = Session.of(context, output)
    body: dict[str, Any] = {
        "id": location,
        "address": address,
        "city": city,
        "country": country,
        "coordinates": {"latitude": f"{latitude:.6f}", "longitude": f"{longitude:.6f}"},
        "time_zone": time_zone,
        "publish": publish,
        "name": name,
        "state": state,
        "postal_code": postal_code,
        **owner(party),
    }
    row = session.client.write("PUT", "/locations", present(body))
    if session.out.is_json:
        session.out.json(row)
        return
    session.out.line(f"location {cell(row['id'])} of {row['owner']} is stored")
    session.out.line(
        f"Its EVSEs: {paste('location', 'assign', str(row['id']), 'STATION', '--evse', '1')}"
    )


def owner(party: str | None) -> dict[str, str]:
    """The owner as OCPI says it. Raises `Failure`."""
    if party is None:
        return {}
    country, star, code = party.partition("*")
    if not star or len(country) != 2 or len(code) != 3:
        raise usage(f"--party: {party} is not a party", "an example is CA*NTH")
    return {"country_code": country, "party_id": code}


def present(body: dict[str, Any]) -> dict[str, Any]:
    """What was given."""
    return {name: value for name, value in body.items() if value is not None}


@app.command("list")
def list_locations(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """All locations, with what is published of their EVSEs.

    Example: `csms location list`
    """
    session = Session.of(context, output)
    empty = "there are no locations; add one: csms location add --help"
    session.list("/locations", _COLUMNS, empty, limit=limit)


@app.command("show")
def show_location(
    context: typer.Context,
    location: LocationArgument,
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """One location with its EVSEs and their connectors.

    Example: `csms location show DEPOT`
    """
    session = Session.of(context, output)
    _show(session, the_one(session, "/locations", "location", location, party))


@app.command("assign")
def assign_station(
    context: typer.Context,
    location: LocationArgument,
    station: Annotated[str, typer.Argument(metavar="STATION", help="Identity of the station.")],
    evse: Annotated[int, typer.Option(min=1, help="The number of the station's EVSE.")] = 1,
    uid: Annotated[
        str | None,
        typer.Option(
            help="An EVSE that is there, when its station was swapped.", show_default=False
        ),
    ] = None,
    evse_id: Annotated[
        str | None, typer.Option(help="The public id, like CA*NTH*E1.", show_default=False)
    ] = None,
    standard: Annotated[str, typer.Option(help="Of its connector (OCPI).")] = "IEC_62196_T2",
    form: Annotated[str, typer.Option("--format", help="SOCKET or CABLE.")] = "SOCKET",
    power_type: Annotated[str, typer.Option(help="AC_1_PHASE, AC_3_PHASE, DC.")] = "AC_3_PHASE",
    volts: Annotated[int, typer.Option(min=1)] = 230,
    amps: Annotated[int, typer.Option(min=1)] = 32,
    watts: Annotated[
        int | None, typer.Option(min=1, help="Where it is less.", show_default=False)
    ] = None,
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """Say that a station's EVSE stands at a location: a new EVSE there, or with `--uid` one that is
    there already and gets another station.

    Example: `csms location assign DEPOT CP-1 --evse 1 --evse-id 'CA*NTH*E1'`

    Example: `csms location assign DEPOT CP-9 --uid 1f0c61e8d1c24a1f9a4f2d3c`
    """
    session = Session.of(context, output)
    row = the_one(session, "/locations", "location", location, party)
    if uid is not None:
        change = present({"station": station, "evse": evse, "evse_id": evse_id})
        row = session.client.write("PATCH", f"{_path(row)}/evses/{segment(uid, '--uid')}", change)
    else:
        connector = {
            "standard": standard,
            "format": form.upper(),
            "power_type": power_type.upper(),
            "max_voltage": volts,
            "max_amperage": amps,
            "max_electric_power": watts,
        }
        new = {
            "station": station,
            "evse": evse,
            "evse_id": evse_id,
            "connectors": [present(connector)],
        }
        body = {k: v for k, v in row.items() if k not in ("owner", "last_updated")}
        row = session.client.write("PUT", "/locations", {**body, "evses": [present(new)]})
    if session.out.is_json:
        session.out.json(row)
        return
    session.out.line(f"EVSE {evse} of {cell(station)} stands at {cell(row['id'])}")


@app.command("service")
def set_service(
    context: typer.Context,
    location: LocationArgument,
    uid: Annotated[str, typer.Argument(metavar="UID", help="As csms location show shows it.")],
    state: Annotated[str, typer.Argument(metavar="in|out")],
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """Publish an EVSE as in or out of service. The station is not told: for that there is
    `csms station availability`.

    Example: `csms location service DEPOT 1f0c61e8d1c24a1f9a4f2d3c out`
    """
    if state not in ("in", "out"):
        raise usage(f"{state!r} is neither in nor out", "an example is in its help")
    session = Session.of(context, output)
    row = the_one(session, "/locations", "location", location, party)
    path = f"{_path(row)}/evses/{segment(uid, 'UID')}"
    row = session.client.write("PATCH", path, {"operative": state == "in"})
    if session.out.is_json:
        session.out.json(row)
        return
    session.out.line(
        f"EVSE {cell(uid)} is {state} of service"
        if state == "out"
        else f"EVSE {cell(uid)} is in service"
    )


@app.command("remove")
def remove_evse(
    context: typer.Context,
    location: LocationArgument,
    uid: Annotated[str, typer.Argument(metavar="UID", help="As csms location show shows it.")],
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """Take an EVSE away for good: it stays in the list as removed, and its station is free.

    Example: `csms location remove DEPOT 1f0c61e8d1c24a1f9a4f2d3c`
    """
    session = Session.of(context, output)
    row = the_one(session, "/locations", "location", location, party)
    row = session.client.write("DELETE", f"{_path(row)}/evses/{segment(uid, 'UID')}")
    if session.out.is_json:
        session.out.json(row)
        return
    session.out.line(f"EVSE {cell(uid)} of {cell(row['id'])} is removed")


@app.command("import")
def import_locations(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, OCPI JSON or GeoJSON.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be stored.")
    ] = False,
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """Add the locations of a file, or replace what is said of them. CSV has a line for each EVSE
    (columns id, name, address, city, postal_code, state, country, latitude, longitude, time_zone,
    station, evse, evse_id, standard, format, power_type, max_voltage, max_amperage).

    All are checked before the first one is stored.

    Example: `csms location import sites.csv --dry-run`
    """
    session = Session.of(context, output)
    given = [{**row, **owner(party)} for row in place_files.read(file)]
    if not given:
        raise Failure(ExitCode.FAILED, f"{file} has no locations", "add some and import it again")
    for row in given:
        session.client.write("PUT", "/locations", row, params={"dry_run": "true"})
    rows = []
    for row in given:
        params = {"dry_run": "true"} if dry_run else None
        rows.append(session.client.write("PUT", "/locations", row, params=params))
    session.out.rows(rows, _COLUMNS, "nothing")
    evses = sum(len(row.get("evses") or []) for row in given)
    verb = "would be stored" if dry_run else "are stored"
    note(f"{len(rows)} locations with {evses} EVSEs {verb}")
