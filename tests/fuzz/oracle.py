"""What a frame must be answered with, from the frame alone.

It reads with the `json` module and validates with schemas compiled apart from the system's, so that
a mistake there cannot excuse itself here. Where the specification leaves room, so does the oracle;
it never allows an InternalError, a second answer, or an answer that does not fit its schema.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema_rs

from tests.fuzz.payloads import requests, schema, to_station

TOO_LARGE = 1e300
MAX_DEPTH = 64
MAX_ID = 255
_CALL_HEAD = re.compile(rb'\s*\[\s*2\s*,\s*"')
_ERRORS_2 = {
    *("NotImplemented", "NotSupported", "ProtocolError", "SecurityError", "FormatViolation"),
    *("PropertyConstraintViolation", "OccurrenceConstraintViolation", "TypeConstraintViolation"),
    *("GenericError", "RpcFrameworkError", "MessageTypeNotSupported"),
}
_ERRORS_16 = {
    *("NotImplemented", "NotSupported", "ProtocolError", "SecurityError", "FormationViolation"),
    *("PropertyConstraintViolation", "OccurenceConstraintViolation", "TypeConstraintViolation"),
    *("GenericError",),
}
ERRORS = {"1.6": _ERRORS_16, "2.0.1": _ERRORS_2, "2.1": _ERRORS_2}
"""Legal error codes, without InternalError: that is always a fault of ours."""

# Served whatever the registration is: a charge depends on it, or the decision about the station.
ALWAYS = {
    "1.6": {"BootNotification", "StartTransaction", "StopTransaction", "MeterValues"},
    "2.0.1": {"BootNotification", "TransactionEvent", "MeterValues", "NotifyReport"},
}
ALWAYS["2.1"] = ALWAYS["2.0.1"]

# The money path: repaired and answered, not refused for its form.
MONEY = {
    "1.6": {*ALWAYS["1.6"], "StatusNotification", "Authorize"},
    "2.0.1": {
        *("BootNotification", "TransactionEvent", "MeterValues"),
        *("StatusNotification", "NotifyEvent", "Authorize"),
    },
}
MONEY["2.1"] = MONEY["2.0.1"]
# Of these a part must be usable for the message to mean anything at all.
MUST_SAY = {"TransactionEvent", "StatusNotification", "Authorize"}
_OCCURRENCE = {"OccurrenceConstraintViolation", "OccurenceConstraintViolation"}
_PROPERTY = {"PropertyConstraintViolation"}
FAULT_CODES = {
    "required": _OCCURRENCE,
    "minItems": _OCCURRENCE,
    "maxItems": _OCCURRENCE,
    "additionalProperties": {"FormatViolation", "FormationViolation"},
    # What the validator makes of `additionalProperties: false` where only one is too much.
    "falseSchema": {"FormatViolation", "FormationViolation"},
    "type": {"TypeConstraintViolation"},
    "enum": _PROPERTY,
    "maxLength": _PROPERTY,
    "minLength": _PROPERTY,
    "minimum": _PROPERTY,
    "maximum": _PROPERTY,
    "multipleOf": _PROPERTY,
}
"""Keyword of the schema that is broken -> the codes that say so."""


@dataclass(frozen=True)
class Read:
    """A frame as the oracle understands it. `kind`: call, silent, refused, unreadable."""

    kind: str
    message_id: Any = None
    action: Any = None
    payload: Any = None


def read(version: str, frame: bytes) -> Read:
    """What a frame is, by OCPP-J."""
    try:
        text = frame.decode("utf-8")
        message = json.loads(text, parse_constant=_no_constant)
        if not _is_text(message) or _depth(message) > MAX_DEPTH:
            return Read("unreadable")
    except (ValueError, RecursionError):
        return Read("unreadable")
    if not isinstance(message, list) or not message:
        return Read("refused")
    kind = message[0]
    if isinstance(kind, bool) or kind not in (2, 2.0):
        return Read("silent")
    message_id = message[1] if len(message) > 1 else None
    readable = not isinstance(message_id, bool) and isinstance(message_id, str | int | float)
    if not readable or len(str(message_id)) > MAX_ID:
        return Read("refused")
    whole = len(message) >= 4 and isinstance(message[2], str)
    payload = {} if whole and message[3] is None else message[3] if whole else None
    if not whole or not isinstance(payload, dict):
        return Read("call", message_id)
    return Read("call", message_id, message[2], payload)


def judge(
    version: str, registration: str, frame: bytes, answers: list[str], *, asked: bool = False
) -> None:
    """Assert that `answers`, everything that was sent because of `frame`, is right. `asked`: we
    have made calls, so that a result may be one of ours, and a bad one be told so in 2.1."""
    said = read(version, frame)
    assert len(answers) <= 1, f"{len(answers)} answers"
    if asked and version == "2.1" and said.kind != "call" and answers:
        told = json.loads(answers[0])
        if told[0] == 5:
            assert len(told) == 5, told
            assert str(told[1]).startswith("ours-"), told
            assert told[2] in ERRORS[version], told
            return
    if said.kind == "silent":
        assert not answers, f"answered what has no answer: {answers[0][:200]}"
        return
    if said.kind == "unreadable":
        must = _CALL_HEAD.match(frame) is not None
        assert answers or not must, "a damaged call was not answered"
        for answer in answers:
            _check_form(version, json.loads(answer))
        return
    assert answers, "a call was not answered"
    answer = json.loads(answers[0])
    _check_form(version, answer)
    if said.kind == "refused":
        assert (answer[0], answer[1]) == (4, "-1"), answer
        return
    assert answer[1] == said.message_id, (answer[1], said.message_id)
    assert type(answer[1]) is type(said.message_id), (answer[1], said.message_id)
    if said.action is None:
        assert answer[0] == 4, answer
        return
    _check_answer(version, registration, said, answer)


def _check_form(version: str, answer: Any) -> None:
    """A CALLRESULT or CALLERROR that any station can read."""
    assert isinstance(answer, list), answer
    assert answer[0] in (3, 4), answer
    if answer[0] == 3:
        assert len(answer) == 3, answer
        assert isinstance(answer[2], dict), answer
        return
    assert len(answer) == 5, answer
    _, _, code, description, details = answer
    assert code != "InternalError", "the system failed on it"
    assert code in ERRORS[version], code
    assert isinstance(description, str), answer
    assert len(description) <= 255, answer
    assert isinstance(details, dict), answer


def _served_as_16(version: str, said: Read, answer: Any) -> bool:
    """Whether this is a good answer to a message of 1.6 on a link of 2.x, which some stations send:
    a charge depends on it, and by the link's own version it means nothing."""
    action = said.action
    if version == "1.6" or answer[0] != 3 or action not in MONEY["1.6"]:
        return False
    if action in requests(version) and not broken_keywords(
        version, f"{action}Request", said.payload
    ):
        return False
    return first_fault("1.6", f"{action}Response", answer[2]) is None


def _check_answer(version: str, registration: str, said: Read, answer: Any) -> None:
    action = said.action
    if _served_as_16(version, said, answer):
        return
    if action not in requests(version) or action == "NotifyPeriodicEventStream":
        # The SEND of 2.1 is no CALL; a CALL of it may be answered or refused, in good form.
        expected = ("NotImplemented",) if action not in requests(version) else None
        assert expected is None or (answer[0], answer[2]) == (4, *expected), answer
        return
    if to_station(action):
        assert (answer[0], answer[2]) == (4, "NotSupported"), answer
        return
    if answer[0] == 3:
        fault = first_fault(version, f"{action}Response", answer[2])
        assert fault is None, f"{action} answered with what does not fit: {fault}"
        return
    code = answer[2]
    if code == "SecurityError":
        new_here = registration == "new" and version == "1.6"
        assert registration != "accepted", "an accepted station was not served"
        assert not new_here, "a 1.6 station that is new is served"
        assert action not in ALWAYS[version], "a charge depends on this"
        return
    broken = broken_keywords(version, requests(version)[action], said.payload)
    if action in MONEY[version] or not broken:
        # The schema allows an empty name; nothing can be done with one.
        assert action in MUST_SAY, answer
        assert code in (_PROPERTY | _OCCURRENCE if broken else _PROPERTY), answer
        return
    assert any(code in FAULT_CODES[keyword] for keyword in broken), (answer, broken)


def first_fault(version: str, name: str, payload: Any) -> str | None:
    """The first thing that does not fit the schema of that name, None when all does."""
    return next(
        (str(error)[:300] for error in _validator(version, name).iter_errors(payload)), None
    )


def broken_keywords(version: str, name: str, payload: Any) -> set[str]:
    """The keywords of the schema that the payload breaks."""
    broken = {error.kind.name for error in _validator(version, name).iter_errors(payload)}
    # No field of OCPP holds an integer beyond 64 bits; it may be told to be of another type.
    return broken | {"type"} if _beyond_64_bits(payload) else broken


@cache
def _validator(version: str, name: str) -> Any:
    return jsonschema_rs.Draft4Validator(schema(version, name), validate_formats=False)


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _is_text(value: Any) -> bool:
    """No lone surrogate anywhere; no number beyond what a double holds."""
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            stack += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            stack += part
        elif isinstance(part, str) and not part.isascii():
            try:
                part.encode()
            except UnicodeEncodeError:
                return False
        elif type(part) in (int, float) and abs(part) >= TOO_LARGE:
            return False
    return True


def _beyond_64_bits(value: Any) -> bool:
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            stack += part.values()
        elif isinstance(part, list):
            stack += part
        elif isinstance(part, int) and not -(2**63) <= part < 2**64:
            return True
    return False


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        containers = [part for part in level if isinstance(part, dict | list)]
        if not containers:
            return deepest
        deepest += 1
        level = [
            inner
            for part in containers
            for inner in (part.values() if isinstance(part, dict) else part)
        ]
    return deepest
