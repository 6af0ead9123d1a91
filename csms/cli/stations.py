"""`csms station`: adding stations, looking at them, deciding about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from csms.cli.client import Row, segment
from csms.cli.output import Column, cell, column
from csms.cli.session import (
    LimitOption,
    OutputOption,
    Session,
    StationArgument,
    only_here,
    paste,
)
from csms.cli.treatment import SWITCHES, show_treatment, shown

app = typer.Typer(
    help="Charging stations: add them, look at them, command them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
LOOK, ADD, DECIDE = "Look", "Add and secure", "Decide"

_CONNECTOR_COLUMNS = (
    Column("connector", lambda c: _place(c, several=True)),
    column("status", "status"),
    column("error", "error_code"),
    column("info", "info"),
    column("vendor error", "vendor_error"),
    Column("reported", lambda c: _reported(c), time=True),
)
_DESIRED_COLUMNS = (
    Column("wanted", lambda w: "operative" if w.get("available") else "inoperative"),
    Column("where", lambda w: _where(w)),
    column("state", "state"),
    column("station says", "detail"),
    column("since", "since", time=True),
    column("by", "requested_by"),
)
_UNKNOWN_COLUMNS = (
    column("identity", "identity"),
    Column("state", lambda u: "pending" if u.get("pending") else "refused"),
    column("attempts", "attempts", right=True),
    column("first seen", "first_seen_at", time=True),
    column("last seen", "last_seen_at", time=True),
    column("address", "remote_address"),
)


def path_of(station: str) -> str:
    """The API's path of a station, by identity or id."""
    return f"/stations/{segment(station, 'STATION')}"


# -- how stations are shown ------------------------------------------------------------------------


def _where(wish: Row) -> str:
    """The place that a wish is about, in words."""
    if not wish.get("evse"):
        return "the station"
    connector = wish.get("connector")
    return f"EVSE {wish['evse']}" + (f", connector {connector}" if connector else "")


def _place(connector: Row, *, several: bool) -> str:
    """`1` or `1.2`, `station` for the station itself."""
    evse, number = connector.get("evse", 0), connector.get("connector", 0)
    if evse == 0:
        return "station"
    return f"{evse}.{number}" if several and number else str(evse)


def compact(connectors: list[Row]) -> str:
    """`1:charging 2.1:available 2.2:faulted`. The station's and an EVSE's own status are shown
    only where they say more than that all is well."""
    known = [c for c in connectors if c.get("status") != "unknown"]
    whole = {c.get("evse") for c in known if not c.get("connector")}
    # Of an EVSE with one connector that is counted from 0, the first is never heard of.
    silent = whole - {c.get("evse") for c in known if c.get("connector")}
    connectors = [c for c in connectors if c in known or c.get("evse") not in silent]
    plugs = [c for c in connectors if c.get("evse") and c.get("connector")]
    per_evse: dict[Any, int] = {}
    for plug in plugs:
        per_evse[plug["evse"]] = per_evse.get(plug["evse"], 0) + 1
    words = []
    for c in connectors:
        status = str(c.get("status"))
        is_plug = bool(c.get("evse") and c.get("connector"))
        if is_plug or status not in ("available", "unknown") or c.get("evse") not in (0, *per_evse):
            words.append(f"{_place(c, several=per_evse.get(c.get('evse'), 0) > 1)}:{status}")
    return " ".join(words)


def violations(station: Row) -> int:
    """How often the station broke the protocol, of all kinds."""
    counts = station.get("violations") or {}
    return sum(counts.values()) if isinstance(counts, Mapping) else 0


def _reported(connector: Row) -> str | None:
    """When the station reported a status; nothing where it never did."""
    return None if connector.get("status") == "unknown" else connector.get("reported_at")


def _connected(station: Row) -> str | None:
    return station.get("connected_at") if station.get("connected") else None


def exceptions_of(station: Row) -> str | None:
    """In words what the station may do that others may not."""
    found = station.get("exceptions") or {}
    words = []
    if found.get("weak_secret"):
        words.append("weak secret")
    if found.get("user"):
        words.append(f"user name {found['user']}")
    if found.get("no_auth"):
        words.append(f"no secret from {', '.join(found['no_auth'])}")
    return "; ".join(words) or None


def _state(station: Row) -> str:
    """What the network thinks of it; what it is excepted from says more."""
    said = exceptions_of(station)
    return f"exception: {said}" if said else str(station.get("registration"))


def _profile(station: Row) -> str | None:
    """`1 (ws), at least 1, wanted 2`."""
    profile, wanted = station.get("profile"), station.get("wanted_profile")
    words = [] if profile is None else [f"{profile} ({_PROFILES.get(profile, 'unknown')})"]
    if station.get("min_profile"):
        words.append(f"at least {station['min_profile']}")
    if wanted is not None:
        words.append(f"{wanted} wanted")
    return ", ".join(words) or None


_PROFILES = {0: "no secret", 1: "without TLS", 2: "over TLS"}

_COLUMNS = (
    column("identity", "identity"),
    Column("connected since", _connected, time=True),
    column("version", "version"),
    column("vendor", "vendor", spare=2),
    column("model", "model", spare=1),
    column("firmware", "firmware", spare=3),
    Column("connectors", lambda s: compact(s.get("connectors") or [])),
    Column("violations", violations, right=True, spare=4),
    Column("state", _state),
)
_DETAILS = (
    column("identity", "identity"),
    column("id", "id"),
    column("party", "party_id"),
    column("registration", "registration"),
    Column("exceptions", exceptions_of),
    Column("security profile", _profile),
    column("connected", "connected"),
    column("connected since", "connected_at", time=True),
    column("disconnected", "disconnected_at", time=True),
    column("last seen", "last_seen_at", time=True),
    column("address", "remote_address"),
    column("node", "node"),
    column("OCPP version", "version"),
    column("vendor", "vendor"),
    column("model", "model"),
    column("serial", "serial"),
    column("firmware", "firmware"),
    column("booted", "booted_at", time=True),
    column("added", "created_at", time=True),
)


def _shown(station: Row, token: Column) -> tuple[Column, ...]:
    """The details that say something of this station as it is."""
    hidden = "disconnected" if station.get("connected") else "connected since"
    shown: list[Column] = []
    for c in _DETAILS:
        shown += [token, c] if c.title == "exceptions" else [c] if c.title != hidden else []
    return tuple(shown)


def _tokens(tokens: Sequence[Row], time: Callable[[Any], str]) -> str | None:
    """Whether its token has been used, and whether a new one waits to be."""
    words = []
    for number, token in enumerate(tokens):
        name = "it" if len(tokens) == 1 else "the old one" if not number else "the new one"
        used = token.get("used_at")
        words.append(
            f"{name} is used since {time(used)}"
            if used
            else f"{name} was made {time(token.get('created_at'))} and not used so far"
        )
    return "; ".join(words) or None


# -- look ------------------------------------------------------------------------------------------


@app.command("list", rich_help_panel=LOOK)
def list_stations(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """All stations, with the state of their connectors.

    `connected since` is empty for a station that is offline; `violations` counts how often it broke
    the protocol.

    Example: `csms station list`

    Example: `csms station list --output json | jq -r '.[] | select(.connected | not) | .identity'`
    """
    session = Session.of(context, output)
    empty = "there are no stations; add one: csms station add CP-1"
    session.list("/stations", _COLUMNS, empty, limit=limit, by="identity")


@app.command("show", rich_help_panel=LOOK)
def show_station(
    context: typer.Context, station: StationArgument, output: OutputOption = None
) -> None:
    """Everything about one station: its link, its make, its connectors, how it is treated, and how
    often it broke the protocol.

    Example: `csms station show CP-1`
    """
    session = Session.of(context, output)
    row = session.client.get(path_of(station))
    row = {**row, "tokens": list(session.client.get(f"{path_of(station)}/credentials"))}
    if session.out.is_json:
        switches = session.client.get(f"{path_of(station)}/switches")
        row = {**row, "switches": list(switches)}
    token = Column("token", lambda s: _tokens(s["tokens"], session.out.time))
    session.out.record(row, _shown(row, token))
    if not session.out.is_json:
        if row.get("connected") and row.get("registration") == "new":
            # It was running before it was sent here, and reconnected without a boot.
            ask = paste("station", "trigger", str(row.get("identity", station)), "boot")
            session.out.line()
            session.out.line(f"It has not booted here, and is asked nothing until then: {ask}")
        if not row.get("connected"):
            look = paste("events", "--station", str(row.get("identity", station)), "--since", "1d")
            session.out.line()
            session.out.line(f"It is not connected. Why, and what was refused: {look}")
        session.out.line()
        empty = "it has no connectors"
        session.out.rows(row.get("connectors") or [], _CONNECTOR_COLUMNS, empty)
        if row.get("desired_availability"):
            session.out.line()
            session.out.rows(row["desired_availability"], _DESIRED_COLUMNS, "")
        show_treatment(session, path_of(station))


@app.command("unknown", rich_help_panel=LOOK)
def list_unknown(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """Identities that tried to connect and are not known.

    One that is refused: add it, and type its token into the station. One that is pending may
    connect and waits (setting ocpp.unknown_stations): `csms station accept IDENTITY` takes it over.

    Example: `csms station unknown`
    """
    session = Session.of(context, output)
    empty = "no unknown station has tried to connect"
    session.list("/unknown-stations", _UNKNOWN_COLUMNS, empty, limit=limit)


# -- add and secure --------------------------------------------------------------------------------


@app.command("add", rich_help_panel=ADD)
def add_station(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(help="The name that the station connects with.")],
    evses: Annotated[int, typer.Option(min=1, help="How many cars can charge at once.")] = 1,
    connectors: Annotated[int, typer.Option(min=1, help="Plugs of each EVSE.")] = 1,
    party: Annotated[
        str | None,
        typer.Option(help="Its owner, like CA*NTH; without it, this network.", show_default=False),
    ] = None,
    switch: Annotated[
        list[str] | None,
        typer.Option(
            "--switch",
            metavar="NAME=VALUE",
            help="Treat it otherwise than its make; see csms station switch.",
        ),
    ] = None,
    output: OutputOption = None,
) -> None:
    """Add a station, and show what its installer has to type in.

    The token is shown this once; a lost one is replaced by `csms station rotate`.

    Example: `csms station add CP-1`

    Example: `csms station add "Depot 7" --evses 2 --party 'CA*NTH'`

    Example: `csms station add CP-2 --switch version=1.6 --switch ping=false`
    """
    session = Session.of(context, output)
    body: dict[str, Any] = {"identity": identity, "evses": evses, "connectors": connectors}
    if switch:
        body["switches"] = dict(_pair(text) for text in switch)
    if party is not None:
        body["party_id"] = party
    hints = {"already_exists": f"{paste('station', 'rotate', identity)} gives it a new token"}
    answer = session.client.write("POST", "/stations", body, hints=hints)
    onboarded(session, answer, f"{answer['identity']} is added. Type this into the station:")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text}: write it as NAME=VALUE", param_hint="--switch")
    return name.strip(), value.strip()


def onboarded(session: Session, answer: Row, headline: str) -> None:
    """What an installer needs. The whole object goes to programs."""
    out = session.out
    if out.is_json:
        out.json(answer)
        return
    out.line(headline)
    type_in(session, answer)


def type_in(session: Session, answer: Row) -> None:
    """What an installer types into a station, and where it belongs."""
    out = session.out
    base = str(answer["url"]).rstrip("/")
    out.line()
    for title, value in (
        ("URL", base),
        ("full URL", f"{base}/{quote(str(answer['identity']), safe='')}"),
        ("user", answer["user"]),
        ("token", answer["token"]),
    ):
        out.line(f"  {title:<8}  {cell(value)}")
    out.line()
    out.line("Most stations take the URL and add their identity; some want the full URL.")
    out.line("The user is the station's identity, which is set in the station as well.")
    out.line("OCPP 1.6 stations take the token as AuthorizationKey, OCPP 2.x stations as")
    out.line("BasicAuthPassword. The token is shown this once.")
    if only_here(base):
        out.line(
            "That URL holds on the server's own machine alone: elsewhere its name or address stands"
        )
        out.line("there. To be shown it here, set public_url under [ocpp] in csms.toml.")
    if base.startswith("wss:"):
        out.line("The station must know who signed this server's certificate: with csms init --tls")
        out.line("that is the file tls/ca.pem, to be installed there as its root certificate.")


# -- decide ----------------------------------------------------------------------------------------


def decide(session: Session, station: str, verdict: str) -> None:
    """Set what the network thinks of a station, and say so."""
    row = session.client.write("PATCH", path_of(station), {"registration": verdict})
    if session.out.is_json:
        session.out.json(row)
        return
    identity = str(row.get("identity", station))
    session.out.line(f"{identity} is {row.get('registration', verdict)}")
    if row.get("connected"):
        ask = paste("station", "trigger", identity, "boot")
        session.out.line(f"It learns so when it boots or asks again; to make it ask now: {ask}")


@app.command("pending", rich_help_panel=DECIDE)
def pending(context: typer.Context, station: StationArgument, output: OutputOption = None) -> None:
    """Hold a station back: it may connect and be configured, and not charge.

    Example: `csms station pending CP-1`
    """
    decide(Session.of(context, output), station, "pending")


@app.command("reject", rich_help_panel=DECIDE)
def reject(context: typer.Context, station: StationArgument, output: OutputOption = None) -> None:
    """Refuse a station: it may connect, and is told that it is not wanted.

    Example: `csms station reject CP-1`
    """
    decide(Session.of(context, output), station, "rejected")


@app.command("switch", rich_help_panel=DECIDE)
def switch(
    context: typer.Context,
    station: StationArgument,
    name: Annotated[
        str | None, typer.Argument(help="Name of a switch; without it, all are shown.")
    ] = None,
    value: Annotated[str | None, typer.Argument(help="What it is set to.")] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Give it back to what is known of the make.")
    ] = False,
    output: OutputOption = None,
) -> None:
    """Treat a station otherwise than its make: for what it does that the specification does not
    say. Without a name, all switches are shown with where each comes from.

    Example: `csms station switch CP-1`

    Example: `csms station switch CP-1 ping false`

    Example: `csms station switch CP-1 version 1.6`

    Example: `csms station switch CP-1 ping --clear`
    """
    session = Session.of(context, output)
    base = f"{path_of(station)}/switches"
    if name is None:
        session.out.rows(list(session.client.get(base)), SWITCHES, "")
        return
    if clear == (value is not None):
        raise typer.BadParameter("give a value, or --clear", param_hint="VALUE")
    path = f"{base}/{segment(name, 'NAME')}"
    rows: list[Row] = list(
        session.client.write("DELETE", path)
        if clear
        else session.client.write("PUT", path, {"value": value})
    )
    if session.out.is_json:
        session.out.json(rows)
        return
    row = next(r for r in rows if r.get("name") == name)
    session.out.line(f"{name} of {station} is {shown(row['value'])} (from: {row['origin']})")
    session.out.line("version and compression hold from the next connection")
