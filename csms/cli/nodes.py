"""`csms node`: the processes of the system."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from csms.cli.client import segment
from csms.cli.failures import Failure
from csms.cli.output import Column, cell, column
from csms.cli.session import LimitOption, OutputOption, Session

app = typer.Typer(
    help="The processes that make up this system.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="Name of the node.")]


def _duties(row: Any) -> str | None:
    """How many partners, and the rest by name: a network has many partners."""
    duties = [str(duty) for duty in row.get("duties") or ()]
    partners = [duty for duty in duties if duty.startswith("partner ")]
    named = [duty for duty in duties if duty not in partners]
    if partners:
        named.append(f"{len(partners)} partner{'s' if len(partners) > 1 else ''}")
    return ", ".join(named) or None


def _stations(row: Any) -> str:
    """How many are connected; nothing for a node to which none connect."""
    return str(row["links"]) if row["takes_stations"] else "none"


_COLUMNS = (
    column("name", "name"),
    column("state", "state"),
    Column("stations", _stations, right=True),
    column("since", "joined_at", time=True),
    column("last sign", "beat_at", time=True, spare=2),
    column("API", "address", spare=3),
    column("version", "version", spare=4),
    Column("does", _duties, spare=1),
)


@app.command("list")
def list_nodes(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """The processes of this system, how many stations each has, and what it does for all.

    Example: `csms node list`
    """
    session = Session.of(context, output)
    session.list("/nodes", _COLUMNS, "no node has ever run", limit=limit)


@app.command("drain")
def drain(
    context: typer.Context,
    node: NodeArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Also when no other node can take its stations.")
    ] = False,
    output: OutputOption = None,
) -> None:
    """Move a node's stations and work to others, gently, so that it can be restarted.

    It takes no new stations from now on, answers `/readyz` with 503 so that a balancer leads nobody
    there, and closes its links a few at a time (nodes.drain_links_per_s); charging goes on
    meanwhile. A node that is started again takes part again by itself.

    Example: `csms node drain csms-2`
    """
    session = Session.of(context, output)
    path, body = f"/nodes/{segment(node, 'NODE')}/drain", {"force": True} if force else None
    try:
        answer = session.client.write("POST", path, body)
    except Failure as failure:
        if failure.code == "refused" and not force and "no other node" in failure.what:
            failure.next_step = "--force drains it all the same"
        raise
    _told(session, answer, f"is draining: {answer['links']} stations are being moved")


@app.command("resume")
def resume(context: typer.Context, node: NodeArgument, output: OutputOption = None) -> None:
    """End a drain: the node takes stations and work again.

    Example: `csms node resume csms-2`
    """
    session = Session.of(context, output)
    answer = session.client.write("POST", f"/nodes/{segment(node, 'NODE')}/resume")
    _told(session, answer, "takes stations again")


def _told(session: Session, answer: Any, what: str) -> None:
    if session.out.is_json:
        session.out.json(answer)
        return
    session.out.line(f"{cell(answer['name'])} {what}; see: csms node list")
