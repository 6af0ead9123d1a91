"""What there is to ask of a station that has just come, in one look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from csms.core import availability, contact, device_model, reports, stations, templates
from csms.core.availability import ConnectorReport
from csms.core.contact import LONG_AWAY, VERIFY_EVERY, Todo
from csms.core.ids import Origin
from csms.core.inquiries import Found, Scope, Setting
from csms.core.stations import BootReport, NewStation, Registration
from csms.core.templates import Template
from csms.storage.open import open_inline
from tests.support.ocpp import NOW, PARTY

SETTLE, AGAIN = timedelta(seconds=10), timedelta(seconds=60)


class Arrival:
    """A station with two connectors that comes and goes."""

    def __init__(self) -> None:
        self.store = open_inline()
        self.now = NOW
        self.store.run(stations.onboard, "s1", NewStation("CP-1", PARTY, 2), NOW)

    @property
    def origin(self) -> Origin:
        return Origin("s1", "CP-1", "1.6", self.now)

    def comes(self, *, boots: bool = True, firmware: str = "1") -> None:
        self.store.run(stations.link_opened, self.origin, "node", "192.0.2.1")
        if boots:
            self.store.run(stations.boot, self.origin, BootReport("V", "M", firmware=firmware))
        self.later(seconds=10)

    def goes(self) -> None:
        self.later(seconds=1)
        generation = self.store.run(stations.require, "s1").generation
        self.store.run(stations.link_closed, "s1", generation, self.now, self.now, "gone")

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def reports(self, evse: int, status: str = "available") -> None:
        report = ConnectorReport(evse, 1, status, None)
        self.store.run(availability.record, self.origin, report)

    def inventories(self) -> None:
        number = self.store.run(reports.begin, "s1", Scope.FULL, "system", self.now).request_id
        found = (Found("HeartbeatInterval", "60"),)
        self.store.run(reports.filled, "s1", number, found, (), self.now)

    def look(self) -> Todo | None:
        return self.store.run(contact.look, "s1", self.now, SETTLE, AGAIN)

    @property
    def todo(self) -> Todo:
        todo = self.look()
        assert todo is not None
        return todo


@pytest.fixture
def station() -> Arrival:
    return Arrival()


def test_a_station_that_is_not_accepted_is_asked_nothing(station: Arrival) -> None:
    """OCPP 2.0.1 B02, B03.FR.03."""
    station.comes(boots=False)
    assert station.look() is None
    for held_back in (Registration.PENDING, Registration.REJECTED):
        station.store.run(lambda tx, to: stations.change(tx, "s1", NOW, registration=to), held_back)
        assert station.look() is None


def test_a_station_that_has_gone_is_asked_nothing(station: Arrival) -> None:
    station.comes()
    station.goes()
    assert station.look() is None


def test_a_station_is_left_alone_until_it_has_settled(station: Arrival) -> None:
    station.comes()
    station.now -= timedelta(seconds=4)
    assert station.todo == Todo(settles_s=4.0, pending=True)


def test_a_first_contact_asks_for_connectors_and_inventory(station: Arrival) -> None:
    station.comes()
    todo = station.todo
    assert (todo.connectors, todo.inventory) == (((1, 1), (2, 1)), True)
    assert (todo.transactions, todo.verify, todo.write) == ((), (), ())
    station.reports(1)
    station.inventories()
    todo = station.todo
    assert (todo.connectors, todo.inventory) == (((2, 1),), False)


def test_a_reconnect_without_a_boot_is_a_contact_too(station: Arrival) -> None:
    """Reconnecting without BootNotification is the rule in the field."""
    station.comes()
    station.goes()
    station.later(minutes=1)
    station.comes(boots=False)
    assert station.todo.connectors


def test_statuses_from_before_a_long_absence_are_asked_for_again(station: Arrival) -> None:
    station.comes()
    station.reports(1)
    station.reports(2)
    for away, expected in ((timedelta(minutes=1), ()), (LONG_AWAY, ((1, 1), (2, 1)))):
        station.goes()
        station.now += away
        station.comes(boots=False)
        assert station.todo.connectors == expected


def test_another_firmware_or_version_is_another_inventory(station: Arrival) -> None:
    """OCPP 2.0.1 B07.FR.14."""
    station.comes()
    assert station.todo.inventory
    station.inventories()
    assert not station.todo.inventory
    station.goes()
    station.comes(firmware="2")
    assert station.todo.inventory


def test_what_the_station_cannot_answer_is_not_asked_again(station: Arrival) -> None:
    station.comes()
    assert station.todo.connectors
    for what in ("trigger_status", "make_report"):
        station.store.run(device_model.lacks, "s1", what)
    todo = station.todo
    assert (todo.connectors, todo.inventory) == ((), False)
    assert todo.lacks == {"trigger_status", "make_report"}


def test_desired_values_are_set_and_compared_after_each_boot(station: Arrival) -> None:
    station.comes()
    station.store.run(device_model.want, "s1", {"HeartbeatInterval": "300"}, "op", NOW)
    assert station.todo.write == (("HeartbeatInterval", "300"),)
    outcome = [("HeartbeatInterval", Setting.APPLIED, None)]
    station.store.run(device_model.settle, "s1", outcome, station.now)
    assert (station.todo.write, station.todo.verify) == ((), ("HeartbeatInterval",))
    station.store.run(device_model.verified, "s1", station.now)
    assert station.todo.verify == ()
    station.goes()
    station.comes()
    assert station.todo.verify == ("HeartbeatInterval",)
    station.store.run(device_model.verified, "s1", station.now)
    station.now += VERIFY_EVERY
    assert station.todo.verify == ("HeartbeatInterval",)


@pytest.mark.parametrize("vendor", ["V", None])
def test_templates_are_entered_on_first_contact_and_after_a_change_of_firmware(
    station: Arrival, vendor: str | None
) -> None:
    values: dict[str, Any] = {"HeartbeatInterval": "300"}
    template = Template("site", PARTY, vendor, None, None, values, "op", NOW)
    station.comes()
    station.store.run(templates.put, template)
    assert station.todo.write == (("HeartbeatInterval", "300"),)
    changed = template._replace(values={"HeartbeatInterval": "200"})
    station.store.run(templates.put, changed)
    assert station.todo.write == (("HeartbeatInterval", "300"),)
    station.goes()
    station.comes(firmware="2")
    assert station.todo.write == (("HeartbeatInterval", "200"),)


def test_limits_are_those_that_the_station_reported(station: Arrival) -> None:
    station.comes()
    found = [Found("DeviceDataCtrlr/ItemsPerMessage[SetVariables]", "3")]
    station.store.run(device_model.learn, "s1", found, NOW)
    assert station.todo.write_limits.items == 3
    assert station.todo.read_limits.items is None


def test_a_look_that_finds_nothing_new_writes_nothing(station: Arrival) -> None:
    station.comes()
    station.todo  # noqa: B018 - the first look notes the firmware
    before = station.store.run(device_model.model, "s1")
    station.todo  # noqa: B018
    assert station.store.run(device_model.model, "s1") == before
