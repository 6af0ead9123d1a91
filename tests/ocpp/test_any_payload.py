"""Whatever a station puts into a message: it is answered, in good form, and nothing breaks.

The payloads are valid ones with some of their parts exchanged for anything at all, because pure
noise would never get past the first check.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from csms.ocpp.routing import Refusal
from csms.ocpp.rpc import Call, ErrorCode, Rpc
from csms.ocpp.versions import PROTOCOLS
from tests.support.ocpp import Inbound, event, meter, minimal_request, rfid, start, stop

REPORT = {
    "requestId": 1,
    "generatedAt": "2024-05-01T12:00:00Z",
    "seqNo": 0,
    "tbc": True,
    "reportData": [
        {
            "component": {"name": "EVSE", "instance": "a", "evse": {"id": 1, "connectorId": 1}},
            "variable": {"name": "Power", "instance": "b"},
            "variableAttribute": [{"type": "Actual", "value": "1", "mutability": "ReadOnly"}],
            "variableCharacteristics": {
                "dataType": "decimal",
                "unit": "W",
                "minLimit": 0,
                "supportsMonitoring": False,
            },
        }
    ],
}
EVENTS = {
    "eventData": [
        {
            "eventId": 1,
            "timestamp": "2024-05-01T11:59:58Z",
            "trigger": "Delta",
            "actualValue": "Occupied",
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
            "variable": {"name": "AvailabilityState"},
        }
    ],
    "generatedAt": "2024-05-01T12:00:00Z",
    "seqNo": 0,
}
SAMPLED = {
    "value": "1.5",
    "unit": "kWh",
    "measurand": "Energy.Active.Import.Register",
    "phase": "L1",
    "context": "Sample.Periodic",
}
WORTHWHILE: dict[str, dict[str, Any]] = {
    "StartTransaction": start(reservationId=1),
    "StopTransaction": stop(
        1, idTag="04A2", reason="Local", transactionData=meter(SAMPLED)["meterValue"]
    ),
    "MeterValues": meter(SAMPLED, transactionId=1),
    "TransactionEvent": event(
        "Updated",
        1,
        wh=1_000,
        idToken=rfid("04A2"),
        evse={"id": 1, "connectorId": 1},
        offline=False,
        reservationId=1,
        info={"chargingState": "Charging", "remoteStartId": 1},
    ),
    "NotifyEvent": EVENTS,
    "NotifyReport": REPORT,
}
# Numbers at the edges of what a column, a clock or a float can hold, and texts that are no text.
ODD = st.sampled_from(
    [
        *(0, -1, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30),
        *(0.5, -0.0, 1e300, 1e-300),
        *("", " ", "\x00", "\ud800", "NaN", "-Infinity", "1e999999999", "9" * 400, "0" * 70),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2024-05-01", "T"),
        *("\u202e", "🔌" * 100, "'; --", "a" * 3_000, "|" * 30),
        *(None, True, False, [], {}, [[]], [None], {"": None}, {"a": {"a": {"a": 1}}}),
    ]
)
JUNK = ODD | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(node: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every part of a payload."""
    found = [way] if way else []
    if isinstance(node, dict | list):
        for step, part in node.items() if isinstance(node, dict) else enumerate(node):
            found += places(part, (*way, step))
    return found


@st.composite
def bent(draw: st.DrawFn, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with one to four parts exchanged, left out, or added."""
    payload = copy.deepcopy(payload)
    for _ in range(draw(st.integers(1, 4))):
        ways = places(payload)
        if not ways or draw(st.integers(0, 9)) == 0:
            payload[draw(st.text(max_size=9))] = copy.deepcopy(draw(JUNK))
            continue
        *way, last = draw(st.sampled_from(ways))
        owner = payload
        for step in way:
            owner = owner[step]
        if draw(st.integers(0, 4)) == 0:
            del owner[last]
        else:
            owner[last] = copy.deepcopy(draw(JUNK))
    return payload


CASES = [
    (name, action)
    for name, protocol in PROTOCOLS.items()
    for action, route in protocol.dialect.routes.items()
    if route.money
]


@pytest.mark.parametrize(("protocol", "action"), CASES)
def test_the_money_path_takes_anything(protocol: str, action: str) -> None:
    station = Inbound(protocol)
    station.adds_token("04A2")
    schemas = station.protocol.dialect.schemas
    sensible = WORTHWHILE.get(action)
    if sensible is None or (action == "MeterValues" and protocol != "ocpp1.6"):
        sensible = minimal_request(station.protocol.version, action)

    @settings(
        max_examples=150,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(bent(sensible))
    def is_answered(payload: dict[str, Any]) -> None:
        # Through the machine, because JSON decides what a number or a text can be.
        call = Rpc(station.protocol.dialect.version).receive(json.dumps([2, "m", action, payload]))
        assume(isinstance(call, Call))
        before = copy.deepcopy(call.payload)
        answer = station.calls(action, call.payload)
        assert call.payload == before, "the payload was changed"
        if isinstance(answer, Refusal):
            # Only what does not even say what it is about, and never with an echo.
            assert action in ("Authorize", "StatusNotification", "TransactionEvent")
            assert answer.code in (
                ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
                ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
            )
            assert answer.description.endswith((": not usable", ": is missing"))
        else:
            assert not schemas.response_faults(action, answer.value)

    is_answered()
    assert station.station is not None
