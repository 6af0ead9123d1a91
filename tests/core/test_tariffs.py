"""Tariffs: versions that stay, places where they apply, and which one a transaction gets."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import locations, tariffs
from csms.core.errors import NotFound
from csms.core.tariffs import Assignment, Tariff
from tests.core.test_locations import EVSE, HERE
from tests.support.charging import NOW, PARTY, Site, at

FIRST = Tariff(PARTY, "day", 0, "DAY", False, NOW, NOW, "CAD", data={"price": "0.30"})


@pytest.fixture
def place(site: Site) -> Site:
    site.run(locations.put, HERE, [EVSE, EVSE._replace(uid="E-2", uid_key="e-2", evse=2)], at(1))
    return site


def put(site: Site, tariff_id: str = "DAY", **changes: Any) -> Tariff:
    given = FIRST._replace(id=tariff_id, id_key=tariff_id.casefold(), **changes)
    found: Tariff = site.run(tariffs.put, given, at(2))
    return found


def chosen(site: Site, seconds: float = 100, uid: str = "E-1", **more: Any) -> str | None:
    evse = site.run(locations.require_evse, PARTY, uid)
    found = site.run(tariffs.at_start, evse, at(seconds), **more)
    return found.id if found else None


def test_a_tariff_is_replaced_and_its_versions_stay(site: Site) -> None:
    """P12: a session keeps the version that it started with."""
    assert put(site).version == 1
    assert put(site).version == 1
    second = put(site, data={"price": "0.40"})
    assert (second.version, second.current) == (2, True)
    first = site.get(Tariff, PARTY, "day", 1)
    assert (first.data, first.current) == ({"price": "0.30"}, False)
    assert [f["version"] for f in site.facts("tariff_changed")] == [1, 2]


def test_a_retired_tariff_applies_nowhere_and_may_come_back(place: Site) -> None:
    put(place)
    place.run(tariffs.assign, PARTY, "DAY", "LOC-1", None, at(3))
    assert chosen(place) == "DAY"
    place.run(tariffs.retire, PARTY, "day", at(4))
    assert chosen(place) is None
    with pytest.raises(NotFound, match=r"no tariff day of CA\*NTH"):
        place.run(tariffs.retire, PARTY, "day", at(5))
    assert put(place).version == 2
    assert place.get(Tariff, PARTY, "day", 1).data == {"price": "0.30"}


def test_an_evse_has_its_own_tariffs_or_those_of_its_location(place: Site) -> None:
    put(place)
    put(place, "NIGHT")
    place.run(tariffs.assign, PARTY, "DAY", "LOC-1", None, at(3))
    place.run(tariffs.assign, PARTY, "NIGHT", "LOC-1", "E-2", at(4))
    assert (chosen(place), chosen(place, uid="E-2")) == ("DAY", "NIGHT")
    assert place.run(tariffs.unassign, PARTY, "NIGHT", "LOC-1", "E-2", at(5))
    assert not place.run(tariffs.unassign, PARTY, "NIGHT", "LOC-1", "E-2", at(6))
    assert chosen(place, uid="E-2") == "DAY"


def test_no_tariff_is_not_a_free_one(place: Site) -> None:
    assert chosen(place) is None


def test_an_assignment_is_an_update_of_the_place(place: Site) -> None:
    """Connectors name their tariffs (OCPI 2.2.1 Connector.tariff_ids), so they have changed."""
    put(place)
    place.run(tariffs.assign, PARTY, "DAY", "LOC-1", "E-2", at(30))
    assert place.run(locations.require, PARTY, "LOC-1").last_updated == at(30)
    assert place.run(locations.require_evse, PARTY, "E-2").last_updated == at(30)
    assert place.run(locations.require_evse, PARTY, "E-1").last_updated == at(1)
    again = place.run(tariffs.assign, PARTY, "DAY", "LOC-1", "E-2", at(40))
    assert again.created_at == at(30)
    assert place.run(locations.require, PARTY, "LOC-1").last_updated == at(30)
    assert place.get(Assignment, PARTY, "loc-1", "e-2", "day") == again


def test_what_is_retired_is_an_update_of_the_places_where_it_applied(place: Site) -> None:
    """Their connectors name one tariff less (OCPI 2.2.1 Connector.tariff_ids)."""
    put(place)
    place.run(tariffs.assign, PARTY, "DAY", "LOC-1", "E-2", at(30))
    place.run(tariffs.retire, PARTY, "DAY", at(40))
    assert place.run(locations.require, PARTY, "LOC-1").last_updated == at(40)
    assert place.run(locations.require_evse, PARTY, "E-2").last_updated == at(40)
    assert place.run(locations.require_evse, PARTY, "E-1").last_updated == at(1)
    assert [f["evse_uid"] for f in place.facts("location_changed")][-2:] == ["E-2", "E-2"]


@pytest.mark.parametrize(
    ("tariff", "location", "uid"),
    [("NO", "LOC-1", None), ("DAY", "LOC-9", None), ("DAY", "LOC-1", "E-9")],
)
def test_what_does_not_exist_cannot_be_assigned(
    place: Site, tariff: str, location: str, uid: str | None
) -> None:
    put(place)
    with pytest.raises(NotFound):
        place.run(tariffs.assign, PARTY, tariff, location, uid, at(3))


def test_a_validity_window_includes_its_start_and_not_its_end(place: Site) -> None:
    """OCPI 2.2.1 mod_tariffs: both ids are assigned, and one follows the other by itself."""
    put(place, "OLD", ends_at=at(100))
    put(place, "NEW", starts_at=at(100))
    for tariff_id in ("OLD", "NEW"):
        place.run(tariffs.assign, PARTY, tariff_id, "LOC-1", None, at(3))
    assert [chosen(place, s) for s in (99, 100, 101)] == ["OLD", "NEW", "NEW"]


def test_the_tariff_of_the_kind_goes_before_the_one_for_all(place: Site) -> None:
    """OCPI 2.2.1 mod_tariffs, TariffType: omitted means for all sessions."""
    put(place, "ANY")
    put(place, "CARD", kind="REGULAR")
    put(place, "PAY", kind="AD_HOC_PAYMENT")
    for tariff_id in ("ANY", "CARD", "PAY"):
        place.run(tariffs.assign, PARTY, tariff_id, "LOC-1", None, at(3))
    assert chosen(place) == "CARD"
    assert chosen(place, kinds=("AD_HOC_PAYMENT",)) == "PAY"
    assert chosen(place, kinds=("PROFILE_GREEN", "REGULAR")) == "CARD"
    assert chosen(place, kinds=("PROFILE_GREEN",)) == "ANY"


def test_of_two_that_fit_the_one_valid_since_the_latest_counts(place: Site) -> None:
    put(place, "A", starts_at=at(10))
    put(place, "B", starts_at=at(20))
    put(place, "C")
    for tariff_id in "ABC":
        place.run(tariffs.assign, PARTY, tariff_id, "LOC-1", None, at(3))
    assert [chosen(place, s) for s in (5, 15, 25)] == ["C", "A", "B"]
