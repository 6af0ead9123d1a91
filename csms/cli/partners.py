"""`csms partner`: connections to other networks over OCPI."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from csms.cli.client import segment
from csms.cli.output import Column, cell, column
from csms.cli.session import LimitOption, OutputOption, Session, only_here, paste

app = typer.Typer(
    help="Connections to other networks (OCPI).", no_args_is_help=True, rich_markup_mode="markdown"
)

PartnerArgument = Annotated[
    str, typer.Argument(metavar="PARTNER", help="Name (or id) of the partner.")
]


def _parties(row: Any) -> str | None:
    parties = dict.fromkeys(f"{r['party']} ({r['role']})" for r in row.get("roles") or ())
    return ", ".join(parties) or None


_COLUMNS = (
    column("name", "name"),
    column("state", "state"),
    Column("speaks for", _parties),
    column("registered", "registered_at", time=True),
    column("heard", "heard_at", time=True),
)
_DETAILS = (
    column("id", "id"),
    *_COLUMNS,
    column("versions", "versions_url"),
    column("token form", "encoding"),
    column("deviations", "deviations"),
)
_ENDPOINTS = (
    column("module", "module"),
    column("interface", "interface"),
    column("address", "url"),
)
_MODULES = (
    column("module", "module"),
    column("direction", "direction"),
    column("last", "last_at", time=True),
    column("done", "done", right=True),
    column("failures", "failures", right=True),
    column("behind s", "behind_s", right=True),
    column("missing", "missing", right=True),
    column("error", "error"),
)


@app.command("invite")
def invite(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What you call the other network.")],
    output: OutputOption = None,
) -> None:
    """Invite another network to connect. The token is shown this once; hand it over with the
    address, over a channel that you trust.

    Example: `csms partner invite "South Network"`
    """
    session = Session.of(context, output)
    answer = session.client.write("POST", "/partners", {"name": name})
    if session.out.is_json:
        session.out.json(answer)
        return
    session.out.line(f"Give {cell(answer['name'])} these two, shown this once:")
    session.out.line()
    session.out.line(f"  versions URL  {answer['url']}")
    session.out.line(f"  token         {answer['token']}")
    session.out.line()
    session.out.line("With this software, the other side runs:")
    session.out.line()
    session.out.line(f"  csms partner register {answer['url']} {answer['token']} --name THEIR-NAME")
    if only_here(str(answer["url"])):
        session.out.line()
        session.out.line(
            "That URL holds on this server's own machine alone: first set public_url under"
        )
        session.out.line("[ocpi] in csms.toml to the address that others reach, and invite again.")


@app.command("register")
def register(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Their versions endpoint.")],
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The token of their invitation.")],
    name: Annotated[str, typer.Option("--name", help="What you call the other network.")],
    output: OutputOption = None,
) -> None:
    """Complete a connection with the invitation of another network. After a failure the same
    command can be given again.

    Example: `csms partner register https://south.example.com/ocpi/versions TOKEN --name South`
    """
    session = Session.of(context, output)
    body = {"name": name, "url": url, "token": token}
    _acted(session, session.client.write("POST", "/partners/register", body))


@app.command("list")
def list_partners(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """All connections.

    Example: `csms partner list`
    """
    session = Session.of(context, output)
    empty = f"there are no partners; invite one: {paste('partner', 'invite', 'NAME')}"
    session.list("/partners", _COLUMNS, empty, limit=limit, by="name")


@app.command("show")
def show(context: typer.Context, partner: PartnerArgument, output: OutputOption = None) -> None:
    """One connection: whom it speaks for, what it offers, how each module is doing.

    Example: `csms partner show South`
    """
    session = Session.of(context, output)
    row = session.client.get(f"/partners/{segment(partner, 'PARTNER')}")
    session.out.record(row, _DETAILS)
    if not session.out.is_json:
        session.out.line()
        session.out.rows(row["endpoints"], _ENDPOINTS, "no endpoints of theirs are known")
        session.out.line()
        session.out.rows(row["modules"], _MODULES, "nothing was exchanged yet")


@app.command("sync")
def sync(context: typer.Context, partner: PartnerArgument, output: OutputOption = None) -> None:
    """Read a partner's versions and endpoints again.

    Example: `csms partner sync South`
    """
    _act(context, output, partner, "sync")


@app.command("rotate")
def rotate(context: typer.Context, partner: PartnerArgument, output: OutputOption = None) -> None:
    """Exchange new tokens on both sides; once a month is good practice. The old ones work for a
    while, so nothing is interrupted.

    Example: `csms partner rotate South`
    """
    _act(context, output, partner, "rotate")


@app.command("suspend")
def suspend(context: typer.Context, partner: PartnerArgument, output: OutputOption = None) -> None:
    """Exchange nothing with a partner until it is resumed.

    Example: `csms partner suspend South`
    """
    _act(context, output, partner, "suspend")


@app.command("resume")
def resume(context: typer.Context, partner: PartnerArgument, output: OutputOption = None) -> None:
    """End a suspension.

    Example: `csms partner resume South`
    """
    _act(context, output, partner, "resume")


@app.command("remove")
def remove(context: typer.Context, partner: PartnerArgument, output: OutputOption = None) -> None:
    """End a connection for good: the other side is told, and no token works any more.

    Example: `csms partner remove South`
    """
    session = Session.of(context, output)
    _acted(session, session.client.write("DELETE", f"/partners/{segment(partner, 'PARTNER')}"))


def _act(context: typer.Context, output: Any, partner: str, action: str) -> None:
    session = Session.of(context, output)
    path = f"/partners/{segment(partner, 'PARTNER')}/{action}"
    _acted(session, session.client.write("POST", path))


def _acted(session: Session, answer: Any) -> None:
    if session.out.is_json:
        session.out.json(answer)
        return
    for step in answer["steps"]:
        session.out.line(f"- {cell(step)}")
    session.out.line(f"{cell(answer['name'])} is {answer['state']}")
