"""The schemas of all versions, and faults that say where and why without quoting."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from importlib.resources import files
from typing import Any, get_args

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.ocpp.rpc import ErrorCode, Version
from csms.ocpp.validation import Fault, Schemas

VERSIONS: tuple[Version, ...] = get_args(Version)
FOLDERS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}
NO_RESPONSE = "NotifyPeriodicEventStream"

Where = tuple[Version, str, str]


def schema_of(where: Where) -> dict[str, Any]:
    version, action, direction = where
    suffix = "Response" if direction == "response" else "Request"
    if direction == "request" and (version == "1.6" or action == NO_RESPONSE):
        suffix = ""
    path = files("ocpp").joinpath(FOLDERS[version], "schemas", f"{action}{suffix}.json")
    schema: dict[str, Any] = json.loads(path.read_text("utf-8-sig"))
    return schema


def faults_of(where: Where, payload: dict[str, Any], limit: int = 20) -> tuple[Fault, ...]:
    version, action, direction = where
    schemas = Schemas.of(version)
    check = schemas.request_faults if direction == "request" else schemas.response_faults
    return check(action, payload, limit)


EVERY: list[Where] = [
    (version, action, direction)
    for version in VERSIONS
    for action in sorted(Schemas.of(version).actions)
    for direction in ("request", "response")
    if (action, direction) != (NO_RESPONSE, "response")
]


def sample(schema: dict[str, Any], node: dict[str, Any]) -> Any:
    """A valid value with every optional field."""
    if "$ref" in node:
        return sample(schema, schema["definitions"][node["$ref"].rsplit("/", 1)[1]])
    if "enum" in node:
        return node["enum"][0]
    match node.get("type"):
        case "object":
            return {name: sample(schema, sub) for name, sub in node.get("properties", {}).items()}
        case "array":
            return [sample(schema, node["items"])] * max(1, node.get("minItems", 1))
        case "integer":
            return int(node.get("minimum", 7))
        case "number":
            return node.get("maximum", node.get("minimum", 16.1))
        case "boolean":
            return True
        case _:
            return "x"


def places(value: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    parts: Any = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    return [way, *(place for key, part in parts for place in places(part, (*way, key)))]


def test_the_actions_of_each_version() -> None:
    assert {version: len(Schemas.of(version).actions) for version in VERSIONS} == {
        "1.6": 39,
        "2.0.1": 64,
        "2.1": 91,
    }
    assert "Heartbeat" in Schemas.of("1.6").actions
    assert NO_RESPONSE in Schemas.of("2.1").actions
    assert Schemas.of("2.1") is Schemas.of("2.1")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_schema_compiles_and_accepts_what_it_describes(version: Version) -> None:
    for where in EVERY:
        if where[0] == version:
            schema = schema_of(where)
            assert faults_of(where, sample(schema, schema)) == (), where


@pytest.mark.parametrize("version", VERSIONS)
def test_every_schema_refuses_an_unknown_field(version: Version) -> None:
    for where in EVERY:
        if where[0] == version:
            schema = schema_of(where)
            payload = {**sample(schema, schema), "noSuchField": 1}
            assert [(f.kind, f.path) for f in faults_of(where, payload)] == [
                ("unknown_field", "/noSuchField")
            ], where


def test_the_schemas_use_no_keyword_that_the_walk_does_not_know() -> None:
    known = {
        *("type", "enum", "minLength", "maxLength", "minimum", "maximum", "multipleOf"),
        *("minItems", "maxItems", "items", "properties", "required", "additionalProperties"),
        *("$ref", "definitions"),
        # Of no effect: words, times (parsed leniently), and the rest of a list without positions.
        *("$schema", "$id", "title", "description", "comment", "javaType", "default", "format"),
        "additionalItems",
    }

    def check(node: Any) -> None:
        assert set(node) <= known
        assert isinstance(node.get("type", ""), str)
        for sub in (*node.get("properties", {}).values(), *node.get("definitions", {}).values()):
            check(sub)
        if "items" in node:
            check(node["items"])

    for where in EVERY:
        check(schema_of(where))


@pytest.mark.parametrize("action", ["NoSuchAction", "heartbeat", "", "../v16/schemas/Heartbeat"])
def test_an_unknown_action_is_the_callers_mistake(action: str) -> None:
    for version in VERSIONS:
        with pytest.raises(KeyError):
            Schemas.of(version).request_faults(action, {})
        with pytest.raises(KeyError):
            Schemas.of(version).response_faults(action, {})
    with pytest.raises(KeyError):
        Schemas.of("2.1").response_faults(NO_RESPONSE, {})


SAMPLE = {"value": "1", "unit": "Wh"}
METER: dict[str, Any] = {
    "connectorId": 1,
    "meterValue": [{"timestamp": "2024-05-01T12:00:00Z", "sampledValue": [{**SAMPLE}, {**SAMPLE}]}],
}


def changed(payload: dict[str, Any], way: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    payload = copy.deepcopy(payload)
    owner: Any = payload
    for step in way[:-1]:
        owner = owner[step]
    owner[way[-1]] = value
    return payload


VALUE = ("meterValue", 0, "sampledValue", 1, "value")
UNIT = ("meterValue", 0, "sampledValue", 1, "unit")


@pytest.mark.parametrize(
    ("payload", "kind", "path", "code"),
    [
        (
            changed(METER, VALUE, 1.5),
            "wrong_type",
            "/meterValue/0/sampledValue/1/value",
            ErrorCode.TYPE_CONSTRAINT_VIOLATION,
        ),
        (
            changed(METER, UNIT, "furlong"),
            "unknown_value",
            "/meterValue/0/sampledValue/1/unit",
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
        ),
        (
            changed(METER, ("a/b~c",), 1),
            "unknown_field",
            "/a~1b~0c",
            ErrorCode.FORMAT_VIOLATION,
        ),
        (
            {"meterValue": METER["meterValue"]},
            "missing_field",
            "/connectorId",
            ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
        ),
        (
            changed(METER, ("meterValue",), []),
            "too_few",
            "/meterValue",
            ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
        ),
        (
            changed(METER, ("connectorId",), True),
            "wrong_type",
            "/connectorId",
            ErrorCode.TYPE_CONSTRAINT_VIOLATION,
        ),
        (
            changed(METER, ("connectorId",), 1.0),
            "wrong_type",
            "/connectorId",
            ErrorCode.TYPE_CONSTRAINT_VIOLATION,
        ),
    ],
)
def test_a_fault_names_its_place_kind_and_code(
    payload: dict[str, Any], kind: str, path: str, code: ErrorCode
) -> None:
    (fault,) = Schemas.of("1.6").request_faults("MeterValues", payload)
    assert (fault.kind, fault.path, fault.code) == (kind, path, code)


def test_limits_of_text_numbers_and_lists() -> None:
    (fault,) = Schemas.of("1.6").request_faults("Authorize", {"idTag": "x" * 21})
    assert (fault.kind, fault.rule.max_length) == ("too_long", 20)
    stop = {"evse": {"id": -1}, "operationalStatus": "Operative"}
    (fault,) = Schemas.of("2.1").request_faults("ChangeAvailability", stop)
    assert (fault.kind, fault.path) == ("out_of_range", "/evse/id")
    ids = {"requestId": 1, "chargingProfile": {"chargingProfileId": [1] * 5}}
    assert Schemas.of("2.0.1").request_faults("GetChargingProfiles", ids) == ()
    none: dict[str, Any] = {"getVariableResult": []}
    (fault,) = Schemas.of("2.0.1").response_faults("GetVariables", none)
    assert (fault.kind, fault.path) == ("too_few", "/getVariableResult")


def test_an_integer_with_a_decimal_point_is_a_fault_in_every_version() -> None:
    payload = {"evseId": 1.0, "meterValue": [{"timestamp": "", "sampledValue": [{"value": 1}]}]}
    (fault,) = Schemas.of("2.1").request_faults("MeterValues", payload)
    assert (fault.kind, fault.path) == ("wrong_type", "/evseId")


def profile(limit: Any) -> dict[str, Any]:
    return {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
            },
        },
    }


def test_limits_with_one_decimal_are_multiples_of_a_tenth() -> None:
    """In binary, 16.1 is no multiple of 0.1; the specification counts in decimals."""
    schemas = Schemas.of("1.6")
    assert all(
        schemas.request_faults("SetChargingProfile", profile(tenths / 10)) == ()
        for tenths in range(10_000)
    )
    assert schemas.request_faults("SetChargingProfile", profile(Decimal("16.1"))) == ()
    for limit in (16.15, 0.30000000000000004, 1e-300, Decimal("16.15")):
        (fault,) = schemas.request_faults("SetChargingProfile", profile(limit))
        assert (fault.kind, fault.detail) == ("other", "not a multiple of 0.1")


def test_limits_beyond_reason_are_a_matter_for_the_handler() -> None:
    for limit in (1e15, 1e300, 2**63):
        payload = {**profile(limit), "x": 1}
        (fault,) = Schemas.of("1.6").request_faults("SetChargingProfile", payload)
        assert fault.path == "/x"


def test_times_are_not_checked() -> None:
    payload = changed(METER, ("meterValue", 0, "timestamp"), "yesterday +1000")
    assert Schemas.of("1.6").request_faults("MeterValues", payload) == ()


def test_a_hostile_payload_is_reported_up_to_the_limit() -> None:
    """100,000 faults: the walk stops at the limit instead of collecting them all."""
    payload = changed(METER, ("meterValue", 0, "sampledValue"), [{"value": 1}] * 100_000)
    schemas = Schemas.of("1.6")
    assert len(schemas.request_faults("MeterValues", payload)) == 20
    assert len(schemas.request_faults("MeterValues", payload, limit=3)) == 3
    assert len(schemas.request_faults("Heartbeat", {f"k{n}": n for n in range(100_000)})) == 20


def test_details_and_paths_never_quote_a_value_and_stay_short() -> None:
    secret = "s3cret" * 1000
    payload = {"idTag": secret, secret: secret}
    for fault in Schemas.of("1.6").request_faults("Authorize", payload):
        assert "s3cret" not in fault.detail
        assert len(fault.path) <= 70


def test_what_is_no_json_is_a_fault_and_no_exception() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    for value in (deep, object(), float("nan"), Decimal("NaN"), {1: 2}):
        assert Schemas.of("1.6").request_faults("Authorize", {"idTag": value})
    assert Schemas.of("1.6").request_faults("Authorize", {"idTag": "1", "\ud800": "\ud800"})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=60)
    | st.sampled_from(["x" * 3000, 5.0, -1, 0.05, 1e300, "Accepted"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@settings(max_examples=600, deadline=None)
@given(where=st.sampled_from(EVERY), data=st.data())
def test_the_walk_and_the_validator_agree_on_every_place(where: Where, data: st.DataObject) -> None:
    schema = schema_of(where)
    payload = sample(schema, schema)
    for _ in range(data.draw(st.integers(1, 3))):
        ways: list[tuple[str | int, ...]] = [way for way in places(payload) if way]
        inside: bool = data.draw(st.booleans())
        if ways and inside:
            payload = changed(payload, data.draw(st.sampled_from(ways)), data.draw(VALUES))
        else:
            payload = {**payload, data.draw(st.text(max_size=5)): data.draw(VALUES)}
    if payload and data.draw(st.booleans()):
        del payload[data.draw(st.sampled_from(sorted(payload)))]
    validator = jsonschema_rs.Draft4Validator(schema, validate_formats=False)
    expected = {tuple(error.instance_path) for error in validator.iter_errors(payload)}
    found = {
        fault.steps[:-1] if fault.kind in ("missing_field", "unknown_field") else fault.steps
        for fault in faults_of(where, payload, limit=10_000)
    }
    assert found == expected
