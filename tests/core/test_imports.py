"""Imports: stations that come over from somewhere else, and may come again."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import imports, policies, stations
from csms.core.availability import Connector
from csms.core.errors import Refused
from csms.core.imports import Outcome, Rehearsed, Result, Row
from csms.core.security import BASIC, Credential
from csms.core.stations import NewStation, Registration, Station
from tests.support.charging import NOW, PARTY, Site


def credential(name: str = "c1", secret: str = "hash", *, weak: bool = False) -> Credential:
    return Credential(name, "", BASIC, "k", secret, NOW, weak=weak)


def row(evses: int = 1, connectors: int = 1, *, party: str = PARTY, **more: Any) -> Row:
    return Row(NewStation("CP-9", party, evses, connectors), **more)


def taken(site: Site, what: Row, shown: Credential | None = None) -> Outcome:
    found: Outcome = site.run(imports.take_in, "n1", what, shown or credential(), NOW)
    return found


def secrets(site: Site) -> list[str]:
    found = site.store.run(lambda tx: tx.find(Credential, "station", "n1"))
    return [one.id for one in found]


def test_a_new_station_with_what_is_known_of_it(site: Site) -> None:
    outcome = taken(site, row(2, 2, vendor="Maker", model="One", serial="S1", given=True))
    assert outcome == Outcome(Result.ADDED, credential_id="c1")
    station = site.get(Station, "n1")
    assert (station.vendor, station.model, station.serial) == ("Maker", "One", "S1")
    assert len(site.store.run(lambda tx: tx.find(Connector, "station", "n1"))) == 4
    assert secrets(site) == ["c1"]


def test_the_same_row_again_changes_nothing(site: Site) -> None:
    taken(site, row(given=True))
    before = site.journal()
    assert taken(site, row(given=True), credential("c2")) == Outcome(Result.UNCHANGED)
    # A new token is for new stations: one that is there has its own.
    assert taken(site, row(), credential("c3", "other")) == Outcome(Result.UNCHANGED)
    assert site.journal() == before
    assert secrets(site) == ["c1"]


def test_what_is_new_is_added_to_a_station_that_is_there(site: Site) -> None:
    taken(site, row(given=True))
    outcome = taken(site, row(1, 2, vendor="Maker", given=True), credential("c2", "other"))
    assert outcome == Outcome(Result.UPDATED, "description, connector 1.2, secret")
    assert secrets(site) == ["c1", "c2"]


def test_what_a_station_says_of_itself_is_truer_than_a_list(site: Site) -> None:
    taken(site, row(vendor="Maker"))
    taken(site, row(vendor="Other", model="Two"))
    station = site.get(Station, "n1")
    assert (station.vendor, station.model) == ("Maker", "Two")


def test_a_weak_secret_needs_its_own_word(site: Site) -> None:
    weak = credential(weak=True)
    with pytest.raises(Refused, match="may be guessed"):
        taken(site, row(given=True), weak)
    assert site.get(Station, "n1") is None
    taken(site, row(given=True, weak_allowed=True), weak)
    assert site.run(policies.of, "n1").exceptions == {"weak_secret": True}


def test_a_word_about_weak_secrets_makes_no_exception_for_a_good_one(site: Site) -> None:
    taken(site, row(given=True, weak_allowed=True))
    assert site.run(policies.of, "n1").exceptions == {}


def test_a_station_of_somebody_else_or_one_that_waits_is_left_alone(site: Site) -> None:
    taken(site, row())
    with pytest.raises(Refused, match="belongs to CA"):
        taken(site, row(party="US*SOM"))
    guest = site.get(Station, "n1")._replace(guest=True, registration=Registration.PENDING)
    site.run(lambda tx: (tx.get(Station, "n1"), tx.save(guest)))
    with pytest.raises(Refused, match="csms station accept CP-9"):
        taken(site, row())


def test_a_rehearsal_says_what_would_be_done_and_does_nothing(site: Site) -> None:
    before = site.journal()
    with pytest.raises(Rehearsed) as caught:
        site.run(imports.rehearse, "n1", row(), credential(), NOW)
    assert caught.value.outcome.result is Result.ADDED
    weak = credential(weak=True)
    with pytest.raises(Refused):
        site.run(imports.rehearse, "n1", row(given=True), weak, NOW)
    assert site.store.run(lambda tx: stations.by_identity(tx, "CP-9")) is None
    assert site.journal() == before
