"""What stations send wrong on the money path, and what becomes of it."""

from __future__ import annotations

import copy
import json
import re
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.ocpp.repair import Repaired, repair
from csms.ocpp.rpc import Version
from csms.ocpp.validation import FAULTS_REPAIRABLE, Fault, Schemas


def mend(version: Version, action: str, payload: dict[str, Any]) -> Repaired:
    """Repair and check the promise: what was repaired is gone, the original is untouched."""
    schemas = Schemas.of(version)
    before = copy.deepcopy(payload)
    faults = schemas.request_faults(action, payload, FAULTS_REPAIRABLE)
    repaired = repair(payload, faults)
    assert payload == before
    again = schemas.request_faults(action, repaired.payload, FAULTS_REPAIRABLE)
    assert {(f.path, f.kind) for f in again} == {(f.path, f.kind) for f in repaired.left}
    return repaired


def start(**fields: Any) -> dict[str, Any]:
    return {
        "connectorId": 1,
        "idTag": "04A2",
        "meterStart": 100,
        "timestamp": "2024-05-01T12:00:00Z",
        **fields,
    }


def meter(*samples: dict[str, Any], **fields: Any) -> dict[str, Any]:
    value = {"timestamp": "2024-05-01T12:00:00Z", "sampledValue": list(samples)}
    return {"connectorId": 1, "meterValue": [value], **fields}


def event(**fields: Any) -> dict[str, Any]:
    return {
        "eventType": "Updated",
        "timestamp": "2024-05-01T12:00:00Z",
        "triggerReason": "MeterValuePeriodic",
        "seqNo": 5,
        "transactionInfo": {"transactionId": "abc"},
        **fields,
    }


def test_a_valid_payload_comes_back_identical() -> None:
    payload = start()
    assert repair(payload, ()).payload is payload


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (12.50, "12.5"),
        (5.0, "5"),
        (-0.0, "0"),
        (0, "0"),
        (-3, "-3"),
        (2**63, "9223372036854775808"),
        (0.30000000000000004, "0.30000000000000004"),
        (1e-7, "0.0000001"),
        (1e15, "1000000000000000"),
        (1e-300, "1e-300"),
        (True, "true"),
    ],
)
def test_a_number_where_text_is_required(number: float, text: str) -> None:
    repaired = mend("1.6", "MeterValues", meter({"value": number}))
    assert repaired.payload == meter({"value": text})
    assert repaired.left == ()


@pytest.mark.parametrize("number", [1e17, 1.8446744073709552e19, float("1e300")])
def test_a_number_that_lost_digits_does_not_become_text(number: float) -> None:
    repaired = mend("1.6", "StartTransaction", start(idTag=number))
    assert [fault.path for fault in repaired.left] == ["/idTag"]


@pytest.mark.parametrize(
    ("sent", "meant"), [(" 9.6", 9.6), ("9", 9), ("-1e3", -1000.0), ("+5.0", 5.0), ("0009", 9)]
)
def test_text_where_a_number_is_required(sent: str, meant: float) -> None:
    value = {"timestamp": "2024-05-01T12:00:00Z", "sampledValue": [{"value": sent}]}
    repaired = mend("2.0.1", "TransactionEvent", event(meterValue=[value]))
    assert repaired.payload["meterValue"][0]["sampledValue"][0]["value"] == meant
    assert (repaired.kinds, repaired.left) == (("text_to_number",), ())


@pytest.mark.parametrize(
    ("sent", "meant", "kind"),
    [
        ("100", 100, "text_to_number"),
        (" 100 ", 100, "text_to_number"),
        ("100.0", 100, "text_to_number"),
        (100.0, 100, "float_to_integer"),
        (-0.0, 0, "float_to_integer"),
    ],
)
def test_an_integer_written_otherwise(sent: Any, meant: int, kind: str) -> None:
    for version, action, field, payload in (
        ("1.6", "StartTransaction", "meterStart", start(meterStart=sent)),
        ("2.1", "TransactionEvent", "seqNo", event(seqNo=sent)),
    ):
        repaired = mend(version, action, payload)  # type: ignore[arg-type]
        assert repaired.payload[field] == meant
        assert type(repaired.payload[field]) is int
        assert (repaired.kinds, repaired.left) == ((kind,), ())


@pytest.mark.parametrize(
    "value",
    [
        "",
        "abc",
        "1.5",
        "1,5",
        "0x10",
        "١٢",
        "1e99",
        "9" * 30,
        "9" * 5000,
        1.5,
        1e17,
        True,
        None,
        [1],
        {},
    ],
)
def test_what_is_no_integer_is_left(value: Any) -> None:
    repaired = mend("1.6", "StartTransaction", start(meterStart=value))
    assert repaired.payload["meterStart"] == value
    assert [(f.kind, f.path) for f in repaired.left] == [("wrong_type", "/meterStart")]
    assert repaired.kinds == ()


@pytest.mark.parametrize(("sent", "meant"), [("true", True), (" False ", False)])
def test_a_boolean_in_words(sent: str, meant: bool) -> None:
    repaired = mend("2.0.1", "TransactionEvent", event(offline=sent))
    assert repaired == Repaired(event(offline=meant), ("text_to_boolean",), ())


@pytest.mark.parametrize("value", ["yes", "1", 1, 0])
def test_other_booleans_are_left(value: Any) -> None:
    assert mend("2.0.1", "TransactionEvent", event(offline=value)).left


def test_over_long_text_is_cut_and_spaces_go_first() -> None:
    assert mend("1.6", "StartTransaction", start(idTag="  " + "A" * 20 + "\r\n")) == Repaired(
        start(idTag="A" * 20), ("trimmed",), ()
    )
    assert mend("1.6", "StartTransaction", start(idTag=" " + "A" * 22)) == Repaired(
        start(idTag="A" * 20), ("truncated",), ()
    )


def test_spaces_that_do_no_harm_stay() -> None:
    assert mend("1.6", "StartTransaction", start(idTag=" F6 CA 0C C5")).payload["idTag"][0] == " "


def test_a_known_value_between_spaces_is_trimmed_and_an_unknown_one_left() -> None:
    assert mend("1.6", "MeterValues", meter({"value": "1", "unit": " Wh "})) == Repaired(
        meter({"value": "1", "unit": "Wh"}), ("trimmed",), ()
    )
    repaired = mend("1.6", "MeterValues", meter({"value": "1", "unit": "Hz"}))
    assert repaired.payload == meter({"value": "1", "unit": "Hz"})
    assert [fault.kind for fault in repaired.left] == ["unknown_value"]


@pytest.mark.parametrize("unit", ["wh", "WH", " wH "])
def test_a_known_word_in_other_capitals_is_that_word(unit: str) -> None:
    assert mend("1.6", "MeterValues", meter({"value": "1", "unit": unit})) == Repaired(
        meter({"value": "1", "unit": "Wh"}), ("respelled",), ()
    )


@pytest.mark.parametrize("folder", ["v16", "v201", "v21"])
def test_no_two_words_of_one_list_differ_in_capitals_only(folder: str) -> None:
    texts = [
        file.read_text("utf-8-sig") for file in files("ocpp").joinpath(folder, "schemas").iterdir()
    ]
    lists = [
        json.loads(found)
        for text in texts
        for found in re.findall(r'"enum":\s*(\[.*?\])', text, re.S)
    ]
    assert len(lists) > 20
    for words in lists:
        assert len({word.casefold() for word in words}) == len(words), words


def test_unknown_fields_are_dropped_wherever_they_are() -> None:
    repaired = mend("1.6", "MeterValues", meter({"value": "1", "x": {"y": [1]}}, vendor=1))
    assert repaired == Repaired(meter({"value": "1"}), ("unknown_field_dropped",), ())


@pytest.mark.parametrize("empty", [None, "", "  ", []])
def test_an_empty_optional_field_is_dropped(empty: Any) -> None:
    stop = {"transactionId": 1, "meterStop": 5, "timestamp": "2024-05-01T12:00:00Z"}
    assert mend("1.6", "StopTransaction", {**stop, "reason": empty}) == Repaired(
        stop, ("empty_field_dropped",), ()
    )
    assert mend("2.0.1", "TransactionEvent", event(meterValue=empty)).payload == event()


def test_missing_and_empty_required_fields_are_left() -> None:
    repaired = mend("1.6", "StartTransaction", start(idTag=None) | {"meterStart": None})
    assert [fault.path for fault in repaired.left] == ["/idTag", "/meterStart"]
    assert [f.kind for f in mend("1.6", "MeterValues", {"meterValue": []}).left] == [
        "missing_field",
        "too_few",
    ]


def test_many_faults_of_one_long_transaction_are_all_repaired() -> None:
    samples = [{"value": float(number), "x": 1} for number in range(2000)]
    repaired = mend("1.6", "MeterValues", meter(*samples))
    assert repaired.left == ()
    assert repaired.kinds == ("number_to_text", "unknown_field_dropped")


def test_only_what_is_changed_is_copied() -> None:
    payload = meter({"value": 1}, {"value": "2"})
    samples = payload["meterValue"][0]["sampledValue"]
    repaired = mend("1.6", "MeterValues", payload)
    assert repaired.payload["meterValue"][0]["sampledValue"][1] is samples[1]


def test_faults_of_another_payload_are_left() -> None:
    faults = Schemas.of("1.6").request_faults("MeterValues", meter({"value": 1}))
    others: list[dict[str, Any]] = [{}, {"meterValue": 5}, {"meterValue": []}, {"meterValue": {}}]
    for other in others:
        assert repair(other, faults) == Repaired(other, (), tuple(faults))
    whole = Fault("other", "", ())
    assert repair({}, [whole]).left == (whole,)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=30)
    | st.from_regex(r"\A ?[+-]?[0-9]{1,30}(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})? ?\Z")
    | st.sampled_from([" Wh", "true", "x" * 600]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
GOOD: list[tuple[Version, str, dict[str, Any]]] = [
    ("1.6", "StartTransaction", start(reservationId=0)),
    ("1.6", "MeterValues", meter({"value": "1", "unit": "Wh"}, {"value": "2"}, transactionId=5)),
    (
        "2.0.1",
        "TransactionEvent",
        event(
            offline=False,
            evse={"id": 1, "connectorId": 1},
            idToken={"idToken": "04A2", "type": "ISO14443"},
            meterValue=meter({"value": 1.5, "unitOfMeasure": {"unit": "kWh"}})["meterValue"],
        ),
    ),
    ("2.1", "StatusNotification", {"timestamp": "", "connectorStatus": "Available", "evseId": 1}),
]


def ways(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    parts: Any = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    return [(*way, key) for key, _ in parts] + [
        deeper for key, part in parts for deeper in ways(part, (*way, key))
    ]


@settings(max_examples=600, deadline=None)
@given(good=st.sampled_from(GOOD), data=st.data())
def test_repair_keeps_its_promise_for_any_payload(good: Any, data: st.DataObject) -> None:
    version, action, payload = copy.deepcopy(good)
    for _ in range(data.draw(st.integers(1, 4))):
        way = data.draw(st.sampled_from(ways(payload) or [("x",)]))
        owner: Any = payload
        for step in way[:-1]:
            owner = owner[step]
        if isinstance(owner, dict) and data.draw(st.booleans()):
            owner.pop(way[-1], None)
            owner[data.draw(st.text(max_size=5))] = data.draw(VALUES)
        else:
            owner[way[-1]] = data.draw(VALUES)
    schemas = Schemas.of(version)
    before = repr(payload)
    faults = schemas.request_faults(action, payload, FAULTS_REPAIRABLE)
    repaired = repair(payload, faults)
    assert repr(payload) == before
    again = schemas.request_faults(action, repaired.payload, FAULTS_REPAIRABLE)
    assert {(f.path, f.kind) for f in again} == {(f.path, f.kind) for f in repaired.left}
    assert bool(repaired.kinds) == (len(repaired.left) < len(faults))
