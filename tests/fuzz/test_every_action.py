"""Every message of every version, with generated payloads: what stations send is answered in good
form, and what we send stands on the wire as it was asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

from csms.core.commands import Command, Kind
from csms.core.errors import Invalid
from csms.ocpp.routing import Refusal
from csms.ocpp.rpc import ErrorCode, Rpc
from csms.ocpp.versions import PROTOCOLS
from tests.fuzz.oracle import MUST_SAY, first_fault
from tests.fuzz.payloads import requests, schema, to_station, valid
from tests.support.ocpp import NOW, Inbound

FEW = settings(
    max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
NAMES = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}
IN = [(v, a) for v in NAMES for a in requests(v) if not to_station(a)]
OUT = [(v, a) for v in NAMES for a in requests(v) if to_station(a)]
# Names that do not survive a conversion to snake case and back.
ODD_NAMES = ("limit_L2", "setpoint_L3", "fixedPFInject", "taxRuleID")


@pytest.mark.parametrize(("version", "action"), IN)
def test_whatever_a_station_may_send_is_answered_in_good_form(version: str, action: str) -> None:
    station = Inbound(NAMES[version])
    station.adds_token("CARD")

    @seed(1)
    @FEW
    @given(valid(version, requests(version)[action]))
    def is_answered(payload: dict[str, Any]) -> None:
        answer = station.calls(action, payload)
        if isinstance(answer, Refusal):
            assert action in MUST_SAY
            assert answer.code is ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
        elif action != "NotifyPeriodicEventStream":
            # That one is a SEND: it has no answer, and so no schema of one.
            assert first_fault(version, f"{action}Response", answer.value) is None

    is_answered()


@pytest.mark.parametrize(("version", "action"), OUT)
def test_a_raw_call_goes_out_as_it_was_asked_for(version: str, action: str) -> None:
    @seed(1)
    @FEW
    @given(valid(version, requests(version)[action]))
    def goes_out(payload: dict[str, Any]) -> None:
        assert sent(version, action, payload) == payload

    goes_out()


def sent(version: str, action: str, payload: dict[str, Any]) -> Any:
    """The payload of the frame that a raw call becomes."""
    wish = {"action": action, "payload": payload}
    command = Command("c1", 7, "s1", Kind.CALL.value, wish, "sent", NOW, "test")
    name, encoded = PROTOCOLS[NAMES[version]].encode(command)
    frame = json.loads(Rpc(PROTOCOLS[NAMES[version]].dialect.version).call("c1", name, encoded, 1))
    assert frame[:3] == [2, "c1", action]
    return frame[3]


def test_the_names_that_others_lose_are_among_them() -> None:
    """Held against the schemas, so that the walk above is known to have met them."""
    found: set[str] = set()
    for version, action in OUT:
        if version == "2.1":
            found |= names_in(schema(version, requests(version)[action]))
    assert found >= set(ODD_NAMES), set(ODD_NAMES) - found


def names_in(node: Any) -> set[str]:
    """All property names of a schema."""
    if isinstance(node, list):
        return {name for part in node for name in names_in(part)}
    if not isinstance(node, dict):
        return set()
    own = set(node.get("properties", {}))
    return own.union(*(names_in(part) for part in node.values()))


def test_a_dynamic_schedule_keeps_its_phases() -> None:
    update = {"limit": 16.0, "limit_L2": 10.0, "limit_L3": 6.0, "setpointReactive_L2": 0.5}
    payload = {"chargingProfileId": 1, "scheduleUpdate": update}
    assert sent("2.1", "UpdateDynamicSchedule", payload) == payload


def test_what_only_a_station_sends_is_no_raw_call() -> None:
    with pytest.raises(Invalid, match="not a call that a central system makes"):
        sent("2.1", "NotifyPeriodicEventStream", {})
