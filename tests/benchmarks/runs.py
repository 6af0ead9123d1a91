"""The runs: which server under which load, and the figures that come out."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chargers.frames import upgrade
from tests.benchmarks import cluster, roaming, scripts, verify
from tests.benchmarks.generator import LINKS_PER_ADDRESS, Broken, Load, Measured
from tests.benchmarks.processes import CannotRun, Server, allow_files, on_all_cores
from tests.benchmarks.scripts import Script

SUBPROTOCOL = {"meter": "ocpp1.6", "transactions": "ocpp2.0.1", "idle": "ocpp1.6"}
RUNS = [
    *(f"{server}.{load}" for load in ("meter", "transactions") for server in ("floor", "package")),
    "system.meter",
    "system.transactions",
    "postgres.meter",
    "postgres.transactions",
    "system.idle",
    "system.crowd",
    "fault.history",
    "cluster.commands",
    "cluster.storm",
    "roaming.pull",
    "roaming.status",
]
# A generator busier than this may be what is measured.
BUSY = 0.9
LIGHT = 0.5
OPENED_AT_ONCE = 100
WARM_LINKS = 100
SPARE_FILES = 500
FEW = 1_000
# What a station that charges says in the run with histories, and what one says in twelve hours.
OTHERS_PER_S = 2.5
HISTORY_MESSAGES = 12 * 60


@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen. `folder`: where databases go, on a disk; None: the system's choice.
    `core`: the one of the servers; None: whichever the system gives them. `profile`: the thread of
    this system that is profiled (loop, store), which leaves out all but the full load."""

    seconds: float = 10.0
    connections: int = 50
    idle: int = 5_000
    evses: int = 33_000
    crowd: int = 16_000
    storm: int = 33_000
    folder: Path | None = None
    core: int | None = None
    profile: str = ""

    @property
    def warm_up_s(self) -> float:
        """Before each window."""
        return min(2.0, self.seconds / 4)


@dataclass(slots=True)
class Figure:
    """One number of a run. `key` is stable; times are per message; None: not known here."""

    key: str
    value: float
    unit: str
    messages_per_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    loop_us: float | None = None
    others_us: float | None = None
    server_share: float | None = None
    generator_share: float | None = None
    written_bytes: float | None = None
    seconds: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What a run gave: figures, remarks for the reader, and what was lost or wrong (then the
    benchmark has failed)."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


async def run(
    name: str, options: Options, keep: Callable[[Path, Outcome], None] | None = None
) -> Outcome:
    """Make one run. `keep` is given the run's folder before it goes (for profiles)."""
    server, _, load = name.partition(".")
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="csms-bench-", dir=options.folder) as folder:
        try:
            if load == "idle":
                await _idle(Path(folder), options, outcome)
            elif load == "crowd":
                await _crowd(Path(folder), options, outcome)
            elif name == "fault.history":
                await _history(Path(folder), options, outcome)
            elif name == "cluster.commands":
                await _commands(Path(folder), options, outcome)
            elif name == "cluster.storm":
                await _storm(Path(folder), options, outcome)
            elif server == "postgres":
                with cluster.database(Path(folder)) as url:
                    await _loaded(server, load, Path(folder), options, outcome, url)
            elif name == "roaming.pull":
                await _pull(Path(folder), options, outcome)
            elif name == "roaming.status":
                await _status(Path(folder), options, outcome)
            else:
                await _loaded(server, load, Path(folder), options, outcome)
        except (Broken, CannotRun) as error:
            outcome.faults.append(f"{name}: {error}")
        if keep is not None:
            keep(Path(folder), outcome)
    return outcome


# -- under load --------------------------------------------------------------------------------


async def _loaded(
    kind: str,
    load_name: str,
    folder: Path,
    options: Options,
    outcome: Outcome,
    store: str | None = None,
) -> None:
    """`store`: the address of a database server, on whichever core."""
    key = f"{kind}.{load_name}"
    plan = {**_plan(options.connections), "store": store}
    kind = "system" if store is not None else kind
    start = scripts.began(datetime.now(UTC))
    allow_files(options.connections + SPARE_FILES)
    with (
        Server(kind, folder, options.core, profile=options.profile, **plan) as server,
        _loading() as load,
    ):
        port = await asyncio.to_thread(server.wait_ready)
        try:
            await _prepare(load, load_name, port, plan, start)
            full = await load.flat_out(options.warm_up_s, options.seconds, server.usage)
            await load.drain()
            outcome.figures.append(_figure(key, full, load.lanes[0].script))
            if not options.profile:
                rate = full.messages / full.seconds * LIGHT
                light = await load.paced(rate, options.warm_up_s, options.seconds, server.usage)
                await load.drain()
                outcome.figures.append(_figure(f"{key}.light", light, load.lanes[0].script))
                if light.messages / light.seconds < 0.95 * rate:
                    outcome.notes.append(f"{key}.light: the rate asked for was not reached")
        except Broken as error:
            raise Broken(f"{error}\n{server.errors}".strip()) from error
        finally:
            load.close()
        if options.profile:
            await asyncio.to_thread(server.stop)
        server.kill()
        _remark(key, full, outcome)
        sent = _scripts(load)
        acknowledged = sum(script.acknowledged for script in sent)
        outcome.figures[0].facts["acknowledged"] = acknowledged
        if kind == "system":
            if store is not None:
                lost = cluster.faults(store, load_name, sent)
            else:
                lost = verify.faults(server.database, load_name, sent, start)
            outcome.faults += [f"{key}: {fault}" for fault in lost]
            outcome.figures[0].facts["verified"] = 0 if lost else acknowledged


def _plan(stations: int) -> dict[str, Any]:
    """Stations with their secrets, and as many tokens."""
    return {
        "key": secrets.token_hex(32),
        "stations": [(f"BENCH-{i:05d}", secrets.token_hex(20)) for i in range(stations)],
        "tokens": [f"BENCH{i:05d}" for i in range(stations)],
    }


async def _prepare(load: Load, name: str, port: int, plan: dict[str, Any], start: datetime) -> None:
    """Open a lane for each station and bring it to where its script begins."""
    for (identity, secret), token in zip(plan["stations"], plan["tokens"], strict=True):
        request = _upgrade(name, identity, secret, deflate=False)
        lane = await load.connect(port, request)
        if name == "meter":
            await lane.ask(scripts.boot_16())
            started = await lane.ask(scripts.start_16(token, start))
            # The floor knows no transactions.
            lane.script = scripts.meter(started.get("transactionId", len(load.lanes)), start)
        else:
            await lane.ask(scripts.boot_201())
            lane.script = scripts.transactions(identity, token, start)


def _upgrade(load: str, identity: str, secret: str, *, deflate: bool) -> bytes:
    return upgrade(f"/ocpp/{identity}", SUBPROTOCOL[load], identity, secret, deflate=deflate)


@contextmanager
def _loading() -> Any:
    load = Load()
    try:
        yield load
    finally:
        load.close()


def _figure(key: str, measured: Measured, script: Script | None) -> Figure:
    each = script.messages_each if script else 1
    rate = measured.messages / measured.seconds
    figure = Figure(
        key,
        rate / each,
        "transactions/s" if each > 1 else "messages/s",
        messages_per_s=rate,
        p50_ms=measured.latency_ms(0.5),
        p99_ms=measured.latency_ms(0.99),
        generator_share=measured.generator_share,
        seconds=measured.seconds,
    )
    before, after = measured.sampled
    if before is not None and after is not None and measured.messages:
        loop, others = after.loop_s - before.loop_s, after.others_s - before.others_s
        figure.loop_us = loop / measured.messages * 1e6
        figure.others_us = others / measured.messages * 1e6
        figure.server_share = (loop + others) / measured.seconds
        figure.written_bytes = (after.written - before.written) / measured.messages
    return figure


def _remark(key: str, full: Measured, outcome: Outcome) -> None:
    if full.generator_share > BUSY:
        outcome.notes.append(
            f"{key}: the generator used {full.generator_share:.0%} of its core, so it may be the "
            "limit: the server can do at least this"
        )
    share = outcome.figures[0].server_share
    if share is not None and share < BUSY:
        outcome.notes.append(
            f"{key}: the server used only {share:.0%} of its core; the rest it waited (for the "
            "disk, for the generator) or another process had the core"
        )


# -- idle --------------------------------------------------------------------------------------


async def _idle(folder: Path, options: Options, outcome: Outcome) -> None:
    """Memory per connected station that says nothing, with and without deflate negotiated."""
    allow_files(options.idle + WARM_LINKS + SPARE_FILES)
    for deflate in (True, False):
        inner = folder / ("deflate" if deflate else "plain")
        inner.mkdir()
        plan = _plan(WARM_LINKS + options.idle)
        with Server("system", inner, options.core, **plan) as server, _loading() as load:
            port = await asyncio.to_thread(server.wait_ready)
            try:
                # The first links load what is loaded once; they are not counted.
                await _boot_idle(load, port, plan["stations"][:WARM_LINKS], deflate)
                before = await asyncio.to_thread(server.settled_rss)
                began = asyncio.get_running_loop().time()
                await _boot_idle(load, port, plan["stations"][WARM_LINKS:], deflate)
                took = asyncio.get_running_loop().time() - began
                after = await asyncio.to_thread(server.settled_rss)
            except Broken as error:
                raise Broken(f"{error}\n{server.errors}".strip()) from error
        if before is None or after is None:
            outcome.notes.append("system.idle: the memory of a process cannot be read here")
            return
        figure = Figure(
            "system.idle" if deflate else "system.idle.plain",
            (after - before) / options.idle,
            "bytes/link",
            seconds=took,
        )
        figure.facts = {
            "links": options.idle,
            "rss_before_bytes": before,
            "rss_after_bytes": after,
            "connected_and_booted_per_s": options.idle / took,
        }
        outcome.figures.append(figure)


async def _crowd(folder: Path, options: Options, outcome: Outcome) -> None:
    """What a message costs while so many others are connected, and while few are."""
    for many in (FEW, options.crowd):
        inner = folder / str(many)
        inner.mkdir()
        allow_files(many + options.connections + SPARE_FILES)
        plan = _plan(many + options.connections)
        start = scripts.began(datetime.now(UTC))
        with (
            Server("system", inner, options.core, **plan) as server,
            _loading() as idle,
            _loading() as load,
        ):
            port = await asyncio.to_thread(server.wait_ready)
            try:
                before = await asyncio.to_thread(server.settled_rss)
                await _boot_idle(idle, port, plan["stations"][options.connections :], True)
                after = await asyncio.to_thread(server.settled_rss)
                busy = {key: plan[key][: options.connections] for key in ("stations", "tokens")}
                await _prepare(load, "meter", port, busy, start)
                full = await load.flat_out(options.warm_up_s, options.seconds, server.usage)
                await load.drain()
            except Broken as error:
                raise Broken(f"{error}\n{server.errors}".strip()) from error
            finally:
                idle.closing = load.closing = True
        key = "system.crowd" if many != FEW else "system.crowd.few"
        figure = _figure(key, full, load.lanes[0].script)
        figure.facts = {"links": many}
        if before is not None and after is not None:
            figure.facts["bytes_per_link"] = (after - before) / many
        outcome.figures.append(figure)
    few, crowd = outcome.figures
    if few.loop_us and crowd.loop_us:
        ratio = (crowd.loop_us + (crowd.others_us or 0)) / (few.loop_us + (few.others_us or 0))
        crowd.facts["cost_of_few"] = ratio
        outcome.notes.append(
            f"system.crowd: a message costs {ratio:.2f} times as much with {options.crowd:,} "
            f"stations connected as with {FEW:,} (target 1.2); memory per idle link "
            f"{crowd.facts.get('bytes_per_link', 0):,.0f} bytes (target 30,000), what is loaded "
            "once shared among them"
        )


async def _history(folder: Path, options: Options, outcome: Outcome) -> None:
    """What others wait while two stations deliver what they have kept, and while nobody does."""
    allow_files(options.connections + SPARE_FILES)
    plan = _plan(options.connections + 2)
    start = scripts.began(datetime.now(UTC))
    with (
        Server("system", folder, options.core, **plan) as server,
        _loading() as load,
        _loading() as queues,
    ):
        port = await asyncio.to_thread(server.wait_ready)
        try:
            for number, name in enumerate(("meter", "transactions")):
                one = {key: plan[key][number : number + 1] for key in ("stations", "tokens")}
                await _prepare(queues, name, port, one, start)
            rest = {key: plan[key][2:] for key in ("stations", "tokens")}
            await _prepare(load, "meter", port, rest, start)
            rate = OTHERS_PER_S * options.connections
            alone = await load.paced(rate, options.warm_up_s, options.seconds, server.usage)
            queues.start()
            before = sum(_acknowledged(queues))
            beside = await load.paced(rate, 0.0, options.seconds, server.usage)
            delivered = sum(_acknowledged(queues)) - before
            await queues.drain()
            await load.drain()
        except Broken as error:
            raise Broken(f"{error}\n{server.errors}".strip()) from error
        server.kill()
        load.closing = queues.closing = True
    for key, measured in (("fault.history.alone", alone), ("fault.history", beside)):
        outcome.figures.append(_figure(key, measured, load.lanes[0].script))
    # Its messages alone do not tell what was done meanwhile.
    outcome.figures[-1].loop_us = outcome.figures[-1].others_us = None
    outcome.figures[-1].written_bytes = None
    kept_16, kept_201 = _scripts(queues)
    lost = verify.faults(server.database, "meter", [*_scripts(load), kept_16], start)
    lost += verify.faults(server.database, "transactions", [kept_201], start)
    outcome.faults += [f"fault.history: {fault}" for fault in lost]
    acknowledged = sum(_acknowledged(load)) + sum(_acknowledged(queues))
    days = delivered / HISTORY_MESSAGES
    outcome.figures[-1].facts = {
        "queued_messages": delivered,
        "acknowledged": acknowledged,
        "verified": 0 if lost else acknowledged,
    }
    outcome.notes.append(
        f"fault.history: while {rate:,.0f} messages a second of others came, two stations "
        f"delivered {delivered:,} messages, {days:,.1f} times twelve hours of one a minute; p99 of "
        f"the others {beside.latency_ms(0.99) or 0:.1f} ms, before it "
        f"{alone.latency_ms(0.99) or 0:.1f} ms"
    )


def _scripts(load: Load) -> list[Script]:
    return [lane.script for lane in load.lanes if lane.script is not None]


def _acknowledged(load: Load) -> list[int]:
    return [script.acknowledged for script in _scripts(load)]


# -- several nodes -----------------------------------------------------------------------------


async def _commands(folder: Path, options: Options, outcome: Outcome) -> None:
    """The way to a station of another node, beside that to one of this."""
    with on_all_cores():
        facts = await cluster.commands(folder, max(10, min(300, int(options.seconds * 50))))
    for key, where in (("cluster.commands.here", "here"), ("cluster.commands", "there")):
        p50, p99 = facts[f"{where}_p50_ms"], facts[f"{where}_p99_ms"]
        figure = Figure(key, float(facts["commands"]), "commands", p50_ms=p50, p99_ms=p99)
        figure.facts = facts
        outcome.figures.append(figure)
    more = facts["there_p99_ms"] - facts["here_p99_ms"]
    outcome.notes.append(
        f"cluster.commands: p99 over another node is {more:.0f} ms over the local one (target 50)"
    )


async def _storm(folder: Path, options: Options, outcome: Outcome) -> None:
    """All stations after a restart, two workers."""
    with on_all_cores():
        facts = await cluster.storm(folder, options.storm)
    used = " and ".join(f"{seconds:.0f}" for seconds in facts["worker_cpu_s"])
    figure = Figure(
        "cluster.storm",
        facts["settled"] / facts["settled_s"],
        "stations/s",
        p99_ms=facts["p99_ms"],
        seconds=facts["settled_s"],
    )
    figure.facts = facts
    outcome.figures.append(figure)
    outcome.notes.append(
        f"cluster.storm: {facts['settled']:,} of {facts['stations']:,} stations settled in "
        f"{facts['settled_s']:.0f} s; CPU of the workers {used} s (target 60 each), of the "
        f"process without stations {facts['duties_cpu_s']:.0f} s, of the generator "
        f"{facts['generator_cpu_s']:.0f} s; attempts that were told to come again "
        f"{facts['counts'].get('refused_503', 0):,}"
    )
    outcome.notes.append(
        f"cluster.storm: of {2 * facts['stations']:,} statuses {facts['changes']:,} were not as "
        f"before: a partner had answered the PATCH {facts['told_p50_ms']:,.0f} ms (p50) and "
        f"{facts['told_p99_ms']:,.0f} ms (p99, target 2,000) after the station said it, with "
        f"{facts['patches']:,} PATCHes"
    )
    if facts["untold"]:
        outcome.faults.append(f"cluster.storm: {facts['untold']} changes were not told")
    if facts["settled"] < facts["stations"]:
        outcome.faults.append(f"cluster.storm: {facts['stations'] - facts['settled']} locked out")
    if facts["missing"] > 0:
        outcome.faults.append(f"cluster.storm: {facts['missing']} acknowledged reports are lost")


# -- other networks ----------------------------------------------------------------------------


async def _pull(folder: Path, options: Options, outcome: Outcome) -> None:
    """A network read in full by another."""
    own = next(iter(os.sched_getaffinity(0)), None) if options.core is not None else None
    facts = await roaming.pull(folder, options.core, own, options.evses)
    figure = Figure("roaming.pull", facts["per_s"], "EVSEs/s", seconds=facts["seconds"])
    figure.facts = facts
    outcome.figures.append(figure)
    outcome.notes.append(
        f"roaming.pull: {facts['evses']:,} EVSEs; {facts['giver_cpu_us'] or 0:.0f} us of CPU per "
        f"EVSE on the side that lists, {facts['taker_cpu_us'] or 0:.0f} on the side that keeps; "
        f"memory grew by {facts['giver_rss_grown_bytes'] / 1e6:.0f} and "
        f"{facts['taker_rss_grown_bytes'] / 1e6:.0f} MB"
    )


async def _status(folder: Path, options: Options, outcome: Outcome) -> None:
    """From a station's status to the partner's answer, with one request in flight and several."""
    for at_once in (1, 4):
        facts = await roaming.status(
            folder / str(at_once), options.core, at_once, max(2.0, options.seconds)
        )
        key = "roaming.status" if at_once > 1 else "roaming.status.one"
        figure = Figure(key, facts["per_s"], "changes/s", seconds=options.seconds)
        figure.p50_ms, figure.p99_ms = facts["p50_ms"], facts["p99_ms"]
        figure.facts = {**facts, "pushes_at_once": at_once}
        outcome.figures.append(figure)


async def _boot_idle(load: Load, port: int, stations: list[tuple[str, str]], deflate: bool) -> None:
    """Connect and boot these stations, some at a time."""
    waiting = iter(list(stations))

    async def some() -> None:
        for identity, secret in waiting:
            network = len(load.lanes) // LINKS_PER_ADDRESS
            source = f"127.0.0.{1 + network}" if network else None
            request = _upgrade("idle", identity, secret, deflate=deflate)
            lane = await load.connect(port, request, source)
            await lane.ask(scripts.boot_16(), compressed=deflate)

    # Not a task group: the first fault is to come out as it is.
    await asyncio.gather(*(some() for _ in range(min(OPENED_AT_ONCE, len(stations)))))
