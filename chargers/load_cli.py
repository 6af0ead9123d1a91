"""`chargers load`: the command, its processes, and what it prints."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import uvloop

from chargers.crowd import Crowd
from chargers.load import MEANING, PORTS_PER_ADDRESS, LoadError, Plan, Profile, added_up, drive

FAILED, USAGE = 1, 2
END_WITHIN_S = 30.0
MOST_TOLD_BYTES = 64 * 1024 * 1024
# What a part says when all of it have.
SETTLED = "settled"
TELL_EVERY_S = 2.0
_PROFILES = "; ".join(f"**{name}**: {meaning}" for name, meaning in MEANING.items())


def load(
    url: Annotated[str, typer.Argument(help="Address without the id: ws://host:9000/ocpp")],
    tokens: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CSV of identity, token (csms station import)."),
    ],
    count: Annotated[int, typer.Option(min=1, help="How many stations of the file.")],
    profile: Annotated[Profile, typer.Option(help=_PROFILES)] = Profile.STEADY,
    seconds: Annotated[float, typer.Option(min=0.1, help="At most so long.")] = 60.0,
    processes: Annotated[int, typer.Option(min=1, max=64, help="That share the work.")] = 1,
    rate: Annotated[
        float, typer.Option(min=0, help="Connections per second; 0: all at once.")
    ] = 0.0,
    at_once: Annotated[
        int, typer.Option(min=1, help="Connections under way at once, each process.")
    ] = 500,
    addresses: Annotated[
        int,
        typer.Option(
            min=1,
            max=250,
            help="Local ones (127.0.0.1 and up) to connect from: one for some 10,000 connections.",
        ),
    ] = 1,
    samples: Annotated[
        int, typer.Option(min=1, max=100_000, help="Meter values of a history.")
    ] = 200,
    driver: Annotated[str, typer.Option(help="Whose token starts charges.")] = "LOAD",
    drivers: Annotated[int, typer.Option(min=1, help="Several: LOAD-0, LOAD-1 and so on.")] = 1,
    heartbeat_s: Annotated[
        float | None, typer.Option(min=0.1, help="Instead of what the server says.")
    ] = None,
    changed: Annotated[
        float,
        typer.Option(min=0, max=50, help="Percent of the statuses that are not Available."),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="One object on stdout.")] = False,
    part: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Load a central system with tens of thousands of stations (OCPP 1.6 over raw frames).

    The stations of FILE have to be known there, and the token of `--driver` to charge. A refused or
    lost connection is tried again as stations do. Ends with 1 when not every station has settled.

    Example: `seq -f 'LOAD-%05.0f' 1 5000 | sed '1i identity' > stations.csv && csms station import
    stations.csv --tokens-out tokens.csv && csms token add LOAD`

    Example: `chargers load ws://127.0.0.1:9000/ocpp tokens.csv --count 5000 --profile boot-storm`

    Example: `chargers load ws://127.0.0.1:9000/ocpp tokens.csv --count 33000 --processes 2
    --addresses 4 --seconds 300`
    """
    plan = Plan(
        url, tokens, profile, count, 0, processes, seconds, rate / processes, at_once, addresses
    )
    plan = replace(plan, samples=samples, driver=driver, drivers=drivers, heartbeat_s=heartbeat_s)
    plan = replace(plan, changed=changed)
    if count > addresses * PORTS_PER_ADDRESS:
        _stop(f"--count {count}: one address has ports for {PORTS_PER_ADDRESS}; add --addresses")
    if part is not None:
        found = _here(replace(plan, part=part), quiet=True)
        print(json.dumps(found))
        return
    if processes == 1:
        told = [_here(plan, quiet=as_json)]
    else:
        told = uvloop.run(_everywhere(plan, sys.argv[1:]))
    report = {"profile": profile.value, **added_up(told)}
    print(json.dumps(report) if as_json else _table(report))
    if report["settled"] < report["stations"]:
        raise typer.Exit(FAILED)


def _here(plan: Plan, *, quiet: bool) -> dict[str, Any]:
    """Drive a part in this process."""
    told_at = 0.0

    def say(crowd: Crowd) -> None:
        nonlocal told_at
        if not quiet and time.monotonic() - told_at > TELL_EVERY_S:
            told_at = time.monotonic()
            answered = crowd.tally.counts["answered"]
            print(
                f"{crowd.connected} of {len(crowd.members)} connected, {crowd.settled} settled,"
                f" {answered} calls answered",
                file=sys.stderr,
            )

    def settled() -> None:
        if plan.parts > 1:
            print(SETTLED, flush=True)

    async def main() -> dict[str, Any]:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        return await drive(plan, stop, say, settled)

    try:
        return uvloop.run(main())
    except LoadError as error:
        _stop(str(error))


async def _everywhere(plan: Plan, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Drive all parts, each in a process of its own, with the same arguments. Nobody's links end
    before all have settled."""
    started = []
    for part in range(plan.parts):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "chargers",
            *arguments,
            "--part",
            str(part),
            stdout=asyncio.subprocess.PIPE,
            limit=MOST_TOLD_BYTES,
        )
        started.append(process)

    def stop() -> None:
        for process in started:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)

    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    left = plan.parts

    async def followed(process: asyncio.subprocess.Process) -> bytes:
        nonlocal left
        assert process.stdout is not None
        line = await process.stdout.readline()
        if line.strip().decode() == SETTLED:
            left -= 1
            if not left and plan.profile is not Profile.STEADY:
                stop()
            line = await process.stdout.read()
        await process.wait()
        return line

    answers = await asyncio.gather(*(followed(process) for process in started))
    codes = [process.returncode for process in started]
    if any(codes):
        raise typer.Exit(max(code or 0 for code in codes) or FAILED)
    return [json.loads(out) for out in answers]


def _table(report: dict[str, Any]) -> str:
    """For people."""
    counts = report["counts"]
    settled_s = report["settled_s"]
    when = f" after {settled_s} s" if settled_s is not None else ""
    lines = [
        f"profile        {report['profile']}, {report['seconds']} s",
        f"settled        {report['settled']} of {report['stations']} stations{when}",
        f"answered       {counts.get('answered', 0)} calls"
        f" (p50 {report['p50_ms']} ms, p99 {report['p99_ms']} ms)",
        f"generator      {report['generator_cpu_s']} s of CPU",
    ]
    lines += [f"{name:<14} {n}" for name, n in counts.items() if name != "answered"]
    return "\n".join(lines)


def _stop(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(USAGE)
