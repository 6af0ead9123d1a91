"""Load: profiles of what a crowd of stations does, and the processes that drive it.

Each process has its part of the stations and prints what happened to them as JSON; the one that was
started by hand adds it up.
"""

from __future__ import annotations

import asyncio
import csv
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chargers.crowd import Crowd, Meet, Member, Say, Script, Settled, Tally, Wait

SPARE_FILES = 200
LOOK_EVERY_S = 0.1
METER_EVERY_S = 60.0
# Linux hands out this many ports for one address and one peer.
PORTS_PER_ADDRESS = 28_000


class Profile(StrEnum):
    """What the stations do."""

    STEADY = "steady"
    BOOT_STORM = "boot-storm"
    START_STORM = "start-storm"
    HISTORY = "history"


MEANING = {
    Profile.STEADY: "heartbeats, and 20 % charge and send meter values every minute",
    Profile.BOOT_STORM: "all connect, boot and report two connectors at once; ends when all have",
    Profile.START_STORM: "all start a transaction at the same moment; ends when all have",
    Profile.HISTORY: "each tells of a charge that happened while it was offline, and ends",
}


class LoadError(ValueError):
    """The load cannot be made as asked; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one process drives. `part` of `parts`: which of the stations; `rate`: connections per
    second, 0: all at once; `at_once`: under way at the same time; `addresses`: local ones to
    connect from; `samples`: meter values of a history. `driver`: whose card is shown, or of how
    many (`drivers`) the first part of the name, with a number from 0 behind it. `changed`: percent
    of the statuses of a boot storm that are not Available."""

    url: str
    tokens: Path
    profile: Profile
    count: int
    part: int = 0
    parts: int = 1
    seconds: float = 60.0
    rate: float = 0.0
    at_once: int = 500
    addresses: int = 1
    samples: int = 200
    driver: str = "LOAD"
    drivers: int = 1
    heartbeat_s: float | None = None
    changed: float = 0.0


def stations(plan: Plan) -> list[tuple[str, str]]:
    """Identity and token of the stations of this part. Raises `LoadError`."""
    try:
        with plan.tokens.open(newline="", encoding="utf-8") as file:
            rows = [(row["identity"], row["token"]) for row in csv.DictReader(file)]
    except OSError as error:
        raise LoadError(f"{plan.tokens}: {error.strerror}") from error
    except (KeyError, UnicodeDecodeError) as error:
        raise LoadError(f"{plan.tokens}: allowed is a CSV with identity and token") from error
    if len(rows) < plan.count:
        raise LoadError(f"{plan.tokens} has {len(rows)} stations, and {plan.count} are asked for")
    return rows[plan.part : plan.count : plan.parts]


def allow_files(count: int) -> None:
    """Raises `LoadError` when the system allows fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES
    if soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise LoadError(
            f"{wanted} open files are needed and {hard} allowed: more --processes, or ulimit -n"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def drive(
    plan: Plan,
    stop: asyncio.Event,
    say: Callable[[Crowd], None],
    settled: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Make the load until it is done, its time is up, or `stop` is set; what happened. `say` is
    called from time to time, `settled` when all of this part have; one part of several keeps its
    links then, until `stop` says that the others have as well. Raises `LoadError`."""
    chosen = stations(plan)
    allow_files(len(chosen))
    parts = urlsplit(plan.url)
    if parts.scheme != "ws" or not parts.hostname:
        raise LoadError(f"URL = {plan.url!r}: allowed is ws://HOST:PORT/PATH")
    crowd = Crowd(
        parts.hostname,
        parts.port or 80,
        parts.path,
        at_once=plan.at_once,
        sources=[f"127.0.0.{n + 1}" for n in range(plan.addresses)] if plan.addresses > 1 else (),
        seed=plan.part,
    )
    script = _SCRIPTS[plan.profile]
    for identity, token in chosen:
        crowd.join(identity, token, lambda member: script(plan, member))
    began, cpu = time.monotonic(), time.process_time()
    for number, member in enumerate(crowd.members):
        member.start(number / plan.rate if plan.rate else 0.0)
    settled_s, gone_s = await _watch(plan, crowd, stop, say, settled, began)
    crowd.stop()
    # What was closed has to be told to its callbacks.
    await asyncio.sleep(LOOK_EVERY_S)
    return {
        **crowd.tally.as_json(),
        "stations": len(chosen),
        "settled": crowd.settled,
        "settled_s": settled_s,
        "seconds": gone_s,
        "cpu_s": time.process_time() - cpu,
        "began_at": time.time() - (time.monotonic() - began),
        "changes": {m.identity: m.state["said_at"] for m in crowd.members if "said_at" in m.state},
    }


async def _watch(
    plan: Plan,
    crowd: Crowd,
    stop: asyncio.Event,
    say: Callable[[Crowd], None],
    settled: Callable[[], None],
    began: float,
) -> tuple[float | None, float]:
    """When all had settled (None: not all have), and how long it took altogether."""
    settled_s: float | None = None
    while True:
        gone_s = time.monotonic() - began
        if crowd.met == len(crowd.members):
            crowd.meeting.set()
        if settled_s is None and crowd.settled == len(crowd.members):
            settled_s = gone_s
            settled()
        alone = plan.parts == 1 and plan.profile is not Profile.STEADY
        over = settled_s is not None and alone
        if over or stop.is_set() or gone_s >= plan.seconds:
            return settled_s, gone_s
        say(crowd)
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await stop.wait()
        except TimeoutError:
            continue


def added_up(told: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums of what all processes tell."""
    tally = Tally()
    for one in told:
        tally.add(Tally.of(one))
    settled = [one["settled_s"] for one in told]
    return {
        "stations": sum(one["stations"] for one in told),
        "settled": sum(one["settled"] for one in told),
        "settled_s": None if None in settled else round(max(settled), 2),
        "seconds": round(max(one["seconds"] for one in told), 2),
        "generator_cpu_s": round(sum(one["cpu_s"] for one in told), 2),
        "p50_ms": tally.latency_ms(0.5),
        "p99_ms": tally.latency_ms(0.99),
        "counts": dict(sorted(tally.counts.items())),
        "began_at": min(one["began_at"] for one in told),
        "changes": {name: at for one in told for name, at in one["changes"].items()},
    }


def as_json(plan: Plan) -> dict[str, Any]:
    return {name: str(v) if isinstance(v, Path) else v for name, v in asdict(plan).items()}


# -- the profiles --------------------------------------------------------------------------------


def _boot(plan: Plan, member: Member) -> Script:
    """Until the station is accepted; its heartbeat interval is left in its state."""
    while True:
        about = {"chargePointVendor": "Crowd", "chargePointModel": "Load"}
        answer = yield Say("BootNotification", about)
        interval = float(answer.get("interval") or 60)
        if answer.get("status") == "Accepted":
            member.state["heartbeat_s"] = plan.heartbeat_s or interval
            return
        yield Wait(interval)


def _connectors(plan: Plan, member: Member) -> Script:
    # One of the two of some stations.
    every = max(1, round(50 / plan.changed)) if plan.changed else 0
    for connector in (1, 2):
        changed = connector == 1 and every and not member.number % every
        if changed:
            member.state.setdefault("said_at", time.time())
        status = "Unavailable" if changed else "Available"
        body = {"connectorId": connector, "errorCode": "NoError", "status": status}
        yield Say("StatusNotification", {**body, "timestamp": _now()})


def _now(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _reading(transaction: int, wh: int, at: datetime | None = None) -> Say:
    sampled = [
        {"value": str(wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": "7360", "measurand": "Power.Active.Import", "unit": "W"},
    ]
    value = {"timestamp": _now(at), "sampledValue": sampled}
    body = {"connectorId": 1, "transactionId": transaction, "meterValue": [value]}
    return Say("MeterValues", body)


def _driver(plan: Plan, member: Member) -> str:
    """Whose card is shown: one for all, or by number."""
    return f"{plan.driver}-{member.number % plan.drivers}" if plan.drivers > 1 else plan.driver


def _start(uid: str, wh: int, at: datetime | None = None) -> Say:
    body = {"connectorId": 1, "idTag": uid, "meterStart": wh, "timestamp": _now(at)}
    return Say("StartTransaction", body)


def _steady(plan: Plan, member: Member) -> Script:
    yield from _boot(plan, member)
    yield from _connectors(plan, member)
    yield Settled()
    heartbeat_s = member.state["heartbeat_s"]
    if member.number % 5:
        # Not all in the same second for ever.
        yield Wait(heartbeat_s * (member.number % 97) / 97)
        while True:
            yield Say("Heartbeat", {})
            yield Wait(heartbeat_s)
    wh = member.state.setdefault("wh", 1_000)
    if "transaction" not in member.state:
        answer = yield _start(_driver(plan, member), wh)
        member.state["transaction"] = answer.get("transactionId", 0)
    yield Wait(METER_EVERY_S * (member.number % 61) / 61)
    while True:
        member.state["wh"] += 123
        yield _reading(member.state["transaction"], member.state["wh"])
        yield Wait(METER_EVERY_S)


def _boot_storm(plan: Plan, member: Member) -> Script:
    yield from _boot(plan, member)
    yield from _connectors(plan, member)
    yield Settled()
    while True:
        yield Wait(member.state["heartbeat_s"])
        yield Say("Heartbeat", {})


def _start_storm(plan: Plan, member: Member) -> Script:
    yield from _boot(plan, member)
    yield from _connectors(plan, member)
    yield Meet()
    answer = yield _start(_driver(plan, member), 1_000)
    yield _reading(answer.get("transactionId", 0), 1_000)
    yield Settled()
    while True:
        yield Wait(member.state["heartbeat_s"])
        yield Say("Heartbeat", {})


def _history(plan: Plan, member: Member) -> Script:
    yield from _boot(plan, member)
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=plan.samples + 5)
    answer = yield _start(_driver(plan, member), 1_000, began)
    transaction = answer.get("transactionId", 0)
    for minute in range(plan.samples):
        yield _reading(transaction, 1_000 + 123 * minute, began + timedelta(minutes=minute + 1))
    ended = began + timedelta(minutes=plan.samples + 2)
    body = {
        "transactionId": transaction,
        "meterStop": 1_000 + 123 * plan.samples,
        "timestamp": _now(ended),
        "idTag": _driver(plan, member),
    }
    yield Say("StopTransaction", body)
    yield Settled()


_SCRIPTS: dict[Profile, Callable[[Plan, Member], Script]] = {
    Profile.STEADY: _steady,
    Profile.BOOT_STORM: _boot_storm,
    Profile.START_STORM: _start_storm,
    Profile.HISTORY: _history,
}
