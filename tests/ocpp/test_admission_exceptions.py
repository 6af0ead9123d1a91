"""Who may open a link: security profiles, exceptions, stations that may wait (rules 4.7, 4.8)."""

from __future__ import annotations

import pytest

from csms.core import logins, stations
from csms.core.ids import Origin
from csms.core.logins import Login, Profile
from csms.core.stations import Station
from csms.ocpp.admission import Admission, Admitted, Denial
from tests.support.admission import HEX, Door
from tests.support.ocpp import NOW, PARTY
from tests.support.ocpp_links import KEYRING

# -- security profiles -----------------------------------------------------------------------------


async def test_the_profile_is_what_the_link_shows() -> None:
    """OCPP 2.0.1 A00: basic authentication without TLS is 1, with TLS 2."""
    door = Door()
    for secure, profile in ((False, Profile.BASIC), (True, Profile.BASIC_OVER_TLS)):
        found = await door.knocks("CS 1", password=HEX, secure=secure)
        assert isinstance(found, Admitted)
        assert found.login == Login(profile, "c-CS 1")


async def test_a_lower_profile_than_is_required_is_refused_and_journaled() -> None:
    """A00.FR.002; after an upgrade A05.FR.09."""
    door = Door()
    door.store.run(logins.require_profile, "CS 1", Profile.BASIC_OVER_TLS, NOW)
    assert await door.knocks("CS 1", password=HEX) == Denial(403, "profile_too_low", "CS 1")
    # Who does not know the secret is not told which profile there is.
    assert await door.knocks("CS 1", password="x") == Denial(401, "wrong_password", "CS 1")
    assert isinstance(await door.knocks("CS 1", password=HEX, secure=True), Admitted)
    reasons = [reason for _, reason, _ in await door.refusals()]
    assert reasons == ["profile_too_low", "wrong_password"]


# -- exceptions ------------------------------------------------------------------------------------


async def test_a_foreign_user_name_where_it_is_allowed() -> None:
    """Quirk 14: for this station, and for no other."""
    door = Door()
    door.store.run(logins.set_exceptions, "CS 1", {"user": "admin"}, NOW)
    for user in ("admin", "CS 1"):
        assert isinstance(await door.knocks("CS 1", user, HEX), Admitted)
    assert await door.knocks("CS 1", "root", HEX) == Denial(401, "wrong_user", "CS 1")
    assert await door.knocks("CS 2", "admin", "other secret") == Denial(401, "wrong_user", "CS 2")


async def test_a_weak_secret_where_it_is_allowed() -> None:
    """Quirk 13: `73654322`."""
    door = Door()
    door.give("CS 1", b"73654322", weak=True)
    assert await door.knocks("CS 1", password="73654322") == Denial(401, "weak_secret", "CS 1")
    door.store.run(logins.set_exceptions, "CS 1", {"weak_secret": True}, NOW)
    assert isinstance(await door.knocks("CS 1", password="73654322"), Admitted)


@pytest.mark.parametrize(
    ("address", "comes_in"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.1.2.3", False), ("nowhere", False)],
)
async def test_no_secret_from_a_network_where_it_is_allowed(address: str, comes_in: bool) -> None:
    door = Door()
    door.store.run(logins.set_exceptions, "CS 1", {"no_auth": ["10.0.0.0/8"]}, NOW)
    for password in (None, "", "wrong"):
        found = await door.knocks("CS 1", password=password, address=address)
        assert isinstance(found, Admitted) is comes_in
        if isinstance(found, Admitted):
            assert found.login == Login(Profile.NO_SECRET, None)
    # A right secret is worth what it is worth, wherever it comes from.
    right = await door.knocks("CS 1", password=HEX, address=address)
    assert isinstance(right, Admitted)
    assert right.login.profile is Profile.BASIC


async def test_an_exception_does_not_go_below_the_required_profile() -> None:
    door = Door()
    door.store.run(logins.set_exceptions, "CS 1", {"no_auth": ["10.0.0.0/8"]}, NOW)
    door.store.run(logins.require_profile, "CS 1", Profile.BASIC, NOW)
    denied = await door.knocks("CS 1", address="10.1.2.3")
    assert denied == Denial(403, "profile_too_low", "CS 1")


# -- unknown stations that may wait ----------------------------------------------------------------


async def test_an_unknown_station_may_wait_where_it_is_allowed() -> None:
    """Quarantine that lets in and answers Pending, instead of refusing (OCPP 2.0.1 PICS AQ-16)."""
    door = Door(let_in=True)
    found = await door.knocks("stranger", password="a secret of its own")
    assert isinstance(found, Admitted)
    assert (found.station.registration, found.station.guest) == ("pending", True)
    assert found.station.party_id == PARTY
    again = await door.knocks("stranger", password="a secret of its own", secure=True)
    assert isinstance(again, Admitted)
    assert again.station.id == found.station.id
    assert again.login.profile is Profile.BASIC_OVER_TLS
    assert "stranger" in await door.listed()


async def test_nobody_else_comes_under_the_name_of_a_guest() -> None:
    door = Door(let_in=True)
    await door.knocks("stranger", password="73654322")
    assert isinstance(await door.knocks("stranger", password="73654322"), Admitted)
    for password in ("another", None, ""):
        denial = await door.knocks("stranger", password=password)
        assert isinstance(denial, Denial)
        assert denial.status == 401
    assert await door.knocks("other", "stranger", "x") == Denial(401, "wrong_user", "other")


async def test_a_guest_without_a_secret_is_let_in_as_what_it_is() -> None:
    found = await Door(let_in=True).knocks("stranger")
    assert isinstance(found, Admitted)
    assert found.login == Login(Profile.NO_SECRET, None)


async def test_guests_are_bounded_and_those_that_are_offline_make_room() -> None:
    door = Door(let_in=True, guests=2)
    for n in range(3):
        assert isinstance(await door.knocks(f"stranger {n}", minutes=n), Admitted)
    waiting = await door.store.reader.page(Station, {"guest": True})
    assert {guest.identity for guest in waiting} == {"stranger 1", "stranger 2"}
    for guest in waiting:
        origin = Origin(guest.id, guest.identity, "1.6", NOW)
        door.store.run(stations.link_opened, origin, "node", "192.0.2.7")
    denied = await door.knocks("stranger 4", minutes=5)
    assert denied == Denial(503, "too_many_guests", "stranger 4")
    assert isinstance(await door.knocks("stranger 1"), Admitted)


async def test_a_flood_of_guests_is_turned_away_without_a_trace() -> None:
    door = Door(let_in=True, knocks=2)
    found = [await door.knocks(f"stranger {n}") for n in range(5)]
    assert [isinstance(one, Admitted) for one in found] == [True, True, False, False, False]
    assert await door.store.reader.count(Station, {"guest": True}) == 2


async def test_a_guest_is_a_stranger_again_when_none_may_wait_any_more() -> None:
    door = Door(let_in=True)
    await door.knocks("stranger", password="a secret of its own")
    door.admission = Admission(door.store, KEYRING)
    denial = await door.knocks("stranger", password="a secret of its own")
    assert denial == Denial(404, "unknown_station", "stranger")
