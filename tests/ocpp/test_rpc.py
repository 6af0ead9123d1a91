"""The RPC machine, told as transcripts: the station sends X, we answer Y."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from types import MappingProxyType
from typing import Any, get_args

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from csms.ocpp.rpc import (
    MAX_DEPTH,
    WIRE_CODES,
    Call,
    CallOutstanding,
    ErrorCode,
    Failure,
    Ignored,
    Notice,
    NumberId,
    Outstanding,
    Received,
    Refused,
    Result,
    Rpc,
    Timeout,
    Version,
)

VERSIONS: tuple[Version, ...] = get_args(Version)
RPC_ERROR = {
    "1.6": "FormationViolation",
    "2.0.1": "RpcFrameworkError",
    "2.1": "RpcFrameworkError",
}
FORMAT_ERROR = {"1.6": "FormationViolation", "2.0.1": "FormatViolation", "2.1": "FormatViolation"}


class Station:
    """The other end of the link: what it sends, and what it reads of ours."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.rpc = Rpc(version)

    def sends(self, message: Any) -> Received:
        """`message` as a frame; text is sent as it is."""
        return self.rpc.receive(
            message if isinstance(message, str | bytes) else json.dumps(message)
        )

    def is_refused(self, message: Any, message_id: object, code: str) -> str:
        """It gets a CALLERROR with that id and code; the reason we count is returned."""
        received = self.sends(message)
        assert isinstance(received, Refused), received
        kind, its_id, its_code, description, details = json.loads(received.frame)
        assert (kind, its_id, its_code, details) == (4, message_id, code, {})
        assert type(its_id) is type(message_id)
        assert len(description) <= 255
        return received.reason

    def is_asked(
        self, action: str = "Reset", message_id: str = "ours", deadline: float = 30
    ) -> None:
        frame = self.rpc.call(message_id, action, {"type": "Soft"}, deadline)
        assert json.loads(frame) == [2, message_id, action, {"type": "Soft"}]


@pytest.fixture(params=VERSIONS)
def station(request: pytest.FixtureRequest) -> Station:
    return Station(request.param)


# -- the station calls --


def test_a_call_is_answered_with_its_own_id(station: Station) -> None:
    call = station.sends([2, "19223201", "Heartbeat", {}])
    assert call == Call("19223201", "Heartbeat", {})
    assert isinstance(call, Call)
    answer = station.rpc.result(call.message_id, {"currentTime": "2024-05-01T12:00:00Z"})
    assert answer == '[3,"19223201",{"currentTime":"2024-05-01T12:00:00Z"}]'


def test_a_call_that_fails_is_answered_with_an_error(station: Station) -> None:
    answer = station.rpc.error("7", ErrorCode.NOT_IMPLEMENTED, "unknown action", {"hint": 1})
    assert json.loads(answer) == [4, "7", "NotImplemented", "unknown action", {"hint": 1}]


@pytest.mark.parametrize(
    "text", ["17", "-1.50e3", "1e2", "17.0", "9" * 100, "18446744073709551616"]
)
def test_a_numeric_id_comes_back_as_it_was_written(station: Station, text: str) -> None:
    for frame in (f'[2,{text},"Heartbeat",{{}}]', f' [ 2 , {text} , "Heartbeat", {{}} ]'.encode()):
        call = station.sends(frame)
        assert isinstance(call, Call)
        assert call.message_id == text
        assert "numeric_message_id" in call.violations
        assert station.rpc.result(call.message_id, {}) == f"[3,{text},{{}}]"
        assert station.rpc.error(call.message_id, ErrorCode.INTERNAL_ERROR).startswith(
            f"[4,{text},"
        )


def test_text_that_looks_like_a_number_stays_text(station: Station) -> None:
    call = station.sends([2, "17", "Heartbeat", {}])
    assert isinstance(call, Call)
    assert not isinstance(call.message_id, NumberId)
    assert station.rpc.result(call.message_id, {}) == '[3,"17",{}]'


@pytest.mark.parametrize("message_id", ["", " ", "x" * 255, 'a"b\\c', "id\u0000\u2028é😀", "[2,3]"])
def test_an_id_of_any_form_is_echoed(station: Station, message_id: str) -> None:
    call = station.sends([2, message_id, "Heartbeat", {}])
    assert isinstance(call, Call)
    assert json.loads(station.rpc.result(call.message_id, {})) == [3, message_id, {}]


@pytest.mark.parametrize("message_id", [None, [], {}, True, ["x"], "x" * 256, int("9" * 256)])
def test_an_id_that_cannot_be_echoed(station: Station, message_id: object) -> None:
    code = RPC_ERROR[station.version]
    assert station.is_refused([2, message_id, "Heartbeat", {}], "-1", code) in (
        "unreadable_id",
        "not_json",  # 256 digits are beyond any float
    )


def test_surplus_elements_are_understood_and_counted(station: Station) -> None:
    assert station.sends([2, "1", "Heartbeat", {}, {}, 5]) == Call(
        "1", "Heartbeat", {}, ("extra_elements",)
    )
    assert station.sends([2, "i" * 37, "Heartbeat", {}, None]) == Call(
        "i" * 37, "Heartbeat", {}, ("extra_elements", "long_message_id")
    )


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([2, "1"], "wrong_arity"),
        ([2, "1", "Heartbeat"], "wrong_arity"),
        ([2, "1", ["Heartbeat"], {}], "action_not_text"),
        ([2, "1", {"a": 1}, {}], "action_not_text"),
        ([2, "1", None, {}], "action_not_text"),
        ('[2,"1","MeterValues",{"value":NaN}]', "not_json"),
        ('[2,"1","MeterValues",{"value" "5"}]', "not_json"),
        ('[2,"1","MeterValues",{"value":' + "[" * 5000, "too_deep"),
    ],
)
def test_an_unusable_call_is_refused_with_its_own_id(
    station: Station, message: Any, reason: str
) -> None:
    assert station.is_refused(message, "1", RPC_ERROR[station.version]) == reason


def test_a_payload_without_fields_may_be_null(station: Station) -> None:
    assert station.sends([2, "1", "Heartbeat", None]) == Call("1", "Heartbeat", {})
    station.is_asked("ClearCache")
    assert station.sends([3, "ours", None]) == Result("ours", "ClearCache", {})


@pytest.mark.parametrize("payload", [[], "x", 1, False, [{}]])
def test_a_payload_that_is_no_object(station: Station, payload: object) -> None:
    message = [2, "1", "Heartbeat", payload]
    assert station.is_refused(message, "1", FORMAT_ERROR[station.version]) == "payload_not_object"


def test_the_numeric_id_of_a_refused_call_stays_a_number(station: Station) -> None:
    station.is_refused([2, 17, "Heartbeat"], 17, RPC_ERROR[station.version])
    station.is_refused('[2, 17, "Heartbeat", {"a" 1}]', 17, RPC_ERROR[station.version])


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("", "not_json"),
        ("hello", "not_json"),
        ("[" * 100_000, "too_deep"),
        ("[" * 1000 + "]" * 1000, "too_deep"),
        ("[" * 60 + "]" * 60, None),
        ('[2,007,"Heartbeat",{}]', "not_json"),
        ('[2,1-2,"Heartbeat",{', "not_json"),
        ('[2,"\\ud800","Heartbeat",{}]', "unreadable_id"),
        ("{}", "not_an_array"),
        ("null", "not_an_array"),
        ('"[2]"', "not_an_array"),
        ("17", "not_an_array"),
        ("[]", "empty"),
        ("[2]", "unreadable_id"),
        ("[2", "not_json"),
    ],
)
def test_a_frame_without_a_readable_id(station: Station, frame: str, reason: str | None) -> None:
    if reason is None:
        assert station.sends(frame) == Ignored("unknown_message_type")
    else:
        assert station.is_refused(frame, "-1", RPC_ERROR[station.version]) == reason


@pytest.mark.parametrize(
    ("frame", "uid"),
    [
        ('[2,"1","Authorize",{"idTag":"04A2\x10\x0e"}]', "04A2"),
        ('[2,"1","Authorize",{"idTag":"04\nA2"}]', "04 A2"),
        ('\ufeff[2,"1","Authorize",{"idTag":"04A2  "}]', "04A2  "),
        ('[2,"1","Authorize",{"idTag":"04A2  "}]\x00', "04A2  "),
    ],
)
def test_stray_control_characters_do_not_cost_a_message(
    station: Station, frame: str, uid: str
) -> None:
    for received in (station.sends(frame), station.sends(frame.encode())):
        assert received == Call("1", "Authorize", {"idTag": uid}, ("bad_characters",))


def test_half_a_surrogate_pair_deep_inside_does_not_end_the_link(station: Station) -> None:
    refused = station.sends('[2,"7","A",{"a":"\\ud800","b":' + "[" * 50_000 + "]" * 50_000 + "}]")
    assert isinstance(refused, Refused)


def test_half_a_surrogate_pair_is_json_all_the_same(station: Station) -> None:
    assert station.sends('[2,"1","A",{"a":"x\\ud800y","b":1.50}]') == Call(
        "1", "A", {"a": "x?y", "b": 1.5}, ("bad_text",)
    )
    assert station.sends('[2,"1","A",{"a":"\\u0000"}]') == Call("1", "A", {"a": "\x00"})


@pytest.mark.parametrize(
    ("frame", "payload", "kind"),
    [
        ('[2,"1","A",{"a":,"b":5}]', {"b": 5}, "mended_json"),
        ('[2,"1","A",{"a":[,{"b":5}]}]', {"a": [{"b": 5}]}, "mended_json"),
        ('[2,"1","A",{"a":[{"b":5', {"a": [{}]}, "cut_off_json"),
    ],
)
def test_broken_json_is_mended_and_said_to_be(
    station: Station, frame: str, payload: Any, kind: str
) -> None:
    assert station.sends(frame) == Call("1", "A", payload, (kind,))


def test_a_mended_result_is_a_result_and_half_a_result_is_none(station: Station) -> None:
    station.is_asked("GetConfiguration")
    assert station.sends('[3,"ours",{"unknownKey":["a",]}]') == Result(
        "ours", "GetConfiguration", {"unknownKey": ["a"]}
    )
    station.is_asked("GetConfiguration")
    assert isinstance(station.sends('[3,"ours",{"unknownKey":["a","b'), Failure)


def test_text_in_another_encoding_does_not_cost_a_message(station: Station) -> None:
    assert station.sends('[2,"1","BootNotification",{"v":"é"}]'.encode("latin-1")) == Call(
        "1", "BootNotification", {"v": "\ufffd"}, ("bad_characters",)
    )


def test_the_last_of_two_equal_keys_counts(station: Station) -> None:
    assert station.sends('[2,"1","A",{"a":1,"a":2}]') == Call("1", "A", {"a": 2})


# -- types that are not answered --


@pytest.mark.parametrize("kind", [0, 1, 7, -1, 2.5, True, "2", None, [], {}, 10**30])
def test_an_unknown_message_type_is_ignored(station: Station, kind: object) -> None:
    assert station.sends([kind, "1", "Heartbeat", {}]) == Ignored("unknown_message_type")


def test_a_send_is_a_notice_in_2_1_only(station: Station) -> None:
    received = station.sends([6, "1", "NotifyPeriodicEventStream", {"id": 1}])
    if station.version == "2.1":
        assert received == Notice("1", "NotifyPeriodicEventStream", {"id": 1})
        unusable: list[Any] = [[6], [6, "1", "X"], [6, None, "X", {}], [6, "1", 5, {}]]
        for bad in (*unusable, [6, "1", "X", []]):
            assert station.sends(bad) == Ignored("malformed_send")
    else:
        assert received == Ignored("unknown_message_type")


def test_a_result_error_is_counted_and_never_answered(station: Station) -> None:
    received = station.sends([5, "1", "TypeConstraintViolation", "interval", {}])
    if station.version == "2.1":
        assert received == Ignored("result_error", "TypeConstraintViolation: interval")
        assert station.sends([5]) == Ignored("result_error")
    else:
        assert received == Ignored("unknown_message_type")


@pytest.mark.parametrize(
    "frame", ["[4", '[4,"', "[4]", '[4,"-1","X"', '[4,{},"GenericError","",{}]']
)
def test_a_damaged_error_is_never_answered(station: Station, frame: str) -> None:
    assert station.sends(frame) == Ignored("stray_error")


# -- we call --


def test_our_call_gets_its_result(station: Station) -> None:
    station.is_asked("Reset", deadline=30)
    assert station.rpc.outstanding == Outstanding("ours", "Reset", 30)
    assert station.sends([3, "ours", {"status": "Accepted"}]) == Result(
        "ours", "Reset", {"status": "Accepted"}
    )
    assert station.rpc.outstanding is None
    assert station.sends([3, "ours", {"status": "Accepted"}]) == Ignored("stray_result")


def test_only_one_call_is_open(station: Station) -> None:
    station.is_asked()
    with pytest.raises(CallOutstanding):
        station.is_asked(message_id="second")
    assert station.rpc.outstanding == Outstanding("ours", "Reset", 30)


def test_a_call_that_is_no_json_leaves_nothing_open(station: Station) -> None:
    with pytest.raises(TypeError):
        station.rpc.call("ours", "Reset", {"type": object()}, 30)
    assert station.rpc.outstanding is None


def test_calls_cross(station: Station) -> None:
    station.is_asked("RequestStartTransaction")
    assert station.sends([2, "ours", "Authorize", {}]) == Call("ours", "Authorize", {})
    assert station.rpc.result("ours", {}) == '[3,"ours",{}]'
    assert isinstance(station.sends([3, "ours", {}]), Result)


def test_a_station_may_turn_our_id_into_a_number(station: Station) -> None:
    station.is_asked(message_id="4711")
    assert station.sends([3, 4711, {}]) == Result("4711", "Reset", {})


def test_our_call_gets_an_error(station: Station) -> None:
    station.is_asked()
    assert station.sends([4, "ours", "SecurityError", "no", {"a": 1}]) == Failure(
        "ours", "Reset", ErrorCode.SECURITY_ERROR, "no", {"a": 1}, "SecurityError"
    )
    assert station.rpc.outstanding is None


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        ("FormationViolation", ErrorCode.FORMAT_VIOLATION),
        ("FormatViolation", ErrorCode.FORMAT_VIOLATION),
        ("OccurenceConstraintViolation", ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
        ("OccurrenceConstraintViolation", ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
        ("NOTSUPPORTED", ErrorCode.NOT_SUPPORTED),
        ("RpcFrameworkError", ErrorCode.RPC_FRAMEWORK_ERROR),
        ("VendorError", ErrorCode.GENERIC_ERROR),
        ("", ErrorCode.GENERIC_ERROR),
    ],
)
def test_any_spelling_of_a_code_is_understood(station: Station, wire: str, code: ErrorCode) -> None:
    station.is_asked()
    assert station.sends([4, "ours", wire]) == Failure("ours", "Reset", code, wire_code=wire)


@pytest.mark.parametrize("rest", [[], [None], [["x"], 5, 6], ["E" * 999, "d" * 999, "x", 1]])
def test_an_error_of_any_shape_ends_our_call(station: Station, rest: list[Any]) -> None:
    station.is_asked()
    failure = station.sends([4, "ours", *rest])
    assert isinstance(failure, Failure)
    assert failure.code == ErrorCode.GENERIC_ERROR
    assert len(failure.description) <= 255
    assert len(failure.wire_code) <= 255
    assert failure.reply is None


@pytest.mark.parametrize("frame", ['[3,"ours"]', '[3,"ours",[]]', '[3,"ours",5]', '[3,"ours",{"s'])
def test_an_unusable_result_ends_our_call(station: Station, frame: str) -> None:
    station.is_asked()
    failure = station.sends(frame)
    assert isinstance(failure, Failure)
    assert failure.code == ErrorCode.FORMAT_VIOLATION
    assert station.rpc.outstanding is None
    if station.version == "2.1":
        assert failure.reply is not None
        assert json.loads(failure.reply)[:3] == [5, "ours", "FormatViolation"]
    else:
        assert failure.reply is None


@pytest.mark.parametrize("wire", ["NotImplemented", "NotSupported"])
@pytest.mark.parametrize("message_id", ["-1", -1])
def test_an_error_without_id_refuses_the_open_call(
    station: Station, wire: str, message_id: object
) -> None:
    station.is_asked("GetReport")
    failure = station.sends([4, message_id, wire, "", {}])
    assert isinstance(failure, Failure)
    assert (failure.message_id, failure.action, failure.wire_code) == ("ours", "GetReport", wire)
    assert station.rpc.outstanding is None
    assert station.sends([4, message_id, wire, "", {}]) == Ignored("stray_error")


@pytest.mark.parametrize("wire", ["FormationViolation", "RpcFrameworkError", "InternalError", "x"])
def test_an_error_without_id_may_speak_of_something_else(station: Station, wire: str) -> None:
    station.is_asked()
    assert station.sends([4, "-1", wire, "", {}]) == Ignored("stray_error")
    assert station.rpc.outstanding is not None


def test_answers_to_nothing(station: Station) -> None:
    for message in ([3, "x", {}], [3], [3, None], [3, "x", 5], [3, [], {}]):
        assert station.sends(message) == Ignored("stray_result")
    assert station.sends([4, "x", "GenericError", "", {}]) == Ignored("stray_error")


def test_a_call_without_answer_times_out_and_its_result_is_late(station: Station) -> None:
    station.is_asked(deadline=30)
    assert station.rpc.expire(29.9) is None
    assert station.rpc.expire(30) == Timeout("ours", "Reset")
    assert station.rpc.expire(31) is None
    station.is_asked("ClearCache", "next")
    late = Result("ours", "Reset", {"status": "Accepted"})
    assert station.sends([3, "ours", {"status": "Accepted"}]) == Ignored("late_result", late=late)
    assert station.sends([3, "ours", {}]) == Ignored("stray_result")
    assert isinstance(station.sends([3, "next", {}]), Result)


def test_a_late_error_is_late_too(station: Station) -> None:
    station.is_asked(deadline=30)
    station.rpc.expire(30)
    received = station.sends([4, "ours", "InternalError", "", {}])
    assert isinstance(received, Ignored)
    assert received.reason == "late_result"
    assert isinstance(received.late, Failure)


def test_only_the_last_sixteen_that_timed_out_are_remembered(station: Station) -> None:
    for number in range(17):
        station.is_asked(message_id=f"n{number}", deadline=number)
        station.rpc.expire(number)
    assert station.sends([3, "n0", {}]) == Ignored("stray_result")
    for number in range(1, 17):
        received = station.sends([3, f"n{number}", {}])
        assert isinstance(received, Ignored)
        assert received.reason == "late_result"


def test_a_closing_link_gives_its_open_call_back(station: Station) -> None:
    assert station.rpc.abandon() is None
    station.is_asked()
    assert station.rpc.abandon() == Outstanding("ours", "Reset", 30)
    assert station.rpc.outstanding is None


# -- what we write --


def test_every_code_has_a_spelling_in_every_version(station: Station) -> None:
    assert set(WIRE_CODES[station.version]) == set(ErrorCode)


def test_1_6_spells_its_codes_its_own_way() -> None:
    rpc = Rpc("1.6")
    spelled = {code: json.loads(rpc.error("1", code))[2] for code in ErrorCode}
    assert spelled[ErrorCode.FORMAT_VIOLATION] == "FormationViolation"
    assert spelled[ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION] == "OccurenceConstraintViolation"
    assert not {"RpcFrameworkError", "MessageTypeNotSupported"} & set(spelled.values())


def test_descriptions_are_cut(station: Station) -> None:
    assert len(json.loads(station.rpc.error("1", ErrorCode.GENERIC_ERROR, "é" * 300))[3]) == 255


def test_a_result_error_exists_in_2_1_only(station: Station) -> None:
    frame = station.rpc.result_error("1", ErrorCode.TYPE_CONSTRAINT_VIOLATION, "status")
    if station.version == "2.1":
        assert frame == '[5,"1","TypeConstraintViolation","status",{}]'
    else:
        assert frame is None


def test_payloads_may_hold_decimals_and_any_mapping(station: Station) -> None:
    payload = MappingProxyType({"totalCost": Decimal("12.50"), "large": Decimal("1E+3")})
    assert station.rpc.result("1", payload) == '[3,"1",{"totalCost":12.50,"large":1000}]'
    with pytest.raises(TypeError):
        station.rpc.result("1", {"totalCost": Decimal("NaN")})


# -- nesting --


def nested(head: str, levels: int) -> str:
    """A frame that begins so and is nested that deep, its own brackets included."""
    deeper = levels - 1
    return f"[{head}," + '{"a":' * deeper + "1" + "}" * deeper + "]"


def test_nesting_has_a_bound(station: Station) -> None:
    """What walks a payload may recurse."""
    assert isinstance(station.sends(nested('2,"m","Heartbeat"', MAX_DEPTH)), Call)
    for levels in (MAX_DEPTH + 1, 900, 100_000):
        frame = nested('2,"m","Heartbeat"', levels)
        for form in (frame, frame.encode()):
            assert station.is_refused(form, "m", RPC_ERROR[station.version]) == "too_deep"


def test_a_numeric_id_of_a_call_nested_too_deep_stays_a_number(station: Station) -> None:
    frame = nested('2,17,"Heartbeat"', 900)
    assert station.is_refused(frame, 17, RPC_ERROR[station.version]) == "too_deep"


@pytest.mark.parametrize("head", ['3,"ours"', '4,"ours","InternalError",""'])
def test_an_answer_nested_too_deep_ends_our_call(station: Station, head: str) -> None:
    station.is_asked()
    received = station.sends(nested(head, 900))
    assert isinstance(received, Failure)
    assert (received.message_id, received.action) == ("ours", "Reset")
    assert station.rpc.outstanding is None


def test_a_late_answer_nested_too_deep_is_late_all_the_same(station: Station) -> None:
    station.is_asked(deadline=0)
    station.rpc.expire(0)
    received = station.sends(nested('3,"ours"', 900))
    assert isinstance(received, Ignored)
    assert (received.reason, type(received.late)) == ("late_result", Failure)


@pytest.mark.parametrize(
    "text", ["[" * 900, '\\"' + "[" * 900, "\\\\" * 9 + "{[" * 900, '"]}' * 99]
)
def test_brackets_in_text_are_no_nesting(station: Station, text: str) -> None:
    received = station.sends([2, "m", "DataTransfer", {"data": text, "more": [text]}])
    assert isinstance(received, Call)
    assert received.payload["data"] == text


def test_many_brackets_side_by_side_are_no_nesting(station: Station) -> None:
    values = [{"timestamp": "t", "sampledValue": [{"value": str(n)}]} for n in range(1_440)]
    received = station.sends([2, "m", "MeterValues", {"meterValue": values}])
    assert isinstance(received, Call)
    assert len(received.payload["meterValue"]) == 1_440


@pytest.mark.parametrize("text", ['"' + '\\"' * 25_000, '["' * 25_000, "\\" * 50_000 + '"'])
def test_looking_for_nesting_takes_time_linear_in_the_length(station: Station, text: str) -> None:
    """Text without an end, with all that could make a search start over."""
    began = time.perf_counter()
    station.sends(text + "[" * (MAX_DEPTH + 1))
    assert time.perf_counter() - began < 1.0


# -- whatever comes --

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
ENVELOPES = st.tuples(
    st.integers(-1, 8) | JSON,
    st.sampled_from(["ours", "old", "-1", -1, 17, ""]) | JSON,
    st.sampled_from(["Heartbeat", "NotImplemented", "NotSupported"]) | JSON,
    st.just({}) | JSON,
    JSON,
).flatmap(lambda whole: st.integers(0, 5).map(lambda length: list(whole[:length])))
FRAMES = (
    st.text(st.characters(codec=None), max_size=60)
    | st.binary(max_size=60)
    | JSON.map(json.dumps)
    | ENVELOPES.map(json.dumps)
    | st.tuples(ENVELOPES.map(json.dumps), st.integers(0, 60)).map(lambda cut: cut[0][: cut[1]])
)


@settings(max_examples=600, deadline=None)
@given(version=st.sampled_from(VERSIONS), frame=FRAMES)
@example(version="2.1", frame='[2,"\ud800","Heartbeat",{}]')
@example(version="2.1", frame=b"\xff\xfe[2,1]")
@example(version="1.6", frame="[2," + "9" * 5000 + ',"Heartbeat",{}]')
def test_receive_never_raises_and_refuses_in_good_form(
    version: Version, frame: str | bytes
) -> None:
    rpc = Rpc(version)
    rpc.call("old", "Reset", {}, 0)
    rpc.expire(0)
    rpc.call("ours", "Reset", {}, 1)
    received = rpc.receive(frame)
    if isinstance(received, Refused):
        kind, message_id, code, description, details = orjson.loads(received.frame)
        assert kind == 4
        assert type(message_id) in (str, int, float)
        assert code in WIRE_CODES[version].values()
        assert len(description) <= 255
        assert details == {}
        # What we send never gets an answer from one like us: no error answers an error.
        assert isinstance(Rpc(version).receive(received.frame), Ignored)
    elif isinstance(received, Call):
        assert orjson.loads(rpc.result(received.message_id, {}))[0] == 3
    assert (rpc.outstanding is None) == isinstance(received, Result | Failure)
