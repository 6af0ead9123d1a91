"""`csms token forget`: take a driver out of everything that is kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from csms.cli.charging import KindOption, PartyOption, UidArgument, tokens
from csms.cli.client import Row, segment
from csms.cli.output import cell, column, make_sure
from csms.cli.session import LimitOption, OutputOption, Session, YesOption

LOOK_EVERY_S = 0.5

_COLUMNS = (
    column("id", "id"),
    column("driver of", "party_id"),
    column("state", "state"),
    column("table", "place"),
    column("rows", "rewritten", right=True),
    column("pseudonym", "pseudonym"),
    column("asked for", "requested_at", time=True),
    column("done", "finished_at", time=True),
    column("waits for", "waits_for"),
)


@tokens.command("forget")
def forget(
    context: typer.Context,
    uid: UidArgument,
    party: PartyOption = None,
    kind: KindOption = None,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to look on.")
    ] = 30.0,
    yes: YesOption = False,
    output: OutputOption = None,
) -> None:
    """Forget a driver for good: the token is blocked, other networks are told that it is not valid,
    then it is deleted, and its charges stay under a random name. There is no way back.

    The server goes on by itself; the same command again shows how far it is. A visitor is named
    with the party of its own network.

    Example: `csms token forget 04E1A2B3`

    Example: `csms token forget 04E1A2B3 --party 'US*STH' --wait 0`
    """
    session = Session.of(context, output)
    make_sure(f"Forget {uid} for good? There is no way back.", yes)
    body = {"uid": uid, "party_id": party, "kind": kind.value if kind else None}
    given = {name: value for name, value in body.items() if value is not None}
    row: Row = session.client.write("POST", "/forgettings", given)
    path = f"/forgettings/{segment(str(row['id']), 'ID')}"
    until = time.monotonic() + wait
    with _progress() as tell:
        while row["state"] != "done" and time.monotonic() < until:
            tell(_how_far(row))
            time.sleep(min(LOOK_EVERY_S, max(0.0, until - time.monotonic())))
            row = session.client.get(path)
    if session.out.is_json:
        session.out.json(row)
        return
    if row["state"] == "done":
        session.out.line(f"the token is forgotten; its records have {cell(row['pseudonym'])}")
        return
    session.out.line(f"the token is blocked; {_how_far(row)}")
    session.out.line("It goes on by itself: csms token forgettings shows how far it is.")


def _how_far(row: Row) -> str:
    if row.get("waits_for"):
        return cell(row["waits_for"])
    if row["state"] == "telling":
        return "other networks are told"
    return f"{cell(row['place'])}: {row['rewritten']} rows rewritten so far"


@contextmanager
def _progress() -> Iterator[Callable[[str], object]]:
    """What goes on; on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    with Console(stderr=True, markup=False).status("forgetting") as status:
        yield status.update


@tokens.command("forgettings")
def forgettings(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """Drivers who are or were forgotten, the newest first, with what is in the way.

    Example: `csms token forgettings`
    """
    session = Session.of(context, output)
    empty = "nobody was forgotten; csms token forget UID does it"
    session.list("/forgettings", _COLUMNS, empty, limit=limit, grows=True)
