"""Where a broker is, as it is written in the settings, and a connection to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiomqtt
import pytest

from csms.bus.broker import Broker, BrokerClient, broker_of, client_of
from csms.core.errors import Invalid
from tests.support.mosquitto import Mosquitto, mosquitto, subscribed


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("mqtt://broker", Broker("broker", 1883)),
        ("mqtts://broker", Broker("broker", 8883, tls=True)),
        ("mqtt://u:p%40ss@broker:1884", Broker("broker", 1884, False, "u", "p@ss")),
        ("mqtt://[::1]:1884", Broker("::1", 1884)),
    ],
)
def test_a_broker_is_named_by_an_address(url: str, broker: Broker) -> None:
    assert broker_of(url) == broker
    assert "p@ss" not in broker_of(url).shown


@pytest.mark.parametrize("url", ["http://broker", "mqtt://", "mqtt://broker:port", "broker"])
def test_anything_else_is_none(url: str) -> None:
    with pytest.raises(Invalid, match="mqtt"):
        broker_of(url)


@pytest.mark.mosquitto
async def test_what_is_published_together_comes_in_order(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, subscribed(broker) as subscriber:
        async with client_of(broker_of(broker.url), 5.0, 20) as client:
            # More than may be under way at once.
            await client.publish_all((f"csms/events/s{n}/x", b'{"n":%d}' % n) for n in range(100))
            await client.publish_all(())
            await client.publish("csms/events/alone/x", b'{"n":100}', qos=1)
        heard = await subscriber.hears(101)
    assert [event["n"] for _, event in heard] == list(range(101))
    assert heard[7][0] == "csms/events/s7/x"


@asynccontextmanager
async def hardly_left(broker: Mosquitto, answer_s: float) -> AsyncIterator[BrokerClient]:
    """A client whose goodbye is not answered."""
    client = client_of(broker_of(broker.url), answer_s, 20)
    await client.__aenter__()
    try:
        yield client
    finally:
        with suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)


@pytest.mark.mosquitto
async def test_a_lost_connection_ends_the_wait_at_once(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, hardly_left(broker, 600.0) as client:
        await client.publish_all([("csms/events/s/x", b"1")])
        broker.hang()
        waiting = asyncio.ensure_future(client.publish_all([("csms/events/s/x", b"2")]))
        await asyncio.wait((waiting,), timeout=0.05)
        assert not waiting.done()
        await broker.kill()
        async with asyncio.timeout(30):
            with pytest.raises(aiomqtt.MqttError):
                await waiting


@pytest.mark.mosquitto
async def test_a_broker_that_takes_nothing_is_waited_for_so_long_only(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, hardly_left(broker, 0.2) as client:
        broker.hang()
        with pytest.raises(aiomqtt.MqttError, match="timed out"):
            await client.publish_all([("csms/events/s/x", b"1")])
