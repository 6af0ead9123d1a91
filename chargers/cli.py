"""The command line `chargers`: one charger or a fleet, against any central system.

Exit codes: 0 done, 1 something could not be delivered, 2 usage, 3 the central system was never
reached.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import ssl
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer
from rich.console import Console

from chargers.faults import FAULTS, chosen
from chargers.fleet import Fleet, FleetError, FleetPlan, read_plan
from chargers.load_cli import load
from chargers.profile import ChargerProfile
from chargers.report import fleet_report, plain_lines, version_table
from chargers.state import StateError
from chargers.wire import trusting

FAILED = 1
USAGE = 2
UNREACHABLE = 3
_FAULTS = ", ".join(FAULTS)

app = typer.Typer(
    help="Simulated EV charging stations (OCPP 1.6, 2.0.1 and 2.1) with drivers that use them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


class Output(StrEnum):
    table = "table"
    json = "json"


Seconds = Annotated[
    float | None,
    typer.Option("--seconds", min=0, help="Stop after this long; without it, on Ctrl-C."),
]
DrainSeconds = Annotated[
    float,
    typer.Option("--drain-seconds", min=0, help="How long the end may take to tell everything."),
]


StateFolder = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="DIR", help="Keep meters and unsent messages here, for the next run."
    ),
]


@app.command()
def run(
    url: Annotated[str, typer.Argument(help="Address without the id: ws://host:9000/ocpp")],
    id: Annotated[str, typer.Option("--id", help="Identity of the station.")] = "CP-1",  # noqa: A002
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="CHARGER_TOKEN", help="Password for HTTP Basic."),
    ] = None,
    version: Annotated[str, typer.Option("--version", help="1.6, 2.0.1 or 2.1.")] = "1.6",
    evses: Annotated[int, typer.Option("--evses", help="How many cars fit.")] = 1,
    power_kw: Annotated[float, typer.Option("--power-kw", help="Power of each EVSE.")] = 11.0,
    dc: Annotated[
        bool, typer.Option("--dc", help="A DC charger: reports state of charge.")
    ] = False,
    limit_kwh: Annotated[
        float, typer.Option("--limit-kwh", help="Where every charge ends by itself; 0: nowhere.")
    ] = 0.0,
    speed: Annotated[float, typer.Option("--speed", help="Virtual seconds per second.")] = 1.0,
    rfid: Annotated[
        list[str] | None, typer.Option("--rfid", help="Token of a driver; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Repeats the same drivers.")] = None,
    faults: Annotated[
        str,
        typer.Option(
            "--faults", metavar="NAMES", help=f"What it gets wrong: all, or some of {_FAULTS}."
        ),
    ] = "",
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="FILE", help="Who signed the server's certificate (wss)."),
    ] = None,
    state: StateFolder = None,
    seconds: Seconds = None,
    drain_seconds: DrainSeconds = 10.0,
) -> None:
    """Run one charger with drivers that come and go; a line for everything that happens.

    Example: `chargers run ws://127.0.0.1:9000/ocpp --id CP-1 --token SECRET --rfid DRIVER-1
    --speed 10`

    Example: `chargers run ws://127.0.0.1:9000/ocpp --id DC-1 --version 2.0.1 --dc --power-kw 150
    --rfid DRIVER-1 --seconds 60`

    Example: `chargers run ws://127.0.0.1:9000/ocpp --id CP-2 --faults duplicates,mixed-units`

    Example: `chargers run wss://localhost:9443/ocpp --ca tls/ca.pem --id CP-1 --token SECRET`
    """
    try:
        profile = ChargerProfile(
            id=id,
            token=token,
            version=version,
            evses=evses,
            power_w=round(power_kw * 1000),
            dc=dc,
            limit_wh=round(limit_kwh * 1000),
            faults=chosen(faults),
        )
    except ValueError as error:
        _stop_usage(str(error))
    if not 0 < speed <= 10_000:
        _stop_usage(f"speed = {speed}: allowed is a number above 0, up to 10000")
    if not url.startswith(("ws://", "wss://")):
        _stop_usage(f"URL = {url!r}: allowed is an address that begins with ws:// or wss://")
    if ca is not None:
        _check_authority(ca)
    _log_to(sys.stdout, logging.INFO)
    tokens = tuple(rfid or ["DRIVER-1"])
    plan = FleetPlan(url=url, tokens=tokens, chargers=(profile,), speed=speed, seed=seed, ca=ca)
    plan = replace(plan, state=state)
    fleet = _run(plan, seconds, drain_seconds)
    for line in plain_lines(fleet_report(fleet.chargers)):
        print(line)
    _exit(fleet)


@app.command("faults")
def list_faults() -> None:
    """What a charger can get wrong (`chargers run --faults`, `faults = [...]` in a fleet file).

    Example: `chargers faults`
    """
    for name, meaning in FAULTS.items():
        print(f"{name:18}{meaning}")


@app.command()
def fleet(
    file: Annotated[Path, typer.Argument(help="TOML: url, tokens, [[charger]] tables.")],
    state: StateFolder = None,
    seconds: Seconds = None,
    output: Annotated[Output, typer.Option("--output", help="What to print at the end.")] = (
        Output.table
    ),
    drain_seconds: DrainSeconds = 10.0,
    verbose: Annotated[bool, typer.Option("--verbose", help="Tell more on stderr.")] = False,
) -> None:
    """Run the chargers of a file with their drivers, then stop them and say what they did.

    Example: `chargers fleet fleet.toml --seconds 30 --output json`
    """
    try:
        plan = read_plan(file)
    except FleetError as error:
        _stop_usage(str(error))
    _log_to(sys.stderr, logging.INFO if verbose else logging.ERROR)
    done = _run(replace(plan, state=state), seconds, drain_seconds)
    report = fleet_report(done.chargers)
    console = Console()
    if output is Output.json:
        print(json.dumps(report))
    elif console.is_terminal:
        console.print(version_table(report))
    else:
        print("\n".join(plain_lines(report)))
    _exit(done)


app.command()(load)


def _run(plan: FleetPlan, seconds: float | None, drain_s: float) -> Fleet:
    async def all_of_it() -> Fleet:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        if seconds is not None:
            loop.call_later(seconds, stop.set)
        fleet = Fleet(plan)
        await fleet.run(stop, drain_s)
        return fleet

    try:
        return asyncio.run(all_of_it())
    except* StateError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        _stop_usage(f"--state: {error}")


def _exit(fleet: Fleet) -> None:
    """End with the code that says how it went; 0 by returning."""
    for charger in fleet.undrained:
        left = len(charger.outbox)
        print(f"{charger.profile.id}: {left} messages could not be delivered", file=sys.stderr)
    if not any(charger.ledger.connections for charger in fleet.chargers):
        reason = fleet.chargers[0].ledger.last_failure or "no time to connect"
        print(f"no charger could connect: {reason}", file=sys.stderr)
        raise typer.Exit(UNREACHABLE)
    if fleet.undrained:
        raise typer.Exit(FAILED)


def _check_authority(file: Path) -> None:
    try:
        trusting(file)
    except (OSError, ssl.SSLError) as error:
        _stop_usage(f"--ca {file}: allowed is a file with certificates (PEM): {error.strerror}")


def _stop_usage(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(USAGE)


def _log_to(stream: TextIO, level: int) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("chargers")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


def main() -> None:
    """The console script."""
    app()
