"""One example from beginning to end, what is asserted of it, and its record for a replay."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from hypothesis import strategies as st
from structlog.testing import capture_logs

from csms.core.metering import MeterSample
from csms.core.stations import Station
from csms.core.transactions import Transaction
from csms.ocpp.link import Lost
from csms.ocpp.rpc import Failure, Result
from csms.ocpp.versions import PROTOCOLS, Protocol
from tests.fuzz import oracle
from tests.fuzz.frames import frames
from tests.fuzz.good import Good, register_values
from tests.fuzz.network import VERSIONS, Network, Peer

REGISTRATIONS = ("accepted", "accepted", "accepted", "accepted", "new", "pending", "rejected")
MAX_KINDS_COUNTED = 200
_METERS = re.compile(rb'"meterSt(?:art|op)"\s*:\s*"?\s*(-?\d[\d.eE+-]{0,40})')
OURS = {
    "1.6": ("GetConfiguration", {}),
    "2.0.1": ("GetLocalListVersion", {}),
    "2.1": ("GetLocalListVersion", {}),
}


@dataclass(frozen=True)
class Example:
    """What an offender of a version and registration sends. `asks`: before the frames of these
    places we make a call to it, with the id `ours-1`, `ours-2` and so on."""

    version: str
    registration: str
    sent: tuple[bytes, ...]
    asks: tuple[int, ...] = ()

    def record(self) -> str:
        """The example as one line of JSON."""
        frames = [base64.b64encode(frame).decode() for frame in self.sent]
        return json.dumps([self.version, self.registration, frames, self.asks])

    @classmethod
    def of(cls, record: str) -> Self:
        version, registration, sent, asks = json.loads(record)
        frames = tuple(base64.b64decode(frame) for frame in sent)
        return cls(version, registration, frames, tuple(asks))


@st.composite
def examples(draw: st.DrawFn, most: int = 12) -> Example:
    """A version, a registration, some frames, and calls of ours in between."""
    version = draw(st.sampled_from(sorted(VERSIONS)))
    sent = draw(st.lists(frames(version), min_size=2, max_size=most))
    asks = draw(st.lists(st.integers(0, len(sent) - 1), max_size=2, unique=True))
    registration = draw(st.sampled_from(REGISTRATIONS))
    return Example(version, registration, tuple(sent), tuple(sorted(asks)))


def play(
    example: Example, runner: asyncio.Runner, protocols: Mapping[str, Protocol] = PROTOCOLS
) -> None:
    """Run the example and assert everything that must hold."""
    with capture_logs() as logs:
        runner.run(_play(example, Network(protocols)))
    broken = [entry for entry in logs if entry["log_level"] in ("error", "critical", "exception")]
    assert not broken, broken


async def _play(example: Example, network: Network) -> None:
    offender = Peer(network, "offender", example.version)
    offender.registers(example.registration)
    good = [Good(Peer(network, f"good {version}", version)) for version in VERSIONS]
    for station in good:
        station.peer.registers("accepted")
    asking: list[asyncio.Task[Result | Failure | Lost]] = []
    async with network.live(offender, *(station.peer for station in good)):
        for place, frame in enumerate(example.sent):
            if place in example.asks and all(task.done() for task in asking):
                asking.append(await _ask(offender, len(asking) + 1))
            for station in good:
                await station.step()
            registration = network.get(Station, "offender").registration
            answers = await offender.gives(frame)
            oracle.judge(example.version, registration, frame, answers, asked=bool(asking))
            assert offender.ended is None, "a frame ended the link"
        for station in good:
            await station.finish()
        await _still_served(offender)
        for station in good:
            station.check()
        _check_energy(network, example)
        _check_bounds(network)
    for task in asking:
        # However it was answered, whoever asked is not left waiting.
        assert isinstance(await task, Result | Failure | Lost)


async def _ask(offender: Peer, number: int) -> asyncio.Task[Any]:
    """Make a call to the offender; the frame has gone out when this returns."""
    action, payload = OURS[offender.version]
    before = len(offender.socket.sent)
    calling = asyncio.create_task(
        offender.link.call(f"ours-{number}", action, payload, 3_600), name="our call"
    )
    await offender.settled()
    (frame,) = offender.socket.sent[before:]
    assert json.loads(frame) == [2, f"ours-{number}", action, payload]
    return calling


async def _still_served(offender: Peer) -> None:
    (answer,) = await offender.gives(b'[2,"last","Heartbeat",{}]')
    assert json.loads(answer)[1] == "last", answer


def _check_energy(network: Network, example: Example) -> None:
    """No transaction has negative energy, or more than the registers that were reported allow."""
    said = [0.0]
    for frame in example.sent:
        said += [float(found) for found in _METERS.findall(frame) if _is_number(found)]
    for sample in network.rows(MeterSample):
        if sample.station_id == "offender":
            said += register_values(sample.readings)
    for t in network.rows(Transaction):
        assert t.energy_wh >= 0, t
        if t.station_id == "offender":
            assert t.energy_wh <= max(said), (t, said)
            if t.first_wh is not None and t.last_wh is not None:
                assert t.energy_wh <= max(0, t.last_wh - t.first_wh), t


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_bounds(network: Network) -> None:
    """What one offender's counters may take in its row."""
    violations = network.get(Station, "offender").violations
    assert len(violations) <= MAX_KINDS_COUNTED, len(violations)
    assert all(len(kind) <= 100 for kind in violations), violations
