"""`csms partner`: connections to other networks over OCPI."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from csms.cli.client import segment
from csms.cli.failures import usage
from csms.cli.output import Column, cell, column, make_sure, waiting
from csms.cli.session import LimitOption, OutputOption, Session, YesOption, only_here, paste

app = typer.Typer(
    help="Connections to other networks (OCPI).", no_args_is_help=True, rich_markup_mode="markdown"
)


class Taxes(StrEnum):
    """How taxes are treated between two networks."""

    TAXED = "taxed"
    EXEMPT = "exempt"
    REVERSE_CHARGE = "reverse_charge"


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
_CONTRACT = (
    column("taxes", "taxes"),
    Column(
        "rounding digits",
        lambda c: "as the currency" if c.get("rounding_digits") is None else c["rounding_digits"],
    ),
    column("markup %", "markup_percent"),
)
_ENDPOINTS = (
    column("module", "module"),
    column("interface", "interface"),
    column("address", "url"),
)


def _facts(row: Any) -> str:
    """`valid true, then false; location LOC1 E1`: what was told of the token beside its uid."""
    told = [
        f"{name} {', then '.join(cell(value) for value in values)}"
        for name, values in (row.get("facts") or {}).items()
        if name not in ("uid", "type")
    ]
    return "; ".join(told)


_DISCLOSURES = (
    column("token", "uid"),
    column("type", "type"),
    column("driver of", "party_id"),
    column("by", "module"),
    column("first", "first_at", time=True),
    column("last", "last_at", time=True),
    column("times", "times", right=True),
    Column("told", _facts),
)
_MODULES = (
    column("module", "module"),
    column("direction", "direction"),
    column("last", "last_at", time=True),
    column("done", "done", right=True, spare=4),
    column("failures", "failures", right=True),
    column("behind s", "behind_s", right=True),
    column("missing", "missing", right=True, spare=1),
    Column("last error", lambda m: m.get("fault"), spare=2),
    column("at", "fault_at", time=True, spare=3),
    Column("now", lambda m: "failing" if m.get("failures") else "well"),
)


@app.command("invite")
def invite(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What you call the other network.")],
    output: OutputOption = None,
) -> None:
    """Invite another network to connect. The token is shown this once; hand it over with the
    address, over a channel that you trust. The name of a connection that was removed says that it
    is the same network again: it gets the records that the other one had not settled.

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
    name: Annotated[
        str | None,
        typer.Option("--name", help="What you call the other network; default: the host."),
    ] = None,
    output: OutputOption = None,
) -> None:
    """Complete a connection with the invitation of another network. After a failure the same
    command can be given again.

    Example: `csms partner register https://south.example.com/ocpi/versions TOKEN --name South`
    """
    session = Session.of(context, output)
    host = urlsplit(url).hostname
    if host is None:
        raise usage(f"{cell(url)} is no URL", "it begins with https:// and is their versions URL")
    body = {"name": name or host, "url": url, "token": token}
    with waiting(f"exchanging credentials with {host}"):
        answer = session.client.write("POST", "/partners/register", body)
    _acted(session, answer)


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


@app.command("disclosures")
def disclosures(
    context: typer.Context,
    partner: PartnerArgument,
    token: Annotated[
        str | None, typer.Option("--token", metavar="UID", help="Of one token.", show_default=False)
    ] = None,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """What a partner was told of drivers: which token, by which module, which facts, when first and
    last. Noted before it is sent, so it may hold what did not arrive, and nothing is missing.

    Example: `csms partner disclosures South --token 04E1A2B3`
    """
    session = Session.of(context, output)
    path = f"/partners/{segment(partner, 'PARTNER')}/disclosures"
    whom = f"of {cell(token)}" if token else "of any driver"
    empty = f"{cell(partner)} was told nothing {whom}"
    session.list(path, _DISCLOSURES, empty, params={"token": token}, limit=limit)


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


@app.command("contract")
def contract(
    context: typer.Context,
    partner: PartnerArgument,
    taxes: Annotated[
        Taxes | None,
        typer.Option("--taxes", help="How they are treated between you.", show_default=False),
    ] = None,
    digits: Annotated[
        int | None,
        typer.Option(
            "--rounding-digits",
            min=-1,
            max=4,
            help="Of totals and tax lines; -1: those of the currency.",
            show_default=False,
        ),
    ] = None,
    markup: Annotated[
        str | None,
        typer.Option(
            "--markup", metavar="PERCENT", help="What your drivers pay beyond.", show_default=False
        ),
    ] = None,
    output: OutputOption = None,
) -> None:
    """What is agreed with a partner about money; without options it is shown. Charges that run keep
    what they began with.

    Example: `csms partner contract South`

    Example: `csms partner contract South --taxes reverse_charge`
    """
    session = Session.of(context, output)
    path = f"/partners/{segment(partner, 'PARTNER')}"
    row = session.client.get(path)
    if taxes is not None or digits is not None or markup is not None:
        agreed = dict(row["contract"])
        agreed["taxes"] = taxes.value if taxes else agreed["taxes"]
        if digits is not None:
            agreed["rounding_digits"] = None if digits < 0 else digits
        agreed["markup_percent"] = markup if markup is not None else agreed["markup_percent"]
        row = session.client.write("PUT", f"{path}/contract", agreed)
    session.out.record(row["contract"], _CONTRACT)


@app.command("remove")
def remove(
    context: typer.Context,
    partner: PartnerArgument,
    yes: YesOption = False,
    output: OutputOption = None,
) -> None:
    """End a connection for good: the other side is told, and no token works any more. What it was
    owed waits for a connection that is made under the same name.

    Example: `csms partner remove South`
    """
    session = Session.of(context, output)
    make_sure(f"End the connection to {partner} for good? It has to be made anew then.", yes)
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
