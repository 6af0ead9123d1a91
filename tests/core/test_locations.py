"""Locations: OCPI 2.2.1 mod_locations, as far as a station's reports and an operator reach it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from csms.core import locations, stations
from csms.core.availability import ConnectorReport
from csms.core.errors import AlreadyExists, NotFound, Refused
from csms.core.locations import Location, LocationEvse
from csms.core.occupancy import Lifecycle, Status
from tests.support.charging import NOW, PARTY, Site, at, origin

GRACE = timedelta(minutes=5)
HERE = Location(
    PARTY, "loc-1", "LOC-1", NOW, NOW, "1 Main St", "Montréal", "CAN", "45.5", "-73.6", "UTC"
)
EVSE = LocationEvse(PARTY, "e-1", "E-1", "", NOW, NOW, station_id="s1", evse=1)


@dataclass
class Place:
    """A location with an EVSE that station s1 serves."""

    site: Site

    def evse(self, uid: str = "E-1") -> LocationEvse:
        found: LocationEvse = self.site.run(locations.require_evse, PARTY, uid)
        return found

    def location(self) -> Location:
        found: Location = self.site.run(locations.require, PARTY, "loc-1")
        return found

    def say(self, status: str, seconds: float, evse: int = 1) -> Any:
        connector = 1 if evse else 0
        report = ConnectorReport(evse, connector, status, at(seconds))
        return self.site.run(locations.record, origin(seconds), report)

    def changes(self) -> int:
        return self.site.journal().count("location_changed")


@pytest.fixture
def place(site: Site) -> Place:
    site.run(locations.put, HERE, [EVSE], at(1))
    return Place(site)


def test_a_location_keeps_what_was_said_of_it(place: Place) -> None:
    assert place.location() == HERE._replace(created_at=at(1), last_updated=at(1))
    assert place.evse()[:4] == (PARTY, "e-1", "E-1", "loc-1")


def test_saying_the_same_again_changes_nothing(place: Place) -> None:
    before = place.location(), place.evse(), place.changes()
    place.site.run(locations.put, HERE, [EVSE], at(100))
    assert (place.location(), place.evse(), place.changes()) == before


def test_a_replaced_location_keeps_its_birthday_and_its_evses(place: Place) -> None:
    place.site.run(locations.put, HERE._replace(city="Laval"), [], at(100))
    after = place.location()
    assert (after.city, after.created_at, after.last_updated) == ("Laval", at(1), at(100))
    assert place.evse().lifecycle == Lifecycle.ACTIVE


def test_ids_compare_without_regard_to_case(place: Place) -> None:
    """OCPI CiString: two ids that differ in case are one."""
    assert place.site.run(locations.require, PARTY, "LoC-1").id == "LOC-1"
    with pytest.raises(NotFound, match="no location LOC-2"):
        place.site.run(locations.require, PARTY, "LOC-2")


def test_a_status_moves_up_the_chain(place: Place) -> None:
    """M1: the update of an EVSE is an update of its location."""
    place.say("available", 50)
    assert place.evse().status == Status.AVAILABLE
    assert place.evse().last_updated == place.location().last_updated == at(50)
    (fact,) = place.site.facts("location_changed")[-1:]
    assert (fact["evse_uid"], fact["status"], fact["station_id"]) == ("E-1", "available", "s1")


def test_an_unchanged_status_is_no_change(place: Place) -> None:
    place.say("charging", 50)
    before = place.evse(), place.location(), place.changes()
    place.say("charging", 60)
    place.say("suspended_ev", 70)
    assert (place.evse(), place.location(), place.changes()) == before


def test_an_older_clock_does_not_move_a_location_back(place: Place) -> None:
    place.site.run(locations.put, HERE._replace(city="Laval"), [], at(100))
    place.say("available", 50)
    assert place.location().last_updated == at(100)


def test_a_status_told_by_an_older_clock_is_no_older(place: Place) -> None:
    """Nodes' clocks differ by seconds, and partners take what is older than what they know for
    outdated: the last status would never arrive."""
    place.say("available", 50)
    place.say("charging", 47)
    assert (place.evse().status, place.evse().last_updated) == (Status.CHARGING, at(50))
    place.site.run(locations.put, HERE._replace(city="Laval"), [], at(100))
    place.site.run(locations.put, HERE._replace(city="Montreal"), [], at(97))
    assert (place.location().city, place.location().last_updated) == ("Montreal", at(100))


def test_the_station_as_a_whole_counts_for_all_its_evses(place: Place) -> None:
    second = EVSE._replace(uid="E-2", uid_key="e-2", evse=2)
    place.site.run(locations.put, HERE, [second], at(2))
    place.say("available", 10)
    place.say("available", 11, evse=2)
    place.say("faulted", 12, evse=0)
    assert place.evse().status == place.evse("E-2").status == Status.OUT_OF_ORDER


def test_a_station_that_counts_connectors_from_0_is_understood(place: Place) -> None:
    """Connector 1 was said to be there when the station was added, and is never heard of; that the
    station itself is available says nothing of an EVSE."""
    place.say("unknown", 5)
    place.say("available", 6, evse=0)
    assert place.evse().status == Status.UNKNOWN
    for seconds, status, published in (
        (10, "available", Status.AVAILABLE),
        (20, "occupied", Status.CHARGING),
        (30, "faulted", Status.OUT_OF_ORDER),
    ):
        report = ConnectorReport(1, 0, status, at(seconds))
        place.site.run(locations.record, origin(seconds), report)
        assert place.evse().status == published


def test_reports_of_a_station_that_stands_nowhere_are_kept_as_ever(place: Place) -> None:
    assert place.say("available", 10, evse=2).status == "available"
    assert place.evse().status == Status.UNKNOWN


# -- link loss -------------------------------------------------------------------------------------


def test_a_lost_link_counts_after_the_grace(place: Place) -> None:
    """Users' complaint 40: a station shown as available for 15 minutes after its power went."""
    site = place.site
    station = site.run(stations.link_opened, origin(5), "node", "192.0.2.1")
    place.say("available", 10)
    site.run(stations.link_closed, "s1", station.generation, at(19), at(20), "lost")
    assert site.run(locations.refresh, "s1", at(20) + GRACE - timedelta(seconds=1), GRACE) == 0
    assert place.evse().status == Status.AVAILABLE
    assert site.run(locations.refresh, "s1", at(20) + GRACE, GRACE) == 1
    assert place.evse().status == Status.UNKNOWN
    assert site.run(locations.refresh, "s1", at(20) + GRACE, GRACE) == 0
    site.run(stations.link_opened, origin(1_000), "node", "192.0.2.1")
    assert site.run(locations.refresh, "s1", at(1_000), GRACE) == 1
    assert place.evse().status == Status.AVAILABLE


def test_an_operator_who_edits_within_the_grace_publishes_no_loss(place: Place) -> None:
    site = place.site
    place.say("available", 10)
    site.run(locations.change_evse, PARTY, "E-1", at(30), evse_id="CA*NTH*E1")
    assert place.evse().status == Status.AVAILABLE


# -- what is told of a change --


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"operative": False}, "inoperative"),
        ({"station_id": "s2", "evse": 1}, "unknown"),
        ({"evse_id": "CA*NTH*E1"}, None),
        ({"connectors": [{"id": "1"}]}, None),
        ({"data": {"capabilities": ["RFID_READER"]}}, None),
        ({"lifecycle": Lifecycle.PLANNED}, None),
        ({"evse_id": "CA*NTH*E1", "operative": False}, None),
    ],
)
def test_a_status_is_told_alone_only_where_nothing_else_changed(
    place: Place, changes: Any, status: str | None
) -> None:
    """Who is told of a status alone does not look at the rest."""
    place.say("available", 10)
    place.site.run(locations.change_evse, PARTY, "E-1", at(20), **changes)
    assert place.site.facts("location_changed")[-1]["status"] == status


def test_a_new_evse_is_told_as_a_whole(place: Place) -> None:
    place.site.run(locations.put, HERE, [EVSE._replace(uid="E-2", uid_key="e-2", evse=2)], at(2))
    assert place.site.facts("location_changed")[-1]["status"] is None


# -- operators -------------------------------------------------------------------------------------


def test_out_of_service_is_published_and_taken_back(place: Place) -> None:
    place.say("available", 10)
    place.site.run(locations.change_evse, PARTY, "E-1", at(20), operative=False)
    assert place.evse().status == Status.INOPERATIVE
    place.say("charging", 30)
    assert place.evse().status == Status.CHARGING
    place.say("available", 40)
    assert place.evse().status == Status.INOPERATIVE
    place.site.run(locations.change_evse, PARTY, "E-1", at(50), operative=True)
    assert place.evse().status == Status.AVAILABLE


def test_a_swapped_station_leaves_the_uid_alone(place: Place) -> None:
    """4.12: evse.uid derives from neither the station's id nor its identity."""
    place.say("available", 10)
    place.site.run(locations.change_evse, PARTY, "E-1", at(20), station_id="s2", evse=2)
    after = place.evse()
    assert (after.uid, after.station_id, after.evse) == ("E-1", "s2", 2)
    assert after.status == Status.UNKNOWN
    place.say("charging", 30)
    assert place.evse() == after


def test_one_evse_of_a_station_serves_one_place(place: Place) -> None:
    with pytest.raises(AlreadyExists, match="EVSE 1 of station CS-s1 serves the EVSE E-1"):
        place.site.run(locations.put, HERE, [EVSE._replace(uid="E-2", uid_key="e-2")], at(2))


def test_a_station_of_somebody_else_serves_nothing_here(place: Place) -> None:
    theirs = stations.NewStation("THEIRS", "US*OTH")
    place.site.run(stations.onboard, "s9", theirs, NOW)
    with pytest.raises(Refused, match=r"belongs to US\*OTH"):
        place.site.run(locations.change_evse, PARTY, "E-1", at(2), station_id="s9", evse=1)
    with pytest.raises(NotFound):
        place.site.run(locations.change_evse, PARTY, "E-1", at(2), station_id="s8", evse=1)


def test_a_removed_evse_stays_as_removed_and_frees_its_station(place: Place) -> None:
    """M2: nothing is deleted; the status says REMOVED."""
    place.say("charging", 10)
    gone = place.site.run(locations.remove_evse, PARTY, "E-1", at(20))
    assert (gone.status, gone.station_id) == (Status.REMOVED, None)
    assert place.location().last_updated == at(20)
    assert place.site.run(locations.remove_evse, PARTY, "E-1", at(30)) == gone
    with pytest.raises(Refused, match="is removed"):
        place.site.run(locations.change_evse, PARTY, "E-1", at(40), operative=False)
    place.site.run(locations.put, HERE, [EVSE._replace(uid="E-2", uid_key="e-2")], at(50))
    assert place.evse("E-2").station_id == "s1"


def test_an_evse_does_not_move_to_another_location(place: Place) -> None:
    other = HERE._replace(id="LOC-2", id_key="loc-2")
    with pytest.raises(Refused, match="belongs to another location"):
        place.site.run(locations.put, other, [EVSE], at(2))


def test_a_planned_evse_is_planned_until_it_is_active(place: Place) -> None:
    planned = EVSE._replace(
        uid="E-2", uid_key="e-2", station_id=None, evse=None, lifecycle=Lifecycle.PLANNED
    )
    place.site.run(locations.put, HERE, [planned], at(2))
    assert place.evse("E-2").status == Status.PLANNED
    changes = {"lifecycle": Lifecycle.ACTIVE, "station_id": "s1", "evse": 2}
    place.site.run(locations.change_evse, PARTY, "E-2", at(3), **changes)
    place.say("available", 4, evse=2)
    assert place.evse("E-2").status == Status.AVAILABLE
