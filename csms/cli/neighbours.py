"""`csms roaming locations|location`: where our drivers can charge elsewhere, at what price."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from csms.cli.client import Row, segment
from csms.cli.failures import usage
from csms.cli.output import Column, cell, column
from csms.cli.roaming import app
from csms.cli.session import LimitOption, OutputOption, Session, paste

PANEL = "Charging elsewhere"
PartyArgument = Annotated[str, typer.Argument(metavar="PARTY", help="Whose it is, like 'US*STH'.")]
LocationArgument = Annotated[
    str, typer.Argument(metavar="LOCATION", help="Its id, as csms roaming locations shows it.")
]
# What one unit of a dimension is, for people (OCPI 2.2.1 TariffDimensionType).
_UNITS = {"ENERGY": "per kWh", "TIME": "per hour", "PARKING_TIME": "per hour idle", "FLAT": "once"}


def _free(row: Row) -> str:
    counted: Any = row.get("evses") or {}
    return f"{counted.get('AVAILABLE', 0)} of {sum(counted.values())}"


def _others(row: Row) -> str | None:
    """The EVSEs that are not free, by status."""
    counted: Any = row.get("evses") or {}
    told = [f"{number} {status.lower()}" for status, number in sorted(counted.items())]
    return ", ".join(one for one in told if not one.endswith(" available")) or None


_COLUMNS = (
    column("party", "party_id"),
    column("id", "id"),
    column("name", "name"),
    column("city", "city"),
    column("km", "distance_km", right=True),
    Column("free", _free, right=True),
    Column("else", _others),
    Column("tariffs", lambda row: ", ".join(row.get("tariff_ids") or ()) or None),
    column("updated", "last_updated", time=True),
)
_DETAILS = (
    *_COLUMNS[:3],
    column("address", "address"),
    column("city", "city"),
    column("country", "country"),
    Column("at", lambda row: f"{row.get('latitude')},{row.get('longitude')}"),
    Column("time zone", lambda row: (row.get("location") or {}).get("time_zone")),
    column("updated", "last_updated", time=True),
    column("told by", "partner_id"),
)
_EVSES = (
    column("EVSE", "uid"),
    Column("status", lambda evse: str(evse.get("status", "")).lower()),
    Column("connectors", lambda evse: ", ".join(_plug(c) for c in evse.get("connectors") or ())),
    Column("tariffs", lambda evse: ", ".join(_tariffs_of(evse)) or None),
)
_PRICES = (
    column("tariff", "id"),
    column("currency", "currency"),
    Column("prices", lambda tariff: "; ".join(prices(tariff)) or "free"),
)


def _plug(connector: Row) -> str:
    watts = connector.get("max_electric_power")
    amperes, volts = connector.get("max_amperage"), connector.get("max_voltage")
    power = f"{watts / 1000:g} kW" if isinstance(watts, int) else f"{volts} V {amperes} A"
    return f"{connector.get('id')} {connector.get('standard')} {power}"


def _tariffs_of(evse: Row) -> list[str]:
    plugs = evse.get("connectors") or ()
    return list(dict.fromkeys(str(t) for plug in plugs for t in plug.get("tariff_ids") or ()))


def prices(tariff: Row) -> list[str]:
    """The prices of a tariff in words, before taxes, in the order in which they are looked at."""
    told = []
    for element in tariff.get("elements") or ():
        when = ", ".join(f"{n} {v}" for n, v in (element.get("restrictions") or {}).items())
        for part in element.get("price_components") or ():
            unit = _UNITS.get(str(part.get("type")), str(part.get("type")).lower())
            vat = f" + {part['vat']} % VAT" if part.get("vat") is not None else ""
            told.append(f"{part.get('price')} {unit}{vat}{f' ({when})' if when else ''}")
    return told


@app.command("locations", rich_help_panel=PANEL)
def locations(
    context: typer.Context,
    near: Annotated[
        str | None,
        typer.Option("--near", metavar="LAT,LON", help="Around this point.", show_default=False),
    ] = None,
    radius: Annotated[
        float, typer.Option("--radius", min=0.1, max=200, help="Kilometres around it.")
    ] = 25.0,
    available: Annotated[
        bool, typer.Option("--available", help="Only with an EVSE that is free.")
    ] = False,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """Where our drivers can charge at other networks: what is free there now.

    Example: `csms roaming locations --near 40.71,-74.01 --available`

    Example: `csms roaming locations --near=-33.87,151.21 --radius 5`
    """
    if near is not None and len(near.split(",")) != 2:
        raise usage(
            "--near: latitude and longitude are expected", "for example --near 45.50,-73.57"
        )
    session = Session.of(context, output)
    params: dict[str, Any] = {"available": "true" if available else None}
    empty = "no other network has told of a place; csms partner list shows the connections"
    if near is not None:
        params |= {"near": near, "radius_km": radius, "limit": min(limit or 100, 500)}
        empty = f"nothing within {radius:g} km; look further with --radius"
    session.list("/roaming/locations", _COLUMNS, empty, params=params, limit=limit)


@app.command("location", rich_help_panel=PANEL)
def location(
    context: typer.Context,
    party: PartyArgument,
    location: LocationArgument,
    output: OutputOption = None,
) -> None:
    """One place of another network: its EVSEs, and the prices there before taxes.

    Example: `csms roaming location 'US*STH' LOC1`
    """
    session = Session.of(context, output)
    path = f"/roaming/locations/{segment(party, 'PARTY')}/{segment(location, 'LOCATION')}"
    row = session.client.get(path)
    session.out.record(row, _DETAILS)
    if session.out.is_json:
        return
    session.out.line()
    session.out.rows(row["location"].get("evses") or [], _EVSES, "no EVSE is told of")
    session.out.line()
    session.out.rows(row["tariffs"], _PRICES, "no prices are told for it")
    session.out.line()
    start = paste("roaming", "start", party, location)
    session.out.line(f"start a charge there: {cell(start)} --token UID")
