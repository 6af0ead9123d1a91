"""Reports part by part, in whatever way stations send them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from csms.core import device_model, guests, reports, stations
from csms.core.device_model import DeviceModel
from csms.core.ids import Origin
from csms.core.inquiries import Found, Scope
from csms.core.reports import (
    MAX_INVENTORIES,
    MAX_PARTS,
    MAX_REPORTS,
    PART_WITHIN,
    SYSTEM,
    Part,
    Progress,
    Report,
    ReportPart,
)
from csms.core.stations import NewStation, Registration, Station
from csms.storage.open import open_inline
from tests.support.ocpp import NOW, PARTY, at_once


class Reporting:
    """A station that makes reports."""

    def __init__(self) -> None:
        self.store = open_inline()
        self.now = NOW
        self.store.run(stations.onboard, "s1", NewStation("CP-1", PARTY), NOW)

    def is_asked(self, scope: Scope = Scope.FULL, by: str = "op") -> int:
        self.now += timedelta(seconds=1)
        return self.store.run(reports.begin, "s1", scope, by, self.now).request_id

    def sends(self, request_id: int | None, seq: int, *, more: bool = False) -> bool:
        part = Part(request_id, seq, more, (Found(f"V{seq}", "1"),), {"seqNo": seq})
        return self.store.run(reports.receive, Origin("s1", "CP-1", "2.0.1", self.now), part)

    def report(self, request_id: int) -> Report:
        return at_once(self.store.reader.get(Report, "s1", request_id))

    def is_due(self) -> bool:
        return self.store.run(
            lambda tx: reports.inventory_due(tx, device_model.model(tx, "s1"), self.now)
        )

    @property
    def model(self) -> DeviceModel:
        return at_once(self.store.reader.get(DeviceModel, "s1"))

    @property
    def parts(self) -> list[int]:
        return [p.seq for p in at_once(self.store.reader.page(ReportPart, {}, limit=1000))]


@pytest.fixture
def station() -> Reporting:
    return Reporting()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0, 1, 0)])
def test_parts_come_in_any_order_and_twice(station: Reporting, order: tuple[int, ...]) -> None:
    number = station.is_asked()
    for seq in order:
        assert station.report(number).state == Progress.REQUESTED
        station.sends(number, seq, more=seq < 2)
        if set(order[: order.index(seq) + 1]) == {0, 1, 2}:
            break
    assert (station.report(number).state, station.report(number).variables) == ("complete", 3)
    assert station.parts == [0, 1, 2]
    assert station.model.variables == 3


def test_a_station_that_never_says_that_more_follows_is_complete_with_each_part(
    station: Reporting,
) -> None:
    """Field: one stack sends no tbc at all."""
    number = station.is_asked()
    for seq in range(3):
        station.sends(number, seq)
        assert station.report(number).state == Progress.COMPLETE
    assert station.report(number).variables == 3


def test_only_the_last_part_is_learnt_and_not_taken_for_all(station: Reporting) -> None:
    """Field: one stack delivers only the last part; it is asked once again, then let be."""
    number = station.is_asked(by=SYSTEM)
    station.sends(number, 2)
    assert station.report(number).state == Progress.REQUESTED
    assert not station.is_due()
    station.now += PART_WITHIN
    assert station.is_due()
    assert station.model.inventory == Progress.INCOMPLETE
    again = station.is_asked(by=SYSTEM)
    station.sends(again, 2)
    station.now += PART_WITHIN
    assert not station.is_due()
    assert (station.model.inventory, station.model.attempts) == ("incomplete", MAX_INVENTORIES)
    assert station.model.variables == 1


@pytest.mark.parametrize("request_id", [None, 77])
def test_what_nobody_asked_for_is_as_true_as_any_other(
    station: Reporting, request_id: int | None
) -> None:
    assert station.sends(request_id, 0)
    assert station.model.variables == 1
    assert station.store.marks == ["report_not_asked_for"]


def test_the_inventory_is_due_until_it_is_complete(station: Reporting) -> None:
    station.store.run(device_model.for_firmware, "s1", "1")
    assert station.is_due()
    number = station.is_asked(by=SYSTEM)
    station.sends(number, 0)
    assert not station.is_due()
    assert (station.model.inventory, station.model.inventory_at) == ("complete", station.now)
    station.store.run(device_model.for_firmware, "s1", "2")
    assert station.is_due()


def test_an_inventory_that_never_came_is_asked_for_once_more(station: Reporting) -> None:
    station.is_asked(by=SYSTEM)
    station.now += PART_WITHIN
    assert station.is_due()
    station.is_asked(by=SYSTEM)
    station.now += PART_WITHIN
    assert not station.is_due()
    assert station.model.inventory == Progress.UNANSWERED


def test_a_report_that_the_station_will_not_make_says_why(station: Reporting) -> None:
    number = station.is_asked(Scope.SUMMARY)
    station.store.run(reports.fail, "s1", number, Progress.UNSUPPORTED, NOW, "NotSupported")
    report = station.report(number)
    assert (report.state, report.detail) == ("unsupported", "NotSupported")
    assert station.is_due(), "a summary is no inventory"


def test_an_answer_may_hold_the_whole_report(station: Reporting) -> None:
    number = station.is_asked()
    found = (Found("A", "1"), Found("B", "2"))
    station.store.run(reports.filled, "s1", number, found, ({"a": 1},), NOW)
    assert (station.report(number).state, station.model.variables) == ("complete", 2)
    assert station.parts == [0]


def test_raw_parts_are_kept_for_operators_only_and_only_so_many(station: Reporting) -> None:
    station.sends(station.is_asked(by=SYSTEM), 0)
    assert station.parts == []
    number = station.is_asked()
    for seq in range(MAX_PARTS + 5):
        station.sends(number, seq, more=True)
    assert len(station.parts) == MAX_PARTS


def test_old_reports_make_room(station: Reporting) -> None:
    numbers = []
    for _ in range(MAX_REPORTS + 2):
        numbers.append(station.is_asked(Scope.CONFIGURATION))
        station.sends(numbers[-1], 0)
    kept = [r.request_id for r in at_once(station.store.reader.page(Report))]
    assert kept == numbers[2:]
    assert len(station.parts) == MAX_REPORTS


def test_a_guest_that_nobody_asked_fills_no_store() -> None:
    """Anybody may knock where unknown stations are let in; what it reports would outlive it."""
    store = open_inline()
    guest = Station("g1", "G-1", PARTY, Registration.PENDING, NOW)
    store.run(guests.welcome, guest, None, NOW)
    part = Part(7, 0, False, (Found("V", "1"),), {})
    assert store.run(reports.receive, Origin("g1", "G-1", "2.0.1", NOW), part)
    assert store.run(lambda tx: tx.get(DeviceModel, "g1")) is None
    asked = store.run(reports.begin, "g1", Scope.FULL, "op", NOW).request_id
    part = Part(asked, 0, False, (Found("V", "1"),), {})
    store.run(reports.receive, Origin("g1", "G-1", "2.0.1", NOW), part)
    assert store.run(lambda tx: tx.get(DeviceModel, "g1")).variables == 1
