"""BasicAuthPassword and network profiles of a 2.x station (OCPP 2.0.1 A01, A05, B09)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.inquiries import (
    ChangeProfile,
    Declined,
    GivePassword,
    NoAnswer,
    Setting,
    Settings,
)
from csms.ocpp.asking import Fault, Silence
from tests.support.inquiries import Answering

URL = "wss://host:9443/ocpp"
PRIORITY = "OCPPCommCtrlr.NetworkConfigurationPriority"


@pytest.fixture(params=["ocpp2.0.1", "ocpp2.1"])
def station(request: pytest.FixtureRequest) -> Answering:
    return Answering(request.param)


def of(component: str, variable: str, **more: Any) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": variable}, **more}


def result(name: str, status: str, value: str | None = None) -> dict[str, Any]:
    told = of("C", "V", attributeStatus=status)
    return {name: [told | ({"attributeValue": value} if value is not None else {})]}


def accepting(station: Answering, priority: str = "1,2") -> None:
    station.on("GetVariables", result("getVariableResult", "Accepted", priority))
    station.on("SetNetworkProfile", {"status": "Accepted"})
    station.on("SetVariables", result("setVariableResult", "RebootRequired"))


@pytest.mark.parametrize(
    ("status", "setting"),
    [
        ("Accepted", Setting.APPLIED),
        ("RebootRequired", Setting.REBOOT_REQUIRED),
        ("Rejected", Setting.REJECTED),
        ("UnknownVariable", Setting.UNSUPPORTED),
    ],
)
def test_a_password_is_a_variable(station: Answering, status: str, setting: Setting) -> None:
    station.on("SetVariables", result("setVariableResult", status))
    answer = station.is_asked(GivePassword("secret"))
    assert isinstance(answer, Settings)
    assert answer.outcomes[0][1] is setting
    wanted = of("SecurityCtrlr", "BasicAuthPassword", attributeValue="secret")
    assert station.heard == [("SetVariables", {"setVariableData": [wanted]})]


def test_a_free_slot_goes_before_those_in_use(station: Answering) -> None:
    """B09; TC_A_19: SetNetworkProfile, then the priority; the old slots stay as the way back."""
    accepting(station)
    answer = station.is_asked(ChangeProfile(2, URL))
    assert answer == Settings(((PRIORITY, Setting.REBOOT_REQUIRED, "RebootRequired"),))
    actions = [action for action, _ in station.heard]
    assert actions == ["GetVariables", "SetNetworkProfile", "SetVariables"]
    assert station.heard[1][1] == {
        "configurationSlot": 3,
        "connectionData": {
            "ocppVersion": "OCPP20",
            "ocppTransport": "JSON",
            "ocppCsmsUrl": URL,
            "messageTimeout": 30,
            "securityProfile": 2,
            "ocppInterface": "Wired0",
        },
    }
    wanted = of("OCPPCommCtrlr", "NetworkConfigurationPriority", attributeValue="3,1,2")
    assert station.heard[2][1] == {"setVariableData": [wanted]}


def test_slots_that_an_operator_names_are_not_asked_for(station: Answering) -> None:
    accepting(station)
    station.is_asked(ChangeProfile(2, URL, slot=1, priority=(2,), interface="Wireless0"))
    actions = [action for action, _ in station.heard]
    assert actions == ["SetNetworkProfile", "SetVariables"]
    assert station.heard[0][1]["connectionData"]["ocppInterface"] == "Wireless0"
    assert station.heard[1][1]["setVariableData"][0]["attributeValue"] == "1,2"


def test_a_station_that_does_not_tell_its_slots_needs_them_named(station: Answering) -> None:
    for told in (
        result("getVariableResult", "UnknownVariable"),
        Fault("NotSupported", unsupported=True),
    ):
        station.on("GetVariables", told)
        answer = station.is_asked(ChangeProfile(2, URL))
        assert isinstance(answer, Declined)
        assert "--slot" in answer.reason
    assert {action for action, _ in station.heard} == {"GetVariables"}


def test_a_refused_profile_leaves_the_priority_alone(station: Answering) -> None:
    """B09.FR.02, FR.03."""
    accepting(station)
    told = {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidConfSlot"}}
    station.on("SetNetworkProfile", told)
    assert station.is_asked(ChangeProfile(2, URL)) == Declined("Rejected: InvalidConfSlot")
    assert "SetVariables" not in [action for action, _ in station.heard]


@pytest.mark.parametrize("action", ["GetVariables", "SetNetworkProfile", "SetVariables"])
def test_an_answer_that_does_not_come_ends_it(station: Answering, action: str) -> None:
    accepting(station)
    station.on(action, Silence("timed_out"))
    assert station.is_asked(ChangeProfile(2, URL)) == NoAnswer("timed_out")
    assert station.heard[-1][0] == action


THERE = ChangeProfile(2, URL, identity="NEW-1", password="secret of another system")


def test_a_profile_of_2_1_carries_the_login_at_another_system() -> None:
    """OCPP 2.1 B09, TC_B_100."""
    station = Answering("ocpp2.1")
    accepting(station)
    station.is_asked(THERE)
    sent = station.heard[1][1]["connectionData"]
    assert (sent["identity"], sent["basicAuthPassword"]) == ("NEW-1", "secret of another system")
    assert "secret" not in repr(THERE)


def test_one_of_2_0_1_cannot_and_is_not_asked() -> None:
    station = Answering("ocpp2.0.1")
    answer = station.is_asked(THERE)
    assert isinstance(answer, Declined)
    assert "2.1" in answer.reason
    assert station.heard == []
