"""Quirks 49 to 66: transactions and meters of the field, over a real link; energy is never
invented and no transaction is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from csms.core import tokens
from csms.core.metering import MeterSample
from csms.core.quarantine import Quarantined
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.storage.open import open_inline
from tests.support.charges import charges
from tests.support.ocpp import NOW, PARTY, event, meter, rfid, start, stop
from tests.support.ocpp_links import Central, Socket, listening, until

V2 = ("ocpp2.0.1",)


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with listening(open_inline()) as central:
        await central.onboard()
        for uid in ("04A2", "04B3"):
            await central.store.transact(tokens.add, Token(PARTY, "", "rfid", uid, NOW), NOW)
        yield central


async def transactions(central: Central) -> list[Transaction]:
    return await central.store.reader.page(Transaction)


async def only(central: Central) -> Transaction:
    (found,) = await transactions(central)
    return found


async def begun(station: Socket, **fields: Any) -> int:
    number: int = (await station.calls("StartTransaction", start(**fields)))["transactionId"]
    return number


def wh(value: object, **fields: str) -> dict[str, Any]:
    return {"value": str(value), **fields}


async def quarantined(central: Central) -> list[str]:
    return [row.reason for row in await central.store.reader.page(Quarantined)]


# -- 49: phases ------------------------------------------------------------------------------------


async def test_quirk_49_one_phase_alone_and_then_all(central: Central) -> None:
    """Sums of one phase and of three are two meters: their difference was charged by nobody."""
    async with central.connect() as station:
        number = await begun(station, meterStart=0)
        for minute, sampled in (
            (1, [wh(1_000, phase="L1")]),
            (2, [wh(1_100, phase="L1"), wh(1_000, phase="L2"), wh(1_000, phase="L3")]),
            (3, [wh(1_200, phase="L1-N"), wh(1_050, phase="L2-N"), wh(1_050, phase="L3-N")]),
        ):
            at = f"2024-05-01T12:0{minute}:00Z"
            await station.calls("MeterValues", meter(*sampled, at=at, transactionId=number))
        row = await only(central)
        assert (row.energy_wh, row.phases, row.plain_wh) == (3_300, 3, 3_100)
        await station.calls("StopTransaction", stop(number, meterStop=3_300))
    assert (await only(central)).energy_wh == 3_300


async def test_quirk_49_a_phase_that_is_named_twice_counts_once(central: Central) -> None:
    async with central.connect() as station:
        number = await begun(station)
        both = [wh(2_000, phase="L1"), wh(2_000, phase="L1-N")]
        await station.calls("MeterValues", meter(*both, transactionId=number))
    assert (await only(central)).energy_wh == 1_000


# -- 53 to 61: starts and stops --------------------------------------------------------------------


@pytest.mark.parametrize("same_id", [True, False])
async def test_quirk_53_the_same_start_again_and_again(central: Central, same_id: bool) -> None:
    async with central.connect() as station:
        found = set()
        for n in range(4):
            await station.sends([2, "m" if same_id else f"m{n}", "StartTransaction", start()])
            found.add((await station.reads())[2]["transactionId"])
        (number,) = found
        await station.calls("StopTransaction", stop(number))
        # Replayed after the stop: the same charge, and no new one.
        assert await begun(station) == number
    row = await only(central)
    assert (row.open, row.energy_wh) == (False, 2_500)


@pytest.mark.parametrize("lost", [-1, 0, "-1", -7])
async def test_quirk_54_ids_below_1_are_for_what_runs(central: Central, lost: Any) -> None:
    async with central.connect() as station:
        await begun(station)
        await station.calls("MeterValues", meter(wh(2_000), transactionId=lost))
        assert (await only(central)).energy_wh == 1_000
        for _ in range(2):
            assert await station.calls("StopTransaction", stop(lost)) == {}
    row = await only(central)
    assert (row.open, row.energy_wh) == (False, 2_500)


async def test_quirk_55_a_stop_of_nothing_known_is_acknowledged_each_time(
    central: Central,
) -> None:
    async with central.connect() as station:
        for _ in range(3):
            assert await station.calls("StopTransaction", stop(4_711)) == {}
        await charges(central, station)
    assert await quarantined(central) == ["unknown_transaction"]


async def test_quirk_56_two_stops_that_differ(central: Central) -> None:
    async with central.connect() as station:
        number = await begun(station)
        for meter_stop in (3_500, 9_999, 3_500):
            assert await station.calls("StopTransaction", stop(number, meterStop=meter_stop)) == {}
    assert (await only(central)).energy_wh == 2_500
    assert await quarantined(central) == ["differs_from_first_stop"]


async def test_quirk_57_only_the_stop_arrives(central: Central) -> None:
    """The start was lost over a restart: what the stop says is kept where an operator sees it."""
    data = meter(wh(1_000), wh(0))["meterValue"]
    async with central.connect() as station:
        assert await station.calls("StopTransaction", stop(-1, transactionData=data)) == {}
        await charges(central, station)
    (kept,) = await central.store.reader.page(Quarantined)
    assert (kept.kind, kept.reason) == ("stop", "unknown_transaction")
    assert kept.payload["meter_wh"] == 3_500


async def test_quirk_58_values_after_the_stop_and_without_an_id(central: Central) -> None:
    async with central.connect() as station:
        number = await begun(station)
        await station.calls("MeterValues", meter(wh(2_000)))
        assert (await only(central)).energy_wh == 1_000
        await station.calls("StopTransaction", stop(number))
        late = meter(wh(9_000), at="2024-05-01T13:05:00Z", transactionId=number)
        assert await station.calls("MeterValues", late) == {}
    assert (await only(central)).energy_wh == 2_500
    assert await central.store.reader.count(MeterSample) == 2


async def test_quirk_59_values_of_a_transaction_that_nobody_remembers(central: Central) -> None:
    async with central.connect() as station:
        assert await station.calls("MeterValues", meter(wh(5), transactionId=4_711)) == {}
        (sample,) = await central.store.reader.page(MeterSample)
        assert (sample.evse, sample.transaction_id) == (1, 0)
        await charges(central, station)
    assert await quarantined(central) == ["unknown_transaction"]


async def test_quirk_60_a_second_start_on_a_busy_connector(central: Central) -> None:
    async with central.connect() as station:
        first = await begun(station)
        await station.calls("MeterValues", meter(wh(2_000), transactionId=first))
        later = {"idTag": "04B3", "timestamp": "2024-05-01T12:40:00Z", "meterStart": 3_000}
        second = await begun(station, **later)
        old = await central.store.reader.get(Transaction, first)
        assert old is not None
        assert (old.open, old.energy_wh, old.end_kind) == (False, 1_000, "superseded")
        # Its own stop comes late and takes the place of the estimate.
        await station.calls("StopTransaction", stop(first, meterStop=3_000))
        await station.calls("StopTransaction", stop(second, meterStop=4_000))
    assert [row.energy_wh for row in await transactions(central)] == [2_000, 1_000]


async def test_quirk_61_a_charge_that_nobody_was_asked_about(central: Central) -> None:
    """Autostart, and the status before the start."""
    async with central.connect() as station:
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
        assert await station.calls("StatusNotification", status) == {}
        answer = await station.calls("StartTransaction", start(idTag="AUTOSTART"))
        assert answer["idTagInfo"]["status"] == "Invalid"
        await station.calls("StopTransaction", stop(answer["transactionId"]))
    row = await only(central)
    assert (row.energy_wh, row.outcome) == (2_500, "invalid")


# -- 62, 63: registers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meter_stop", "flags"), [(-1, ()), (0, ("stop_below_start",)), (500, ("stop_below_start",))]
)
async def test_quirk_62_a_stop_below_its_start(
    central: Central, meter_stop: int, flags: tuple[str, ...]
) -> None:
    """The samples tell what was charged; nothing is billed twice, and a repetition changes
    nothing."""
    async with central.connect() as station:
        number = await begun(station)
        for minute, value in ((10, 1_500), (30, 3_400)):
            at = f"2024-05-01T12:{minute}:00Z"
            await station.calls("MeterValues", meter(wh(value), at=at, transactionId=number))
        for _ in range(2):
            await station.calls("StopTransaction", stop(number, meterStop=meter_stop))
    row = await only(central)
    assert (row.open, row.energy_wh, row.flags) == (False, 2_400, flags)
    assert await quarantined(central) == []


async def test_quirk_62_without_samples_nothing_is_invented(central: Central) -> None:
    async with central.connect() as station:
        number = await begun(station)
        await station.calls("StopTransaction", stop(number, meterStop=0))
    row = await only(central)
    assert (row.energy_wh, row.flags) == (0, ("register_suspect",))


async def test_quirk_63_samples_count_the_charge_and_stop_the_life(central: Central) -> None:
    async with central.connect() as station:
        number = await begun(station, meterStart=5_000_000)
        for minute, value, energy in ((1, 0, 0), (20, 900, 900), (40, 2_100, 2_100)):
            at = f"2024-05-01T12:{minute:02}:00Z"
            await station.calls("MeterValues", meter(wh(value), at=at, transactionId=number))
            row = await only(central)
            assert (row.energy_wh, row.flags) == (energy, ("register_suspect",))
        await station.calls("StopTransaction", stop(number, meterStop=5_002_500))
    row = await only(central)
    assert (row.energy_wh, row.flags) == (2_500, ())


async def test_quirk_63_a_meter_that_drops_out_and_comes_back(central: Central) -> None:
    async with central.connect() as station:
        number = await begun(station)
        for minute, value in ((10, 1_500), (20, 0), (30, 2_000)):
            at = f"2024-05-01T12:{minute}:00Z"
            await station.calls("MeterValues", meter(wh(value), at=at, transactionId=number))
        assert (await only(central)).energy_wh == 1_000
        await station.calls("StopTransaction", stop(number))
    assert (await only(central)).energy_wh == 2_500


async def test_watt_hours_that_are_called_kilowatt_hours(central: Central) -> None:
    """Beyond what any charger can move in the time nothing is billed, while it runs and after."""
    async with central.connect() as station:
        number = await begun(station)
        for minute, value in ((10, 1_500), (20, 2_000)):
            at = f"2024-05-01T12:{minute}:00Z"
            sampled = wh(value, unit="kWh")
            await station.calls("MeterValues", meter(sampled, at=at, transactionId=number))
            row = await only(central)
            assert (row.energy_wh, row.flags) == (0, ("register_suspect",))
        await station.calls("StopTransaction", stop(number))
    row = await only(central)
    assert row.energy_wh == 2_500
    assert "end_below_reading" in row.flags


# -- 64 to 66 --------------------------------------------------------------------------------------


async def test_quirk_64_a_stop_without_a_token(central: Central) -> None:
    async with central.connect() as station:
        number = await begun(station)
        answer = await station.calls("StopTransaction", stop(number, reason="PowerLoss"))
        assert answer == {}
    row = await only(central)
    assert (row.energy_wh, row.stop_reason, row.stop_token_uid) == (2_500, "PowerLoss", None)


async def test_quirk_65_sparse_events_and_a_replayed_queue(central: Central) -> None:
    """No connector, a number that sticks at 0, the EVSE late, the token at its stop; and a queue
    that brings an ended charge again does not bring it back to life."""
    reports = [
        event("Started", 0, timestamp="2024-05-01T12:00:00Z", idToken=rfid("04A2"), wh=1_000),
        event("Updated", 0, timestamp="2024-05-01T12:20:00Z", evse={"id": 1}, wh=2_000),
        event("Ended", 0, timestamp="2024-05-01T13:00:00Z", idToken=rfid("04B3"), wh=3_500),
    ]
    async with central.connect(subprotocols=V2) as station:
        for report in (*reports, {**reports[1], "offline": True}, *reports):
            await station.calls("TransactionEvent", report)
    row = await only(central)
    assert (row.open, row.energy_wh, row.evse, row.connector) == (False, 2_500, 1, None)
    assert (row.token_uid, row.stop_token_uid) == ("04A2", "04B3")


async def test_quirk_66_an_answer_after_our_time_out(central: Central) -> None:
    noted = []
    central.registry.on_late = lambda command_id, performed: noted.append(command_id)
    async with central.connect() as station:
        lost = await central.link().call("c1", "ClearCache", {}, 0.01)
        assert lost.reason == "timed_out"
        await station.reads()
        await station.sends([3, "c1", {"status": "Accepted"}])
        await until(lambda: noted == ["c1"])
        await charges(central, station)


# -- events and inventories ------------------------------------------------------------------------


async def test_quirk_50_a_status_of_the_whole_station_in_2x(central: Central) -> None:
    whole = {
        "timestamp": "2024-05-01T12:00:00Z",
        "connectorStatus": "Available",
        "evseId": 0,
        "connectorId": 0,
    }
    async with central.connect(subprotocols=V2) as station:
        assert await station.calls("StatusNotification", whole) == {}


async def test_quirk_51_events_and_vendor_data_that_nobody_asked_for(central: Central) -> None:
    async with central.connect() as station:
        for n in range(20):
            asked = {"vendorId": "EVBox", "messageId": "evbStatusNotification", "data": f"{n}"}
            answer = await station.calls("DataTransfer", asked)
            assert answer == {"status": "UnknownVendorId"}
        await station.is_alive()


async def test_quirk_52_available_although_a_charge_runs(central: Central) -> None:
    """A status ends no transaction."""
    async with central.connect() as station:
        number = await begun(station)
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await station.calls("StatusNotification", status)
        assert (await only(central)).open
        await station.calls("StopTransaction", stop(number))
    assert (await only(central)).energy_wh == 2_500
