"""`csms station config, report` and `csms config templates`: what stations have and shall have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from csms.cli.client import Row, segment
from csms.cli.failures import ExitCode, Failure, usage
from csms.cli.output import Column, cell, column, waiting
from csms.cli.session import LimitOption, OutputOption, Session, StationArgument, paste
from csms.cli.stations import app as station_app
from csms.cli.stations import path_of

PANEL = "Configure"
config = typer.Typer(
    help="Variables of a station: what it reports, what is desired.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
templates = typer.Typer(
    help="What stations of a make shall have, said once.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
network_config = typer.Typer(
    help="Configuration of many stations.", no_args_is_help=True, rich_markup_mode="markdown"
)
station_app.add_typer(config, name="config", rich_help_panel=PANEL)
network_config.add_typer(templates, name="templates")

WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait for the station.")
]
TemplateArgument = Annotated[str, typer.Argument(metavar="TEMPLATE", help="Its name.")]

_COLUMNS = (
    column("variable", "name"),
    column("reported", "reported"),
    column("desired", "desired"),
    Column("state", lambda v: _state(v)),
    column("unit", "unit"),
    Column("from", lambda v: v.get("template") or ("operator" if v.get("desired") else None)),
    column("allowed", "allowed"),
    column("reported at", "reported_at", time=True),
)
_TEMPLATE_COLUMNS = (
    column("name", "name"),
    column("party", "party_id"),
    column("vendor", "vendor"),
    column("model", "model"),
    column("firmware", "firmware"),
    column("values", "values"),
    column("changed", "at", time=True),
)


def _state(variable: Row) -> str | None:
    """Where the desired value stands, with the station's word; what cannot be set is told too."""
    state, reason = variable.get("state"), variable.get("reason")
    if state is None:
        return "read only" if variable.get("mutability") == "read_only" else None
    return f"{state}: {reason}" if reason else str(state)


# -- one station -----------------------------------------------------------------------------------


@config.command("get")
def get(
    context: typer.Context,
    station: StationArgument,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the station now, not the database.")
    ] = False,
    wait: WaitOption = 30.0,
    output: OutputOption = None,
) -> None:
    """What a station has, and what it shall have, side by side.

    A name works whatever the station's version calls it: `HeartbeatInterval` is
    `OCPPCommCtrlr/HeartbeatInterval` of an OCPP 2.x station.

    Example: `csms station config get CP-1`

    Example: `csms station config get CP-1 HeartbeatInterval MeterValueSampleInterval --refresh`
    """
    session = Session.of(context, output)
    path = f"{path_of(station)}/configuration"
    if refresh:
        with waiting(f"waiting for {station}"):
            found = session.client.write(
                "POST",
                f"{path}/refresh",
                {"names": names or []},
                params={"wait": wait},
                wait_s=wait,
                hints=_hints(station),
            )
    else:
        found = session.client.get(path, {"name": names} if names else None)
    _print(session, station, found)


@config.command("set")
def set_values(
    context: typer.Context,
    station: StationArgument,
    pairs: Annotated[list[str], typer.Argument(metavar="NAME VALUE [NAME VALUE]...")],
    wait: WaitOption = 30.0,
    output: OutputOption = None,
) -> None:
    """Desire values: the station gets them at once, or when it comes back.

    They stay desired: a station that loses them gets them again.

    Example: `csms station config set CP-1 HeartbeatInterval 300`

    Example: `csms station config set CP-1 MeterValueSampleInterval 60 ConnectionTimeOut 90`
    """
    session = Session.of(context, output)
    found = _change(session, station, _values(pairs), wait)
    _print(session, station, found)
    states = [v for v in found["variables"] if v.get("state") in ("rejected", "unsupported")]
    if states:
        named = ", ".join(_refusal(v) for v in states)
        look = paste("station", "config", "get", station)
        forget = paste("station", "config", "unset", station, *(str(v["name"]) for v in states))
        next_step = f"{look} shows what it says and allows, {forget} ends the wish"
        raise Failure(ExitCode.FAILED, f"{station} does not take {named}", next_step)


def _refusal(variable: Row) -> str:
    """The variable that a station does not take, and why where that is known."""
    name, reason = cell(variable["name"]), variable.get("reason")
    return f"{name} ({cell(reason).removeprefix(f'{name}: ')})" if reason else name


@config.command("unset")
def unset(
    context: typer.Context,
    station: StationArgument,
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    output: OutputOption = None,
) -> None:
    """Desire values no longer; the station keeps what it has.

    Example: `csms station config unset CP-1 HeartbeatInterval`
    """
    session = Session.of(context, output)
    found = _change(session, station, dict.fromkeys(names), 0.0)
    if session.out.is_json:
        session.out.json(found)
        return
    session.out.line(f"no longer desired of {station}: {', '.join(names)}")


def _change(session: Session, station: str, values: dict[str, Any], wait_s: float) -> Any:
    with waiting(f"waiting for {station}"):
        return session.client.write(
            "PATCH",
            f"{path_of(station)}/configuration",
            {"values": values},
            params={"wait": wait_s},
            wait_s=wait_s,
            hints=_hints(station),
        )


def _values(pairs: Sequence[str]) -> dict[str, str]:
    """NAME VALUE NAME VALUE ... Raises `Failure`."""
    if len(pairs) % 2:
        raise usage(
            f"{pairs[-1]} has no value", "an example is: csms station config set CP-1 NAME VALUE"
        )
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _hints(station: str) -> dict[str, str]:
    show = paste("station", "show", station)
    return {"station_offline": f"{show} says since when, try again once it is connected"}


def _print(session: Session, station: str, found: Row) -> None:
    out = session.out
    if out.is_json:
        out.json(found)
        return
    empty = f"nothing is known; ask it: {paste('station', 'config', 'get', station)} --refresh"
    out.rows(found["variables"], _COLUMNS, empty)
    for line in _remarks(station, found):
        out.line(line)


def _remarks(station: str, found: Row) -> list[str]:
    """What there is to say beyond the table."""
    remarks = []
    wanted = any(v.get("state") == "wanted" for v in found["variables"])
    if found.get("detail"):
        remarks.append(f"{station}: {cell(found['detail'])}")
    if wanted and not found.get("connected"):
        remarks.append(f"{station} is not connected: it gets them when it comes back.")
    elif wanted:
        remarks.append("what is wanted is set as soon as the station answers.")
    if found.get("reset_needed"):
        remarks.append(
            f"some take effect with the next reset: {paste('station', 'reset', station)}"
        )
    if found.get("inventory") == "incomplete":
        remarks.append("the station did not report all that it has.")
    return remarks


@station_app.command("report", rich_help_panel=PANEL)
def report(
    context: typer.Context,
    station: StationArgument,
    scope: Annotated[
        str, typer.Option("--scope", help="full, configuration or summary (OCPP 2.x).")
    ] = "full",
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for it.")] = 60.0,
    output: OutputOption = None,
) -> None:
    """Ask a station for all that it has; `--output json` holds the parts as they came.

    Example: `csms station report CP-1`

    Example: `csms station report CP-1 --scope configuration --output json`
    """
    session = Session.of(context, output)
    with waiting(f"waiting for {station}"):
        found = session.client.write(
            "POST",
            f"{path_of(station)}/reports",
            {"scope": scope},
            params={"wait": min(wait, 60.0)},
            wait_s=wait,
            hints=_hints(station),
        )
    if session.out.is_json:
        session.out.json(found)
    state = str(found.get("state"))
    if state not in ("complete", "requested", "incomplete"):
        detail = f": {cell(found['detail'])}" if found.get("detail") else ""
        what = f"{station} makes no such report: {state}{detail}"
        raise Failure(ExitCode.FAILED, what, "try another --scope")
    if session.out.is_json:
        return
    if state != "complete":
        session.out.line(f"report {found['request_id']} has not come as a whole: {state}")
    shown = session.client.get(f"{path_of(station)}/configuration")
    _print(session, station, shown)


# -- templates -------------------------------------------------------------------------------------


@templates.command("list")
def list_templates(
    context: typer.Context, limit: LimitOption = None, output: OutputOption = None
) -> None:
    """All templates.

    Example: `csms config templates list`
    """
    session = Session.of(context, output)
    empty = "there are no templates; make one: csms config templates set NAME HeartbeatInterval 300"
    session.list("/configuration-templates", _TEMPLATE_COLUMNS, empty, limit=limit)


@templates.command("show")
def show_template(
    context: typer.Context, template: TemplateArgument, output: OutputOption = None
) -> None:
    """One template.

    Example: `csms config templates show terra`
    """
    session = Session.of(context, output)
    session.out.record(session.client.get(_path(template)), _TEMPLATE_COLUMNS)


@templates.command("set")
def set_template(
    context: typer.Context,
    template: TemplateArgument,
    pairs: Annotated[list[str], typer.Argument(metavar="NAME VALUE [NAME VALUE]...")],
    vendor: Annotated[
        str | None, typer.Option(help="Of these only; * stands for anything.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option(show_default=False)] = None,
    firmware: Annotated[str | None, typer.Option(show_default=False)] = None,
    party: Annotated[str | None, typer.Option(help="Its owner.", show_default=False)] = None,
    output: OutputOption = None,
) -> None:
    """Make a template, or put another in its place.

    Stations that match get its values on their first contact and after a change of firmware;
    `csms config templates apply` gives them to those that are there. What an operator has set for
    one station stays.

    Example: `csms config templates set terra MeterValueSampleInterval 60 --vendor 'ABB*'`
    """
    session = Session.of(context, output)
    body = {"vendor": vendor, "model": model, "firmware": firmware, "party_id": party}
    given: dict[str, Any] = {name: text for name, text in body.items() if text is not None}
    row = session.client.write("PUT", _path(template), {**given, "values": _values(pairs)})
    if session.out.is_json:
        session.out.json(row)
        return
    apply = paste("config", "templates", "apply", template)
    session.out.line(f"template {row['name']} is set; for stations that are there: {apply}")


@templates.command("remove")
def remove_template(
    context: typer.Context, template: TemplateArgument, output: OutputOption = None
) -> None:
    """Forget a template; what it brought stays desired.

    Example: `csms config templates remove terra`
    """
    session = Session.of(context, output)
    row = session.client.write("DELETE", _path(template))
    if session.out.is_json:
        session.out.json(row)
        return
    session.out.line(f"template {row['name']} is removed")


@templates.command("apply")
def apply_template(
    context: typer.Context, template: TemplateArgument, output: OutputOption = None
) -> None:
    """Give a template's values to all stations that match.

    Example: `csms config templates apply terra`
    """
    session = Session.of(context, output)
    row = session.client.write("POST", f"{_path(template)}/apply", wait_s=60.0)
    if session.out.is_json:
        session.out.json(row)
        return
    session.out.line(f"{row['stations']} stations match, {row['changed']} have something to change")


def _path(template: str) -> str:
    return f"/configuration-templates/{segment(template, 'TEMPLATE')}"
