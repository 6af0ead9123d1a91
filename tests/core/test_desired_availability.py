"""Desired availability: the newest wish decides, and outlives links (OCPP 2.0.1 G03, 1.6 5.2)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import availability, commands, desired_availability, locations
from csms.core.availability import ConnectorReport
from csms.core.commands import Kind, Status
from csms.core.desired_availability import AGAIN, BY_ITSELF, DesiredAvailability, State
from csms.core.errors import Refused
from tests.core.test_locations import EVSE, HERE
from tests.support.charging import PARTY, Site, at, origin

LATER = AGAIN.total_seconds()


def wish(site: Site, name: str, seconds: float = 0, by: str = "me", **parameters: Any) -> None:
    given = {"available": False, **parameters}
    site.run(commands.submit, name, "s1", Kind.SET_AVAILABILITY, given, by, at(seconds))


def ends(site: Site, name: str, status: Status, seconds: float = 1, **facts: Any) -> None:
    site.run(commands.finish, name, status, at(seconds), **facts)


def wishes(site: Site) -> list[tuple[int, int, bool, str]]:
    found = site.store.run(lambda tx: tx.find(DesiredAvailability, "station", "s1"))
    return [(w.evse, w.connector, w.available, w.state) for w in found]


def due(
    site: Site, seconds: float, tried: dict[tuple[int, int], float] | None = None
) -> list[tuple[int, int]]:
    """`tried`: the station was here all the time, and was told these by itself then."""
    lately = None if tried is None else {place: at(when) for place, when in tried.items()}
    found = site.run(desired_availability.due, "s1", at(seconds), lately)
    return [(w.evse, w.connector) for w in found]


def reports(site: Site, status: str, evse: int = 1, seconds: float = 0) -> None:
    report = ConnectorReport(evse, 1, status, at(seconds))
    site.run(availability.record, origin(seconds), report)


def published(site: Site) -> tuple[str, str]:
    rows = [site.run(locations.require_evse, PARTY, uid) for uid in ("E-1", "E-2")]
    return rows[0].status, rows[1].status


def test_what_shall_not_be_used_is_published_before_the_station_says_so(site: Site) -> None:
    """Drivers are not sent there, and a station that is told only after the charge says nothing."""
    second = EVSE._replace(uid="E-2", uid_key="e-2", evse=2)
    site.run(locations.put, HERE, [EVSE, second], at(0))
    for number in (1, 2):
        report = ConnectorReport(number, 1, "available", at(1))
        site.run(locations.record, origin(1), report)
    assert published(site) == ("available", "available")
    wish(site, "c1", 10, evse=1)
    assert published(site) == ("inoperative", "available")
    ends(site, "c1", Status.ACCEPTED, 11, result={"status": "Scheduled"})
    assert published(site) == ("inoperative", "available")
    wish(site, "c2", 20)
    assert published(site) == ("inoperative", "inoperative")
    wish(site, "c3", 30, evse=2, connector=1, available=True)
    assert published(site) == ("inoperative", "available")
    # What a station refuses goes on.
    ends(site, "c2", Status.REJECTED, 40, result={"status": "Rejected"})
    assert published(site) == ("available", "available")


def test_a_wish_is_remembered_with_whoever_had_it(site: Site) -> None:
    wish(site, "c1", evse=2)
    row = site.get(DesiredAvailability, "s1", 2, 0)
    assert row == DesiredAvailability(
        "s1", 2, 0, False, at(0), "me", State.WANTED, at(0), "c1", None
    )


@pytest.mark.parametrize(
    ("status", "facts", "state"),
    [
        (Status.ACCEPTED, {"result": {"status": "Accepted"}}, State.TAKEN),
        (Status.ACCEPTED, {"result": {"status": "Scheduled"}, "detail": "Scheduled"}, State.TAKEN),
        (Status.REJECTED, {"result": {"status": "Rejected"}, "detail": "Rejected"}, State.REFUSED),
        (Status.FAILED, {"result": {"error_code": "NotSupported"}}, State.REFUSED),
        (Status.FAILED, {"detail": "the station is not connected"}, State.WANTED),
        (Status.TIMED_OUT, {}, State.WANTED),
        (Status.UNKNOWN, {}, State.WANTED),
    ],
    ids=str,
)
def test_what_an_answer_makes_of_it(
    site: Site, status: Status, facts: dict[str, Any], state: State
) -> None:
    wish(site, "c1")
    ends(site, "c1", status, **facts)
    assert wishes(site) == [(0, 0, False, state)]
    # Only what did not reach the station is due when it comes back, and then at once.
    assert due(site, 2) == ([(0, 0)] if state is State.WANTED else [])


def test_a_wish_that_is_being_told_is_not_told_twice(site: Site) -> None:
    wish(site, "c1")
    assert due(site, 2) == []
    assert due(site, LATER) == [(0, 0)]


def test_the_newest_wish_about_a_place_decides(site: Site) -> None:
    wish(site, "c1", evse=1)
    wish(site, "c2", evse=1, available=True)
    ends(site, "c1", Status.ACCEPTED, result={"status": "Accepted"})
    assert wishes(site) == [(1, 0, True, State.WANTED)]


def test_a_wide_wish_takes_the_place_of_the_narrow_ones_inside(site: Site) -> None:
    wish(site, "c1", evse=1, connector=1)
    wish(site, "c2", evse=2)
    wish(site, "c3", evse=1)
    assert [w[:2] for w in wishes(site)] == [(1, 0), (2, 0)]
    wish(site, "c4", available=True)
    assert [w[:3] for w in wishes(site)] == [(0, 0, True)]


def test_a_narrow_wish_stands_beside_the_wide_one_and_is_told_after_it(site: Site) -> None:
    wish(site, "c1", available=True)
    wish(site, "c2", evse=2, connector=1)
    for name in ("c1", "c2"):
        ends(site, name, Status.TIMED_OUT)
    assert due(site, 2) == [(0, 0), (2, 1)]


def test_what_a_station_lost_is_told_again_but_not_again_and_again(site: Site) -> None:
    """After a restart it reports as free what it had taken out of use."""
    wish(site, "c1", evse=1)
    ends(site, "c1", Status.ACCEPTED, result={"status": "Accepted"})
    reports(site, "unavailable")
    assert due(site, LATER) == []
    reports(site, "available", seconds=LATER)
    reports(site, "available", evse=2, seconds=LATER)
    assert due(site, LATER) == [(1, 0)]
    wish(site, "c2", LATER, BY_ITSELF, evse=1)
    row = site.get(DesiredAvailability, "s1", 1, 0)
    assert (row.requested_by, row.since, row.command_id) == ("me", at(0), "c2")
    ends(site, "c2", Status.ACCEPTED, LATER + 1, result={"status": "Accepted"})
    assert due(site, LATER + 60) == []
    assert due(site, 2 * LATER) == [(1, 0)]


def test_of_a_station_that_stayed_what_it_did_not_answer_is_due_after_a_while(site: Site) -> None:
    """Some restart when they are told: the link that stays is no reason to tell it at once."""
    wish(site, "c1", evse=1)
    ends(site, "c1", Status.TIMED_OUT, 30)
    assert due(site, 31, {}) == []
    assert due(site, LATER - 1, {}) == []
    assert due(site, LATER, {}) == [(1, 0)]
    # Told again by itself, it says nothing again.
    wish(site, "c2", LATER, BY_ITSELF, evse=1)
    ends(site, "c2", Status.TIMED_OUT, LATER + 30)
    assert due(site, LATER + 31, {(1, 0): LATER}) == []
    assert due(site, 2 * LATER, {(1, 0): LATER}) == [(1, 0)]
    assert due(site, LATER + 31) == [(1, 0)], "it came back"


def test_of_a_station_that_stayed_what_it_has_is_not_due(site: Site) -> None:
    wish(site, "c1", evse=1)
    ends(site, "c1", Status.ACCEPTED, result={"status": "Accepted"})
    wish(site, "c2", evse=2)
    ends(site, "c2", Status.REJECTED, result={"status": "Rejected"})
    reports(site, "unavailable")
    reports(site, "available", evse=2)
    assert due(site, LATER, {}) == []
    reports(site, "available", seconds=LATER - 300)
    assert due(site, LATER - 1, {}) == []
    assert due(site, LATER, {}) == [(1, 0)]


def test_a_place_in_use_by_a_wish_of_its_own_contradicts_no_wide_one(site: Site) -> None:
    """The newest wish about a place decides what is expected of it."""
    wish(site, "c1")
    wish(site, "c2", 1, evse=2, available=True)
    for name in ("c1", "c2"):
        ends(site, name, Status.ACCEPTED, 2, result={"status": "Accepted"})
    reports(site, "unavailable", 1)
    reports(site, "available", 2)
    assert due(site, LATER + 1) == due(site, LATER + 1, {}) == []


def test_a_wide_wish_that_is_told_again_takes_the_narrow_ones_along(site: Site) -> None:
    """To a station that knows one state of each place only, the last word about it counts."""
    wish(site, "c1")
    wish(site, "c2", 1, evse=2, available=True)
    for name in ("c1", "c2"):
        ends(site, name, Status.ACCEPTED, 2, result={"status": "Accepted"})
    reports(site, "available", 1)
    assert due(site, LATER) == due(site, LATER, {}) == [(0, 0), (2, 0)]


def test_a_charge_that_goes_on_contradicts_nothing(site: Site) -> None:
    """Scheduled: it goes out of use after the charge."""
    wish(site, "c1")
    ends(site, "c1", Status.ACCEPTED, result={"status": "Scheduled"}, detail="Scheduled")
    reports(site, "charging")
    assert due(site, LATER) == []


def test_a_place_out_of_use_may_have_reasons_of_its_own(site: Site) -> None:
    wish(site, "c1", available=True)
    ends(site, "c1", Status.ACCEPTED, result={"status": "Accepted"})
    reports(site, "unavailable")
    assert due(site, LATER) == []


@pytest.mark.parametrize("place", [{"evse": 0}, {"connector": 1}, {"evse": 1, "connector": 99}])
def test_a_place_that_no_station_has_is_refused(site: Site, place: dict[str, int]) -> None:
    wish(site, "c1", evse=1)
    with pytest.raises(Refused):
        wish(site, "c2", **place)
    assert wishes(site) == [(1, 0, False, State.WANTED)]


def test_a_station_without_wishes_has_none_due(site: Site) -> None:
    reports(site, "available")
    assert due(site, 0) == []
    assert desired_availability.needs("s1")
