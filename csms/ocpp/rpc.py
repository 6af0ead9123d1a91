"""The OCPP-J machine of one link: framing, pairing of calls and results, error codes, time-outs.

It exists so that everything that can go wrong between two ends of a WebSocket is decided in one
place that is fed with text and time and does no I/O. It must not know what an action means, whether
a payload fits its schema, or that asyncio exists.

The two directions are independent: a CALL of the station is legal while ours is open, also between
our CALL and its result (OCPP-J 2.0.1 4.1.1), so `receive` never judges one by the open call.

Message types (OCPP-J 2.1 4.1.3): 2 CALL, 3 CALLRESULT, 4 CALLERROR, and only in 2.1: 5
CALLRESULTERROR, 6 SEND.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal

import orjson

from csms.core.errors import CsmsError
from csms.ocpp.broken_json import HALF, MENDED, mend, without_halves

Version = Literal["1.6", "2.0.1", "2.1"]

UNREADABLE_ID: Final = "-1"
"""The message id of an answer to a frame whose own id cannot be used (OCPP-J 2.0.1 4.2.3)."""

_ID_CHARS_SPECIFIED = 36
"""OCPP-J 2.0.1 4.1.4. What we send keeps to it; what we receive may be longer."""

_ID_CHARS_ACCEPTED = 255
_DESCRIPTION_CHARS = 255
_EXPIRED_REMEMBERED = 16


class ErrorCode(StrEnum):
    """Why a message cannot be answered with a result; neutral, spelled per version on the wire."""

    NOT_IMPLEMENTED = "not_implemented"  # the action is unknown
    NOT_SUPPORTED = "not_supported"  # the action is known and not supported
    INTERNAL_ERROR = "internal_error"
    PROTOCOL_ERROR = "protocol_error"
    SECURITY_ERROR = "security_error"
    FORMAT_VIOLATION = "format_violation"
    PROPERTY_CONSTRAINT_VIOLATION = "property_constraint_violation"
    OCCURRENCE_CONSTRAINT_VIOLATION = "occurrence_constraint_violation"
    TYPE_CONSTRAINT_VIOLATION = "type_constraint_violation"
    GENERIC_ERROR = "generic_error"
    RPC_FRAMEWORK_ERROR = "rpc_framework_error"
    MESSAGE_TYPE_NOT_SUPPORTED = "message_type_not_supported"


_WIRE_2: Final[Mapping[ErrorCode, str]] = {
    ErrorCode.NOT_IMPLEMENTED: "NotImplemented",
    ErrorCode.NOT_SUPPORTED: "NotSupported",
    ErrorCode.INTERNAL_ERROR: "InternalError",
    ErrorCode.PROTOCOL_ERROR: "ProtocolError",
    ErrorCode.SECURITY_ERROR: "SecurityError",
    ErrorCode.FORMAT_VIOLATION: "FormatViolation",
    ErrorCode.PROPERTY_CONSTRAINT_VIOLATION: "PropertyConstraintViolation",
    ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION: "OccurrenceConstraintViolation",
    ErrorCode.TYPE_CONSTRAINT_VIOLATION: "TypeConstraintViolation",
    ErrorCode.GENERIC_ERROR: "GenericError",
    ErrorCode.RPC_FRAMEWORK_ERROR: "RpcFrameworkError",
    ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED: "MessageTypeNotSupported",
}

WIRE_CODES: Final[Mapping[Version, Mapping[ErrorCode, str]]] = {
    "1.6": {
        **_WIRE_2,
        # The two misspellings are the specification's own (OCPP-J 1.6 4.2.3).
        ErrorCode.FORMAT_VIOLATION: "FormationViolation",
        ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION: "OccurenceConstraintViolation",
        # 1.6 has no code for a broken envelope. FormationViolation says "not conform the PDU
        # structure", which is the nearest; ProtocolError means an incomplete payload there.
        ErrorCode.RPC_FRAMEWORK_ERROR: "FormationViolation",
        # NotSupported would speak of the action, which was never read.
        ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED: "GenericError",
    },
    "2.0.1": _WIRE_2,
    "2.1": _WIRE_2,
}
"""The one table from our codes to the wire (OCPP-J 1.6 4.2.3, 2.0.1 4.3)."""

# Stations mix the spellings of the versions, so any spelling is understood from any of them.
_CODE_OF_WIRE: Final[Mapping[str, ErrorCode]] = {
    wire.casefold(): code
    for code, wire in (
        *_WIRE_2.items(),
        (ErrorCode.FORMAT_VIOLATION, "FormationViolation"),
        (ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "OccurenceConstraintViolation"),
    )
}


class NumberId(str):
    """A message id that came as a JSON number: the text is the number exactly as it was written.

    To everybody it is a `str` like any other id. Given back to `Rpc.result` or `Rpc.error` it is
    written without quotes, so that `17` is answered with `17` and `"17"` with `"17"`. A copy made
    by a database or by `str()` is plain text and loses that: answer with the object received.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Call:
    """The station asks; it must be answered with exactly one `Rpc.result` or `Rpc.error`.

    `violations` names what was bent and understood all the same: `extra_elements`,
    `long_message_id`, `numeric_message_id`, `bad_characters`, `bad_text`, and those of
    `broken_json`: what was mended so is good enough for a message that a charge depends on.
    """

    message_id: str
    action: str
    payload: dict[str, Any]
    violations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A SEND of the station: never answered, whatever is in it (OCPP-J 2.1 4.2.4)."""

    message_id: str
    action: str
    payload: dict[str, Any]
    violations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to our open call; `action` is ours, the frame does not carry one."""

    message_id: str
    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """Our open call ended with an error, of the station or (an unusable result) of our making.

    `code` is what we understand, `wire_code` what the station wrote (empty when it wrote none);
    `description` is at most 255 characters. `reply` is a frame to send, or None: only an unusable
    CALLRESULT in 2.1 has one (OCPP-J 2.1 4.2.3).
    """

    message_id: str
    action: str
    code: ErrorCode
    description: str = ""
    details: Mapping[str, Any] | None = None
    wire_code: str = ""
    reply: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An unusable frame. The caller sends `frame`, a CALLERROR, back; `reason` is for counting."""

    frame: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """Counted, and nothing is sent.

    `reason` is one of `late_result`, `stray_result`, `stray_error`, `result_error`,
    `malformed_send`, `unknown_message_type`. `detail` quotes what the station says of *our* result
    (`result_error`). `late` is the outcome of a call that had been given up, so that a ledger may
    still note it.
    """

    reason: str
    detail: str = ""
    late: Result | Failure | None = None


Received = Call | Notice | Result | Failure | Refused | Ignored


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Our open call. `deadline` is on the clock of the caller, in seconds."""

    message_id: str
    action: str
    deadline: float


@dataclass(frozen=True, slots=True)
class Timeout:
    """Our call got no answer before its deadline. Whether the station acted on it is unknown."""

    message_id: str
    action: str


class CallOutstanding(CsmsError):
    """A second call while one is open: the caller's queue must wait (OCPP-J 2.0.1 4.1.1)."""

    code = "call_outstanding"


MAX_DEPTH: Final = 64
"""Levels of nesting in a message. The schemas need 8; what walks a payload may recurse so deep."""

_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def _too_deep(frame: str | bytes) -> bool:
    """Whether a message is nested beyond `MAX_DEPTH`; nearly always answered by a count."""
    if isinstance(frame, str):
        if frame.count("[") + frame.count("{") <= MAX_DEPTH:
            return False
        frame = frame.encode("utf-8", "replace")
    elif frame.count(b"[") + frame.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for found in _BRACKETS.finditer(frame):
        mark = found[0]
        if mark in (b"[", b"{"):
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif mark in (b"]", b"}"):
            depth -= 1
    return False


def _as_text(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else bytes(frame).decode("utf-8", "replace")


# The id of a frame that is no JSON can often be read all the same. An answer with the station's own
# id ends its wait at once, where "-1" would leave it waiting for its time-out.
_HEAD = re.compile(
    r"\s*\[\s*(\d{1,3})\s*"
    r'(?:,\s*("(?:[^"\\\x00-\x1f]|\\.){0,255}"|-?\d[\d.eE+-]{0,254})\s*[,\]])?'
)
_NUMBER_ID = re.compile(r"\s*\[[^,]*,\s*([^,\]\s]+)")
_CONTROL: Final[dict[int, str | None]] = {
    **dict.fromkeys(range(32), None),
    **dict.fromkeys(map(ord, "\t\n\r"), " "),
}


def _is_whole(message: Any, kind: str) -> bool:
    """Whether what was mended is a call or a SEND with a payload, or a result that was not cut
    off: half a result says something else."""
    if type(message) is not list or len(message) < 3 or type(message[-1]) is not dict:
        return False
    return (message[0] == 3 and kind == MENDED) or (message[0] in (2, 6) and len(message) > 3)


class Rpc:
    """One link's state: at most one open call of ours, and the ids of the last few given up."""

    __slots__ = ("_codes", "_expired", "_open", "_version")

    def __init__(self, version: Version) -> None:
        self._version: Version = version
        self._codes = WIRE_CODES[version]
        self._open: Outstanding | None = None
        self._expired: dict[str, str] = {}

    # -- what comes in --

    def receive(self, frame: str | bytes) -> Received:
        """Say what `frame` is. Never raises, whatever comes; costs time linear in its length.

        Keys that occur twice in an object: the last one counts. Integers beyond 64 bits arrive as
        floats. NaN, Infinity and nesting beyond `MAX_DEPTH` make a frame unusable.
        """
        if _too_deep(frame):
            return self._receive_head(_as_text(frame), "too_deep")
        try:
            message = orjson.loads(frame)
        except ValueError:
            return self._receive_damaged(frame)
        # The shape of nearly every frame, decided first and without a further call.
        if type(message) is list and len(message) == 4 and message[0] == 2:
            _, message_id, action, payload = message
            if (
                type(message_id) is str
                and len(message_id) <= _ID_CHARS_SPECIFIED
                and type(action) is str
                and type(payload) is dict
            ):
                return Call(message_id, action, payload)
        return self._receive_unusual(message, frame, ())

    def _receive_damaged(self, frame: str | bytes) -> Received:
        """A frame that is not JSON: mend what is harmless, or answer as precisely as possible."""
        raw = frame.encode("utf-8", "replace") if isinstance(frame, str) else bytes(frame)
        # Raw control characters inside a token, text in some other encoding, and the NUL that ends
        # a C string are seen in the field; the transactions they come in are worth more than the
        # letter of RFC 8259.
        text = raw.decode("utf-8", "replace").lstrip("\ufeff").translate(_CONTROL)
        noted: tuple[str, ...] = ()
        if text != frame and text.encode("utf-8", "replace") != raw:
            noted = ("bad_characters",)
            try:
                return self._receive_unusual(orjson.loads(text), text, noted)
            except ValueError:
                pass
        if HALF.search(text):
            try:
                return self._receive_unusual(without_halves(text), text, (*noted, "bad_text"))
            except ValueError:
                pass
        mended = mend(text)
        if mended is not None:
            try:
                message = orjson.loads(mended.text)
            except ValueError:
                pass
            else:
                if _is_whole(message, mended.kind):
                    return self._receive_unusual(message, mended.text, (*noted, mended.kind))
        return self._receive_head(text)

    def _receive_head(self, text: str, fault: str = "not_json") -> Received:
        """Unusable JSON: the message type and the id can be all that is left of it."""
        head = _HEAD.match(text)
        if head is None:
            return self._refuse(UNREADABLE_ID, ErrorCode.RPC_FRAMEWORK_ERROR, fault)
        kind = int(head[1])
        try:
            raw = orjson.loads(head[2] or "null")
        except ValueError:
            raw = None
        if kind in (3, 4):
            # The call it answers must end; its payload is lost. An error is never answered.
            return self._answered(kind, [kind, raw])
        if kind != 2:
            return self._receive_unusual([kind, raw], text, ())
        message_id = _message_id(raw, text)
        return self._refuse(
            UNREADABLE_ID if message_id is None else message_id,
            ErrorCode.RPC_FRAMEWORK_ERROR,
            fault,
        )

    def _receive_unusual(
        self, message: Any, frame: str | bytes, noted: tuple[str, ...]
    ) -> Received:
        """Everything but a CALL by the book; `noted` is what had to be mended to read it."""
        if type(message) is not list:
            return self._refuse(UNREADABLE_ID, ErrorCode.RPC_FRAMEWORK_ERROR, "not_an_array")
        if not message:
            return self._refuse(UNREADABLE_ID, ErrorCode.RPC_FRAMEWORK_ERROR, "empty")
        kind = message[0]
        if kind == 2:
            return self._called(message, frame, noted)
        if kind == 3 or kind == 4:
            return self._answered(kind, message)
        if kind == 5 and self._version == "2.1":
            words = [word for word in message[2:4] if type(word) is str]
            return Ignored("result_error", ": ".join(words)[:_DESCRIPTION_CHARS])
        if kind == 6 and self._version == "2.1":
            return _noticed(message, frame, noted)
        # OCPP-J 2.0.1 contradicts itself here (4.1.3: ignore; 4.4: MessageTypeNotSupported) and 2.1
        # settles it. To ignore is also the only choice that cannot answer an error with an error.
        return Ignored("unknown_message_type")

    def _called(self, message: list[Any], frame: str | bytes, noted: tuple[str, ...]) -> Received:
        message_id = _message_id(message[1], frame) if len(message) > 1 else None
        if message_id is None:
            return self._refuse(UNREADABLE_ID, ErrorCode.RPC_FRAMEWORK_ERROR, "unreadable_id")
        if len(message) < 4:
            return self._refuse(message_id, ErrorCode.RPC_FRAMEWORK_ERROR, "wrong_arity")
        action, payload = message[2], _payload(message[3])
        if type(action) is not str:
            return self._refuse(message_id, ErrorCode.RPC_FRAMEWORK_ERROR, "action_not_text")
        if type(payload) is not dict:
            return self._refuse(message_id, ErrorCode.FORMAT_VIOLATION, "payload_not_object")
        return Call(message_id, action, payload, _violations(message, message_id, noted))

    def _answered(self, kind: int, message: list[Any]) -> Received:
        """A CALLRESULT (3) or CALLERROR (4): pair it with our call, or say why it has none."""
        raw = message[1] if len(message) > 1 else None
        # Our ids are text; a station that reads them as numbers still means the same call.
        message_id = str(raw) if type(raw) is str or type(raw) is int else None
        open_ = self._open
        if open_ is not None and message_id == open_.message_id:
            self._open = None
            return self._outcome(kind, open_.message_id, open_.action, message)
        if message_id is not None:
            action = self._expired.pop(message_id, None)
            if action is not None:
                late = self._outcome(kind, message_id, action, message)
                return Ignored("late_result", late=late)
        if kind == 3:
            return Ignored("stray_result")
        if open_ is not None and message_id == UNREADABLE_ID:
            # At least one client stack answers an action that it does not know with the id "-1".
            # With one call open it can mean no other, and the alternative is to wait for the
            # time-out of a call that was refused. Any other code may speak of a frame that was
            # damaged on the way, or of one of our results, and must not end the call.
            failure = self._outcome(kind, open_.message_id, open_.action, message)
            if isinstance(failure, Failure) and failure.code in (
                ErrorCode.NOT_IMPLEMENTED,
                ErrorCode.NOT_SUPPORTED,
            ):
                self._open = None
                return failure
        return Ignored("stray_error")

    def _outcome(
        self, kind: int, message_id: str, action: str, message: list[Any]
    ) -> Result | Failure:
        if kind == 4:
            return _failed(message_id, action, message)
        payload = _payload(message[2]) if len(message) > 2 else ()
        if type(payload) is dict:
            return Result(message_id, action, payload)
        # The call must end, else its caller waits for a result that has come already.
        code, description = ErrorCode.FORMAT_VIOLATION, "The result's payload is not an object"
        reply = self.result_error(message_id, code, description)
        return Failure(message_id, action, code, description, reply=reply)

    def _refuse(self, message_id: str, code: ErrorCode, reason: str) -> Refused:
        return Refused(self.error(message_id, code, reason.replace("_", " ")), reason)

    # -- what goes out --

    def call(
        self, message_id: str, action: str, payload: Mapping[str, Any], deadline: float
    ) -> str:
        """Open a call and return the CALL frame to send.

        `message_id` is new on this link and at most 36 characters (OCPP-J 2.0.1 4.1.4).
        `deadline` is on the clock that `expire` is asked with. Raises `CallOutstanding` when a call
        is open, and `TypeError` for a payload that is no JSON; neither changes anything.
        """
        assert 0 < len(message_id) <= _ID_CHARS_SPECIFIED
        if self._open is not None:
            raise CallOutstanding(action=self._open.action)
        frame = _encode([2, message_id, action, payload])
        self._open = Outstanding(message_id, action, deadline)
        return frame

    @property
    def outstanding(self) -> Outstanding | None:
        """Our open call, if any."""
        return self._open

    def expire(self, now: float) -> Timeout | None:
        """Give up the open call if its deadline is at or before `now`, and return it.

        Its answer may still come; it is then `Ignored("late_result")` for the last 16 given up.
        """
        open_ = self._open
        if open_ is None or open_.deadline > now:
            return None
        self._open = None
        if len(self._expired) >= _EXPIRED_REMEMBERED:
            del self._expired[next(iter(self._expired))]
        self._expired[open_.message_id] = open_.action
        return Timeout(open_.message_id, open_.action)

    def abandon(self) -> Outstanding | None:
        """The link closes: drop the open call and return it, for its caller to be told."""
        open_, self._open = self._open, None
        return open_

    def result(self, message_id: str, payload: Mapping[str, Any]) -> str:
        """The CALLRESULT frame for a `Call`; pass its `message_id` object (see `NumberId`).

        `Decimal` is written digit by digit, never through a float. Times must be text already:
        a `datetime` raises `TypeError`, because only the adapter knows how stations want them.
        """
        return _encode([3, _echo(message_id), payload])

    def error(
        self,
        message_id: str,
        code: ErrorCode,
        description: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> str:
        """The CALLERROR frame, `code` spelled for the version (OCPP-J 1.6 4.2.3, 2.0.1 4.2.3).

        `description` is cut at 255 characters. Neither it nor `details` may echo the payload: it
        would come back in logs that are not ours, with tokens and passwords in it.
        """
        return _encode(
            [
                4,
                _echo(message_id),
                self._codes[code],
                description[:_DESCRIPTION_CHARS],
                {} if details is None else details,
            ]
        )

    def result_error(self, message_id: str, code: ErrorCode, description: str = "") -> str | None:
        """The CALLRESULTERROR frame for a result that cannot be used, or None before 2.1.

        OCPP-J 2.1 4.2.3; 2.0.1 and 1.6 have no way to say so.
        """
        if self._version != "2.1":
            return None
        return _encode([5, message_id, self._codes[code], description[:_DESCRIPTION_CHARS], {}])


def _message_id(raw: Any, frame: str | bytes) -> str | None:
    """The id of a received message, or None when it cannot be echoed.

    `raw` is the second element of `frame`, whose first is a number.
    """
    if type(raw) is str:
        return raw if len(raw) <= _ID_CHARS_ACCEPTED else None
    if type(raw) is int or type(raw) is float:
        # Taken from the text, because 1e2, 17.0 and integers beyond 64 bits do not survive parsing.
        text = frame if isinstance(frame, str) else bytes(frame).decode("utf-8", "replace")
        found = _NUMBER_ID.match(text)
        if found is not None and len(found[1]) <= _ID_CHARS_ACCEPTED:
            return NumberId(found[1])
    return None


def _payload(raw: Any) -> Any:
    """`null` is the other notation of a payload without fields (OCPP-J 2.0.1 4.1.5)."""
    return {} if raw is None else raw


def _violations(message: list[Any], message_id: str, noted: tuple[str, ...]) -> tuple[str, ...]:
    if len(message) > 4:
        noted = (*noted, "extra_elements")
    if len(message_id) > _ID_CHARS_SPECIFIED:
        noted = (*noted, "long_message_id")
    if isinstance(message_id, NumberId):
        noted = (*noted, "numeric_message_id")
    return noted


def _noticed(message: list[Any], frame: str | bytes, noted: tuple[str, ...]) -> Notice | Ignored:
    """A SEND. A bad one has no answer either, so there is nobody to tell (OCPP-J 2.1 4.2.4)."""
    if len(message) < 4:
        return Ignored("malformed_send")
    message_id, action, payload = _message_id(message[1], frame), message[2], _payload(message[3])
    if message_id is None or type(action) is not str or type(payload) is not dict:
        return Ignored("malformed_send")
    return Notice(message_id, action, payload, _violations(message, message_id, noted))


def _failed(message_id: str, action: str, message: list[Any]) -> Failure:
    """Read a CALLERROR leniently: parts that are missing or of the wrong type are left empty."""
    wire_code = message[2] if len(message) > 2 and type(message[2]) is str else ""
    description = message[3] if len(message) > 3 and type(message[3]) is str else ""
    details = message[4] if len(message) > 4 and type(message[4]) is dict else None
    wire_code = wire_code[:_DESCRIPTION_CHARS]
    return Failure(
        message_id,
        action,
        _CODE_OF_WIRE.get(wire_code.strip().casefold(), ErrorCode.GENERIC_ERROR),
        description[:_DESCRIPTION_CHARS],
        details,
        wire_code,
    )


def _echo(message_id: str) -> str | orjson.Fragment:
    # A `Fragment` takes no subclass of `str`.
    return orjson.Fragment(str(message_id)) if isinstance(message_id, NumberId) else message_id


def _encode(message: list[Any]) -> str:
    return orjson.dumps(message, _plain, orjson.OPT_PASSTHROUGH_DATETIME).decode()


def _plain(value: object) -> object:
    """What orjson cannot write by itself and an outgoing payload may hold."""
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
