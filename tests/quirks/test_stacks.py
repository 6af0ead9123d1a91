"""What independent stacks of clients do, byte for byte over real sockets: a charge comes out right
whatever they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from csms.core.availability import Connector
from csms.core.metering import MeterSample
from csms.core.transactions import Transaction
from csms.storage.open import open_inline
from tests.support.charges import card, charges
from tests.support.conformance import VALID, Network, network
from tests.support.conformance import until as until_true
from tests.support.conformance_2 import CHARGED_WH, Station2
from tests.support.ocpp import event, meter, rfid, start, stop
from tests.support.ocpp_links import Central, Socket, listening, until

V2 = ("ocpp2.0.1",)
STARTED, HALFWAY, ENDED = (f"2024-05-01T{at}:00Z" for at in ("12:00", "12:30", "13:00"))


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with listening(open_inline()) as central:
        await central.onboard()
        await card(central)
        yield central


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Network]:
    """A whole central system that asks by itself, soon."""
    ocpp = {"port": 0, "host": "127.0.0.1", "settle_s": 0.02, "contact_again_s": 0.05}
    async with network(tmp_path, ocpp=ocpp) as found:
        yield found


async def only(central: Central) -> Transaction:
    (found,) = await central.store.reader.page(Transaction)
    return found  # type: ignore[no-any-return]


async def answer_to(station: Socket, message_id: object, frame: str) -> Any:
    await station.sends(frame)
    kind, answered, payload = await station.reads()
    assert (kind, answered) == (3, message_id)
    return payload


# -- 2, 4: calls that cross, and answers that are none ---------------------------------------------


async def test_stack_2_a_start_comes_before_the_answer_to_ours(central: Central) -> None:
    """A read loop that waits for an answer deadlocks here."""
    async with central.connect() as station:
        payload = {"idTag": "04A2", "connectorId": 1}
        ours = asyncio.create_task(
            central.link().call("ours", "RemoteStartTransaction", payload, 10)
        )
        assert (await station.reads())[1] == "ours"
        told = await station.calls("Authorize", {"idTag": "04A2"})
        assert told["idTagInfo"]["status"] == "Accepted"
        await charges(central, station)
        await station.sends([3, "ours", {"status": "Accepted"}])
        assert (await ours).payload == {"status": "Accepted"}


@pytest.mark.parametrize(
    "refusal",
    [
        '[4,"-1","NotImplemented","",{}]',
        '[4,-1,"NotSupported","no such action",{}]',
    ],
)
async def test_stack_4_an_unknown_action_is_refused_with_an_id_that_is_none(
    central: Central, refusal: str
) -> None:
    async with central.connect() as station:
        ours = asyncio.create_task(central.link().call("ours", "GetLocalListVersion", {}, 10))
        assert (await station.reads())[1] == "ours"
        await station.sends(refusal)
        assert (await ours).wire_code == json.loads(refusal)[2]
        await charges(central, station)


async def test_stack_4_an_unknown_action_is_never_answered(central: Central) -> None:
    async with central.connect() as station:
        number = (await station.calls("StartTransaction", start()))["transactionId"]
        lost = await central.link().call("ours", "GetLocalListVersion", {}, 0.01)
        assert lost.reason == "timed_out"
        assert (await station.reads())[1] == "ours"
        await station.calls("StopTransaction", stop(number))
    assert (await only(central)).energy_wh == 2_500


async def test_stack_4_a_client_ends_over_an_unknown_action(central: Central) -> None:
    async with central.connect() as station:
        number = (await station.calls("StartTransaction", start()))["transactionId"]
        ours = asyncio.create_task(central.link().call("ours", "GetLocalListVersion", {}, 10))
        assert (await station.reads())[1] == "ours"
    assert (await ours).reason == "closed"
    async with central.connect() as station:
        await station.calls("StopTransaction", stop(number))
    assert (await only(central)).energy_wh == 2_500


# -- 5: remote starts ------------------------------------------------------------------------------


@pytest.mark.parametrize("trace", ["number", "token", "nothing"])
async def test_stack_5_a_charge_begins_long_after_its_remote_start(
    whole: Network, trace: str
) -> None:
    """Accepted, then other things happen, then a car comes: told by the number alone, by the token
    alone, or by neither, where only the charge itself is recorded."""
    async with whole.link("ocpp2.0.1") as wire:
        wire.background = {
            "GetBaseReport": {"status": "NotSupported"},
            "TriggerMessage": {"status": "Rejected"},
        }
        station = Station2(wire)
        await station.boots()
        asked = whole.operator.asks("start_charging", token=VALID, evse=1)
        await until_true(lambda: not wire._queue("RequestStartTransaction").empty())
        message_id, payload = wire._queue("RequestStartTransaction").get_nowait()
        await wire._answer(message_id, "RequestStartTransaction", {"status": "Accepted"})
        assert await asked.outcome() == ("accepted", None)
        await station.calls("Heartbeat")
        for evse in (2, 1):
            await station.reports("Occupied", evse)
        info = {"remoteStartId": payload["remoteStartId"]} if trace == "number" else {}
        token = VALID if trace == "token" else None
        value = station.meter_value("Transaction.Begin")
        await station.event(
            "Started", "CablePluggedIn", place=True, info=info, token=token, meterValue=[value]
        )
        station.energy_flows()
        await station.ends("EVCommunicationLost", "EVDisconnected")
    found = await whole.operator.transaction()
    assert (found["open"], found["energy_wh"]) == (False, CHARGED_WH)
    assert (found["command_id"] is not None) == (trace != "nothing")


# -- 6, 7: readings --------------------------------------------------------------------------------


async def test_stack_6_samples_that_stand_alone_and_an_end_without_anything(
    central: Central,
) -> None:
    """seqNo stays 0, each event says `offline`, `Ended` has no evse, no token and no meter."""
    reading = {"timestamp": ENDED, "sampledValue": [{"value": 3_500}]}
    first = event("Started", 0, timestamp=STARTED, evse={"id": 1}, idToken=rfid("04A2"), wh=1_000)
    last = event("Ended", 0, timestamp=ENDED)
    async with central.connect(subprotocols=V2) as station:
        await station.calls("TransactionEvent", {**first, "offline": True})
        assert await station.calls("MeterValues", {"evseId": 1, "meterValue": [reading]}) == {}
        await station.calls("TransactionEvent", {**last, "offline": True})
    row = await only(central)
    assert (row.open, row.evse, row.token_uid, row.energy_wh) == (False, 1, "04A2", 2_500)


@pytest.mark.parametrize(
    "sampled",
    [
        '{"value":"2.0000000000000001","unit":"kWh"}',
        '{"value":"1999.9999999999998","unit":"Wh"}',
        '{"value":"2000"}',
        '{"value":"2000.0","unit":""}',
        '{"value":"2.000","unit":"kWh","measurand":"Energy.Active.Import.Register"}',
    ],
)
async def test_stack_7_kilowatt_hours_in_samples_and_watt_hours_in_the_stop(
    central: Central, sampled: str
) -> None:
    async with central.connect() as station:
        number = (await station.calls("StartTransaction", start()))["transactionId"]
        values = meter(json.loads(sampled), transactionId=number)
        assert await station.calls("MeterValues", values) == {}
        assert (await only(central)).energy_wh == 1_000
        await station.calls("StopTransaction", stop(number))
    assert (await only(central)).energy_wh == 2_500


async def test_stack_7_clock_aligned_values_of_the_whole_station(central: Central) -> None:
    """Connector 0 is the main meter, and none of a charge's."""
    aligned = {"value": "9000000", "context": "Sample.Clock"}
    async with central.connect() as station:
        number = (await station.calls("StartTransaction", start()))["transactionId"]
        assert await station.calls("MeterValues", meter(aligned, connectorId=0)) == {}
        assert (await only(central)).energy_wh == 0
        await station.calls("StopTransaction", stop(number))
    assert (await only(central)).energy_wh == 2_500
    (sample,) = await central.store.reader.page(MeterSample)
    assert (sample.evse, sample.transaction_id) == (0, 0)


async def test_stack_7_a_status_without_a_time(central: Central) -> None:
    async with central.connect() as station:
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
        assert await station.calls("StatusNotification", status) == {}
        await charges(central, station)
    found = await central.store.reader.page(Connector, {"evse": 1})
    assert [(c.status, c.received_at) for c in found] == [("charging", central.clock.now)]


# -- 8: inventories --------------------------------------------------------------------------------


def part(request_id: int, seq: int, **more: Any) -> dict[str, Any]:
    """A NotifyReport with one variable."""
    item = {
        "component": {"name": f"Component{seq}"},
        "variable": {"name": "Enabled"},
        "variableAttribute": [{"value": "true"}],
    }
    about = {"requestId": request_id, "generatedAt": STARTED, "seqNo": seq}
    return {**about, "reportData": [item], **more}


@pytest.mark.parametrize(
    ("seqs", "tbc", "inventory"),
    [
        ((0, 1, 2), {"tbc": False}, "complete"),
        ((0, 1, 2), {}, "complete"),
        ((2,), {"tbc": False}, "requested"),
    ],
    ids=["told", "no-tbc", "only-the-last"],
)
async def test_stack_8_an_inventory_in_parts(
    whole: Network, seqs: tuple[int, ...], tbc: dict[str, bool], inventory: str
) -> None:
    """All of it, all of it without a word of what follows, or the last part alone, which is kept
    and not taken for all; the charge beside it is none the worse."""
    async with whole.link("ocpp2.0.1") as wire:
        wire.background = {"TriggerMessage": {"status": "Rejected"}}
        station = Station2(wire)
        await station.boots()
        await until_true(lambda: not wire._queue("GetBaseReport").empty())
        message_id, asked = wire._queue("GetBaseReport").get_nowait()
        await wire._answer(message_id, "GetBaseReport", {"status": "Accepted"})
        await station.charges()
        for seq in seqs:
            more = {"tbc": True} if tbc and seq != 2 else tbc
            assert await station.calls("NotifyReport", part(asked["requestId"], seq, **more)) == {}
        await station.leaves()
        shown = await whole.operator.sends("GET", "/stations/CP-1/configuration")
    assert shown["inventory"] == inventory
    assert [v["name"] for v in shown["variables"]] == [f"Component{seq}/Enabled" for seq in seqs]
    found = await whole.operator.transaction()
    assert (found["open"], found["energy_wh"]) == (False, CHARGED_WH)


# -- 9, 10: ids of any form, queues that come late -------------------------------------------------


@pytest.mark.parametrize(
    "wire_id",
    ["0f" * 17, "6f1c0b3e-7a55-4d5e-9a30-0d7f3a2b9c11", "{6F1C0B3E-7A55-4D5E-9A30}", "1", "ÄÖ #/?"],
)
async def test_stack_9_transaction_ids_of_any_form(central: Central, wire_id: str) -> None:
    info = {"transactionId": wire_id}
    async with central.connect(subprotocols=V2) as station:
        for report in (
            event("Started", 0, timestamp=STARTED, info=info, evse={"id": 1}, wh=1_000),
            event("Updated", 1, timestamp=HALFWAY, info=info, wh=2_000),
            event("Ended", 2, timestamp=ENDED, info=info, wh=3_500),
        ):
            await station.calls("TransactionEvent", report)
    row = await only(central)
    assert (row.wire_id, row.open, row.energy_wh) == (wire_id, False, 2_500)


@pytest.mark.parametrize("message_id", ["17", '"17"', '"not-a-uuid-at-all"', '"{0}"'])
async def test_stack_9_message_ids_of_any_form_and_spaces_after_commas(
    central: Central, message_id: str
) -> None:
    echoed = json.loads(message_id)
    async with central.connect(compression="deflate") as station:
        frame = f'[2, {message_id}, "StartTransaction", {json.dumps(start(), indent=1)}]'
        number = (await answer_to(station, echoed, frame))["transactionId"]
        frame = f' [ 2 , {message_id} , "StopTransaction" , {json.dumps(stop(number))} ] \r\n'
        await answer_to(station, echoed, frame)
    assert (await only(central)).energy_wh == 2_500


async def test_stack_9_a_close_without_a_code(central: Central) -> None:
    """An empty close frame: the charge goes on, and the next link is like any other."""
    async with central.connect(path="/steve/websocket/CentralSystemService/CS%201") as station:
        number = (await station.calls("StartTransaction", start()))["transactionId"]
        # Fin and opcode 8; masked, no payload.
        station.connection.transport.write(b"\x88\x80\0\0\0\0")
        assert (await station.closed())[0] in (1000, 1005)
    await until(lambda: central.link() is None)
    async with central.connect() as station:
        await station.calls("StopTransaction", stop(number))
    assert (await only(central)).energy_wh == 2_500


async def test_stack_10_a_queue_that_comes_half_a_minute_after_an_outage(central: Central) -> None:
    """Old times count, and what was said before the outage and is said again counts once."""
    queue = [
        event("Started", 0, timestamp=STARTED, evse={"id": 1}, idToken=rfid("04A2"), wh=1_000),
        event("Updated", 1, timestamp=HALFWAY, offline=True, wh=2_000),
        event("Ended", 2, timestamp=ENDED, offline=True, wh=3_500),
    ]
    async with central.connect(subprotocols=V2) as station:
        await station.calls("TransactionEvent", queue[0])
    await until(lambda: central.link() is None)
    central.clock.later(hours=1, seconds=34)
    for _ in range(2):
        async with central.connect(subprotocols=V2) as station:
            for report in queue:
                await station.calls("TransactionEvent", report)
    row = await only(central)
    assert (row.open, row.energy_wh) == (False, 2_500)
    assert f"{row.started_at:%H:%M} {row.ended_at:%H:%M}" == "12:00 13:00"
    assert await central.store.reader.count(MeterSample) == 3
