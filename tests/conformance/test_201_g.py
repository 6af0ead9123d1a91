"""OCPP 2.0.1 block G, availability: out of use and back, now or after the charge."""

from __future__ import annotations

from tests.support.conformance import Operator, Payload
from tests.support.conformance_2 import EVSES, Station2

STATUSES = {"Inoperative": "Unavailable", "Operative": "Available"}
EVSE = {"evse": {"id": 1}}
CONNECTOR = {"evse": {"id": 1, "connectorId": 1}}


async def change(
    station: Station2, operator: Operator, to: str, place: Payload, status: str = "Accepted"
) -> None:
    """The operator changes what may be used; the station answers with that status."""
    named = place.get("evse", {})
    wish = {"evse": named.get("id"), "connector": named.get("connectorId")}
    asked = operator.asks(
        "set_availability",
        available=to == "Operative",
        **{name: value for name, value in wish.items() if value is not None},
    )
    expected = {"operationalStatus": to, **place}
    await station.is_asked("ChangeAvailability", expected, {"status": status})
    outcome = await asked.outcome()
    assert outcome == ("accepted", None if status == "Accepted" else status)


async def changes(station: Station2, operator: Operator, to: str, place: Payload) -> None:
    """A change at once, and what is reported after it."""
    await change(station, operator, to, place)
    for evse in [1] if place else EVSES:
        await station.reports(STATUSES[to], evse)
        assert await operator.status(evse) == STATUSES[to].lower()


async def test_TC_G_03_evse_inoperative(station: Station2, operator: Operator) -> None:
    """An EVSE is taken out of use."""
    await station.boots()
    await changes(station, operator, "Inoperative", EVSE)
    assert await operator.status(2) == "available"


async def test_TC_G_04_evse_operative(station: Station2, operator: Operator) -> None:
    """An EVSE is taken back into use."""
    await station.boots()
    await changes(station, operator, "Inoperative", EVSE)
    await changes(station, operator, "Operative", EVSE)


async def test_TC_G_05_station_inoperative(station: Station2, operator: Operator) -> None:
    """The whole station is taken out of use."""
    await station.boots()
    await changes(station, operator, "Inoperative", {})


async def test_TC_G_06_station_operative(station: Station2, operator: Operator) -> None:
    """The whole station is taken back into use."""
    await station.boots()
    await changes(station, operator, "Inoperative", {})
    await changes(station, operator, "Operative", {})


async def test_TC_G_07_connector_inoperative(station: Station2, operator: Operator) -> None:
    """One connector is taken out of use."""
    await station.boots()
    await changes(station, operator, "Inoperative", CONNECTOR)


async def test_TC_G_08_connector_operative(station: Station2, operator: Operator) -> None:
    """One connector is taken back into use."""
    await station.boots()
    await changes(station, operator, "Inoperative", CONNECTOR)
    await changes(station, operator, "Operative", CONNECTOR)


async def after_the_charge(station: Station2, operator: Operator, place: Payload) -> None:
    """Taken out of use while it charges: scheduled, the charge ends in good order, then it is."""
    await station.boots()
    await station.charges()
    await change(station, operator, "Inoperative", place, "Scheduled")
    if not place:
        await station.reports("Unavailable", 2)
    assert (await operator.transaction())["open"]
    await station.leaves()
    await station.reports("Unavailable")
    assert await operator.status() == "unavailable"
    assert not (await operator.transaction())["open"]


async def test_TC_G_11_evse_after_its_charge(station: Station2, operator: Operator) -> None:
    """An EVSE that charges goes out of use after the charge."""
    await after_the_charge(station, operator, EVSE)
    assert await operator.status(2) == "available"


async def test_TC_G_14_station_after_its_charges(station: Station2, operator: Operator) -> None:
    """A station that charges goes out of use: the idle EVSE at once, the other after its charge."""
    await after_the_charge(station, operator, {})
    assert await operator.status(2) == "unavailable"


async def test_TC_G_17_connector_after_its_charge(station: Station2, operator: Operator) -> None:
    """A connector that charges goes out of use after the charge."""
    await after_the_charge(station, operator, CONNECTOR)


async def test_TC_G_20_lock_failure(station: Station2, operator: Operator) -> None:
    """The lock of a connector fails: taken note of, where an operator sees it."""
    await station.boots()
    place = {"name": "ConnectorPlugRetentionLock", "evse": {"id": 1, "connectorId": 1}}
    await station.notices(place, "Problem", "true")
