"""OCPP 1.6 Core: boot, a driver at the station, tokens, offline, power failure."""

from __future__ import annotations

import pytest

from tests.support.conformance import (
    BLOCKED,
    EXPIRED,
    GROUP,
    INVALID,
    VALID,
    VALID_2,
    Network,
    Operator,
    Payload,
)
from tests.support.conformance_16 import CHARGED_WH, CONNECTORS, Station16


async def test_TC_001_cold_boot(station16: Station16, operator: Operator) -> None:
    """A registered station boots, is accepted with a time and an interval, and reports itself."""
    answer = await station16.boots()
    assert answer["status"] == "Accepted"
    assert answer["interval"] > 0
    assert answer["currentTime"].endswith("Z")
    seen = await operator.station()
    assert (seen["vendor"], seen["model"], seen["serial"]) == ("Acme", "Post 2", "SN-1")
    assert [await operator.status(n) for n in CONNECTORS] == ["available", "available"]


async def test_TC_003_plug_in_first(station16: Station16, operator: Operator) -> None:
    """Cable, then card: a charge with its driver and its energy, closed by the same card."""
    await station16.boots()
    await station16.reports("Preparing")
    assert await station16.authorizes() == {"status": "Accepted", "parentIdTag": GROUP}
    assert (await station16.starts())["status"] == "Accepted"
    await station16.reports("Charging")
    running = await operator.transaction()
    assert (running["open"], running["token_uid"], running["evse"]) == (True, VALID, 1)
    assert running["id"] == station16.transactions[1] > 0
    answer = await station16.stops(VALID, reason="Local")
    assert answer["idTagInfo"]["status"] == "Accepted"
    await station16.reports("Available")
    ended = await operator.transaction()
    assert (ended["open"], ended["energy_wh"]) == (False, CHARGED_WH)
    assert (ended["stop_reason"], ended["flags"]) == ("Local", [])


async def test_TC_004_1_identification_first(station16: Station16, operator: Operator) -> None:
    """Card, then cable: the transaction begins with the start, not with the card."""
    await station16.boots()
    assert (await station16.authorizes())["status"] == "Accepted"
    assert await operator.transactions() == []
    await station16.reports("Preparing")
    assert (await station16.starts())["status"] == "Accepted"
    await station16.reports("Charging")
    assert (await operator.transaction())["open"]
    assert await operator.status() == "charging"


async def test_TC_004_2_no_cable_in_time(station16: Station16, operator: Operator) -> None:
    """Card and no cable: the connector is free again and nothing was charged."""
    await station16.boots()
    assert (await station16.authorizes())["status"] == "Accepted"
    await station16.reports("Preparing")
    assert await operator.status() == "preparing"
    await station16.reports("Available")
    assert await operator.status() == "available"
    assert await operator.transactions() == []


async def test_TC_005_1_unplugged_at_the_car(station16: Station16, operator: Operator) -> None:
    """The cable is pulled at the car: the stop without a card is answered and says why."""
    await station16.boots()
    await station16.charges()
    await station16.reports("SuspendedEV")
    assert await station16.stops(reason="EVDisconnected") == {}
    await station16.reports("Finishing")
    await station16.reports("Available")
    ended = await operator.transaction()
    assert (ended["stop_reason"], ended["energy_wh"]) == ("EVDisconnected", CHARGED_WH)


async def test_TC_007_start_with_a_cached_token(station16: Station16, operator: Operator) -> None:
    """A station that knows the card starts without asking; the start checks the card itself."""
    await station16.boots()
    await station16.reports("Preparing")
    assert await station16.starts() == {"status": "Accepted", "parentIdTag": GROUP}
    assert (await operator.transaction())["outcome"] == "accepted"


@pytest.mark.parametrize("shown", [VALID_2, VALID.lower()])
async def test_TC_003_stopped_by_the_group(
    station16: Station16, operator: Operator, shown: str
) -> None:
    """A card of the same group stops the charge; letters compare without regard to case."""
    await station16.boots()
    await station16.charges()
    info = (await station16.stops(shown))["idTagInfo"]
    assert info == {"status": "Accepted", "parentIdTag": GROUP}
    ended = await operator.transaction()
    assert (ended["token_uid"], ended["stop_token_uid"]) == (VALID, shown)


async def test_TC_023_1_invalid_token(station16: Station16) -> None:
    """A card that nobody knows is invalid, asked or started with."""
    await may_not_charge(station16, INVALID, "Invalid")


async def test_TC_023_2_expired_token(station16: Station16) -> None:
    """A card whose time is over is expired, and the station is told when that was."""
    info = await may_not_charge(station16, EXPIRED, "Expired")
    assert info["expiryDate"] == "2020-01-01T00:00:00Z"


async def test_TC_023_3_blocked_token(station16: Station16) -> None:
    """A card that was blocked is blocked, which is not the same as unknown."""
    await may_not_charge(station16, BLOCKED, "Blocked")


async def may_not_charge(station16: Station16, token: str, status: str) -> Payload:
    """Shown by itself, and in a start that did not ask; what was told of it."""
    await station16.boots()
    info = await station16.authorizes(token)
    assert info["status"] == status
    assert await station16.starts(token) == info
    assert station16.transactions[1] > 0
    assert await station16.stops(reason="DeAuthorized") == {}
    return info


async def test_TC_024_start_with_lock_failure(station16: Station16, operator: Operator) -> None:
    """The cable does not lock: the operator sees the connector faulted and why; nothing charged."""
    await station16.boots()
    await station16.reports("Preparing")
    assert (await station16.authorizes())["status"] == "Accepted"
    await station16.reports("Faulted", error="ConnectorLockFailure")
    connector = await operator.connector()
    assert (connector["status"], connector["error_code"]) == ("faulted", "ConnectorLockFailure")
    assert await operator.transactions() == []


async def test_TC_032_1_power_failure(
    network: Network, station16: Station16, operator: Operator
) -> None:
    """Power goes and comes back: the boot leaves the charge open, the stop that follows ends it."""
    await station16.boots()
    await station16.charges()
    await station16.wire.leave()
    async with network.link("ocpp1.6") as wire:
        back = Station16(wire)
        back.transactions = station16.transactions
        assert (await back.boots())["status"] == "Accepted"
        assert (await operator.transaction())["open"]
        assert await back.stops(reason="PowerLoss") == {}
    ended = await operator.transaction()
    assert (ended["open"], ended["stop_reason"]) == (False, "PowerLoss")
    assert ended["energy_wh"] == CHARGED_WH


async def test_TC_037_1_offline_start(station16: Station16, operator: Operator) -> None:
    """A start from before the link came back is recorded with its own time."""
    await station16.boots()
    at = station16.clock(minutes=-20)
    assert (await station16.starts(timestamp=at))["status"] == "Accepted"
    running = await operator.transaction()
    assert (running["open"], running["started_at"]) == (True, at)
    await station16.reports("Charging")
    assert await operator.status() == "charging"


async def test_TC_037_3_offline_start_with_an_invalid_token(
    station16: Station16, operator: Operator
) -> None:
    """An offline start of an unknown card is kept, told to be invalid, and its stop is taken."""
    await station16.boots()
    assert (await station16.starts(INVALID))["status"] == "Invalid"
    assert await station16.stops(reason="DeAuthorized") == {}
    ended = await operator.transaction()
    assert (ended["outcome"], ended["stop_reason"]) == ("invalid", "DeAuthorized")
    assert ended["energy_wh"] == CHARGED_WH


async def test_TC_039_offline_transaction(station16: Station16, operator: Operator) -> None:
    """A whole charge that was made offline is replayed, with its own times and energy."""
    await station16.boots()
    at = station16.clock(minutes=-50)
    await station16.starts(timestamp=at)
    answer = await station16.stops(VALID)
    assert answer["idTagInfo"]["status"] == "Accepted"
    ended = await operator.transaction()
    assert (ended["started_at"], ended["energy_wh"]) == (at, CHARGED_WH)
    assert ended["ended_at"] > at
    assert await operator.status() == "available"


async def test_TC_064_data_transfer_of_an_unknown_vendor(station16: Station16) -> None:
    """Data of a vendor that nobody here knows is answered, and not accepted."""
    await station16.boots()
    answer = await station16.calls("DataTransfer", vendorId="org.example", messageId="m", data="x")
    assert answer["status"] in ("UnknownVendorId", "UnknownMessageId", "Rejected")
