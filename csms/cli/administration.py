"""`csms key`, `csms command`, `csms quarantine`: who may operate, what was asked, what was odd."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from csms.cli.charging import station_of
from csms.cli.client import segment
from csms.cli.failures import usage
from csms.cli.output import Column, cell, column, kwh
from csms.cli.session import LimitOption, OutputOption, Session

keys = typer.Typer(
    help="API keys of people and programs.", no_args_is_help=True, rich_markup_mode="markdown"
)
commands = typer.Typer(
    help="The ledger of commands to stations.", no_args_is_help=True, rich_markup_mode="markdown"
)
quarantine = typer.Typer(
    help="Reports of stations that found no place.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


class Role(StrEnum):
    """What a key may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


# -- keys ------------------------------------------------------------------------------------------

_KEY_COLUMNS = (
    column("id", "id"),
    column("name", "name"),
    column("role", "role"),
    Column("parties", lambda k: ", ".join(k.get("parties") or []) or "all"),
    column("created", "created_at", time=True),
    column("revoked", "revoked_at", time=True),
)


@keys.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom or what it is for.")],
    role: Annotated[
        Role, typer.Option("--role", help="viewer reads, operator commands, admin does all.")
    ],
    party: Annotated[
        list[str] | None,
        typer.Option(
            help="It sees and writes only what this party owns, like CA*NTH; may be repeated.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = None,
) -> None:
    """Make an API key. It is shown this once.

    Without `--party` it is for all parties (or for those of the key that makes it).

    Example: `csms key create "night shift" --role operator`

    Example: `csms key create "depot north" --role admin --party 'CA*NTH' --party 'CA*NTD'`

    Example: `export CSMS_API_KEY=$(csms key create me --role viewer --output json | jq -r .key)`
    """
    session = Session.of(context, output)
    body: dict[str, object] = {"name": name, "role": role.value}
    if party:
        body["parties"] = party
    answer = session.client.write("POST", "/keys", body)
    if session.out.is_json:
        session.out.json(answer)
        return
    scope = f", for {', '.join(answer['parties'])}" if answer.get("parties") else ""
    what = f"{cell(answer['name'])} ({answer['role']}{scope})"
    session.out.line(f"The key {what}, shown this once:")
    session.out.line()
    session.out.line(f"  export CSMS_API_KEY={answer['key']}")
    session.out.line()
    session.out.line(f"To end it: csms key revoke {answer['id']}")


@keys.command("list")
def list_keys(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """All API keys, without their secrets.

    Example: `csms key list`
    """
    session = Session.of(context, output)
    session.list("/keys", _KEY_COLUMNS, "there are no keys", limit=limit)


@keys.command("revoke")
def revoke_key(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, or its name if one has it.")],
    output: OutputOption = None,
) -> None:
    """End an API key at once.

    Example: `csms key revoke 5f0c61e8d1c24a1f9a4f2d3c5b6a7980`

    Example: `csms key revoke "night shift"`
    """
    session = Session.of(context, output)
    # Somebody may paste the whole key: its secret must not go into a path, nor into a message.
    key_id = _key_id(session, key.partition(".")[0])
    answer = session.client.write("DELETE", f"/keys/{segment(key_id, 'ID')}")
    if session.out.is_json:
        session.out.json(answer)
        return
    session.out.line(f"the key {cell(answer['name'])} ({answer['id']}) is revoked")


def _key_id(session: Session, named: str) -> str:
    """The id of a key that goes by that id or name. A name that several have is a mistake."""
    live = [k for k in session.client.pages("/keys") if k.get("revoked_at") is None]
    found = [str(k["id"]) for k in live if k.get("name") == named]
    if any(k["id"] == named for k in live) or not found:
        return named
    if len(found) > 1:
        raise usage(f"{len(found)} keys are named {cell(named)}", f"give one of {', '.join(found)}")
    return found[0]


# -- the command ledger ----------------------------------------------------------------------------

_COMMAND_COLUMNS = (
    column("id", "id"),
    Column("station", station_of),
    column("kind", "kind"),
    column("status", "status"),
    column("detail", "detail"),
    column("created", "created_at", time=True),
    column("transaction", "transaction_id", right=True),
)
_COMMAND_DETAILS = (
    column("id", "id"),
    Column("station", station_of),
    column("kind", "kind"),
    column("parameters", "parameters"),
    column("status", "status"),
    column("detail", "detail"),
    column("result", "result"),
    column("transaction", "transaction_id"),
    column("created", "created_at", time=True),
    column("sent", "sent_at", time=True),
    column("finished", "finished_at", time=True),
    column("requested by", "requested_by"),
)


@commands.command("list")
def list_commands(
    context: typer.Context,
    station: Annotated[
        str | None, typer.Option("--station", help="To one station.", show_default=False)
    ] = None,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """Commands to stations and what became of them, the newest first.

    Example: `csms command list --station CP-1`
    """
    session = Session.of(context, output)
    params = {"station": station} if station else {}
    empty = "no command was given"
    session.list("/commands", _COMMAND_COLUMNS, empty, params=params, limit=limit, grows=True)


@commands.command("show")
def show_command(
    context: typer.Context,
    command: Annotated[str, typer.Argument(metavar="ID", help="As shown by csms command list.")],
    output: OutputOption = None,
) -> None:
    """One command: what was asked, what the station answered.

    Example: `csms command show 0c5d7f6be1a94f0b8a3f6f1f3f0f9b52`
    """
    session = Session.of(context, output)
    row = session.client.get(f"/commands/{segment(command, 'ID')}")
    session.out.record(row, _COMMAND_DETAILS)


# -- quarantine ------------------------------------------------------------------------------------

_QUARANTINE_COLUMNS = (
    column("id", "id"),
    Column("station", station_of),
    column("kind", "kind"),
    column("reason", "reason"),
    column("received", "received_at", time=True),
    column("assigned to", "assigned_to", right=True),
)


@quarantine.command("list")
def list_quarantine(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """What stations reported that could not be placed; nothing they say is thrown away.

    Example: `csms quarantine list`
    """
    session = Session.of(context, output)
    session.list("/quarantine", _QUARANTINE_COLUMNS, "the quarantine is empty", limit=limit)


@quarantine.command("show")
def show_quarantined(
    context: typer.Context,
    report: Annotated[str, typer.Argument(metavar="ID", help="As shown by csms quarantine list.")],
    output: OutputOption = None,
) -> None:
    """One report as the station sent it, and why it has no place.

    Example: `csms quarantine show 6f1d0b7c5a4e3f2d1c0b9a88`
    """
    session = Session.of(context, output)
    row = session.client.get(f"/quarantine/{segment(report, 'ID')}")
    session.out.record(row, _QUARANTINE_COLUMNS)
    if not session.out.is_json:
        session.out.line()
        session.out.json(row.get("payload"))


_ASSIGNED = (
    ("energy kWh", lambda t: kwh(t.get("energy_wh"))),
    ("state", lambda t: "open" if t.get("open") else "ended"),
    ("ended", lambda t: t.get("ended_at")),
    ("stop reason", lambda t: t.get("stop_reason")),
    ("end is", lambda t: t.get("end_kind")),
    ("flags", lambda t: t.get("flags")),
)


@quarantine.command("assign")
def assign_quarantined(
    context: typer.Context,
    report: Annotated[str, typer.Argument(metavar="ID", help="As shown by csms quarantine list.")],
    transaction: Annotated[
        int, typer.Argument(metavar="TRANSACTION", min=1, help="Of the same station.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do, and change nothing.")
    ] = False,
    output: OutputOption = None,
) -> None:
    """Place a kept report at a transaction: a stop ends it, meter values become its samples.

    It can be done once for each report, and is in the audit trail. An end that the station reported
    is never changed.

    Example: `csms quarantine assign 6f1d0b7c5a4e3f2d1c0b9a88 17 --dry-run`

    Example: `csms quarantine assign 6f1d0b7c5a4e3f2d1c0b9a88 17`
    """
    session = Session.of(context, output)
    body = {"transaction_id": transaction, "dry_run": dry_run}
    answer = session.client.write("POST", f"/quarantine/{segment(report, 'ID')}/assign", body)
    if session.out.is_json:
        session.out.json(answer)
        return
    before, after = answer["before"], answer["after"]
    for title, get in _ASSIGNED:
        was, now = cell(get(before)), cell(get(after))
        session.out.line(f"{title:<12}  {was if was == now else f'{was} -> {now}'}")
    session.out.line(f"{'new samples':<12}  {answer['samples']}")
    done = "would be placed" if dry_run else "is placed"
    session.out.line(f"the report {done} at transaction {transaction}")
