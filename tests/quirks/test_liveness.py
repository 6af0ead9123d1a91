"""Quirks 12 to 25: logins of the field, and links that die without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import InvalidStatus

from csms.core import logins, security, tokens
from csms.core.quirks import Switches
from csms.core.security import BASIC, Credential
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.storage.open import open_inline
from tests.support.charges import charges
from tests.support.ocpp import NOW, PARTY, start, stop
from tests.support.ocpp_links import KEYRING, Central, basic, listening, until

SECRET = bytes(range(0xE0, 0xF4))


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with listening(open_inline(), close_timeout_s=1.0) as central:
        yield central


@pytest.mark.parametrize("issued", [SECRET, SECRET.hex().encode()])
@pytest.mark.parametrize("sent", [SECRET, SECRET.hex().encode(), SECRET.hex().upper().encode()])
async def test_quirk_12_a_secret_as_bytes_or_as_hex(
    central: Central, issued: bytes, sent: bytes
) -> None:
    await central.onboard(secret=issued)
    async with central.connect(authorization=basic("CS 1", sent)) as station:
        await charges(central, station)


async def test_quirk_13_an_empty_key_is_no_key(central: Central) -> None:
    await central.onboard()
    with pytest.raises(InvalidStatus):
        async with central.connect(authorization=basic("CS 1", ""), wait=False):
            pass


async def test_quirk_13_a_short_key_where_an_admin_allows_it(central: Central) -> None:
    """`73654322`: eight digits from a label."""
    station_id = await central.onboard()
    key_id, hashed = KEYRING.hash(b"73654322")
    short = Credential("c CS 1", station_id, BASIC, key_id, hashed, NOW, weak=True)
    await central.store.transact(security.issue, short, NOW)
    shown = basic("CS 1", "73654322")
    with pytest.raises(InvalidStatus):
        async with central.connect(authorization=shown, wait=False):
            pass
    allowed = {"weak_secret": True}
    await central.store.transact(logins.set_exceptions, station_id, allowed, NOW)
    async with central.connect(authorization=shown) as station:
        await charges(central, station)


async def test_quirk_14_another_user_name_where_an_admin_allows_it(central: Central) -> None:
    station_id = await central.onboard()
    shown = basic("admin", central.secrets["CS 1"])
    with pytest.raises(InvalidStatus):
        async with central.connect(authorization=shown, wait=False):
            pass
    await central.store.transact(logins.set_exceptions, station_id, {"user": "admin"}, NOW)
    async with central.connect(authorization=shown) as station:
        await charges(central, station)


async def test_quirk_15_a_station_that_answers_no_ping() -> None:
    async with listening(open_inline(), ping_interval_s=0.02, ping_timeout_s=0.02) as central:
        await central.onboard(switches={"ping": False})
        async with central.connect() as station:
            for _ in range(3):
                await station.is_alive()
            assert central.link()._websocket.keepalive_task is None
            await charges(central, station)


async def test_quirk_16_silence_is_allowed_for_as_long_as_its_make_needs() -> None:
    limits = {"silent_link_s": 0.1, "close_timeout_s": 1.0}
    async with listening(open_inline(), **limits) as central:
        await central.onboard("CS 1", switches={"ping": False})
        await central.onboard("CS 2", switches={"ping": False, "silent_link_s": 86_400})
        async with central.connect("CS 1") as impatient, central.connect("CS 2") as patient:
            assert (await impatient.closed())[0] == 1001
            await charges(central, patient, "CS 2")


async def test_quirk_17_pings_can_be_taken_from_a_running_link() -> None:
    async with listening(open_inline(), ping_interval_s=0.02) as central:
        await central.onboard()
        async with central.connect() as station:
            await until(lambda: central.link()._websocket.latency > 0)
            link = central.link()
            link.treat(Switches(ping=False))
            await until(link._websocket.keepalive_task.done)
            await charges(central, station)


async def test_quirk_18_19_a_new_connection_takes_the_place_of_a_ghost(central: Central) -> None:
    await central.onboard()
    await central.store.transact(tokens.add, Token(PARTY, "", "rfid", "04A2", NOW), NOW)
    async with central.connect() as ghost:
        number = (await ghost.calls("StartTransaction", start()))["transactionId"]
        async with central.connect() as station:
            assert (await ghost.closed())[0] == 1008
            # The end of the old one is written down late, and touches nothing.
            await until(lambda: len(central.registry) == 1)
            await station.calls("StopTransaction", stop(number))
            assert (await central.station()).node == "node-1"
    (row,) = await central.store.reader.page(Transaction)
    assert row.energy_wh == 2_500


async def test_quirk_20_what_comes_over_a_replaced_socket_is_not_lost(central: Central) -> None:
    """It is sent again over the new one, and counts once."""
    await central.onboard()
    await central.store.transact(tokens.add, Token(PARTY, "", "rfid", "04A2", NOW), NOW)
    async with central.connect() as old, central.connect() as new:
        try:
            await old.sends([2, "late", "StartTransaction", start()])
        except Exception:
            assert await old.closed()
        first = await new.calls("StartTransaction", start())
        again = await new.calls("StartTransaction", start())
        assert first == again
    assert await central.store.reader.count(Transaction) == 1


async def test_quirk_21_a_station_that_answers_no_call_is_made_to_come_back() -> None:
    async with listening(open_inline(), link={"call_timeouts": 2}, close_timeout_s=1.0) as central:
        await central.onboard()
        async with central.connect() as station:
            for n in range(2):
                lost = await central.link().call(f"c{n}", "ClearCache", {}, 0.01)
                assert lost.reason == "timed_out"
            assert await station.closed() == (1008, "no answer to several calls")


async def test_quirk_25_calls_that_cross_are_served(central: Central) -> None:
    """One call of ours at a time; theirs are answered meanwhile."""
    await central.onboard()
    async with central.connect() as station:
        first = asyncio.create_task(central.link().call("a", "ClearCache", {}, 10))
        second = asyncio.create_task(central.link().call("b", "ClearCache", {}, 10))
        assert (await station.reads())[1] == "a"
        await station.is_alive()
        await station.reads_nothing()
        await station.sends([3, "a", {"status": "Accepted"}])
        assert (await station.reads())[1] == "b"
        await station.sends([3, "b", {"status": "Accepted"}])
        await asyncio.gather(first, second)
