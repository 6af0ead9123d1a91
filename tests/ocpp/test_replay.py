"""Captured traffic of independent station programs through the whole inbound path.

The frames and what must come of them are in tests/data/frames.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from csms.core.ids import Origin
from csms.core.ports import Reply
from csms.core.quarantine import Quarantined
from csms.ocpp.routing import Refusal, dispatch, serve
from csms.ocpp.rpc import Call, Failure, Ignored, Result, Rpc
from csms.storage.open import open_inline
from tests.support.ocpp import Inbound

FRAMES = Path(__file__).parents[1] / "data" / "frames"
EXPECTED: dict[str, Any] = json.loads((FRAMES / "expected.json").read_text())
# The program names of tokens that the recorded central system accepted, at any station at once.
TOKENS = ("LOC", "ABC", "BB2TBR09")
# This program ends when it is asked for an action that it does not know.
UNANSWERED = {
    f"solidstudio-virtual-charge-point-{version}.jsonl": {"NoSuchAction": 1}
    for version in ("1.6", "2.0.1")
}


class Replay:
    """The stations of one file, on one store, new at its beginning."""

    def __init__(self, file: str) -> None:
        self.store = open_inline()
        self.stations: dict[str, Inbound] = {}
        self.machines: dict[str, Rpc] = {}
        self.transaction_ids: dict[int, int] = {}
        self.answers: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.strays = 0
        lines = [json.loads(line) for line in (FRAMES / file).read_text().splitlines()]
        # What the recorded central system answered to a start, by message id.
        self.recorded = {
            message[1]: message[2]["transactionId"]
            for message in (json.loads(line["frame"]) for line in lines if "frame" in line)
            if message[0] == 3 and "transactionId" in message[2] and "idTagInfo" in message[2]
        }
        for line in lines:
            if line.get("event") == "open":
                self._opens(line["station"], line["subprotocol"])
            elif line.get("from") == "station":
                self._sends(line["station"], line["frame"], datetime.fromisoformat(line["at"]))
            elif line.get("from") == "central":
                self._is_asked(line["station"], line["frame"], datetime.fromisoformat(line["at"]))

    def _opens(self, name: str, subprotocol: str) -> None:
        if name not in self.stations:
            station = Inbound(subprotocol, registration=None, store=self.store, station_id=name)
            if len(self.stations) == 0:
                for uid in TOKENS:
                    station.adds_token(uid, concurrent=True)
            self.stations[name] = station
        self.machines[name] = Rpc(self.stations[name].protocol.dialect.version)

    def _is_asked(self, name: str, frame: str, at: datetime) -> None:
        """A call of the recorded central system is made again with its id, about our transaction;
        the answer of the station must find it."""
        kind, message_id, *rest = json.loads(frame)
        if kind != 2:
            return
        action, payload = rest
        named = payload.get("transactionId")
        if named in self.transaction_ids:
            payload["transactionId"] = self.transaction_ids[named]
        machine = self.machines[name]
        # One that was never answered has been given up by then.
        machine.expire(at.timestamp())
        machine.call(message_id, action, payload, at.timestamp())
        self.asked[action] += 1

    def _sends(self, name: str, frame: str, at: datetime) -> None:
        station = self.stations[name]
        call = self.machines[name].receive(frame)
        if isinstance(call, Result | Failure):
            self.answered[call.action] += 1
            return
        if isinstance(call, Ignored):
            self.strays += 1
            return
        assert isinstance(call, Call), frame
        named = call.payload.get("transactionId")
        if named in self.transaction_ids:
            call.payload["transactionId"] = self.transaction_ids[named]
        dialect = station.protocol.dialect
        work = dispatch(dialect, call)
        assert not isinstance(work, Refusal), (call.action, work)
        origin = Origin(name, station.identity, dialect.version, at)
        answer = self.store.run(serve, origin, work)
        assert isinstance(answer, Reply), (call.action, answer)
        assert not dialect.schemas.response_faults(call.action, answer.value)
        info = answer.value.get("idTagInfo") or answer.value.get("idTokenInfo")
        assert info is None or info["status"] == "Accepted", (call.payload, answer.value)
        if call.action == "StartTransaction":
            ours = answer.value["transactionId"]
            self.transaction_ids[self.recorded[call.message_id]] = ours
        self.answers[call.action] += 1

    def transactions(self, name: str) -> dict[str, dict[str, Any]]:
        """What is recorded of a station, by the ids of the recording."""
        station = self.stations[name]
        theirs = {ours: str(recorded) for recorded, ours in self.transaction_ids.items()}
        samples = Counter(row.transaction_id for row in station.samples)
        return {
            theirs.get(row.id, row.wire_id): {
                "evse": row.evse,
                "token": row.token_uid,
                "open": row.open,
                "energy_wh": row.energy_wh,
                "reason": row.stop_reason,
                "samples": samples[row.id],
                **({"flags": list(row.flags)} if row.flags else {}),
            }
            for row in station.transactions
        }


def test_every_recording_has_its_expectation() -> None:
    assert set(EXPECTED) == {file.name for file in FRAMES.glob("*.jsonl")}


@pytest.mark.parametrize("file", sorted(EXPECTED))
def test_a_recording_is_understood(file: str) -> None:
    replay = Replay(file)
    assert set(replay.stations) == set(EXPECTED[file])
    for name, expected in EXPECTED[file].items():
        transactions = {
            wire_id: {field: value for field, value in row.items() if field != "how"}
            for wire_id, row in expected["transactions"].items()
        }
        assert replay.transactions(name) == transactions
        station = replay.stations[name]
        assert station.violations == expected["violations"]
        assert station.station.registration == "accepted"
    assert replay.store.marks.count("report_quarantined") == 0
    assert replay.asked - replay.answered == Counter(UNANSWERED.get(file, {}))
    assert replay.strays == 0, "every answer is that of a call"
    assert replay.stations[name].rows(Quarantined) == []


@pytest.mark.parametrize("file", sorted(EXPECTED))
def test_a_recording_that_is_heard_twice_is_recorded_once(file: str) -> None:
    """A station that lost our answers says it all again (OCPP 1.6 4.8, 2.0.1 E13)."""
    once = Replay(file)
    twice = Replay.__new__(Replay)
    twice.__dict__.update(once.__dict__)
    before = {name: station.transactions for name, station in once.stations.items()}
    for line in (FRAMES / file).read_text().splitlines():
        heard = json.loads(line)
        if heard.get("from") == "station":
            twice._sends(heard["station"], heard["frame"], datetime.fromisoformat(heard["at"]))
    for name, station in twice.stations.items():
        assert [row.id for row in station.transactions] == [row.id for row in before[name]]
        assert [row.energy_wh for row in station.transactions] == [
            row.energy_wh for row in before[name]
        ]
    assert twice.stations[name].rows(Quarantined) == []
