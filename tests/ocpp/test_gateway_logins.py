"""Logins over real links: secrets that rotate, profiles, proxies with TLS, guests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from csms.core import logins
from csms.core.logins import Profile
from csms.core.security import BASIC, Credential
from csms.core.stations import Station
from csms.ocpp.admission import AdmissionLimits
from csms.storage.open import open_inline
from tests.support.certificates import served, station_context
from tests.support.ocpp import NOW
from tests.support.ocpp_links import KEYRING, Central, Clock, basic, listening


@pytest.fixture
async def central(tmp_path: Path) -> AsyncIterator[Central]:
    async with listening(open_inline(), certificates=served(tmp_path)) as central:
        await central.onboard()
        yield central


async def offered(central: Central, secret: bytes) -> None:
    key_id, hashed = KEYRING.hash(secret)
    new = Credential("c new", "id CS 1", BASIC, key_id, hashed, NOW.replace(year=2025))
    await central.store.transact(logins.offer, new, NOW)


async def status(central: Central, **how: Any) -> int:
    """The HTTP status of an attempt: 101 when it comes in."""
    try:
        async with central.connect(**how) as station:
            await station.is_alive()
            return 101
    except InvalidStatus as error:
        return error.response.status_code


async def test_the_old_secret_is_over_when_the_new_one_was_used(central: Central) -> None:
    """TC_A_09, 1.6 TC_073: with the link, in the same commit."""
    old, new = basic("CS 1", central.secrets["CS 1"]), basic("CS 1", "new secret of CS 1")
    await offered(central, b"new secret of CS 1")
    assert await status(central, authorization=old) == 101
    assert await status(central, authorization=new) == 101
    assert await status(central, authorization=old, wait=False) == 401
    assert await status(central, authorization=new) == 101


async def test_a_lower_profile_is_refused_before_the_upgrade(central: Central) -> None:
    required = Profile.BASIC_OVER_TLS
    await central.store.transact(logins.require_profile, "id CS 1", required, NOW)
    assert await status(central, wait=False) == 403
    assert await status(central, ssl=station_context()) == 101
    assert (await central.station()).profile == 2
    refused = central.metric("csms_handshakes_refused_total", reason="profile_too_low")
    assert refused == 1


@pytest.mark.parametrize(
    ("proxies", "said", "profile"),
    [
        (("127.0.0.1",), "https", 2),
        (("127.0.0.1",), "http, wss", 2),
        (("127.0.0.1",), "http", 1),
        (("127.0.0.1",), "https, http", 1),
        ((), "https", 1),
    ],
)
async def test_a_proxy_that_is_trusted_says_whether_it_speaks_tls(
    proxies: tuple[str, ...], said: str, profile: int
) -> None:
    async with listening(open_inline(), trusted_proxies=proxies) as central:
        await central.onboard()
        headers = [("X-Forwarded-Proto", said), ("X-Forwarded-For", "192.0.2.9")]
        async with central.connect(headers=headers):
            assert (await central.station()).profile == profile


# -- guests ----------------------------------------------------------------------------------------

BOOT = {"chargePointVendor": "v", "chargePointModel": "m"}


async def test_a_guest_is_let_in_and_told_to_wait() -> None:
    """OCPP 1.6 4.2, 2.0.1 B02: everything but what a charge depends on is SecurityError."""
    async with listening(open_inline(), admission=AdmissionLimits(let_in=True)) as central:
        how = {"authorization": basic("new one", "x" * 20), "wait": False}
        async with central.connect("new one", **how) as station:
            answer = await station.calls("BootNotification", BOOT)
            assert answer["status"] == "Pending"
            await station.sends([2, "h", "Heartbeat", {}])
            assert (await station.reads())[:3] == [4, "h", "SecurityError"]
            (guest,) = await central.store.reader.page(Station)
            assert (guest.identity, guest.guest, guest.vendor) == ("new one", True, "v")
        assert guest.booted_at is not None


async def test_a_guest_that_says_too_much_is_cut_off() -> None:
    clock = Clock()
    async with (
        listening(
            open_inline(),
            clock=clock,
            admission=AdmissionLimits(let_in=True),
            link={"guest_calls": 3, "guest_window_s": 60.0},
        ) as central,
        central.connect("new one", authorization=None, wait=False) as station,
    ):
        for _ in range(3):
            await station.calls("BootNotification", BOOT)
        clock.later(seconds=20)
        await station.calls("BootNotification", BOOT)
        await station.sends([2, "b", "BootNotification", BOOT])
        assert await station.closed() == (1008, "too many calls before acceptance")


async def test_a_station_of_the_network_may_say_as_much_as_it_likes(central: Central) -> None:
    async with central.connect() as station:
        for _ in range(200):
            await station.is_alive()
