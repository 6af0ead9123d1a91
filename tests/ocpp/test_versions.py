"""Which version a link speaks (OCPP-J 2.0.1 3.2)."""

from __future__ import annotations

import pytest

from csms.core.stations import Registration
from csms.ocpp.v16.registration import Intervals
from csms.ocpp.versions import PROTOCOLS, choose, protocols
from tests.support.ocpp import Inbound, minimal_request


def test_the_versions_that_we_speak() -> None:
    assert {name: p.version for name, p in PROTOCOLS.items()} == {
        "ocpp1.6": "1.6",
        "ocpp2.0.1": "2.0.1",
        "ocpp2.1": "2.1",
    }
    assert all(name == p.subprotocol for name, p in PROTOCOLS.items())


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["ocpp1.6"], "ocpp1.6"),
        (["ocpp1.6", "ocpp2.1"], "ocpp1.6"),  # the station's order, not ours
        (["ocpp2.1", "ocpp1.6"], "ocpp2.1"),
        (["ocpp1.5", "mqtt", "ocpp2.0.1"], "ocpp2.0.1"),
        (["ocpp2.0"], None),
        (["OCPP1.6"], None),
        ([], None),
    ],
)
def test_the_first_that_we_speak_is_chosen(offered: list[str], chosen: str | None) -> None:
    found = choose(offered)
    assert (found.subprotocol if found else None) == chosen


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize(
    ("registration", "interval"), [(Registration.ACCEPTED, 900), (Registration.PENDING, 7)]
)
def test_what_stations_are_told_when_they_boot_is_a_setting(
    name: str, registration: Registration, interval: int
) -> None:
    """OCPP 1.6 4.2, 2.0.1 B01, B02."""
    station = Inbound(name, registration=registration)
    station.protocol = protocols(Intervals(heartbeat_s=900, boot_retry_s=7))[name]
    request = minimal_request(station.protocol.version, "BootNotification")
    told = station.answers("BootNotification", request)["interval"]
    # Those who wait are spread by a fifth, so that they do not all come back together.
    assert told == interval or (registration is Registration.PENDING and abs(told - interval) <= 1)
    assert set(station.protocol.dialect.routes) == set(PROTOCOLS[name].dialect.routes)
