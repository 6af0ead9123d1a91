"""Names of variables on any station, and when a reported value is the wanted one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.core.errors import Invalid
from csms.core.variables import SAME, Path, agree, checked, chosen, is_secret, key_of, parse, plain

NAMES = st.text(min_size=1, max_size=20)
NUMBERS = st.none() | st.integers(0, 999)


@st.composite
def paths(draw: st.DrawFn) -> Path:
    evse = draw(NUMBERS)
    return Path(
        draw(NAMES),
        draw(NAMES),
        draw(st.none() | st.text(max_size=20)),
        evse,
        None if evse is None else draw(NUMBERS),
        draw(st.none() | st.text(max_size=20)),
    )


@given(paths())
def test_what_is_written_is_read_again(path: Path) -> None:
    assert parse(str(path)) == path or key_of(str(path)) in {key_of(p) for p, _ in SAME}


@given(st.text(max_size=60))
def test_any_text_is_a_path_or_is_refused(text: str) -> None:
    try:
        path = parse(text)
    except Invalid:
        return
    assert parse(str(path)) == path


def test_names_read_as_people_write_them() -> None:
    assert parse("OCPPCommCtrlr/HeartbeatInterval") == Path("OCPPCommCtrlr", "HeartbeatInterval")
    assert parse("Connector@1.2/AvailabilityState") == Path(
        "Connector", "AvailabilityState", None, 1, 2
    )
    assert parse("DeviceDataCtrlr/ItemsPerMessage[GetVariables]") == Path(
        "DeviceDataCtrlr", "ItemsPerMessage", variable_instance="GetVariables"
    )
    assert str(Path("Sensor", "Temperature", "top", 1)) == "Sensor[top]@1/Temperature"


@pytest.mark.parametrize("name", ["", "Key", "A/", "/B", "A/B/C", "A@x/B", "A[/B", "A]/B"])
def test_what_is_no_path_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(Invalid, match="OCPPCommCtrlr/HeartbeatInterval"):
        parse(name)


@pytest.mark.parametrize(("key", "path"), SAME)
def test_names_that_mean_the_same_lead_to_one_another(key: str, path: str) -> None:
    assert key_of(key) == key_of(path) == key_of(key.upper())
    assert str(parse(key)) == path
    assert plain(path.lower()) == key
    assert plain(key) == key


def test_no_two_meanings_share_a_name() -> None:
    assert len({key_of(path) for _, path in SAME}) == len({key for key, _ in SAME}) == len(SAME)


def test_vendor_names_stay_as_they_are() -> None:
    assert plain("Cst_BackendUrl") == "Cst_BackendUrl"
    assert key_of(" Cst_BackendUrl ") == "cst_backendurl"


@pytest.mark.parametrize(
    "name", ["AuthorizationKey", "SecurityCtrlr/BasicAuthPassword", "WifiKey", "vpnPassword"]
)
def test_secrets_are_refused_with_the_way_to_set_them(name: str) -> None:
    assert is_secret(name)
    with pytest.raises(Invalid, match="csms station rotate"):
        checked(name, "hunter2")


@pytest.mark.parametrize(
    ("name", "value"), [("", "1"), (" ", "1"), ("a\0b", "1"), ("x" * 401, "1"), ("A", "\0")]
)
def test_what_no_station_takes_is_refused(name: str, value: str) -> None:
    with pytest.raises(Invalid):
        checked(name, value)


def test_spaces_around_a_name_are_not_part_of_it() -> None:
    assert checked(" A\n", " 1 ") == ("A", " 1 ")


@pytest.mark.parametrize(
    ("reported", "wanted", "same"),
    [
        ("300", "300", True),
        (" 300 ", "300", True),
        ("300.0", "300", True),
        ("0300", "300", True),
        ("True", "true", True),
        ("B, A", "b,A", True),
        ("1.0,2", "1, 2", True),
        ("A", "A,B", False),
        ("A,A", "A,B", False),
        (None, "", False),
        ("", "", True),
        ("nan", "NaN", True),
        ("5", "300", False),
    ],
)
@pytest.mark.parametrize("data_type", [None, "SequenceList", "MemberList", "string"])
def test_values_agree_however_a_station_writes_them(
    reported: str | None, wanted: str, same: bool, data_type: str | None
) -> None:
    assert agree("X", reported, wanted, data_type) is same


MEASURANDS = "SampledDataCtrlr@1/TxUpdatedMeasurands"
PRIORITY = "OCPPCommCtrlr/NetworkConfigurationPriority"


@pytest.mark.parametrize(
    ("name", "data_type", "same"),
    [
        # OCPP 2.0.1 DataEnumType: a member list is a set, a sequence list says what comes first.
        ("Vendor/Things", "MemberList", True),
        ("Vendor/Things", "memberlist", True),
        ("Vendor/Things", "OptionList", True),
        ("Vendor/Things", "SequenceList", False),
        ("Vendor/Motto", "string", False),
        # Of a variable that was read alone the type is not known; those of the specification are.
        (PRIORITY, None, False),
        ("ClockCtrlr/TimeSource", None, False),
        (MEASURANDS, None, True),
        ("AlignedDataCtrlr/Measurands", None, True),
        ("TxCtrlr/TxStartPoint", None, True),
        ("TxCtrlr/TxStopPoint", None, True),
        # A type that is plainly wrong changes nothing.
        (PRIORITY, "MemberList", False),
        (MEASURANDS, "string", True),
        # OCPP 1.6 9: none of the lists has an order; of a vendor's nobody knows.
        ("MeterValuesSampledData", None, True),
        ("StopTxnAlignedData", None, True),
        ("ConnectorPhaseRotation", None, True),
        ("NetworkConfigurationPriority", None, False),
        ("Cst_Servers", None, False),
    ],
)
def test_a_list_in_another_order_is_another_value_where_the_order_is_the_meaning(
    name: str, data_type: str | None, same: bool
) -> None:
    assert agree(name, "2,1", "1,2", data_type) is same
    assert agree(name.upper(), "b,A", "a,B", data_type) is same
    assert agree(name, "1,2", "1,2", data_type)


def test_each_meaning_is_asked_for_once() -> None:
    names = ["HeartbeatInterval", "OCPPCommCtrlr/HeartbeatInterval", "X", "x"]
    assert list(chosen(names).values()) == ["HeartbeatInterval", "X"]
