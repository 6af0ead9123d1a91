"""OCPP 2.0.1 block P, data transfer and custom data."""

from __future__ import annotations

from tests.support.conformance import Operator
from tests.support.conformance_2 import Station2


async def test_TC_P_02_data_of_an_unknown_vendor(station: Station2) -> None:
    """Data of a vendor that nobody here knows is answered, and not accepted."""
    await station.boots()
    answer = await station.calls("DataTransfer", vendorId="org.example", messageId="m", data="x")
    assert answer["status"] in ("UnknownVendorId", "UnknownMessageId", "Rejected")


async def test_TC_P_03_custom_data(station: Station2, operator: Operator) -> None:
    """What a vendor adds to a message does not keep it from being understood."""
    await station.boots()
    answer = await station.calls(
        "StatusNotification",
        timestamp=station.clock(),
        connectorStatus="Faulted",
        evseId=1,
        connectorId=1,
        customData={"vendorId": "org.example", "colour": {"of": ["the", "lamp"]}},
    )
    assert answer == {}
    assert await operator.status() == "faulted"
