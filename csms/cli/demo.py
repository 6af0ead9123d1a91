"""The demonstration: adds stations and tokens through the API, lets chargers loose, and watches.

It is a client like any other: the chargers run in a process of their own, and what is shown comes
from the operator API.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

DRAIN_S = 20.0
REFRESH_S = 0.5
RECENT = 8
DRIVERS = [f"DRIVER-{number}" for number in range(1, 41)]

# Two of each version, one with two connectors, one DC.
CHARGERS: list[dict[str, Any]] = [
    {"id": "CP-1", "version": "1.6", "power_w": 11_000},
    {"id": "CP-2", "version": "1.6", "power_w": 22_000, "evses": 2},
    {"id": "CP-3", "version": "2.0.1", "power_w": 11_000},
    {"id": "CP-4", "version": "2.0.1", "power_w": 150_000, "dc": True},
    {"id": "CP-5", "version": "2.1", "power_w": 11_000},
    {"id": "CP-6", "version": "2.1", "power_w": 22_000},
]


class DemoFailed(Exception):
    """The demonstration did not show what it should."""


async def run_demo(
    api: str,
    key: str,
    station_url: str,
    folder: Path,
    stop: asyncio.Event,
    *,
    seconds: float | None,
    as_json: bool,
    speed: float,
) -> None:
    """Run until `stop` (or `seconds`), drain, compare, and print. Raises `DemoFailed` when what
    was recorded is not what the chargers counted."""
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, stop.set)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=f"{api}/api/v1", headers=headers, timeout=30) as client:
        fleet = folder / "fleet.toml"
        fleet.write_text(await _prepare(client, station_url, speed))
        if not as_json:
            print(_introduction(api, key, station_url))
        async with chargers_of(fleet) as process:
            watching = asyncio.create_task(_watch(client, as_json), name="demo view")
            ended = asyncio.create_task(process.wait(), name="demo chargers")
            stopped = asyncio.create_task(stop.wait(), name="demo stop")
            output = asyncio.create_task(read(process), name="demo report")
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not as_json and not ended.done():
                print("stopping: transactions end, the chargers deliver what they hold ...")
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            text, errors = await output
            for task in (watching, stopped, ended):
                task.cancel()
            await asyncio.gather(watching, stopped, ended, return_exceptions=True)
        _tell(await _report(client, text, errors), as_json)


# -- preparing ---------------------------------------------------------------------------------


async def _prepare(client: httpx.AsyncClient, station_url: str, speed: float) -> str:
    """Onboard everything; the fleet file for the chargers."""
    for driver in DRIVERS:
        (await client.post("/tokens", json={"uid": driver})).raise_for_status()
    lines = [
        f"url = {json.dumps(station_url)}",
        f"speed = {speed}",
        f"tokens = {json.dumps(DRIVERS)}",
        "[driver]",
        "gap_s = [5, 60]",
        "stay_s = [60, 400]",
    ]
    for charger in CHARGERS:
        wanted = {"identity": charger["id"], "evses": charger.get("evses", 1)}
        answer = await client.post("/stations", json=wanted)
        answer.raise_for_status()
        lines.append("[[charger]]")
        fields = {**charger, "token": answer.json()["token"], "meter_interval_s": 20}
        lines += [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
    return "\n".join(lines) + "\n"


def _introduction(api: str, key: str, station_url: str) -> str:
    csms = Path(sys.executable).parent / "csms"
    return f"""\
A central system with six chargers: OCPP on {station_url}, API on {api} (documentation: {api}/docs)

Look around from another terminal while it runs:

  export CSMS_URL={api} CSMS_API_KEY={key}
  {csms} station list
  {csms} transaction list
  {csms} station stop CP-1
  {csms} events

Ctrl-C ends it.
"""


@asynccontextmanager
async def chargers_of(fleet: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The simulated chargers as a process of their own, ended in any case."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "chargers",
        "fleet",
        str(fleet),
        "--output",
        "json",
        "--drain-seconds",
        str(DRAIN_S),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def read(process: asyncio.subprocess.Process) -> tuple[str, str]:
    text, errors = await process.communicate()
    return text.decode(), errors.decode()


# -- watching ----------------------------------------------------------------------------------


async def _watch(client: httpx.AsyncClient, as_json: bool) -> None:
    """Show what happens: a live table on a terminal, a line per event elsewhere."""
    recent: list[str] = []
    console = Console()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    if as_json:
        return
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_follow(client, recent, live is None), name="demo events")
        if live is not None:
            with live:
                while True:
                    live.update(await _view(client, recent), refresh=True)
                    await asyncio.sleep(REFRESH_S)


async def _follow(client: httpx.AsyncClient, recent: list[str], aloud: bool) -> None:
    async with client.stream("GET", "/events?after=0", timeout=None) as stream:
        kind = ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                said = sentence(kind, json.loads(line[6:]))
                if said is not None:
                    recent.append(said)
                    del recent[:-RECENT]
                    if aloud:
                        print(said, flush=True)


def sentence(kind: str, event: Mapping[str, Any]) -> str | None:
    """What an event says, for a reader; None for those that only a machine wants."""
    station = event.get("station", "-")
    time = event["at"][11:19]
    if kind == "station_booted":
        what = f"booted: {event['vendor']} {event['model']}"
    elif kind == "transaction_started":
        number, token = event["transaction_id"], event["token_uid"]
        what = f"transaction {number} started on EVSE {event['evse']} by {token}"
        if event["outcome"] != "accepted":
            # A driver who charges elsewhere already; the station ends it at once.
            what += f", refused: {event['outcome']}"
    elif kind == "transaction_ended":
        energy = f"{event['energy_wh'] / 1000:.2f} kWh"
        what = f"transaction {event['transaction_id']} ended ({event['stop_reason']}): {energy}"
    elif kind == "command_changed":
        what = f"command {event['kind']}: {event['status']}"
    elif kind == "station_disconnected":
        what = "disconnected"
    else:
        return None
    return f"{time}  {station}  {what}"


async def _view(client: httpx.AsyncClient, recent: list[str]) -> Group:
    stations = (await client.get("/stations")).json()["items"]
    running = (await client.get("/transactions?open=true&limit=100")).json()["items"]
    table = Table("station", "OCPP", "connectors", "charging", "energy", title="Stations")
    for station in sorted(stations, key=lambda s: str(s["identity"])):
        mine = [t for t in running if t["station_id"] == station["id"]]
        connectors = "  ".join(
            f"{c['evse']} {c['status'].replace('_', ' ')}"
            for c in station["connectors"]
            if c["evse"]
        )
        table.add_row(
            station["identity"],
            station["version"] or "-",
            connectors if station["connected"] else "offline",
            ", ".join(f"{t['token_uid']} (#{t['id']})" for t in mine) or "-",
            ", ".join(f"{t['energy_wh'] / 1000:.2f} kWh" for t in mine) or "-",
        )
    return Group(table, Text("\n".join(recent)))


# -- the end -----------------------------------------------------------------------------------


async def _report(client: httpx.AsyncClient, text: str, errors: str) -> dict[str, Any]:
    """What the chargers counted beside what was recorded, by version."""
    try:
        counted = json.loads(text)["versions"]
    except (ValueError, KeyError) as error:
        raise DemoFailed(f"the chargers gave no report: {errors.strip() or text!r}") from error
    if errors.strip():
        raise DemoFailed(errors.strip())
    recorded: dict[str, list[dict[str, Any]]] = {}
    versions = {s["id"]: s["version"] for s in (await client.get("/stations")).json()["items"]}
    cursor: str | None = None
    while True:
        parameters = {"limit": 500} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/transactions", params=parameters)).json()
        for transaction in page["items"]:
            recorded.setdefault(versions[transaction["station_id"]], []).append(transaction)
        cursor = page["next"]
        if cursor is None:
            break
    report = {}
    for version, sums in counted.items():
        finished = [t for t in recorded.get(version, []) if not t["open"]]
        report[version] = {
            "stations": sums["stations"],
            "transactions_finished": len(finished),
            "energy_counted_wh": sums["energy_counted_wh"],
            "energy_recorded_wh": sum(t["energy_wh"] for t in finished),
            "messages": sums["messages"],
            "rejected": sums["rejected"],
        }
        if len(finished) != sums["transactions_finished"]:
            raise DemoFailed(
                f"OCPP {version}: the chargers finished {sums['transactions_finished']} "
                f"transactions, {len(finished)} were recorded"
            )
        if report[version]["energy_counted_wh"] != report[version]["energy_recorded_wh"]:
            raise DemoFailed(f"OCPP {version}: counted and recorded energy differ: {report}")
    return report


# Where the name of a sum is too long for a terminal of 80 columns.
_TITLES = {
    "transactions_finished": "finished",
    "energy_counted_wh": "counted Wh",
    "energy_recorded_wh": "recorded Wh",
}


def _tell(report: Mapping[str, Mapping[str, int]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(report))
        return
    columns = list(next(iter(report.values())))
    console = Console()
    if console.is_terminal:
        titles = (_TITLES.get(c, c.replace("_", " ")) for c in columns)
        table = Table("OCPP", *titles, title="Counted and recorded")
        for version, sums in report.items():
            table.add_row(version, *(str(sums[c]) for c in columns))
        console.print(table)
    else:
        for version, sums in report.items():
            print(f"OCPP {version}: " + ", ".join(f"{c} {sums[c]}" for c in columns))
