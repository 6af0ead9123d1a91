"""OCPP 1.6 Core: what an operator asks of a station, and what comes of it."""

from __future__ import annotations

from unittest.mock import ANY

from tests.support.conformance import INVALID, VALID, Operator, Payload
from tests.support.conformance_16 import CHARGED_WH, Station16

ACCEPTED = {"status": "Accepted"}
REJECTED = {"status": "Rejected"}


async def remote_start(station16: Station16, operator: Operator, answer: Payload) -> tuple:  # type: ignore[type-arg]
    """The operator starts a charge at connector 1; the outcome."""
    asked = operator.asks("start_charging", token=VALID, evse=1)
    await station16.is_asked("RemoteStartTransaction", {"idTag": VALID, "connectorId": 1}, answer)
    return await asked.outcome()


async def test_TC_010_remote_start_cable_first(station16: Station16, operator: Operator) -> None:
    """A charge started from afar where a car waits: it is tied to the command that asked for it."""
    await station16.boots()
    await station16.reports("Preparing")
    assert await remote_start(station16, operator, ACCEPTED) == ("accepted", None)
    assert (await station16.authorizes())["status"] == "Accepted"
    assert (await station16.starts())["status"] == "Accepted"
    await station16.reports("Charging")
    running = await operator.transaction()
    command = await operator.sends("GET", f"/commands/{running['command_id']}")
    assert (command["kind"], command["transaction_id"]) == ("start_charging", running["id"])


async def test_TC_011_1_remote_start_first(station16: Station16, operator: Operator) -> None:
    """Started from afar before the cable is in: accepted is not started, the start is."""
    await station16.boots()
    assert await remote_start(station16, operator, ACCEPTED) == ("accepted", None)
    assert await operator.transactions() == []
    await station16.reports("Preparing")
    assert (await station16.starts())["status"] == "Accepted"
    assert (await operator.transaction())["command_id"] is not None


async def test_TC_011_2_remote_start_and_no_cable(station16: Station16, operator: Operator) -> None:
    """Started from afar and nobody plugs in: the connector is free again, nothing was charged."""
    await station16.boots()
    assert await remote_start(station16, operator, ACCEPTED) == ("accepted", None)
    await station16.reports("Preparing")
    await station16.reports("Available")
    assert await operator.transactions() == []
    assert await operator.status() == "available"


async def test_TC_012_remote_stop(station16: Station16, operator: Operator) -> None:
    """A charge ended from afar, by the id that its start was given."""
    await station16.boots()
    await station16.charges()
    asked = operator.asks("stop_charging")
    wire_id = {"transactionId": station16.transactions[1]}
    await station16.is_asked("RemoteStopTransaction", wire_id, ACCEPTED)
    assert await asked.outcome() == ("accepted", None)
    assert await station16.stops(reason="Remote") == {}
    ended = await operator.transaction()
    assert (ended["open"], ended["stop_reason"]) == (False, "Remote")


async def test_TC_013_hard_reset(station16: Station16, operator: Operator) -> None:
    """A restart at once: the charge is ended by the station and the boot is accepted."""
    await station16.boots()
    await station16.charges()
    asked = operator.asks("reset", immediate=True)
    await station16.is_asked("Reset", {"type": "Hard"}, ACCEPTED)
    assert await asked.outcome() == ("accepted", None)
    assert await station16.stops(reason="HardReset") == {}
    assert (await station16.boots())["status"] == "Accepted"
    assert (await operator.transaction())["stop_reason"] == "HardReset"


async def test_TC_014_soft_reset(station16: Station16, operator: Operator) -> None:
    """A restart in good order: stop, then boot."""
    await station16.boots()
    await station16.charges()
    asked = operator.asks("reset")
    await station16.is_asked("Reset", {"type": "Soft"}, ACCEPTED)
    assert await asked.outcome() == ("accepted", None)
    assert await station16.stops(reason="SoftReset") == {}
    assert (await station16.boots())["status"] == "Accepted"
    assert (await operator.transaction())["energy_wh"] == CHARGED_WH


async def unlock(station16: Station16, operator: Operator, status: str) -> tuple:  # type: ignore[type-arg]
    """The operator unlocks connector 1; the outcome."""
    asked = operator.asks("unlock", evse=1)
    await station16.is_asked("UnlockConnector", {"connectorId": 1}, {"status": status})
    return await asked.outcome()


async def test_TC_017_1_unlock_a_socket(station16: Station16, operator: Operator) -> None:
    """A cable that is stuck in a socket is released; no charge runs."""
    await station16.boots()
    assert await unlock(station16, operator, "Unlocked") == ("accepted", "Unlocked")
    assert await operator.transactions() == []


async def test_TC_017_2_unlock_a_fixed_cable(station16: Station16, operator: Operator) -> None:
    """Where the cable is fixed there is no lock: the operator is told so."""
    await station16.boots()
    assert await unlock(station16, operator, "NotSupported") == ("rejected", "NotSupported")


async def test_TC_018_1_unlock_while_charging(station16: Station16, operator: Operator) -> None:
    """Releasing the cable of a charge ends the charge."""
    await station16.boots()
    await station16.charges()
    assert await unlock(station16, operator, "Unlocked") == ("accepted", "Unlocked")
    assert await station16.stops(reason="UnlockCommand") == {}
    await station16.reports("Finishing")
    assert (await operator.transaction())["stop_reason"] == "UnlockCommand"


async def test_TC_026_remote_start_rejected(station16: Station16, operator: Operator) -> None:
    """The station does not want to start: the operator is told, nothing is expected any more."""
    await station16.boots()
    assert await remote_start(station16, operator, REJECTED) == ("rejected", "Rejected")
    await station16.starts()
    assert (await operator.transaction())["command_id"] is None


async def test_TC_026_remote_start_of_a_token_that_may_not(
    station16: Station16, operator: Operator
) -> None:
    """A token that may not charge is refused here: the station is not even asked."""
    await station16.boots()
    assert "there is no token" in await operator.asks("start_charging", token=INVALID).refusal()


async def test_TC_028_remote_stop_rejected(station16: Station16, operator: Operator) -> None:
    """The station does not want to stop: the operator is told and the charge goes on."""
    await station16.boots()
    await station16.charges()
    asked = operator.asks("stop_charging")
    await station16.is_asked("RemoteStopTransaction", {"transactionId": ANY}, REJECTED)
    assert await asked.outcome() == ("rejected", "Rejected")
    assert (await operator.transaction())["open"]


async def test_TC_030_unlock_failed(station16: Station16, operator: Operator) -> None:
    """The lock does not open: a failure that the operator sees."""
    await station16.boots()
    assert await unlock(station16, operator, "UnlockFailed") == ("rejected", "UnlockFailed")


async def test_TC_031_unlock_an_unknown_connector(station16: Station16, operator: Operator) -> None:
    """A connector that is not there is refused by name; asked all the same, the station says it."""
    await station16.boots()
    assert "it has 1, 2" in await operator.asks("unlock", evse=3).refusal()
    asked = operator.calls("UnlockConnector", {"connectorId": 3})
    await station16.is_asked("UnlockConnector", {"connectorId": 3}, {"status": "NotSupported"})
    assert (await asked.row())["payload"] == {"status": "NotSupported"}


async def test_TC_055_trigger_rejected(station16: Station16, operator: Operator) -> None:
    """The station sends nothing now: the operator is told."""
    await station16.boots()
    asked = operator.asks("trigger", message="meter_values", evse=1)
    expected = {"requestedMessage": "MeterValues", "connectorId": 1}
    await station16.is_asked("TriggerMessage", expected, REJECTED)
    assert await asked.outcome() == ("rejected", "Rejected")


async def test_TC_061_clear_cache(station16: Station16, operator: Operator) -> None:
    """The station forgets the cards that it remembers; a refusal of it is told as well."""
    await station16.boots()
    for answer, outcome in ((ACCEPTED, ("accepted", None)), (REJECTED, ("rejected", "Rejected"))):
        asked = operator.asks("clear_cache")
        await station16.is_asked("ClearCache", {}, answer)
        assert await asked.outcome() == outcome
