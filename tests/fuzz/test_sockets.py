"""The same over real WebSockets, on a real store with its thread: fewer examples, and bytes that no
WebSocket should carry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from structlog.testing import capture_logs

from csms.core.metering import MeterSample
from tests.fuzz import oracle
from tests.fuzz.campaign import Example, examples
from tests.fuzz.network import VERSIONS
from tests.support.ocpp_links import Central, Socket, listening, until
from tests.support.stores import SqliteSite, running

EXAMPLES = 25
SEED = 2


class Driver:
    """A well-behaved 1.6 station: every meter value it is answered must be in the database."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.acknowledged = 0

    async def step(self) -> None:
        at = f"2024-05-01T12:{self.acknowledged // 60:02}:{self.acknowledged % 60:02}Z"
        value = {"timestamp": at, "sampledValue": [{"value": str(self.acknowledged)}]}
        answer = await self.socket.calls("MeterValues", {"connectorId": 1, "meterValue": [value]})
        assert answer == {}
        self.acknowledged += 1


@asynccontextmanager
async def central_system(folder: Path) -> AsyncIterator[Central]:
    async with running(SqliteSite(folder)) as store, listening(store) as central:
        for identity in ("good", *VERSIONS):
            await central.onboard(identity)
        yield central


async def provoke(offender: Socket, frame: bytes, number: int, *, text: bool) -> list[str]:
    """Send a frame, and a heartbeat behind it: what comes before its answer is of the frame."""
    await offender.connection.send(frame, text=text)
    await offender.sends([2, f"barrier {number}", "Heartbeat", {}])
    answers: list[str] = []
    async with asyncio.timeout(10):
        while True:
            answer = await offender.connection.recv()
            assert isinstance(answer, str)
            if json.loads(answer)[1] == f"barrier {number}":
                return answers
            answers.append(answer)


async def one(central: Central, example: Example, good: Driver) -> None:
    version = example.version
    async with central.connect(version, [VERSIONS[version]]) as offender:
        for number, frame in enumerate(example.sent):
            answers, _ = await asyncio.gather(
                provoke(offender, frame, number, text=number % 2 == 0), good.step()
            )
            oracle.judge(version, "accepted", frame, answers)


def test_frames_of_any_kind_over_a_socket(tmp_path: Path) -> None:
    with asyncio.Runner() as runner, capture_logs() as logs:
        stack = AsyncExitStack()
        central = runner.run(stack.enter_async_context(central_system(tmp_path)))
        good = Driver(runner.run(stack.enter_async_context(central.connect("good"))))
        try:

            @seed(SEED)
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(examples())
            def holds(example: Example) -> None:
                runner.run(one(central, example, good))

            holds()
            stored = runner.run(central.store.reader.count(MeterSample, {"station_id": "id good"}))
            assert stored == good.acknowledged > EXAMPLES
        finally:
            runner.run(stack.aclose())
    assert not [entry for entry in logs if entry["log_level"] in ("error", "critical")], logs


RAW: dict[str, bytes] = {
    "not masked": b"\x81\x05hello",
    "reserved opcode": b"\x83\x80\x00\x00\x00\x00",
    "reserved bits": b"\xf1\x80\x00\x00\x00\x00",
    "continuation of nothing": b"\x80\x80\x00\x00\x00\x00",
    "ping beyond 125 bytes": b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + b"x" * 126,
    "fragmented ping": b"\x09\x80\x00\x00\x00\x00",
    "length of exabytes": b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
    "beyond the limit": b"\x81\xff\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00" + b"x" * 4_096,
    "close with one byte": b"\x88\x81\x00\x00\x00\x00\x01",
    "close with a forbidden code": b"\x88\x82\x00\x00\x00\x00\x03\xed",
    "http again": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes of all kinds": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("raw", RAW.values(), ids=RAW)
async def test_bytes_that_are_no_websocket_end_only_their_own_link(
    raw: bytes, tmp_path: Path
) -> None:
    with capture_logs() as logs:
        async with central_system(tmp_path) as central, central.connect("good") as socket:
            good = Driver(socket)
            async with central.connect("1.6") as offender:
                await offender.is_alive()
                offender.connection.transport.write(raw)
                await until(lambda: central.link("1.6") is None)
                await good.step()
            async with central.connect("1.6") as again:
                await again.is_alive()
            await good.step()
            assert central.link("good") is not None
    broken: list[Any] = [entry for entry in logs if entry["log_level"] in ("error", "critical")]
    assert not broken, broken
