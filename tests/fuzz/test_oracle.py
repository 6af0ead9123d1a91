"""The oracle catches what it is there to catch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fuzz.oracle import judge, read

HEARTBEAT = b'[2,"m1","Heartbeat",{}]'
ANSWER = [3, "m1", {"currentTime": "2024-05-01T12:00:00Z"}]


def verdict(frame: bytes, *answers: Any, version: str = "1.6", state: str = "accepted") -> str:
    """What the oracle says: "" when it is content."""
    try:
        judge(version, state, frame, [json.dumps(answer) for answer in answers])
    except AssertionError as error:
        return str(error) or "wrong"
    return ""


def error(code: str, message_id: Any = "m1") -> list[Any]:
    return [4, message_id, code, "", {}]


def test_a_right_answer_is_right() -> None:
    assert not verdict(HEARTBEAT, ANSWER)


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [ANSWER, ANSWER],
        [[3, "m2", ANSWER[2]]],
        [[3, "m1", {}]],
        [[3, "m1", {"currentTime": "2024-05-01T12:00:00Z", "more": 1}]],
        [error("InternalError")],
        [error("SecurityError")],
        [error("GenericError")],
        [[4, "m1", "GenericError", "x" * 256, {}]],
    ],
)
def test_a_call_without_its_one_right_answer_is_a_failure(answers: list[Any]) -> None:
    assert verdict(HEARTBEAT, *answers)


def test_a_number_is_answered_as_a_number() -> None:
    frame = b'[2,17,"Heartbeat",{}]'
    assert not verdict(frame, [3, 17, ANSWER[2]])
    assert verdict(frame, [3, "17", ANSWER[2]])


@pytest.mark.parametrize("frame", [b'[3,"m1",{}]', b'[4,"m1","X","",{}]', b"[7]", b"[true,1]"])
def test_what_is_no_call_has_no_answer(frame: bytes) -> None:
    assert not verdict(frame)
    assert verdict(frame, error("GenericError"))


def test_an_error_code_belongs_to_its_version() -> None:
    frame = b'[2,"m1","DataTransfer",{"vendorId":"x","odd":1}]'
    assert not verdict(frame, error("FormationViolation"))
    assert verdict(frame, error("FormatViolation"))
    assert not verdict(frame, error("FormatViolation"), version="2.1")


def test_the_code_must_say_what_is_wrong() -> None:
    missing = b'[2,"m1","DataTransfer",{}]'
    assert not verdict(missing, error("OccurrenceConstraintViolation"), version="2.0.1")
    assert verdict(missing, error("TypeConstraintViolation"), version="2.0.1")


def test_the_money_path_is_not_refused_for_its_form() -> None:
    frame = b'[2,"m1","StopTransaction",{"transactionId":"x"}]'
    assert not verdict(frame, [3, "m1", {}])
    assert verdict(frame, error("TypeConstraintViolation"))
    assert verdict(frame, error("SecurityError"), state="pending")


def test_actions_are_told_apart() -> None:
    unknown, theirs = b'[2,"m1","Nonsense",{}]', b'[2,"m1","RemoteStopTransaction",{}]'
    assert not verdict(unknown, error("NotImplemented"))
    assert verdict(unknown, error("NotSupported"))
    assert not verdict(theirs, error("NotSupported"))
    assert verdict(theirs, error("NotImplemented"))


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (HEARTBEAT, "call"),
        (b'[2,"m1"]', "call"),
        (b'[2,null,"Heartbeat",{}]', "refused"),
        (b'[2,true,"Heartbeat",{}]', "refused"),
        (b"{}", "refused"),
        (b'[3,"m1"]', "silent"),
        (b'[2,"m1","Heartbeat",{}', "unreadable"),
        (b'[2,"m1","Heartbeat",{"a":NaN}]', "unreadable"),
        (b'[2,"m1","Heartbeat",{"a":"\\ud800"}]', "unreadable"),
        (b"[" * 65 + b"]" * 65, "unreadable"),
        (b"\xff\xfe", "unreadable"),
    ],
)
def test_frames_are_read_as_the_specification_has_them(frame: bytes, kind: str) -> None:
    assert read("2.1", frame).kind == kind
