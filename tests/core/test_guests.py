"""Guests: stations that came by themselves, until somebody accepts them."""

from __future__ import annotations

import pytest

from csms.core import guests, policies, stations
from csms.core.errors import AlreadyExists, Refused
from csms.core.security import BASIC, Credential
from csms.core.stations import BootReport, NewStation, Registration, Station, UnknownStation
from tests.support.charging import NOW, PARTY, Site, at, origin


def credential(name: str, *, weak: bool = False, seconds: float = 0) -> Credential:
    return Credential(name, "g1", BASIC, "k", f"hash of {name}", at(seconds), weak=weak)


def welcomed(site: Site, shown: Credential | None = None, identity: str = "G-1") -> Station:
    guest = Station("g1", identity, PARTY, Registration.NEW, NOW)
    site.run(stations.knock, identity, "192.0.2.1", NOW)
    found: Station = site.run(guests.welcome, guest, shown, NOW)
    return found


def held(site: Site) -> list[str]:
    found = site.store.run(lambda tx: tx.find(Credential, "station", "g1"))
    return [row.id for row in found]


def accepted(site: Site, *, keep_weak: bool = False) -> bool:
    new = credential("new", seconds=5)
    done: bool = site.run(guests.take_over, "g1", "CA*NTH", at(5), new, keep_weak=keep_weak)
    return done


def test_a_guest_is_told_to_wait(site: Site) -> None:
    guest = welcomed(site, credential("shown"))
    assert (guest.guest, guest.registration) == (True, "pending")
    assert site.run(stations.boot, origin(1, "g1"), BootReport("v", "m")) == "pending"
    # The same station again is the same guest.
    assert welcomed(site).id == "g1"
    assert held(site) == ["shown"]


def test_a_guest_that_is_accepted_keeps_its_good_secret(site: Site) -> None:
    welcomed(site, credential("shown"))
    assert accepted(site) is False
    assert held(site) == ["shown"]
    station = site.get(Station, "g1")
    assert (station.guest, station.registration, station.party_id) == (False, "accepted", "CA*NTH")
    assert site.get(UnknownStation, "G-1") is None
    assert site.facts("station_onboarded")[-1]["identity"] == "G-1"


def test_a_weak_secret_works_until_the_new_one_was_used_and_people_see_it(site: Site) -> None:
    welcomed(site, credential("shown", weak=True))
    assert accepted(site) is True
    assert held(site) == ["new", "shown"]
    assert site.run(policies.of, "g1").exceptions == {"weak_secret": True}


def test_a_weak_secret_may_be_kept(site: Site) -> None:
    welcomed(site, credential("shown", weak=True))
    assert accepted(site, keep_weak=True) is False
    assert held(site) == ["shown"]
    assert site.run(policies.of, "g1").exceptions == {"weak_secret": True}


def test_a_guest_without_a_secret_gets_one(site: Site) -> None:
    welcomed(site)
    assert accepted(site, keep_weak=True) is True
    assert held(site) == ["new"]
    assert site.run(policies.of, "g1").exceptions == {}


def test_only_guests_are_taken_over(site: Site) -> None:
    with pytest.raises(Refused, match="station of the network already"):
        site.run(guests.take_over, "s1", "CA*NTH", NOW, credential("new"))


def test_a_guest_cannot_be_added_or_accepted_in_passing(site: Site) -> None:
    welcomed(site)
    with pytest.raises(AlreadyExists, match="waits: csms station accept G-1"):
        site.run(stations.onboard, "g2", NewStation("G-1", PARTY), NOW)
    with pytest.raises(Refused, match="csms station accept G-1"):
        site.run(stations.change, "g1", NOW, registration=Registration.ACCEPTED)
    site.run(stations.change, "g1", NOW, registration=Registration.REJECTED)


def test_a_guest_that_is_offline_makes_room(site: Site) -> None:
    welcomed(site, credential("shown"))
    other = Station("g2", "G-2", PARTY, Registration.NEW, NOW)
    site.run(guests.welcome, other, None, NOW, ("g1",))
    assert site.get(Station, "g1") is None
    assert held(site) == []


def test_neither_a_guest_with_a_link_nor_another_station_is_put_out(site: Site) -> None:
    welcomed(site)
    site.run(stations.link_opened, origin(1, "g1"), "n", "192.0.2.1")
    assert site.run(guests.forget, "g1") is False
    assert site.run(guests.forget, "s1") is False
    assert site.get(Station, "g1") is not None
