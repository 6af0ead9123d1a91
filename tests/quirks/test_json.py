"""Quirks 8, 37 to 48: messages that are broken or bent, as the bytes that stations send.

Everything goes through a real link over the inline store; the transaction survives with the right
energy, and the link stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from csms.core import tokens
from csms.core.availability import Connector
from csms.core.metering import MeterSample
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.storage.open import open_inline
from tests.support.charges import charges
from tests.support.ocpp import NOW, PARTY
from tests.support.ocpp_links import Central, Socket, listening


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with listening(open_inline()) as central:
        await central.onboard()
        await central.store.transact(tokens.add, Token(PARTY, "", "rfid", "04A2", NOW), NOW)
        yield central


async def said(station: Socket, frame: bytes | str) -> Any:
    """The answer to a frame with the id "q"."""
    await station.sends(frame if isinstance(frame, str) else frame.decode())
    kind, message_id, *rest = await station.reads()
    assert message_id == "q"
    return rest[0] if kind == 3 else rest


async def transactions(central: Central) -> list[Transaction]:
    return await central.store.reader.page(Transaction)


async def only(central: Central) -> Transaction:
    (found,) = await transactions(central)
    return found


START = (
    '[2,"q","StartTransaction",{"connectorId":1,"idTag":"04A2","meterStart":1000,'
    '"timestamp":"2024-05-01T12:00:00Z"}]'
)


async def started(station: Socket) -> int:
    answer = await said(station, START)
    assert answer["idTagInfo"]["status"] == "Accepted"
    number: int = answer["transactionId"]
    return number


def stop(number: int, **changed: str) -> str:
    """A StopTransaction after 2,500 Wh; `changed` are fields as they are written."""
    fields = {
        "transactionId": str(number),
        "meterStop": "3500",
        "timestamp": '"2024-05-01T13:00:00Z"',
        **changed,
    }
    inside = ",".join(f'"{name}":{text}' for name, text in fields.items() if text != "absent")
    return f'[2,"q","StopTransaction",{{{inside}}}]'


def meter(number: int | str, sampled: str, at: str = "2024-05-01T12:30:00Z") -> str:
    return (
        f'[2,"q","MeterValues",{{"connectorId":1,"transactionId":{number},'
        f'"meterValue":[{{"timestamp":"{at}","sampledValue":[{sampled}]}}]}}]'
    )


async def test_quirk_8_16_messages_on_a_201_link(central: Central) -> None:
    async with central.connect(subprotocols=("ocpp2.0.1",)) as station:
        boot = '{"chargePointVendor":"FoxESS","chargePointModel":"A022KP1"}'
        assert (await said(station, f'[2,"q","BootNotification",{boot}]'))["status"] == "Accepted"
        status = '{"connectorId":1,"errorCode":"NoError","status":"Charging"}'
        assert await said(station, f'[2,"q","StatusNotification",{status}]') == {}
        number = await started(station)
        assert await said(station, meter(number, '{"value":"2000"}')) == {}
        assert (await only(central)).energy_wh == 1_000
        assert await said(station, stop(number)) == {}
        await station.is_alive()
    row = await only(central)
    assert (row.open, row.energy_wh, row.evse) == (False, 2_500, 1)
    assert (await central.station()).vendor == "FoxESS"
    assert (await central.violations())["foreign_version"] == 5


@pytest.mark.parametrize(
    "at",
    [
        "2024-05-01T12:30:00",
        "2024-05-01T22:30:00+1000",
        "2024-05-01T14:30:00+02",
        "2024-05-01 12:30:00",
    ],
)
async def test_quirk_37_times_without_or_with_odd_zones(central: Central, at: str) -> None:
    async with central.connect() as station:
        number = await started(station)
        assert await said(station, meter(number, '{"value":"2000"}', at)) == {}
        await said(station, stop(number))
    (sample,) = await central.store.reader.page(MeterSample)
    assert sample.at.isoformat() == "2024-05-01T12:30:00+00:00"
    assert (await only(central)).energy_wh == 2_500


@pytest.mark.parametrize(
    "clock", ["1970-01-01T00:00:03Z", "0001-01-01T00:00:00Z", "yesterday", "2034-01-01T00:00:00Z"]
)
async def test_quirk_38_clocks_that_were_never_set(central: Central, clock: str) -> None:
    async with central.connect() as station:
        answer = await said(station, START.replace("2024-05-01T12:00:00Z", clock))
        again = await said(station, START.replace("2024-05-01T12:00:00Z", clock))
        assert again == answer, "it was sent again, because the answer was lost"
        await said(station, stop(answer["transactionId"], timestamp=f'"{clock}"'))
    row = await only(central)
    assert (row.open, row.energy_wh, row.started_at) == (False, 2_500, NOW)
    assert "clock_suspect" in row.flags


async def test_quirk_39_our_times_are_plain(central: Central) -> None:
    async with central.connect() as station:
        answer = await said(station, '[2,"q","Heartbeat",{}]')
        assert answer["currentTime"] == "2024-05-01T12:00:00Z"
        await charges(central, station)


@pytest.mark.parametrize("value", ["2000", "2000.0", "2e3", '" 2000"', '"2000 "', '"2.0E3"'])
async def test_quirks_40_41_numbers_as_numbers_and_with_spaces(
    central: Central, value: str
) -> None:
    async with central.connect() as station:
        number = await started(station)
        assert await said(station, meter(number, f'{{"value":{value}}}')) == {}
    assert (await only(central)).energy_wh == 1_000


async def test_quirk_42_a_key_without_its_value(central: Central) -> None:
    """lbbrhzn/ocpp#2032: the values are for what is running on the connector."""
    async with central.connect() as station:
        number = await started(station)
        assert await said(station, meter("", '{"value":"2000"}')) == {}
        assert (await only(central)).energy_wh == 1_000
        assert await said(station, stop(number, transactionId="")) == {}
    assert (await only(central)).energy_wh == 2_500
    assert (await central.violations())["mended_json"] == 2


@pytest.mark.parametrize(
    "sampled", [',{"value":"2000"}', '{"value":"2000"},', ',,{"value":"2000"},']
)
async def test_quirk_42_commas_that_lead_and_trail(central: Central, sampled: str) -> None:
    async with central.connect() as station:
        number = await started(station)
        assert await said(station, meter(number, sampled)) == {}
        assert (await only(central)).energy_wh == 1_000
    assert await central.violations() == {"mended_json": 1}


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
async def test_quirk_42_brackets_that_never_close(central: Central, missing: int) -> None:
    async with central.connect() as station:
        number = await started(station)
        whole = meter(number, '{"value":"2000"}')
        assert await said(station, whole[:-missing]) == {}
        assert (await only(central)).energy_wh == 1_000
        await station.is_alive()


async def test_quirk_42_half_a_number_is_never_billed(central: Central) -> None:
    async with central.connect() as station:
        number = await started(station)
        whole = stop(number, timestamp="absent")
        cut = whole[: whole.index("3500") + 2]
        code, words, _ = await said(station, cut)
        assert (code, words) == ("FormationViolation", "not json")
        row = await only(central)
        assert (row.open, row.energy_wh) == (True, 0)
        assert await said(station, stop(number)) == {}
    assert (await only(central)).energy_wh == 2_500


async def test_quirk_42_only_where_a_charge_depends_on_it(central: Central) -> None:
    async with central.connect() as station:
        answer = await said(station, '[2,"q","DataTransfer",{"vendorId":"x","data":,}]')
        assert answer[:2] == ["FormationViolation", "not json"]
        await station.is_alive()


async def test_quirk_43_words_that_nobody_knows(central: Central) -> None:
    sampled = (
        '{"value":"5","measurand":"Request.Energy"},{"value":"50.01","measurand":"Frequency",'
        '"unit":"Hz"},{"value":"41","measurand":"Temperature","unit":"Celcius"},{"value":"2000"}'
    )
    async with central.connect() as station:
        number = await started(station)
        assert await said(station, meter(number, sampled)) == {}
        await said(station, stop(number))
    (row,) = await central.store.reader.page(MeterSample)
    assert "Request.Energy" in row.readings
    assert "Celcius" in row.readings
    assert (await only(central)).energy_wh == 2_500


async def test_quirk_43_known_words_in_other_capitals(central: Central) -> None:
    status = '{"connectorId":1,"errorCode":"noerror","status":"charging"}'
    sampled = '{"value":"2.0","measurand":"energy.active.import.register","unit":"KWH"}'
    async with central.connect() as station:
        assert await said(station, f'[2,"q","StatusNotification",{status}]') == {}
        number = await started(station)
        assert await said(station, meter(number, sampled)) == {}
        assert (await only(central)).energy_wh == 1_000
        await said(station, stop(number, reason='"evdisconnected"'))
    row = await only(central)
    assert (row.open, row.energy_wh, row.stop_reason) == (False, 2_500, "EVDisconnected")
    found = await central.store.reader.page(Connector, {"evse": 1})
    assert [c.status for c in found] == ["charging"]
    assert await central.violations() == {"respelled": 3}


@pytest.mark.parametrize("shown", ["04A2\\u0010\\u000e", "04A2\x10\x0e", "04A2", " 04a2 "])
async def test_quirk_44_control_bytes_behind_a_token(central: Central, shown: str) -> None:
    """lbbrhzn/ocpp#2030: refusing the stop keeps the car charging."""
    async with central.connect() as station:
        number = await started(station)
        answer = await said(station, stop(number, idTag=f'"{shown}"'))
        assert answer["idTagInfo"]["status"] == "Accepted"
    row = await only(central)
    assert (row.open, row.energy_wh) == (False, 2_500)


async def test_quirk_44_texts_over_their_length(central: Central) -> None:
    async with central.connect() as station:
        number = await started(station)
        long = "0123456789ABCDEF01234-"
        answer = await said(station, stop(number, idTag=f'"{long}"'))
        assert answer["idTagInfo"]["status"] == "Invalid"
        info = f'"connectorId":1,"errorCode":"NoError","status":"Available","info":"{"i" * 90}"'
        assert await said(station, f'[2,"q","StatusNotification",{{{info}}}]') == {}
    assert (await only(central)).energy_wh == 2_500


@pytest.mark.parametrize("shown", [" 04 A2", "04 a2", "0 4 A 2 "])
async def test_quirk_45_spaces_inside_a_token(central: Central, shown: str) -> None:
    async with central.connect() as station:
        answer = await said(station, START.replace("04A2", shown))
        assert answer["idTagInfo"]["status"] == "Accepted"
        assert await said(station, stop(answer["transactionId"], idTag=f'"{shown}"')) != {}
    assert (await only(central)).energy_wh == 2_500


async def test_quirk_45_no_token_at_all(central: Central) -> None:
    async with central.connect() as station:
        answer = await said(station, START.replace('"idTag":"04A2",', ""))
        assert await said(station, stop(answer["transactionId"])) == {}
    assert (await only(central)).energy_wh == 2_500


async def test_quirk_46_fields_that_there_are_none_of(central: Central) -> None:
    async with central.connect() as station:
        answer = await said(station, '[2,"q","Authorize",{"idTag":"04A2","connectorId":1}]')
        assert answer["idTagInfo"]["status"] == "Accepted"
        number = await started(station)
        more = {"connectorId": "1", "disconnectReason": '"x"'}
        assert await said(station, stop(number, **more)) == {}
    assert (await only(central)).energy_wh == 2_500
    assert (await central.violations())["unknown_field_dropped"] == 2


async def test_quirk_47_zeros_and_empty_lists_for_nothing(central: Central) -> None:
    async with central.connect() as station:
        answer = await said(station, START[:-2] + ',"reservationId":0}]')
        assert (await only(central)).reservation_id is None
        assert await said(station, stop(answer["transactionId"], transactionData="[]")) == {}
    assert (await only(central)).energy_wh == 2_500


@pytest.mark.parametrize("wire_id", [str(2**63 - 1), str(2**31), '"9223372036854775807"', '"x"'])
async def test_quirk_48_an_id_that_was_never_ours(central: Central, wire_id: str) -> None:
    """The stop is acknowledged and kept; what is running is somebody else's."""
    async with central.connect() as station:
        number = await started(station)
        assert await said(station, stop(0, transactionId=wire_id)) == {}
        assert (await only(central)).open
        assert await said(station, stop(number)) == {}
    row = await only(central)
    assert (row.open, row.energy_wh) == (False, 2_500)


# -- what a station is told ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code", "words"),
    [
        ('[2,"q","Authorize",{}]', "OccurenceConstraintViolation", "/idTag: is missing"),
        ('[2,"q","DataTransfer",{}]', "OccurenceConstraintViolation", "/vendorId: is missing"),
        ('[2,"q","Sing",{}]', "NotImplemented", "Sing: no action of OCPP 1.6"),
        ('[2,"q","Reset",{"type":"Hard"}]', "NotSupported", "Reset: not a call that a station"),
    ],
)
async def test_a_refusal_says_what_is_wrong(
    central: Central, frame: str, code: str, words: str
) -> None:
    async with central.connect() as station:
        said_code, said_words, _ = await said(station, frame)
    assert said_code == code
    assert said_words.startswith(words)


@pytest.mark.parametrize("text", ["x\\ud800y", "x\\u0000y"])
async def test_json_that_no_database_can_hold_is_json(central: Central, text: str) -> None:
    async with central.connect() as station:
        frame = (
            f'[2,"q","BootNotification",{{"chargePointVendor":"{text}","chargePointModel":"m"}}]'
        )
        assert (await said(station, frame))["status"] == "Accepted"
    assert (await central.station()).vendor in ("x?y", "xy")


async def test_a_link_that_ends_over_a_size_says_so() -> None:
    async with listening(open_inline(), max_message_bytes=4_096) as central:
        await central.onboard()
        async with central.connect() as station:
            await station.sends("[" + " " * 5_000)
            assert (await station.closed())[0] == 1009
        rows: list[Any] = []
        async with asyncio.timeout(10):
            while not rows:
                await asyncio.sleep(0)
                found = await central.store.reader.journal(0, 100)
                rows = [row for row in found if row.kind == "station_disconnected"]
        assert "a message over the limit" in rows[0].data
        assert await central.violations() == {"message_too_large": 1}
