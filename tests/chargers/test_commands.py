"""The wishes of a central system, over the wire, in all versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chargers.car import Car
from chargers.charger import Charger
from chargers.charging import Tap

Make = Callable[..., Charger]


def statuses(central: Any) -> list[str]:
    return [
        str(seen.fields.get("status") or seen.fields.get("connector_status"))
        for seen in central.of("StatusNotification")
    ]


async def availability(central: Any, version: str, word: str, evse: int) -> str:
    if version == "1.6":
        answer = await central.call("ChangeAvailability", connector_id=evse, type=word)
    else:
        place = {"id": evse} if evse else None
        answer = await central.call("ChangeAvailability", operational_status=word, evse=place)
    return str(answer.status)


@pytest.mark.parametrize("evse", [0, 1])
async def test_availability_at_once(
    central: Any, make_charger: Make, version: str, evse: int
) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        assert await availability(central, version, "Inoperative", evse) == "Accepted"
        await central.until(lambda: "Unavailable" in statuses(central))
        assert await charger.tap(1, "ALICE") is Tap.IGNORED
        assert await availability(central, version, "Operative", evse) == "Accepted"
        await central.until(lambda: statuses(central)[-1] == "Available")
        assert await availability(central, version, "Inoperative", 9) == "Rejected"


async def test_availability_waits_for_the_transaction(
    central: Any, make_charger: Make, version: str
) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        await charger.tap(1, "ALICE")
        assert await availability(central, version, "Inoperative", 1) == "Scheduled"
        assert charger.status(1) != "Unavailable"
        await charger.tap(1, "ALICE")
        assert charger.status(1) == "Unavailable"


async def unlock(central: Any, version: str, evse: int) -> str:
    if version == "1.6":
        answer = await central.call("UnlockConnector", connector_id=evse)
    else:
        answer = await central.call("UnlockConnector", evse_id=evse, connector_id=1)
    return str(answer.status)


async def test_unlock(central: Any, make_charger: Make, version: str) -> None:
    old = version == "1.6"
    async with make_charger(version) as charger:
        await charger.booted()
        assert await unlock(central, version, 1) == "Unlocked"
        assert await unlock(central, version, 5) == ("NotSupported" if old else "UnknownConnector")
        charger.plug_in(1, Car())
        await charger.tap(1, "ALICE")
        expected = "Unlocked" if old else "OngoingAuthorizedTransaction"
        assert await unlock(central, version, 1) == expected
        record = charger.ledger.transactions[0]
        if old:
            await charger.until(lambda: record.finished)
            assert record.stop_cause == "unlock"
        assert await charger.drain()


@pytest.mark.parametrize(
    "message", ["BootNotification", "Heartbeat", "StatusNotification", "MeterValues"]
)
async def test_trigger(central: Any, make_charger: Make, version: str, message: str) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        await central.until(lambda: len(statuses(central)) >= (2 if version == "1.6" else 1))
        before = len(central.of(message))
        answer = await central.call("TriggerMessage", requested_message=message)
        assert answer.status == "Accepted"
        await central.until(lambda: len(central.of(message)) > before)
        answer = await central.call(
            "TriggerMessage", requested_message="FirmwareStatusNotification"
        )
        assert answer.status == "NotImplemented"


async def test_meter_values_of_a_transaction_may_be_triggered(
    central: Any, make_charger: Make, version: str
) -> None:
    wanted = "MeterValues" if version == "1.6" else "TransactionEvent"
    async with make_charger(version, meter_interval_s=0) as charger:
        await charger.booted()
        if version != "1.6":
            answer = await central.call("TriggerMessage", requested_message=wanted)
            assert answer.status == "Rejected"
        charger.plug_in(1, Car())
        await charger.tap(1, "ALICE")
        await central.call("TriggerMessage", requested_message=wanted)
        record = charger.ledger.transactions[0]
        await charger.until(lambda: len(record.readings) == 1)
        assert await charger.drain()


async def test_a_reset_when_idle_waits(central: Any, make_charger: Make) -> None:
    async with make_charger("2.0.1") as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        await charger.tap(1, "ALICE")
        assert (await central.call("Reset", type="OnIdle")).status == "Scheduled"
        assert charger.ledger.running
        await charger.tap(1, "ALICE")
        await charger.until(lambda: len(charger.ledger.boots) == 2)
    assert charger.ledger.transactions[0].stop_cause == "local stop"


async def test_a_soft_reset_is_heard_before_the_link_goes(central: Any, make_charger: Make) -> None:
    async with make_charger("1.6") as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        await charger.tap(1, "ALICE")
        await central.call("Reset", type="Soft")
        await charger.until(lambda: len(charger.ledger.boots) == 2)
    actions = [seen.action for seen in central.of("StopTransaction", "BootNotification")]
    assert actions == ["BootNotification", "StopTransaction", "BootNotification"]
    assert central.of("StopTransaction")[0].fields["reason"] == "SoftReset"


async def test_a_new_password_is_used_at_the_next_connection(
    central: Any, make_charger: Make, version: str
) -> None:
    new = "a much better secret"
    async with make_charger(version) as charger:
        await charger.booted()
        if version == "1.6":
            value = new.encode().hex()
            answer = await central.call("ChangeConfiguration", key="AuthorizationKey", value=value)
            assert answer.status == "Accepted"
        else:
            answer = await central.call(
                "SetVariables",
                set_variable_data=[
                    {
                        "component": {"name": "SecurityCtrlr"},
                        "variable": {"name": "BasicAuthPassword"},
                        "attribute_value": new,
                    }
                ],
            )
            assert answer.set_variable_result[0]["attribute_status"] == "Accepted"
        charger.drop_link()
        await charger.until(lambda: len(charger.ledger.boots) == 2)
    assert central.passwords == [b"secret-of-cp-1", new.encode()]


async def test_a_cleared_cache_forgets_tokens(
    central: Any, make_charger: Make, version: str
) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        await charger.tap(1, "ALICE")
        assert await charger.drain()
        assert (await central.call("ClearCache")).status == "Accepted"
        charger.drop_link(stay_down=True)
        await charger.until(lambda: not charger.online)
        assert await charger.tap(1, "ALICE") is Tap.REFUSED


async def test_data_for_an_unknown_vendor(central: Any, make_charger: Make, version: str) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        answer = await central.call("DataTransfer", vendor_id="nobody")
        assert answer.status == "UnknownVendorId"
