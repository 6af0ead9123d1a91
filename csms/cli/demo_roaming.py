"""The roaming demonstration: two networks register with each other, and their drivers visit.

It is a client of both operator APIs, as an operator's own tools are. Drivers of each network show
their card at a station of the other; others are started there by their own network; one is refused
because its contract is blocked. In the end both networks hold the same bills.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from csms.cli.demo import RECENT, REFRESH_S, DemoFailed, chargers_of, read, sentence
from csms.cli.demo_books import balanced, compared, everything
from csms.cli.demo_networks import PLUG, DemoNetwork
from csms.cli.neighbours import prices

# Wall seconds that a visitor who was started from afar charges, and rests afterwards.
CHARGE_S, REST_S = 4.0, 2.0
READY_S = 30.0
WAIT_S = 20.0
LOOK_EVERY_S = 0.2


@dataclass
class Side:
    """One network that runs: its API with a key, and where its stations connect. `refused`: cards
    that its stations were told to turn away; `asked`: starts at the other network."""

    network: DemoNetwork
    api: str
    key: str
    station_url: str
    client: httpx.AsyncClient
    refused: int = 0
    asked: int = 0
    places: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.network.name

    async def write(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """An answer of the API. Raises `DemoFailed` with its words."""
        answer = await self.client.request(method, path, json=body, params=params)
        if not answer.is_success:
            raise DemoFailed(f"{self.name}: {method} {path}: {answer.text}")
        return answer.json()


async def run_roaming_demo(
    sides: Sequence[Side],
    folder: Path,
    stop: asyncio.Event,
    *,
    seconds: float | None,
    as_json: bool,
    speed: float,
    say: Callable[[str], None],
) -> None:
    """Run until `stop` (or `seconds`), drain, compare both networks' books, and print. Raises
    `DemoFailed` when they differ, or something that should happen did not."""
    north, south = sides
    fleets = [await _prepare(side, other, folder, speed) for side, other in _pairs(sides)]
    say(f"{north.name} registers with {south.name}:")
    for step in await _connect(north, south):
        say(f"  {step}")
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, stop.set)
    recent: list[str] = []
    console = Console()
    live = not as_json and console.is_terminal

    def tell(text: str) -> None:
        recent.append(text)
        del recent[: -2 * RECENT]
        if not live:
            say(text)

    async with AsyncExitStack() as stack:
        running = [await stack.enter_async_context(chargers_of(fleet)) for fleet in fleets]
        reports = [asyncio.create_task(read(p), name="demo report") for p in running]
        watching = [
            asyncio.create_task(_follow(side, tell), name=f"demo {side.name}") for side in sides
        ]
        await _until(lambda: _published(sides), stop)
        for side, other in _pairs(sides):
            say(_as_lines(side, other))
        visiting = [
            asyncio.create_task(_visit(side, other, tell), name=f"demo visits of {side.name}")
            for side, other in _pairs(sides)
        ]
        if live:
            watching.append(asyncio.create_task(_show(sides, recent, console), name="demo view"))
        ended = [asyncio.create_task(p.wait(), name="demo chargers") for p in running]
        stopped = asyncio.create_task(stop.wait(), name="demo stop")
        await asyncio.wait((*ended, *visiting, stopped), return_when=asyncio.FIRST_COMPLETED)
        await _cancel(*visiting)
        say("stopping: charges end, the chargers deliver what they hold, bills are exchanged ...")
        for process in running:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
        for text, errors in await asyncio.gather(*reports):
            if errors.strip() or not text.strip():
                raise DemoFailed(errors.strip() or "the chargers gave no report")
        await _cancel(stopped, *ended)
        report = await _report(sides)
        await _cancel(*watching)
    _tell(report, as_json)


def _pairs(sides: Sequence[Side]) -> list[tuple[Side, Side]]:
    north, south = sides
    return [(north, south), (south, north)]


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """End tasks. Raises what one of them failed with by itself."""
    failed = [t.exception() for t in tasks if t.done() and not t.cancelled() and t.exception()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for error in failed:
        if error is not None:
            raise error


# -- preparing ---------------------------------------------------------------------------------


async def _prepare(side: Side, other: Side, folder: Path, speed: float) -> Path:
    """Onboard stations, cards, places and prices; the fleet file for the chargers."""
    mine = side.network
    for uid in (*mine.own, mine.card, mine.blocked):
        await side.write("POST", "/tokens", {"uid": uid})
    await side.write("PATCH", f"/tokens/{mine.party}/rfid/{mine.blocked}", {"blocked": True})
    visitors = {
        "card": [other.network.card],
        "called": [],
        "blocked": [other.network.blocked],
        "own": mine.own,
    }
    lines = [
        f"url = {json.dumps(side.station_url)}",
        f"speed = {speed}",
        f"tokens = {json.dumps(mine.own)}",
        "[driver]",
        "gap_s = [20, 60]",
        "stay_s = [120, 300]",
    ]
    evses: dict[str, list[dict[str, Any]]] = {place["id"]: [] for place in mine.places}
    for charger in mine.chargers:
        added = await side.write("POST", "/stations", {"identity": charger.id})
        plug = {"station": charger.id, "evse": 1, "uid": charger.id, "connectors": [PLUG]}
        evses[charger.place].append(plug)
        fields = {
            "id": charger.id,
            "version": charger.version,
            "power_w": 22_000,
            "token": added["token"],
            "meter_interval_s": 20,
            "drivers": visitors[charger.visited],
        }
        lines += ["[[charger]]", *(f"{name} = {json.dumps(v)}" for name, v in fields.items())]
    await side.write("POST", "/tariffs", mine.tariff)
    for place in mine.places:
        await side.write("PUT", "/locations", {**place, "evses": evses[place["id"]]})
        path = f"/tariffs/{mine.party}/{mine.tariff['id']}/assignments"
        await side.write("POST", path, {"location_id": place["id"]})
    fleet = folder / f"{side.name.lower()}-fleet.toml"
    fleet.write_text("\n".join(lines) + "\n")
    return fleet


async def _connect(north: Side, south: Side) -> list[str]:
    """The exchange of credentials, as two operators make it; its steps."""
    invited = await south.write("POST", "/partners", {"name": north.name})
    steps = [f"{south.name} invites {north.name}: csms partner invite {north.name}"]
    body = {"name": south.name, "url": invited["url"], "token": invited["token"]}
    registered = await north.write("POST", "/partners/register", body)
    steps += [f"{north.name}: {step}" for step in registered["steps"]]
    for side, other in _pairs((north, south)):
        synced = await side.write("POST", f"/partners/{other.name}/sync")
        steps += [f"{side.name} reads {other.name}'s lists: {len(synced['steps'])} steps"]
    return steps


async def _published(sides: Sequence[Side]) -> bool:
    """Whether each network sees every EVSE of the other as free, or in use."""
    for side, other in _pairs(sides):
        await _look(side, other)
        evses = [e for place in side.places for e in place["location"].get("evses", ())]
        known = [e for e in evses if e["status"] in ("AVAILABLE", "CHARGING", "BLOCKED")]
        if len(known) < len(other.network.chargers):
            return False
    return True


async def _look(side: Side, other: Side) -> None:
    """The places of the other network as this one's drivers see them."""
    found = []
    for row in await everything(side.client, "/roaming/locations"):
        if row["party_id"] == other.network.party:
            path = f"/roaming/locations/{row['party_id']}/{row['id']}"
            found.append((await side.client.get(path)).json())
    side.places = found


async def _until(holds: Callable[[], Any], stop: asyncio.Event) -> None:
    """Wait until something holds, or the demonstration is to end. Raises `DemoFailed`."""
    try:
        async with asyncio.timeout(READY_S):
            while not stop.is_set():
                if await holds():
                    return
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise DemoFailed(f"not every station was seen within {READY_S:g} s") from None


# -- visiting ----------------------------------------------------------------------------------


async def _visit(side: Side, other: Side, tell: Callable[[str], None]) -> None:
    """Drivers of this network start at the other one's stations by their own network, and stop."""
    (charger,) = (c for c in other.network.chargers if c.visited == "called")
    place = {"party_id": other.network.party, "location_id": charger.place}
    where = {**place, "evse_uid": charger.id, "token": side.network.card}
    while True:
        started = await side.write("POST", "/roaming/errands/start", where, wait=WAIT_S)
        said = started["result"] or started["detail"] or started["status"]
        tell(f"{side.name}: csms roaming start {charger.id} of {other.name}: {said.lower()}")
        if started["status"] == "accepted":
            side.asked += 1
            session = await _session(side, started["id"])
            if session is not None:
                await asyncio.sleep(CHARGE_S)
                body = {"party_id": other.network.party, "session_id": session}
                stopped = await side.client.post(
                    "/roaming/errands/stop", json=body, params={"wait": WAIT_S}
                )
                # One that has ended by itself meanwhile is refused, which is no fault.
                said = stopped.json().get("result") or stopped.json().get("detail", "")
                tell(f"{side.name}: csms roaming stop {session} at {other.name}: {said.lower()}")
        await asyncio.sleep(REST_S)


async def _session(side: Side, errand_id: str) -> str | None:
    """The session that a start led to."""
    for _ in range(int(WAIT_S / LOOK_EVERY_S)):
        row = (await side.client.get(f"/roaming/errands/{errand_id}")).json()
        if row["session_id"] is not None:
            return str(row["session_id"])
        await asyncio.sleep(LOOK_EVERY_S)
    return None


async def _follow(side: Side, tell: Callable[[str], None]) -> None:
    """What happens in a network, in sentences; counts the cards that are turned away."""
    async with side.client.stream("GET", "/events?after=0", timeout=None) as stream:
        kind = ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                event = json.loads(line[6:])
                said = sentence(kind, event) if kind != "command_changed" else None
                if kind == "token_authorized" and event["outcome"] != "accepted":
                    side.refused += 1
                    station, uid = event.get("station", "-"), event["uid"]
                    time = event["at"][11:19]
                    said = f"{time}  {station}  turned {uid} away: {event['outcome']}"
                if kind == "cdr_received":
                    said = f"{event['at'][11:19]}  bill {event['cdr_id']} from {event['party_id']}"
                if said is not None:
                    tell(f"{side.name}: {said}")


# -- showing -----------------------------------------------------------------------------------


def introduction(sides: Sequence[Side], csms: Path) -> str:
    """What runs, and how to look around."""
    lines = []
    for side in sides:
        mine = side.network
        lines.append(
            f"{side.name} ({mine.party}, {mine.currency}, {mine.about}): API on {side.api}, "
            f"OCPP on {side.station_url}"
        )
    lines += ["", "Look around from another terminal while it runs, as one network or the other:"]
    for side in sides:
        lines += ["", f"  export CSMS_URL={side.api} CSMS_API_KEY={side.key}   # {side.name}"]
    first, second = sides
    near = "--near 40.70,-74.02" if second.name == "South" else ""
    lines += [
        f"  {csms} roaming locations {near}".rstrip(),
        f"  {csms} partner show {second.name}    # as {first.name}",
        f"  {csms} roaming sessions",
        f"  {csms} roaming cdrs",
        "",
        "Ctrl-C ends it.",
        "",
    ]
    return "\n".join(lines)


def _rows(side: Side) -> list[tuple[str, str, str, str]]:
    """Place, EVSE, status and price as this network's drivers see them."""
    found = []
    for place in side.places:
        price = "; ".join(
            f"{part} ({t['currency']})" for t in place["tariffs"] for part in prices(t)
        )
        for evse in place["location"].get("evses", ()):
            name = f"{place['name']}, {place['city']}"
            found.append((name, str(evse["uid"]), str(evse["status"]).lower(), price or "no price"))
    return found


def _as_lines(side: Side, other: Side) -> str:
    lines = [f"what drivers of {side.name} see of {other.name}:"]
    lines += [
        f"  {name:<28} {uid:<4} {status:<10} {price}" for name, uid, status, price in _rows(side)
    ]
    return "\n".join(lines)


async def _show(sides: Sequence[Side], recent: list[str], console: Console) -> None:
    with Live(console=console, auto_refresh=False) as live:
        while True:
            tables = []
            for side, other in _pairs(sides):
                await _look(side, other)
                title = f"What drivers of {side.name} see of {other.name}"
                table = Table("place", "EVSE", "status", "price before taxes", title=title)
                for row in _rows(side):
                    table.add_row(*row)
                tables.append(table)
            live.update(Group(*tables, Text("\n".join(recent))), refresh=True)
            await asyncio.sleep(REFRESH_S)


# -- the end -----------------------------------------------------------------------------------


async def _report(sides: Sequence[Side]) -> dict[str, Any]:
    """Both networks' books. Raises `DemoFailed` where they differ."""
    report: dict[str, Any] = {}
    for side, other in _pairs(sides):
        books = await balanced(side.client, other.client, side.network.party)
        sums = await compared(books, side.client, other.client)
        report[side.name.lower()] = {
            "party": side.network.party,
            "currency": side.network.currency,
            **sums,
            "refused": side.refused,
            "started_elsewhere": side.asked,
        }
    differences = {row["difference"] for row in report.values()}
    return {**report, "difference": 0 if differences == {"0"} else sorted(differences)}


def _tell(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(report))
        return
    titles = {
        "cdrs": "bills to visitors",
        "energy_kwh": "kWh",
        "before_taxes": "before taxes",
        "after_taxes": "after taxes",
        "difference": "difference",
        "roaming_fee": "roaming fee",
        "refused": "turned away",
        "started_elsewhere": "started elsewhere",
    }
    console = Console()
    rows = [(name.title(), row) for name, row in report.items() if isinstance(row, dict)]
    if console.is_terminal:
        table = Table("", *(name for name, _ in rows), title="The same bills in both networks")
        table.add_row("currency", *(row["currency"] for _, row in rows))
        for key, title in titles.items():
            table.add_row(title, *(str(row[key]) for _, row in rows))
        for tax in sorted({tax for _, row in rows for tax in row["taxes"]}):
            table.add_row(tax, *(row["taxes"].get(tax, "-") for _, row in rows))
        console.print(table)
        return
    for name, row in rows:
        told = ", ".join(f"{title} {row[key]}" for key, title in titles.items())
        taxes = ", ".join(f"{tax} {amount}" for tax, amount in row["taxes"].items())
        print(f"{name} ({row['currency']}): {told}; {taxes or 'no taxes'}")
