"""Inquiries on the wire, without a wire: what is said, and what the answers mean."""

from __future__ import annotations

import pytest

from csms.core.inquiries import (
    Announced,
    Declined,
    Limits,
    NoAnswer,
    ReadVariables,
    TriggerReadings,
    TriggerStatus,
    Unsupported,
)
from csms.core.quirks import Switches
from csms.ocpp import asking
from csms.ocpp.asking import UNTOLD_ITEMS, Fault, Silence, by_status, in_messages, unsendable
from csms.ocpp.rpc import ErrorCode, Failure, Result
from csms.ocpp.versions import PROTOCOLS
from tests.support.inquiries import ended


def test_what_a_version_does_not_have_is_not_asked() -> None:
    exchange = asking.begin(TriggerStatus(1), {})
    assert isinstance(ended(exchange), Unsupported)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"status": "Accepted"}, Announced()),
        ({"status": "Rejected"}, Declined("Rejected")),
        (
            {"status": "Rejected", "statusInfo": {"reasonCode": "Busy"}},
            Declined("Rejected: Busy"),
        ),
        ({"status": "NotImplemented"}, Unsupported("NotImplemented")),
        ({"status": "NotSupported"}, Unsupported("NotSupported")),
        ({}, Declined("no status")),
        (Fault("InternalError", unsupported=False), Declined("InternalError")),
        (Fault("NotImplemented", unsupported=True), Unsupported("NotImplemented")),
        (Silence("timed_out"), NoAnswer("timed_out")),
    ],
)
def test_answers_mean_the_same_in_every_version(said: object, answer: object) -> None:
    assert by_status(said) == answer  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "wire", "unsupported"),
    [
        (ErrorCode.NOT_IMPLEMENTED, "NotImplemented", True),
        (ErrorCode.NOT_SUPPORTED, "NotSupported", True),
        (ErrorCode.INTERNAL_ERROR, "InternalError", False),
    ],
)
def test_an_error_says_whether_the_call_exists(
    code: ErrorCode, wire: str, unsupported: bool
) -> None:
    failure = Failure("m", "TriggerMessage", code, "no", {}, wire_code=wire)
    assert asking.heard(failure) == Fault(f"{wire}: no", unsupported)
    assert asking.heard(Result("m", "TriggerMessage", {"a": 1})) == {"a": 1}


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        (Limits(), [UNTOLD_ITEMS, UNTOLD_ITEMS, 2]),
        (Limits(1), [1] * 10),
        (Limits(50), [10]),
        (Limits(50, 130), [3, 3, 3, 1]),
        (Limits(2, 1), [1] * 10),
    ],
)
def test_no_message_holds_more_than_the_station_takes(limits: Limits, sizes: list[int]) -> None:
    """OCPP 2.0.1 B05.FR.11, B06.FR.05; an item that is too large alone goes alone."""
    items = [f"key-{n}" for n in range(10)]
    chunks = in_messages(items, limits, str)
    assert [len(chunk) for chunk in chunks] == sizes
    assert [item for chunk in chunks for item in chunk] == items


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_goes_out_passes_the_schema(protocol: str) -> None:
    schemas = PROTOCOLS[protocol].dialect.schemas
    assert unsendable(("TriggerMessage", {"requestedMessage": "Heartbeat"}), schemas) is None
    fault = unsendable(("TriggerMessage", {"requestedMessage": "Coffee"}), schemas)
    assert fault is not None
    assert "/requestedMessage" in fault.words


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_version_reads_variables(protocol: str) -> None:
    exchange = PROTOCOLS[protocol].ask(ReadVariables(("HeartbeatInterval",)))
    action, payload = next(exchange)
    assert unsendable((action, payload), PROTOCOLS[protocol].dialect.schemas) is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_station_that_takes_triggers_ill_is_not_triggered(protocol: str) -> None:
    """Quirk 29: the switch `trigger`."""
    version = PROTOCOLS[protocol]
    none = Switches(trigger="none")
    assert isinstance(ended(version.ask(TriggerStatus(1), none)), Unsupported)
    assert isinstance(ended(version.ask(TriggerReadings(1), none)), Unsupported)
    _, payload = next(version.ask(TriggerReadings(1), Switches(trigger="global")))
    assert payload == {"requestedMessage": "MeterValues"}
