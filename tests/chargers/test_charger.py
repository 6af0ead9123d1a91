"""A whole charger against a small central system: sessions, remote commands, lost links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chargers.car import Car
from chargers.charger import Charger
from chargers.charging import Tap

Make = Callable[..., Charger]

TRANSACTION = ("StartTransaction", "MeterValues", "StopTransaction", "TransactionEvent")


def kinds(central: Any) -> list[str]:
    """The transaction messages as received, in the same words for all versions."""
    words = {"StartTransaction": "Started", "MeterValues": "Updated", "StopTransaction": "Ended"}
    return [
        words.get(seen.action) or seen.fields["event_type"] for seen in central.of(*TRANSACTION)
    ]


async def test_a_local_session_from_plug_to_unplug(
    central: Any, make_charger: Make, version: str
) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        charger.plug_in(1, Car(soc=0.3))
        assert await charger.tap(1, "ALICE") is Tap.ACCEPTED
        record = charger.ledger.transactions[0]
        await charger.until(lambda: len(record.readings) >= 2)
        assert await charger.tap(1, "ALICE") is Tap.STOPPED
        await charger.until(lambda: record.acknowledged)
        charger.unplug(1)
        await charger.until(lambda: charger.status(1) == "Available")
        await central.until(lambda: _last_status(central) == "Available")

    assert central.identities == ["CP 1"]
    assert central.passwords == [b"secret-of-cp-1"]
    received = kinds(central)
    assert received[0] == "Started"
    assert received[-1] == "Ended"
    assert set(received[1:-1]) == {"Updated"}
    assert record.energy_wh > 0
    assert record.meter_start_wh > 0
    assert record.stop_cause == "local stop"
    assert charger.ledger.rejected == 0
    assert charger.ledger.unusable == 0
    assert record.central_id == ("101" if version == "1.6" else record.station_id)


def _last_status(central: Any) -> str:
    fields = central.of("StatusNotification")[-1].fields
    return str(fields.get("status") or fields.get("connector_status"))


async def test_what_is_on_the_wire_matches_the_meter(
    central: Any, make_charger: Make, version: str
) -> None:
    async with make_charger(version, dc=True, power_w=150_000) as charger:
        await charger.booted()
        charger.plug_in(1, Car(soc=0.3))
        await charger.tap(1, "ALICE")
        record = charger.ledger.transactions[0]
        await charger.until(lambda: len(record.readings) >= 1)
        assert await charger.drain()

    messages = central.of(*TRANSACTION)
    if version == "1.6":
        assert messages[0].fields["meter_start"] == record.meter_start_wh
        assert messages[-1].fields["meter_stop"] == record.meter_stop_wh
        assert messages[-1].fields["transaction_id"] == 101
        samples = messages[1].fields["meter_value"][0]["sampled_value"]
    else:
        assert [m.fields["seq_no"] for m in messages] == list(range(len(messages)))
        first, last = (_register(messages[i].fields) for i in (0, -1))
        assert (first, last) == (record.meter_start_wh, record.meter_stop_wh)
        samples = messages[1].fields["meter_value"][0]["sampled_value"]
    assert {sample["measurand"] for sample in samples} == {
        "Energy.Active.Import.Register",
        "Power.Active.Import",
        "SoC",
    }


def _register(fields: dict[str, Any]) -> int:
    for sample in fields["meter_value"][0]["sampled_value"]:
        if sample["measurand"] == "Energy.Active.Import.Register":
            return int(sample["value"])
    raise AssertionError("no energy register")


async def test_a_refused_token_does_not_charge(
    central: Any, make_charger: Make, version: str
) -> None:
    central.token_statuses["MALLORY"] = "Blocked"
    async with make_charger(version) as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        assert await charger.tap(1, "MALLORY") is Tap.REFUSED
    assert charger.ledger.tokens_refused == ["MALLORY"]
    assert not charger.ledger.transactions


async def test_a_full_car_is_suspended(central: Any, make_charger: Make, version: str) -> None:
    async with make_charger(version, speed=2000) as charger:
        await charger.booted()
        charger.plug_in(1, Car(battery_wh=1000, soc=0.9))
        await charger.tap(1, "ALICE")
        states = {"1.6": "SuspendedEV"}
        await charger.until(lambda: charger.status(1) == states.get(version, "Occupied"))
        await central.until(lambda: _suspended(central))
        assert await charger.drain()
    assert 95 <= charger.ledger.transactions[0].energy_wh <= 101


def _suspended(central: Any) -> bool:
    return any(
        seen.fields.get("status") == "SuspendedEV"
        or seen.fields.get("transaction_info", {}).get("charging_state") == "SuspendedEV"
        for seen in central.seen
    )


async def remote_start(central: Any, version: str) -> Any:
    if version == "1.6":
        return await central.call("RemoteStartTransaction", id_tag="BOB", connector_id=1)
    token = {"id_token": "BOB", "type": "Central"}
    return await central.call(
        "RequestStartTransaction", id_token=token, remote_start_id=77, evse_id=1
    )


async def remote_stop(central: Any, version: str, transaction: str) -> Any:
    if version == "1.6":
        return await central.call("RemoteStopTransaction", transaction_id=int(transaction))
    return await central.call("RequestStopTransaction", transaction_id=transaction)


async def test_remote_start_and_stop(central: Any, make_charger: Make, version: str) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        charger.on_plug_wanted(lambda evse: charger.plug_in(evse, Car()))
        assert (await remote_start(central, version)).status == "Accepted"
        await charger.until(lambda: bool(charger.ledger.transactions))
        record = charger.ledger.transactions[0]
        await charger.until(lambda: record.central_id is not None)
        assert (await remote_start(central, version)).status == "Rejected"
        assert (await remote_stop(central, version, "424242")).status == "Rejected"
        assert (await remote_stop(central, version, str(record.central_id))).status == "Accepted"
        await charger.until(lambda: record.acknowledged)
    assert record.token == "BOB"
    assert record.stop_cause == "remote stop"
    if version != "1.6":
        info = central.of("TransactionEvent")[0].fields["transaction_info"]
        assert info["remote_start_id"] == 77


async def test_nobody_plugs_in_after_a_remote_start(
    central: Any, make_charger: Make, version: str
) -> None:
    async with make_charger(version, connection_timeout_s=12) as charger:
        await charger.booted()
        assert (await remote_start(central, version)).status == "Accepted"
        await charger.until(lambda: charger.evses[0].authorization is not None)
        await charger.until(lambda: charger.evses[0].authorization is None)
        assert not charger.ledger.transactions


async def test_charging_goes_on_without_a_link_and_is_told_in_order(
    central: Any, make_charger: Make, version: str
) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        await charger.tap(1, "ALICE")
        record = charger.ledger.transactions[0]
        await charger.until(lambda: record.start_acknowledged)
        charger.drop_link(stay_down=True)
        await charger.until(lambda: not charger.online)
        heard = len(record.readings)
        await charger.until(lambda: record.readings_made >= heard + 3)
        await charger.tap(1, "ALICE")
        # The token was accepted before, so a second session may begin without asking.
        assert await charger.tap(1, "ALICE") is Tap.ACCEPTED
        assert len(charger.ledger.transactions) == 2
        waiting = [message.at for message in charger.outbox]
        charger.restore_link()
        await charger.until(lambda: record.acknowledged)
        assert await charger.drain()

    assert waiting == sorted(waiting)
    second = charger.ledger.transactions[1]
    assert second.acknowledged
    received = kinds(central)
    assert received.count("Started") == 2
    assert received.index("Ended") < len(received) - 1 - received[::-1].index("Started")
    times = [_time(seen) for seen in central.of(*TRANSACTION)]
    assert times == sorted(times)
    if version == "1.6":
        ids = [seen.fields["transaction_id"] for seen in central.of("StopTransaction")]
        assert ids == [101, 102]
    else:
        offline = [seen.fields["offline"] for seen in central.of("TransactionEvent")]
        assert True in offline
        assert not offline[0]


def _time(seen: Any) -> str:
    fields = seen.fields
    return str(fields.get("timestamp") or fields["meter_value"][0]["timestamp"])


async def test_a_message_is_given_up_after_its_attempts(
    central: Any, make_charger: Make, version: str
) -> None:
    central.refuse = lambda action, fields: (
        action == "StartTransaction" or fields.get("event_type") == "Started"
    )
    async with make_charger(version, attempts=3) as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        await charger.tap(1, "ALICE")
        record = charger.ledger.transactions[0]
        await charger.until(lambda: record.given_up == ["start"])
        await charger.until(lambda: len(record.readings) >= 1)
        assert await charger.drain()

    tries = [seen for seen in central.seen if central.refuse(seen.action, seen.fields)]
    assert len(tries) == 3
    assert all(seen.fields == tries[0].fields for seen in tries)
    assert len({seen.message_id for seen in tries}) == 3
    assert charger.ledger.rejected == 3
    assert not record.start_acknowledged
    assert record.stop_acknowledged
    if version == "1.6":
        assert central.of("StopTransaction")[0].fields["transaction_id"] == -1


async def test_pending_and_rejected_are_obeyed(
    central: Any, make_charger: Make, version: str
) -> None:
    central.boot_verdicts = ["Rejected", "Pending", "Accepted"]
    async with make_charger(version, speed=3000) as charger:
        await charger.booted()
        assert charger.ledger.boots == ["Rejected", "Pending", "Accepted"]
        actions = [seen.action for seen in central.seen[:3]]
        assert actions == ["BootNotification"] * 3


async def test_reset_ends_the_transaction_and_boots_again(
    central: Any, make_charger: Make, version: str
) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        await charger.tap(1, "ALICE")
        record = charger.ledger.transactions[0]
        hard = "Hard" if version == "1.6" else "Immediate"
        assert (await central.call("Reset", type=hard)).status == "Accepted"
        await charger.until(lambda: len(charger.ledger.boots) == 2)
        await charger.until(lambda: record.acknowledged)
    assert record.stop_cause == "hard reset"
    if version != "1.6":
        assert central.of("BootNotification")[1].fields["reason"] == "RemoteReset"


async def test_a_token_refused_at_the_start_ends_the_transaction(
    central: Any, make_charger: Make, version: str
) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        await charger.tap(1, "ALICE")
        await charger.until(lambda: charger.ledger.transactions[0].start_acknowledged)
        assert await charger.drain()
        charger.drop_link(stay_down=True)
        await charger.until(lambda: not charger.online)
        central.token_statuses["ALICE"] = "Invalid"
        assert await charger.tap(1, "ALICE") is Tap.ACCEPTED
        charger.restore_link()
        await charger.until(lambda: charger.ledger.transactions[1].acknowledged)
    assert charger.ledger.transactions[1].stop_cause == "deauthorized"


async def test_an_unknown_action_is_answered_with_not_implemented(
    central: Any, make_charger: Make, version: str
) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        with pytest.raises(Exception, match="NotImplemented"):
            await central.call("GetLocalListVersion")


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_a_charge_ends_at_its_limit_and_2_1_says_so_beforehand(
    central: Any, make_charger: Make, version: str
) -> None:
    """OCPP 2.1 E16: LimitSet with the limit; every version ends there."""
    async with make_charger(version, limit_wh=2_000, meter_interval_s=60) as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        await charger.tap(1, "CARD")
        await charger.until(lambda: bool(charger.ledger.finished))
        await charger.until(lambda: not charger.outbox)
        (record,) = charger.ledger.transactions
        assert record.stop_cause == "limit reached"
        assert record.energy_wh >= 2_000
    events = [seen.fields for seen in central.of("TransactionEvent")]
    set_by = [e["transaction_info"].get("transaction_limit") for e in events]
    if version == "2.1":
        assert [(e["trigger_reason"]) for e in events][1] == "LimitSet"
        assert set_by[1] == {"max_energy": 2_000}
    else:
        assert not any(set_by)
    assert [e["seq_no"] for e in events] == list(range(len(events)))
    if events:
        assert events[-1]["transaction_info"]["stopped_reason"] == "EnergyLimitReached"


@pytest.mark.parametrize("evse", [None, 1])
async def test_a_reset_that_resumes_ends_nothing(
    central: Any, make_charger: Make, evse: int | None
) -> None:
    """OCPP 2.1 B11: the transaction goes on, and the charger says so."""
    async with make_charger("2.1") as charger:
        await charger.booted()
        charger.plug_in(1, Car())
        await charger.tap(1, "CARD")
        await charger.until(lambda: charger.ledger.transactions[0].start_acknowledged)
        answer = await central.call("Reset", type="ImmediateAndResume", evse_id=evse)
        assert answer.status == "Accepted"
        await charger.until(lambda: charger.ledger.transactions[0].states_acknowledged > 0)
        assert charger.ledger.connections == (1 if evse else 2)
        assert not charger.ledger.finished
    events = [seen.fields for seen in central.of("TransactionEvent")]
    assert "TxResumed" in [event["trigger_reason"] for event in events]
