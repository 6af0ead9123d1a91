"""Where a broker is, as it is written in the settings."""

from __future__ import annotations

import pytest

from csms.bus.broker import Broker, broker_of
from csms.core.errors import Invalid


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
