"""A clock that jumps: of two nodes one has its time of day set forward by hours and then back,
while its stations charge. What is measured goes on, what is written down says the time that it was.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.ocpp import meter, start, stop
from tests.support.ocpp_links import Socket
from tests.support.operator import Operator, station
from tests.support.postgres import database
from tests.support.system import SystemOnServer
from tests.support.waiting import until
from tests.support.wrong_clock import WrongClock

pytestmark = pytest.mark.postgres

CSMS = Path(__file__).parents[2] / "csms"
FORWARD_H, BACK_H = 7.0, -5.0
REGISTER = "Energy.Active.Import.Register"
OURS = ("fresh.py", "cli/moments.py", "cli/local.py", "cli/charging.py")


def test_there_is_one_clock() -> None:
    """What moves it moves all of the system; the command line asks its own machine."""
    asks = re.compile(r"datetime\.now\(|utcnow\(|\btime\.time(_ns)?\(|date\.today\(")
    found = {str(f.relative_to(CSMS)) for f in CSMS.rglob("*.py") if asks.search(f.read_text())}
    assert found == set(OURS)


CONTEXTS = {
    "Started": "Transaction.Begin",
    "Updated": "Sample.Periodic",
    "Ended": "Transaction.End",
}


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[SystemOnServer, SystemOnServer, WrongClock]]:
    """`a` has the clock that jumps, `b` a right one."""
    clock = WrongClock(tmp_path / "clock")
    with database() as url:
        a = SystemOnServer(tmp_path, url)
        await a.init(
            CSMS_NODE="a",
            CSMS_NODES__BEAT_S="0.3",
            CSMS_NODES__LOST_AFTER_S="4",
            CSMS_OCPP__SETTLE_S="3600",
            # One that is not pinged would be thrown out by the first look, were it by the clock.
            CSMS_OCPP__SILENT_LINK_S="5",
        )
        b = a.beside("b")
        a.program = clock.program
        a.environment |= clock.environment
        try:
            await asyncio.gather(a.start(), b.start())
            yield a, b, clock
        finally:
            for node in (a, b):
                if node.process is not None and node.process.returncode is None:
                    await node.kill()


class Charging16:
    """Its own clock is right all the time."""

    def __init__(self, socket: Socket, began: datetime) -> None:
        self._socket, self._at, self._wh, self._id = socket, began, 1_000, 0

    async def starts(self) -> None:
        begun = start(idTag="S16", meterStart=self._wh, timestamp=text(self._at))
        self._id = (await self._socket.calls("StartTransaction", begun))["transactionId"]

    async def goes_on(self) -> None:
        self._at += timedelta(minutes=1)
        self._wh += 100
        sampled = {"value": str(self._wh), "measurand": REGISTER, "unit": "Wh"}
        values = meter(sampled, at=text(self._at), transactionId=self._id)
        await self._socket.calls("MeterValues", values)

    async def stops(self) -> None:
        self._at += timedelta(minutes=1)
        ended = stop(self._id, meterStop=self._wh, timestamp=text(self._at))
        await self._socket.calls("StopTransaction", ended)


class Charging201:
    """Its clock is the one that it is told, as OCPP wants it."""

    def __init__(self, socket: Socket) -> None:
        self._socket, self._seq, self._wh = socket, 0, 1_000
        self.times: list[datetime] = []

    async def says(self, kind: str, **more: Any) -> None:
        told = (await self._socket.calls("Heartbeat"))["currentTime"]
        self.times.append(datetime.fromisoformat(told).replace(microsecond=0))
        at = text(self.times[-1])
        self._wh += 100
        context = CONTEXTS[kind]
        sampled = {"value": self._wh, "measurand": REGISTER, "context": context}
        await self._socket.calls(
            "TransactionEvent",
            {
                "eventType": kind,
                "triggerReason": "MeterValuePeriodic",
                "timestamp": at,
                "seqNo": self._seq,
                "transactionInfo": {"transactionId": "t-1"},
                "evse": {"id": 1, "connectorId": 1},
                "meterValue": [{"timestamp": at, "sampledValue": [sampled]}],
                **more,
            },
        )
        self._seq += 1


def text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


async def listed(node: SystemOnServer) -> dict[str, Any]:
    rows = (await Operator(node).get("/nodes"))["items"]
    return {row["name"]: (row["state"], sorted(row["duties"]), row["joined_at"]) for row in rows}


async def some_beats(node: SystemOnServer) -> None:
    """Both nodes have shown life and looked at each other, a few times."""

    def beats() -> list[int]:
        return [n for (n,) in node.query("SELECT beats FROM nodes ORDER BY name")]

    wanted = [n + 3 for n in beats()]
    await until(lambda: all(n >= m for n, m in zip(beats(), wanted, strict=True)))


async def a_command_is_answered(operator: Operator, socket: Socket) -> None:
    body = {"kind": "trigger", "parameters": {"message": "heartbeat"}}
    asked = asyncio.create_task(operator.post("/stations/S16/commands?wait=10", body))
    kind, number, action, _ = await socket.reads()
    assert (kind, action) == (2, "TriggerMessage")
    await socket.sends([3, number, {"status": "Accepted"}])
    assert (await asked)["status"] == "accepted"


async def test_a_clock_that_jumps_ends_no_link_no_node_and_no_charge(
    nodes: tuple[SystemOnServer, SystemOnServer, WrongClock],
) -> None:
    a, b, clock = nodes
    operator = Operator(a)
    secrets = await operator.add("S16", "S201", "QUIET", "AT-B")
    async with a.client() as client:
        answer = await client.put("/stations/QUIET/switches/ping", json={"value": False})
        assert answer.status_code == 200, answer.text

    async def spread() -> bool:
        """Both are up and have duties, and nobody takes another one any more."""
        found = await listed(a)
        up = [state for state, _, _ in found.values()] == ["up", "up"]
        if not up or not all(duties for _, duties, _ in found.values()):
            return False
        await some_beats(a)
        return await listed(a) == found

    await until(spread, 60)
    before = await listed(a)
    async with AsyncExitStack() as stack:

        async def link(name: str, node: SystemOnServer, version: str = "ocpp1.6") -> Socket:
            made = station(node.station_url, name, secrets[name], (version,), boot=False)
            return await stack.enter_async_context(made)

        one, two = await link("S16", a), await link("S201", a, "ocpp2.0.1")
        quiet, other = await link("QUIET", a), await link("AT-B", b)
        began = datetime.now(UTC).replace(microsecond=0)
        right, told = Charging16(one, began), Charging201(two)
        await right.starts()
        about = {"vendorName": "Test", "model": "Fault"}
        await two.calls("BootNotification", {"reason": "PowerUp", "chargingStation": about})
        token = {"idToken": "S201", "type": "ISO14443"}
        await told.says("Started", idToken=token)
        for hours in (FORWARD_H, BACK_H, 0.0):
            clock.set(hours)
            # Whatever is looked at from time to time is looked at.
            await some_beats(a)
            await right.goes_on()
            await told.says("Updated")
            assert abs(told.times[-1] - datetime.now(UTC) - timedelta(hours=hours)) < timedelta(
                minutes=2
            )
            await a_command_is_answered(operator, one)
            await quiet.is_alive()
            await other.is_alive()
            assert await listed(b) == before
            assert [(await Operator(node).readyz())[0] for node in (a, b)] == [200, 200]
        await told.says("Ended")
        await right.stops()
        assert await operator.metric("csms_links_ended_total") == 0
    assert [await node.stop() for node in (a, b)] == [0, 0]
    rows = a.query(
        "SELECT s.identity, t.energy_wh, t.open, t.flags, t.end_kind, t.started_at, t.ended_at"
        " FROM transactions t JOIN stations s ON s.id = t.station_id ORDER BY 1"
    )
    assert [row[:5] for row in rows] == [
        ("S16", 300, False, "", "reported"),
        ("S201", 400, False, "", "reported"),
    ]
    assert [tuple(map(datetime.fromisoformat, row[5:])) for row in rows] == [
        (began, began + timedelta(minutes=4)),
        (told.times[0], told.times[-1]),
    ]
    kinds = [kind for (kind,) in a.query("SELECT kind FROM journal ORDER BY seq")]
    told_of = [kind for kind in kinds if kind.startswith("transaction_")]
    assert told_of[:2] == ["transaction_started"] * 2
    assert told_of[-2:] == ["transaction_ended"] * 2
    for node in (a, b):
        assert "Traceback" not in Operator(node).log
        assert "node_lost" not in Operator(node).log
