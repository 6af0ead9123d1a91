"""What a station says of its variables, and what becomes of what its operator wants."""

from __future__ import annotations

from datetime import timedelta

import pytest

from csms.core import device_model, stations
from csms.core.device_model import (
    MAX_ATTEMPTS,
    MAX_DESIRED,
    MAX_VARIABLES,
    Desired,
    DeviceModel,
    State,
    Variable,
)
from csms.core.errors import Invalid, NotFound
from csms.core.ids import Origin
from csms.core.inquiries import Found, Limits, Setting
from csms.core.stations import BootReport, NewStation
from csms.storage.open import open_inline
from tests.support.ocpp import NOW, PARTY, at_once

INTERVAL = "OCPPCommCtrlr/HeartbeatInterval"


class Model:
    """One station with a model."""

    def __init__(self) -> None:
        self.store = open_inline()
        self.now = NOW
        self.store.run(stations.onboard, "s1", NewStation("CP-1", PARTY), NOW)

    def learns(self, *found: Found, request_id: int | None = None) -> int:
        return self.store.run(device_model.learn, "s1", found, self.now, request_id)

    def wants(self, template: str | None = None, **values: str) -> list[Desired]:
        return self.store.run(device_model.want, "s1", values, "op", self.now, template)

    def settles(self, name: str, setting: Setting, reason: str | None = None) -> None:
        self.store.run(device_model.settle, "s1", [(name, setting, reason)], self.now)

    def boots(self, firmware: str = "1") -> None:
        self.now += timedelta(minutes=1)
        origin = Origin("s1", "CP-1", "1.6", self.now)
        self.store.run(stations.boot, origin, BootReport("V", "M", firmware=firmware))

    @property
    def desired(self) -> Desired:
        (only,) = at_once(self.store.reader.page(Desired))
        return only

    @property
    def variable(self) -> Variable:
        (only,) = at_once(self.store.reader.page(Variable))
        return only

    @property
    def model(self) -> DeviceModel:
        return at_once(self.store.reader.get(DeviceModel, "s1")) or DeviceModel("s1")


@pytest.fixture
def station() -> Model:
    return Model()


# -- as reported -----------------------------------------------------------------------------------


def test_a_variable_is_found_under_every_name_that_means_it(station: Model) -> None:
    station.learns(Found("heartbeatinterval", "300", mutability="read_write"))
    station.learns(Found(INTERVAL, "200", unit="s"))
    variable = station.variable
    assert (variable.name, variable.actual, variable.unit) == (INTERVAL, "200", "s")
    assert variable.mutability == "read_write", "what a short answer leaves out stays known"
    assert station.model.variables == 1


@pytest.mark.parametrize(
    "found",
    [
        Found("AuthorizationKey", "hunter2"),
        Found("SecurityCtrlr/BasicAuthPassword", "hunter2", target="hunter2"),
        Found("Vendor/Pin", "1234", mutability="write_only"),
    ],
)
def test_a_secret_has_no_value_here(station: Model, found: Found) -> None:
    station.learns(found)
    assert (station.variable.actual, station.variable.target) == (None, None)


def test_a_station_may_have_so_many_variables(station: Model) -> None:
    station.store.run(lambda tx: tx.save(DeviceModel("s1", variables=MAX_VARIABLES - 1)))
    assert station.learns(Found("A", "1"), Found("B", "1")) == 1
    assert station.store.marks == ["too_many_variables"]
    assert station.learns(Found("A", "2")) == 1, "those that are known are still learnt"


def test_limits_are_what_the_station_said(station: Model) -> None:
    run = station.store.run
    assert run(device_model.limits, "s1", "GetVariables") == Limits()
    station.learns(
        Found("GetConfigurationMaxKeys", "7"),
        Found("DeviceDataCtrlr/BytesPerMessage[GetVariables]", "2000"),
        Found("DeviceDataCtrlr/ItemsPerMessage[SetVariables]", "none of yours"),
    )
    assert run(device_model.limits, "s1", "GetVariables") == Limits(7, 2000)
    assert run(device_model.limits, "s1", "SetVariables") == Limits()


# -- as desired ------------------------------------------------------------------------------------


def test_a_desired_value_is_applied_once_the_station_says_so(station: Model) -> None:
    station.wants(HeartbeatInterval="300")
    assert station.desired.state == State.WANTED
    assert len(station.store.run(device_model.unapplied, "s1")) == 1
    station.settles("HeartbeatInterval", Setting.APPLIED)
    assert station.desired.state == State.APPLIED
    assert station.store.run(device_model.unapplied, "s1") == []


def test_what_the_station_has_already_need_not_be_set(station: Model) -> None:
    station.wants(HeartbeatInterval="300")
    station.learns(Found(INTERVAL, " 300 "))
    assert station.desired.state == State.APPLIED


@pytest.mark.parametrize("data_type", ["SequenceList", None])
def test_what_differs_in_its_order_alone_has_to_be_set(
    station: Model, data_type: str | None
) -> None:
    """OCPP 2.0.1 B10: a station is moved by naming another slot first."""
    name = "OCPPCommCtrlr/NetworkConfigurationPriority"
    station.wants(**{name: "2,1"})
    station.learns(Found(name, "1,2", data_type=data_type))
    assert station.desired.state == State.WANTED
    station.learns(Found(name, "2,1"))
    assert station.desired.state == State.APPLIED


def test_the_type_of_a_list_is_remembered(station: Model) -> None:
    """GetVariables answers without it; a report has told it."""
    station.learns(Found("Vendor/Things", "A,B", data_type="MemberList"))
    station.wants(**{"Vendor/Things": "A,B,C"})
    station.learns(Found("Vendor/Things", "C,B,A"))
    assert station.desired.state == State.APPLIED


def test_the_same_wish_again_changes_nothing_that_is_applied(station: Model) -> None:
    station.wants(HeartbeatInterval="300")
    station.settles("HeartbeatInterval", Setting.APPLIED)
    station.wants(**{INTERVAL: "300"})
    assert station.desired.state == State.APPLIED
    station.wants(HeartbeatInterval="200")
    assert (station.desired.state, station.desired.value) == (State.WANTED, "200")


def test_a_refused_value_is_shown_with_the_stations_word_and_may_be_wished_again(
    station: Model,
) -> None:
    station.wants(HeartbeatInterval="5")
    station.settles("HeartbeatInterval", Setting.REJECTED, "Rejected: TooLow")
    assert (station.desired.state, station.desired.reason) == (State.REJECTED, "Rejected: TooLow")
    station.wants(HeartbeatInterval="5")
    assert (station.desired.state, station.desired.reason) == (State.WANTED, None)


def test_the_answer_to_an_earlier_value_settles_nothing(station: Model) -> None:
    station.wants(HeartbeatInterval="300")
    outcome = [("HeartbeatInterval", Setting.APPLIED, None)]
    sent = {"HeartbeatInterval": "200"}
    station.store.run(device_model.settle, "s1", outcome, NOW, sent)
    assert station.desired.state == State.WANTED


def test_a_value_that_the_station_lost_is_wanted_again(station: Model) -> None:
    """Field: stations come back with their factory values."""
    station.wants(HeartbeatInterval="300")
    station.settles("HeartbeatInterval", Setting.APPLIED)
    station.learns(Found("HeartbeatInterval", "60"))
    assert (station.desired.state, station.desired.reason) == (State.WANTED, "it reported 60")


def test_a_value_that_is_accepted_and_never_kept_is_given_up(station: Model) -> None:
    """Field: "Accepted" to everything, and nothing happens."""
    station.wants(HeartbeatInterval="300")
    for _ in range(MAX_ATTEMPTS):
        assert station.desired.state == State.WANTED
        station.settles("HeartbeatInterval", Setting.APPLIED)
        station.learns(Found("HeartbeatInterval", "60"))
    assert (station.desired.state, station.desired.reason) == (State.NOT_KEPT, "it reports 60")
    station.learns(Found("HeartbeatInterval", "300"))
    assert station.desired.state == State.APPLIED


def test_a_value_that_needs_a_reset_waits_for_the_boot(station: Model) -> None:
    station.wants(HeartbeatInterval="300")
    station.settles("HeartbeatInterval", Setting.REBOOT_REQUIRED)
    station.learns(Found("HeartbeatInterval", "60"))
    assert station.desired.state == State.REBOOT_REQUIRED
    station.boots()
    station.learns(Found("HeartbeatInterval", "60"))
    assert station.desired.state == State.WANTED
    station.settles("HeartbeatInterval", Setting.REBOOT_REQUIRED)
    station.boots()
    station.learns(Found("HeartbeatInterval", "300"))
    assert station.desired.state == State.APPLIED


def test_one_that_cannot_be_read_holds_after_the_boot(station: Model) -> None:
    """Write-only ones, and those that a station does not list: nothing would ever say so."""
    station.wants(HeartbeatInterval="300")
    station.settles("HeartbeatInterval", Setting.REBOOT_REQUIRED)
    station.store.run(device_model.verified, "s1", NOW)
    assert station.desired.state == State.REBOOT_REQUIRED
    station.boots()
    station.store.run(device_model.verified, "s1", NOW)
    assert station.desired.state == State.APPLIED


def test_a_new_firmware_may_know_better(station: Model) -> None:
    """OCPP 2.0.1 B07.FR.14: what was learnt is in doubt."""
    station.store.run(device_model.for_firmware, "s1", "1")
    station.wants(HeartbeatInterval="300")
    station.settles("HeartbeatInterval", Setting.UNSUPPORTED, "NotSupported")
    station.store.run(device_model.lacks, "s1", "trigger_status")
    station.store.run(device_model.for_firmware, "s1", "1")
    assert (station.model.lacks, station.desired.state) == (("trigger_status",), State.UNSUPPORTED)
    station.store.run(device_model.for_firmware, "s1", "2")
    assert (station.model.lacks, station.desired.state) == ((), State.WANTED)


def test_a_template_never_overrides_what_an_operator_set(station: Model) -> None:
    station.wants(HeartbeatInterval="300")
    assert station.wants("site", HeartbeatInterval="60") == []
    assert (station.desired.value, station.desired.template) == ("300", None)
    assert station.store.marks == ["template_value_overridden"]


def test_an_operator_overrides_a_template(station: Model) -> None:
    station.wants("site", HeartbeatInterval="60")
    assert station.desired.template == "site"
    station.wants(HeartbeatInterval="60")
    assert station.desired.template is None


def test_what_is_no_longer_desired_stays_on_the_station(station: Model) -> None:
    station.wants(HeartbeatInterval="300")
    assert station.store.run(device_model.unwant, "s1", [INTERVAL, "X"], NOW) == [
        "HeartbeatInterval"
    ]
    assert at_once(station.store.reader.page(Desired)) == []


def test_wishes_are_bounded_and_secrets_are_none(station: Model) -> None:
    station.wants(**{f"K{n}": "1" for n in range(MAX_DESIRED)})
    with pytest.raises(Invalid, match="at most"):
        station.wants(One="1")
    with pytest.raises(Invalid, match="csms station rotate"):
        station.wants(AuthorizationKey="x")
    with pytest.raises(NotFound):
        station.store.run(device_model.want, "nobody", {"A": "1"}, "op", NOW)


def test_verifying_is_remembered(station: Model) -> None:
    station.store.run(device_model.verified, "s1", NOW)
    assert station.model.verified_at == NOW
