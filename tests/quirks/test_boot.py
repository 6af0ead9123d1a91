"""Quirks 26 to 36: booting and configuration, as stations do it, over a real link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from csms.core.availability import Connector
from csms.core.commands import Command, Kind, Status
from csms.core.quirks import Catalogue, Entry
from csms.core.stations import Registration
from csms.core.transactions import Transaction
from csms.storage.open import open_inline
from tests.support.charges import card, charges
from tests.support.ocpp import NOW, start, stop
from tests.support.ocpp_links import WITHIN_S, Central, Socket, listening, until

BOOT = {"chargePointVendor": "Maker", "chargePointModel": "One"}


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with listening(open_inline()) as central:
        yield central


def wish(kind: Kind, **parameters: Any) -> Command:
    return Command("c1", 7, "id CS 1", kind.value, parameters, "sent", NOW, "test")


async def noted() -> None:
    """Whoever notes that a command goes out now."""


def perform(central: Central, command: Command) -> asyncio.Task[Any]:
    return asyncio.create_task(central.registry.perform(command, WITHIN_S, noted))


async def answers(station: Socket, payload: Any) -> list[Any]:
    """Answer the call that comes next; what was asked."""
    asked = await station.reads()
    await station.sends([3, asked[1], payload])
    found: list[Any] = asked
    return found


async def test_quirk_26_no_boot_after_a_reconnect(central: Central) -> None:
    """The accepted state outlives the socket, and so does what was charging."""
    await central.onboard()
    await card(central)
    async with central.connect() as station:
        await station.calls("BootNotification", BOOT)
        number = (await station.calls("StartTransaction", start()))["transactionId"]
    await until(lambda: central.link() is None)
    async with central.connect() as station:
        await station.calls("StopTransaction", stop(number))
    (row,) = await central.store.reader.page(Transaction)
    assert row.energy_wh == 2_500


async def test_quirk_27_a_boot_is_not_triggered_where_it_restarts_the_station(
    central: Central,
) -> None:
    await central.onboard(switches={"trigger_boot": False})
    async with central.connect() as station:
        done = await perform(central, wish(Kind.TRIGGER, message="boot"))
        assert done.status is Status.REJECTED
        assert "switch trigger_boot" in done.detail
        await station.reads_nothing()
        await charges(central, station)


async def test_quirk_28_no_call_before_its_boot_is_answered(central: Central) -> None:
    await central.onboard(switches={"settle_s": 600})
    async with central.connect() as station:
        done = perform(central, wish(Kind.RESET))
        await station.is_alive()
        assert not done.done()
        await station.calls("BootNotification", BOOT)
        asked = await answers(station, {"status": "Accepted"})
        assert asked[2] == "Reset"
        assert (await done).status is Status.ACCEPTED
        await charges(central, station)


async def test_quirk_28_what_waits_ends_with_its_link(central: Central) -> None:
    await central.onboard(switches={"settle_s": 600})
    async with central.connect():
        done = perform(central, wish(Kind.RESET))
        await until(lambda: central.link()._settling is not None)
    with pytest.raises(Exception, match="the link ended before it was sent"):
        await done


async def test_quirk_28_a_station_that_never_boots_is_called_in_the_end(central: Central) -> None:
    await central.onboard()
    async with central.connect() as station:
        link = central.link()
        link.treat(replace(link.switches, settle_s=1))
        done = perform(central, wish(Kind.RESET))
        await charges(central, station)
        await answers(station, {"status": "Accepted"})
        assert (await done).status is Status.ACCEPTED


@pytest.mark.parametrize(
    ("switch", "asked_for"),
    [
        ("all", {"requestedMessage": "StatusNotification", "connectorId": 1}),
        ("global", {"requestedMessage": "StatusNotification"}),
        ("none", None),
    ],
)
async def test_quirk_29_triggers_as_far_as_they_work(
    central: Central, switch: str, asked_for: Any
) -> None:
    await central.onboard(switches={"trigger": switch})
    async with central.connect() as station:
        done = perform(central, wish(Kind.TRIGGER, message="status", evse=1))
        if asked_for is not None:
            assert (await answers(station, {"status": "Accepted"}))[3] == asked_for
        assert (await done).status is (Status.ACCEPTED if asked_for else Status.REJECTED)
        await charges(central, station)


async def test_quirk_30_our_interval_is_never_0(central: Central) -> None:
    """0 makes some stations send heartbeats without a pause; a pending one asks again later."""
    for registration in (Registration.ACCEPTED, Registration.PENDING, Registration.REJECTED):
        identity = registration.value
        await central.onboard(identity, registration=registration)
        async with central.connect(identity) as station:
            assert (await station.calls("BootNotification", BOOT))["interval"] >= 60
            told = "Accepted" if registration is Registration.ACCEPTED else "Invalid"
            await charges(central, station, identity, status=told)


async def test_quirk_31_names_over_their_length(central: Central) -> None:
    await central.onboard(registration=None)
    long = {
        "chargePointVendor": "Schneider Electric of Rueil-Malmaison",
        "chargePointModel": "M" * 33,
        "chargeBoxSerialNumber": "EVB1A22P2RI3N182341200100350795E5",
    }
    async with central.connect() as station:
        assert (await station.calls("BootNotification", long))["status"] == "Accepted"
        await charges(central, station)
    row = await central.station()
    assert row.serial == long["chargeBoxSerialNumber"]
    assert row.vendor == "Schneider Electric o"


async def test_quirk_32_empty_texts_for_nothing(central: Central) -> None:
    await central.onboard(registration=None)
    empty = {**BOOT, "iccid": "", "imsi": "", "meterSerialNumber": "", "chargePointVendor": ""}
    async with central.connect() as station:
        assert (await station.calls("BootNotification", empty))["status"] == "Accepted"
        await charges(central, station)
    assert (await central.station()).model == "One"


@pytest.mark.parametrize(
    "result",
    [
        '{"configurationKey":[{"key":"a","readonly":"false","value":5},{"key":"b"}]}',
        '{"configurationKey":[{"key":"a","readonly":true,"value":"1"},],"unknownKey":[]}',
        '{"configurationKey":[]}',
    ],
)
async def test_quirk_33_results_of_odd_shape_reach_who_asked(central: Central, result: str) -> None:
    await central.onboard()
    asks = wish(Kind.CALL, action="GetConfiguration", payload={})
    async with central.connect() as station:
        done = perform(central, asks)
        asked = await station.reads()
        await station.sends(f'[3,"{asked[1]}",{result}]')
        found = await done
        assert found.status is Status.ACCEPTED
        assert "configurationKey" in found.result
        await charges(central, station)


async def test_quirk_33_half_a_result_ends_the_call_and_not_the_link(central: Central) -> None:
    await central.onboard()
    async with central.connect() as station:
        done = perform(central, wish(Kind.CALL, action="GetConfiguration", payload={}))
        asked = await station.reads()
        await station.sends(f'[3,"{asked[1]}",{{"configurationKey":[{{"key":"a","val')
        assert (await done).status is Status.FAILED
        await charges(central, station)


async def test_quirk_36_no_status_after_a_reconnect(central: Central) -> None:
    """What is not known is said to be unknown; nothing is guessed from an old link."""
    await central.onboard()
    async with central.connect() as station:
        await station.is_alive()
        found = await central.store.reader.page(Connector)
        assert {c.status for c in found} == {"unknown"}
        await charges(central, station)


async def test_what_is_known_of_a_make_holds_for_the_running_link() -> None:
    """Quirk 15: after its first boot it gets no more pings."""
    known = Catalogue((Entry("e", "EN+", "*", "*", {"ping": False}, "a/b#1"),))
    async with listening(open_inline(), catalogue=known) as central:
        await central.onboard(registration=None)
        async with central.connect() as station:
            assert central.link().pinged
            await station.calls("BootNotification", {**BOOT, "chargePointVendor": "EN+"})
            await until(lambda: not central.link().pinged)
            keepalive = central.link()._websocket.keepalive_task
            await until(keepalive.done)
            await station.is_alive()
