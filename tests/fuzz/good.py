"""Stations that behave well: each charges once, step by step, and knows what must be stored."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from csms.core.metering import MeterSample
from csms.core.quarantine import Quarantined
from csms.core.stations import Station
from csms.core.transactions import REPORTED, Transaction
from tests.fuzz.network import Peer

BASE_WH = 1_000
STEP_WH = 25


class Good:
    """One charge from boot to end, on any version. `step` makes the next call that the example
    leaves room for, `finish` the rest; `check` compares with the store."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.token = f"good-{peer.version}"
        self.wh = BASE_WH
        self.readings = 0
        self.wire_id: str | int = f"good-{peer.version}"
        self._at = peer.network.now
        self._began = False
        self._ended = False

    async def step(self) -> None:
        if not self._began:
            self._began = True
            await self._boot()
            await self._begin()
        else:
            await self._meter()

    async def finish(self) -> None:
        await self.step()
        await self._end()
        self._ended = True

    def check(self) -> None:
        """Everything acknowledged is stored, once, and nothing else."""
        assert self._ended
        network = self.peer.network
        (stored,) = (t for t in network.rows(Transaction) if t.station_id == self.peer.name)
        assert not stored.open, stored
        assert stored.end_kind == REPORTED, stored
        assert stored.energy_wh == self.wh - BASE_WH, stored
        assert stored.flags == (), stored
        assert stored.outcome == "accepted", stored
        samples = [s for s in network.rows(MeterSample) if s.station_id == self.peer.name]
        assert len(samples) == self.readings, samples
        assert {s.transaction_id for s in samples} <= {stored.id}, samples
        assert not [q for q in network.rows(Quarantined) if q.station_id == self.peer.name]
        assert not network.get(Station, self.peer.name).violations
        assert self.peer.ended is None, "the link of a good station ended"

    # -- what it says ----------------------------------------------------------------------------

    def _time(self) -> str:
        # Never the same moment twice: what a sample is known by holds its time.
        self._at = max(self._at + timedelta(milliseconds=1), self.peer.network.now)
        return _text(self._at)

    async def _boot(self) -> None:
        if self.peer.version == "1.6":
            about: dict[str, Any] = {"chargePointVendor": "North", "chargePointModel": "N1"}
        else:
            about = {
                "chargingStation": {"vendorName": "North", "model": "N2"},
                "reason": "PowerUp",
            }
        answer = await self.peer.calls("BootNotification", about)
        assert answer["status"] == "Accepted", answer

    async def _begin(self) -> None:
        if self.peer.version == "1.6":
            start = {
                "connectorId": 1,
                "idTag": self.token,
                "meterStart": self.wh,
                "timestamp": self._time(),
            }
            answer = await self.peer.calls("StartTransaction", start)
            assert answer["idTagInfo"]["status"] == "Accepted", answer
            self.wire_id = answer["transactionId"]
        else:
            answer = await self._event("Started", "Authorized", "Transaction.Begin")
            assert answer["idTokenInfo"]["status"] == "Accepted", answer

    async def _meter(self) -> None:
        self.wh += STEP_WH
        if self.peer.version == "1.6":
            self.readings += 1
            report = {
                "connectorId": 1,
                "transactionId": self.wire_id,
                "meterValue": [self._value("Sample.Periodic")],
            }
            assert await self.peer.calls("MeterValues", report) == {}
        else:
            await self._event("Updated", "MeterValuePeriodic", "Sample.Periodic")

    async def _end(self) -> None:
        self.wh += STEP_WH
        if self.peer.version == "1.6":
            stop = {
                "transactionId": self.wire_id,
                "meterStop": self.wh,
                "timestamp": self._time(),
                "idTag": self.token,
            }
            answer = await self.peer.calls("StopTransaction", stop)
            assert answer["idTagInfo"]["status"] == "Accepted", answer
        else:
            await self._event("Ended", "StopAuthorized", "Transaction.End")

    async def _event(self, kind: str, trigger: str, context: str) -> Any:
        token = {} if kind == "Updated" else {"idToken": {"idToken": self.token, "type": "Central"}}
        value = self._value(context)
        event = {
            "eventType": kind,
            "timestamp": value["timestamp"],
            "triggerReason": trigger,
            "seqNo": self.readings,
            "transactionInfo": {"transactionId": self.wire_id},
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [value],
            **token,
        }
        self.readings += 1
        return await self.peer.calls("TransactionEvent", event)

    def _value(self, context: str) -> dict[str, Any]:
        one = self.peer.version == "1.6"
        reading = {
            "value": str(self.wh) if one else self.wh,
            "context": context,
            "measurand": "Energy.Active.Import.Register",
        }
        return {"timestamp": self._time(), "sampledValue": [reading]}


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def register_values(readings: str) -> list[float]:
    """What the energy registers of a stored sample say, in Wh: each alone, and all together."""
    found = []
    for reading in json.loads(readings):
        if reading["measurand"] == "Energy.Active.Import.Register":
            try:
                wh = float(reading["value"]) * (1_000 if reading.get("unit") == "kWh" else 1)
            except ValueError:
                continue
            if wh >= 0:
                found.append(wh)
    return [*found, sum(found)] if found else []
