"""Two stations deliver what happened in twelve hours without a link, as fast as they are answered,
while fifty others charge: the queues arrive whole and in order, and nobody waits behind them.

How fair it is, is counted, not timed: how many messages of a queue are answered while one message
of another station waits.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.ocpp import meter, start, stop
from tests.support.ocpp_links import Socket
from tests.support.operator import Operator, station
from tests.support.system import System

HOURS = 12
EVERY_MIN = 4
CHARGES = 4
STEP_WH = 250
FIRST_WH = 10_000
READINGS = HOURS * 60 // EVERY_MIN // CHARGES
OTHERS = 50
# Stations are answered in turn, so it is none or one; without turns it would be the whole queue.
OVERTAKEN = 10
OF_QUEUE = CHARGES * (READINGS + 2)
BEGAN = datetime(2024, 5, 1, 0, 0, tzinfo=UTC)
REGISTER = "Energy.Active.Import.Register"

Step = tuple[str, dict[str, Any]]


def text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def moments(charge: int) -> tuple[datetime, list[datetime], datetime]:
    """Begin, readings and end of a charge."""
    first = BEGAN + timedelta(minutes=charge * READINGS * EVERY_MIN)
    readings = [first + timedelta(minutes=EVERY_MIN * n, seconds=30) for n in range(READINGS)]
    return first, readings, readings[-1] + timedelta(seconds=30)


def history_16() -> Iterator[Step]:
    """Sent the answers of starts, for the transaction's id."""
    wh = FIRST_WH
    for charge in range(CHARGES):
        began, readings, ended = moments(charge)
        answer = yield "StartTransaction", start(idTag="Q16", meterStart=wh, timestamp=text(began))
        number = answer["transactionId"]
        for at in readings:
            wh += STEP_WH
            sampled = {"value": str(wh), "measurand": REGISTER, "unit": "Wh"}
            yield "MeterValues", meter(sampled, at=text(at), transactionId=number)
        yield "StopTransaction", stop(number, meterStop=wh, timestamp=text(ended))


def history_201() -> Iterator[Step]:
    wh = FIRST_WH

    def event(kind: str, seq: int, at: datetime, charge: int, **more: Any) -> Step:
        sampled = {"value": wh, "measurand": REGISTER, "unitOfMeasure": {"unit": "Wh"}}
        return "TransactionEvent", {
            "eventType": kind,
            "triggerReason": "MeterValuePeriodic",
            "timestamp": text(at),
            "seqNo": seq,
            "offline": True,
            "transactionInfo": {"transactionId": f"charge-{charge}"},
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": text(at), "sampledValue": [sampled]}],
            **more,
        }

    for charge in range(CHARGES):
        began, readings, ended = moments(charge)
        token = {"idToken": "Q201", "type": "ISO14443"}
        yield event("Started", 0, began, charge, idToken=token)
        for seq, at in enumerate(readings, 1):
            wh += STEP_WH
            yield event("Updated", seq, at, charge)
        yield event("Ended", READINGS + 1, ended, charge)


class Delivery:
    """A queue being delivered, each message when the one before is answered."""

    def __init__(self, socket: Socket, steps: Any) -> None:
        self.answered = 0
        self._socket, self._steps = socket, steps

    async def run(self) -> None:
        answer: Any = None
        while True:
            try:
                action, payload = self._steps.send(answer)
            except StopIteration:
                return
            answer = await self._socket.calls(action, payload)
            self.answered += 1


async def others(
    sockets: dict[str, Socket], queues: list[Delivery], done: Callable[[], bool]
) -> Counter[int]:
    """They charge until `done`; for each of their messages, how many of a queue's overtook it."""
    overtaken: Counter[int] = Counter()

    async def charges(name: str, socket: Socket, rng: random.Random) -> None:
        answer = await socket.calls("StartTransaction", start(idTag=name))
        minute = 0
        while not done():
            await asyncio.sleep(rng.uniform(0.05, 0.15))
            minute += 1
            at = text(datetime(2024, 5, 1, 12, tzinfo=UTC) + timedelta(minutes=minute))
            sampled = {"value": str(1_000 + minute), "measurand": REGISTER, "unit": "Wh"}
            values = meter(sampled, at=at, transactionId=answer["transactionId"])
            before = [queue.answered for queue in queues]
            await socket.calls("MeterValues", values)
            for queue, count in zip(queues, before, strict=True):
                overtaken[queue.answered - count] += 1

    async with asyncio.TaskGroup() as tasks:
        for number, (name, socket) in enumerate(sockets.items()):
            tasks.create_task(charges(name, socket, random.Random(number)))
    return overtaken


async def test_twelve_hours_of_two_stations_come_in_and_nobody_waits_behind_them(
    system: System,
) -> None:
    await system.init(CSMS_OCPP__SETTLE_S="3600")
    await system.start()
    operator = Operator(system)
    names = [f"CP-{n:02}" for n in range(OTHERS)]
    secrets = await operator.add(*names, "Q16", "Q201")
    async with AsyncExitStack() as stack:
        links = {
            name: await stack.enter_async_context(
                station(
                    system.station_url,
                    name,
                    secrets[name],
                    ("ocpp2.0.1" if name == "Q201" else "ocpp1.6",),
                    boot=False,
                )
            )
            for name in secrets
        }
        queues = [
            Delivery(links.pop("Q16"), history_16()),
            Delivery(links.pop("Q201"), history_201()),
        ]
        delivering = [asyncio.create_task(queue.run()) for queue in queues]
        overtaken = await others(links, queues, lambda: all(t.done() for t in delivering))
        await asyncio.gather(*delivering)
        assert [queue.answered for queue in queues] == [OF_QUEUE, OF_QUEUE]
        assert await operator.metric("csms_links_ended_total") == 0
    assert await system.stop() == 0
    # All had their turn all the time, and none of them waited for the queue.
    assert overtaken.total() >= 2 * OTHERS, overtaken
    assert max(overtaken) <= OVERTAKEN, overtaken
    for name in ("Q16", "Q201"):
        arrived_whole_and_in_order(system, name)
    assert system.query("SELECT count(*) FROM quarantine") == [(0,)]


def arrived_whole_and_in_order(system: System, identity: str) -> None:
    ((station_id,),) = system.query("SELECT id FROM stations WHERE identity = ?", identity)
    rows = system.query(
        "SELECT id, energy_wh, open, flags, end_kind, started_at, ended_at FROM transactions"
        " WHERE station_id = ? ORDER BY id",
        station_id,
    )
    assert [row[1:5] for row in rows] == [(READINGS * STEP_WH, 0, "", "reported")] * CHARGES
    for charge, row in enumerate(rows):
        began, readings, ended = moments(charge)
        assert [datetime.fromisoformat(at) for at in row[5:]] == [began, ended]
        stored = system.query(
            "SELECT at FROM meter_samples WHERE transaction_id = ? ORDER BY at", row[0]
        )
        times = {datetime.fromisoformat(at) for (at,) in stored}
        assert times >= set(readings)
        assert len(times) == len(stored)
    # In the order in which it happened, not only complete.
    told = system.query(
        "SELECT data FROM journal WHERE station_id = ? AND kind LIKE 'transaction_%' ORDER BY seq",
        station_id,
    )
    numbers = [json.loads(data)["transaction_id"] for (data,) in told]
    assert numbers == sorted(numbers)
    assert len(numbers) >= OF_QUEUE
