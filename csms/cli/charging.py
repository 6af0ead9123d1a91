"""`csms transaction` and `csms token`: who charges, and who may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from csms.cli.client import Row, segment
from csms.cli.failures import ExitCode, Failure, usage
from csms.cli.output import Column, Format, cell, column, kwh
from csms.cli.session import LimitOption, OutputOption, Session

transactions = typer.Typer(
    help="Charging transactions and their meter values.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
tokens = typer.Typer(
    help="Tokens: the cards and apps that drivers show.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


class Kind(StrEnum):
    """What sort of token it is."""

    RFID = "rfid"
    APP = "app"
    OTHER = "other"


class Technology(StrEnum):
    """How a card is read."""

    ISO14443 = "iso14443"
    ISO15693 = "iso15693"


KindOption = Annotated[Kind | None, typer.Option("--kind", show_default=False)]
PartyOption = Annotated[
    str | None, typer.Option("--party", help="Its owner, like CA*NTH.", show_default=False)
]
UidArgument = Annotated[str, typer.Argument(metavar="UID", help="As the card reader shows it.")]


# -- transactions ----------------------------------------------------------------------------------


def station_of(row: Row) -> Any:
    """The station's identity where the API gives it, else its id."""
    return row.get("station") or row.get("station_id")


def _state(transaction: Row) -> str:
    if not transaction.get("open"):
        return "ended"
    return str(transaction.get("charging_state") or "open")


def _energy(transaction: Row) -> str | None:
    """The energy; nothing, not 0, where the station has never said what its meter shows."""
    said = [transaction.get(name) for name in ("meter_start_wh", "meter_last_wh")]
    return None if said == [None, None] else kwh(transaction.get("energy_wh"))


def _doubts(transaction: Row) -> str | None:
    """What an operator should look at: a driver who was refused, an end that was not reported,
    registers that contradict each other."""
    found = list(transaction.get("flags") or [])
    if transaction.get("outcome") != "accepted":
        found.append(str(transaction.get("outcome")))
    if transaction.get("end_kind") == "closed":
        found.append("closed")
    if transaction.get("open") and _silent_for_a_day(transaction):
        found.append("silent")
    return ", ".join(found) or None


def _silent_for_a_day(transaction: Row) -> bool:
    heard = transaction.get("heard_at")
    if not isinstance(heard, str):
        return False
    return datetime.now(UTC) - datetime.fromisoformat(heard) >= timedelta(hours=24)


_COLUMNS = (
    column("id", "id", right=True),
    Column("station", station_of),
    column("evse", "evse", right=True, spare=1),
    column("token", "token_uid"),
    Column("state", _state),
    column("started", "started_at", time=True),
    column("ended", "ended_at", time=True, spare=2),
    Column("kWh", lambda t: _energy(t), right=True),
    column("reason", "stop_reason", spare=3),
    Column("look at", _doubts),
)


def _details(said: Mapping[str, Any] | None) -> str:
    """What else a station said, one after the other; objects as JSON."""
    words = [
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in sorted((said or {}).items())
    ]
    return ", ".join(words)


_DETAILS = (
    column("id", "id"),
    Column("station", station_of),
    column("evse", "evse"),
    column("connector", "connector"),
    column("party", "party_id"),
    Column("state", _state),
    column("token", "token_uid"),
    column("group", "group_id"),
    column("authorization", "outcome"),
    column("started", "started_at", time=True),
    column("ended", "ended_at", time=True),
    column("stop reason", "stop_reason"),
    column("stopped by", "stop_token_uid"),
    column("end is", "end_kind"),
    Column("energy kWh", lambda t: _energy(t)),
    Column("meter start kWh", lambda t: kwh(t.get("meter_start_wh"))),
    Column("meter last kWh", lambda t: kwh(t.get("meter_last_wh"))),
    column("station's id", "wire_id"),
    column("offline", "offline"),
    column("missing messages", "missing_messages"),
    Column("flags", lambda t: _flags(t)),
    Column("details", lambda t: _details(t.get("details"))),
    column("last heard of", "heard_at", time=True),
    column("command", "command_id"),
    column("reservation", "reservation_id"),
    column("received", "received_at", time=True),
)


def _flags(transaction: Row) -> str:
    """Each flag with what it says."""
    meanings = transaction.get("flag_meanings") or {}
    flags = transaction.get("flags") or []
    return "; ".join(f"{f} ({meanings[f]})" if f in meanings else f for f in flags)


def _reading(reading: Mapping[str, Any]) -> str:
    """`Power.Active.Import L1 10800 W (Sample.Periodic)`."""
    words = [reading.get(name) for name in ("measurand", "phase", "location", "value", "unit")]
    text = " ".join(cell(word) for word in words if word is not None)
    return f"{text} ({cell(reading['context'])})" if reading.get("context") else text


_SAMPLE_COLUMNS = (
    column("at", "at", time=True),
    Column("readings", lambda s: "; ".join(_reading(r) for r in s.get("readings") or [])),
)


@transactions.command("list")
def list_transactions(
    context: typer.Context,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that run.")] = False,
    doubtful: Annotated[
        bool, typer.Option("--doubtful", help="Only those that somebody should look at.")
    ] = False,
    station: Annotated[
        str | None, typer.Option("--station", help="Of one station.", show_default=False)
    ] = None,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """Transactions, the newest first.

    Example: `csms transaction list --open`

    Doubtful are those whose end is not known or not likely, that have messages missing, or that
    have been silent for a day.

    Example: `csms transaction list --open --doubtful`

    Example: `csms transaction list --station CP-1 --limit 20 --output json`
    """
    session = Session.of(context, output)
    params = {
        "station": station,
        "open": "true" if open_only else None,
        "doubtful": "true" if doubtful else None,
    }
    empty = "no transaction is running" if open_only else "there are no transactions"
    empty = "no transaction is in doubt" if doubtful else empty
    session.list("/transactions", _COLUMNS, empty, params=params, limit=limit, grows=True)


@transactions.command("show")
def show_transaction(
    context: typer.Context,
    transaction: Annotated[int, typer.Argument(metavar="ID", min=1)],
    meter_values: Annotated[
        bool, typer.Option("--meter-values", help="With all its meter values.")
    ] = False,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """One transaction; its meter values with `--meter-values` (`--limit` is about those).

    Example: `csms transaction show 17 --meter-values`
    """
    session = Session.of(context, output)
    path = f"/transactions/{transaction}"
    row = dict(session.client.get(path))
    if not meter_values:
        session.out.record(row, _DETAILS)
        return
    samples = list(session.client.pages(f"{path}/meter-values", limit=limit))
    if session.out.is_json:
        session.out.json({**row, "meter_values": samples})
        return
    session.out.record(row, _DETAILS)
    session.out.line()
    session.out.rows(samples, _SAMPLE_COLUMNS, "it has no meter values")


@transactions.command("check")
def check_transaction(
    context: typer.Context,
    transaction: Annotated[int, typer.Argument(metavar="ID", min=1)],
    output: OutputOption = None,
) -> None:
    """Ask the station whether a transaction goes on, and whether it has more to tell (OCPP 2.x).

    Example: `csms transaction check 17`
    """
    session = Session.of(context, output)
    row = session.client.write("POST", f"/transactions/{transaction}/check", wait_s=60.0)
    if session.out.is_json:
        session.out.json(row)
    if row.get("messages_in_queue") is None:
        what = f"the station does not say: {cell(row.get('detail'))}"
        raise Failure(ExitCode.FAILED, what, f"csms transaction show {transaction}")
    if session.out.is_json:
        return
    words = {True: "goes on", False: "is over", None: "may go on or not"}[row.get("ongoing")]
    queued = "has more to tell" if row["messages_in_queue"] else "has nothing more to tell"
    session.out.line(f"transaction {transaction} {words}; the station {queued}")


@transactions.command("close")
def close_transaction(
    context: typer.Context,
    transaction: Annotated[int, typer.Argument(metavar="ID", min=1)],
    output: OutputOption = None,
) -> None:
    """End a transaction whose station will not: its energy is what was counted so far.

    If the station does report the end later, that takes its place.

    Example: `csms transaction close 17`
    """
    session = Session.of(context, output)
    row = session.client.write("POST", f"/transactions/{transaction}/close", {})
    if session.out.is_json:
        session.out.json(row)
        return
    session.out.line(f"transaction {row['id']} is closed with {kwh(row['energy_wh'])} kWh")


# -- tokens ----------------------------------------------------------------------------------------


def _token_state(token: Row) -> str:
    return "blocked" if token.get("blocked") else "valid"


_TOKEN_COLUMNS = (
    column("uid", "uid"),
    column("kind", "kind"),
    column("party", "party_id"),
    Column("state", _token_state),
    column("group", "group_id"),
    column("expires", "expires_at", time=True),
    column("concurrent", "concurrent"),
    column("label", "label"),
    column("added", "created_at", time=True),
)


def utc(text: str | None) -> str | None:
    """An ISO 8601 time in UTC; without a zone it is local. Raises `Failure`."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        example = "examples are 2031-12-31 and 2031-12-31T18:00:00+01:00"
        raise usage(f"--expires: {text!r} is not an ISO 8601 time", example) from None


@tokens.command("add")
def add_token(
    context: typer.Context,
    uid: UidArgument,
    group: Annotated[
        str | None,
        typer.Option(help="Tokens of one group may stop each other.", show_default=False),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="ISO",
            help="Until when it is valid; a date alone means its first moment.",
            show_default=False,
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="For people.", show_default=False)] = None,
    concurrent: Annotated[
        bool, typer.Option("--concurrent", help="May charge at several places at once.")
    ] = False,
    kind: Annotated[Kind, typer.Option("--kind")] = Kind.RFID,
    technology: Annotated[
        Technology | None,
        typer.Option(help="How a card is read, if not as ISO 14443.", show_default=False),
    ] = None,
    party: PartyOption = None,
    output: OutputOption = None,
) -> None:
    """Add a token, so that it may charge.

    Example: `csms token add 04E1A2B3 --label "Ana's card"`

    Example: `csms token add FLEET-7 --group depot --concurrent --expires 2031-12-31`
    """
    session = Session.of(context, output)
    body = {
        "uid": uid,
        "kind": kind.value,
        "party_id": party,
        "group_id": group,
        "expires_at": utc(expires),
        "concurrent": concurrent,
        "label": label,
        "technology": technology.value if technology else None,
    }
    given = {name: value for name, value in body.items() if value is not None}
    answer = session.client.write("POST", "/tokens", given)
    if session.out.is_json:
        session.out.json(answer)
        return
    session.out.line(f"token {answer['uid']} ({answer['kind']}) of {answer['party_id']} is added")


@tokens.command("list")
def list_tokens(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """All tokens of this system.

    Example: `csms token list`
    """
    session = Session.of(context, output)
    empty = "there are no tokens; add one: csms token add UID"
    session.list("/tokens", _TOKEN_COLUMNS, empty, limit=limit)


def _set_blocked(
    context: typer.Context,
    uid: str,
    blocked: bool,
    party: str | None,
    kind: Kind | None,
    output: Format | None,
) -> None:
    session = Session.of(context, output)
    if party is not None and kind is not None:
        owner, sort = party, kind.value
    else:
        owner, sort = _the_one(session, uid, party, kind)
    path = "/".join(
        ("/tokens", segment(owner, "--party"), segment(sort, "--kind"), segment(uid, "UID"))
    )
    answer = session.client.write("PATCH", path, {"blocked": blocked})
    if session.out.is_json:
        session.out.json(answer)
        return
    words = f"token {answer['uid']} ({answer['kind']}) of {answer['party_id']}"
    session.out.line(f"{words} is {'blocked' if answer['blocked'] else 'valid'}")


def _the_one(session: Session, uid: str, party: str | None, kind: Kind | None) -> tuple[str, str]:
    """Party and kind of the only token with that uid. Raises `Failure`."""
    found = [
        (str(t["party_id"]), str(t["kind"]))
        for t in session.client.pages("/tokens", {"uid": uid})
        if party in (None, t["party_id"]) and (kind is None or kind.value == t["kind"])
    ]
    if not found:
        raise Failure(ExitCode.FAILED, f"no token {uid}", "csms token list shows those there are")
    if len(found) > 1:
        choices = ", or ".join(f"--party '{owner}' --kind {sort}" for owner, sort in found)
        raise usage(f"there are {len(found)} tokens {uid}", f"choose one with {choices}")
    return found[0]


@tokens.command("block")
def block(
    context: typer.Context,
    uid: UidArgument,
    party: PartyOption = None,
    kind: KindOption = None,
    output: OutputOption = None,
) -> None:
    """Block a token: it cannot start any more.

    Example: `csms token block 04E1A2B3`
    """
    _set_blocked(context, uid, True, party, kind, output)


@tokens.command("unblock")
def unblock(
    context: typer.Context,
    uid: UidArgument,
    party: PartyOption = None,
    kind: KindOption = None,
    output: OutputOption = None,
) -> None:
    """Let a blocked token charge again.

    Example: `csms token unblock 04E1A2B3 --party 'XX*CSM' --kind rfid`
    """
    _set_blocked(context, uid, False, party, kind, output)
