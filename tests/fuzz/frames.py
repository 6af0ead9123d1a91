"""Frames as strategies: proper calls, nearly proper ones, and what no station should ever send.

A frame is bytes, as it stands in a WebSocket message. Nothing here knows what the answer must be:
that is the oracle's to say.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.payloads import TIMES, nearly, nested, requests, to_station, valid

# What stations of each version may send, most of it about charging: drawn more often.
CHARGING = {
    "1.6": (
        "StartTransaction",
        "StopTransaction",
        "MeterValues",
        "StatusNotification",
        "Authorize",
        "BootNotification",
    ),
    "2.0.1": (
        "TransactionEvent",
        "TransactionEvent",
        "MeterValues",
        "StatusNotification",
        "NotifyEvent",
        "Authorize",
        "BootNotification",
    ),
}
CHARGING["2.1"] = CHARGING["2.0.1"]
ODD_IDS: tuple[Any, ...] = (
    *(0, 17, -1, 1.5, 1e300, 2**63, 10**40, True, None),
    *("", " ", "-1", "\x00", "\ud800", "é", '"', "\\", "x" * 36, "x" * 37, "x" * 255, "x" * 256),
    *([], {}, ["m"]),
)
ODD_KINDS: tuple[Any, ...] = (0, 1, 7, 8, -2, 2.0, 2.5, 10**30, "2", True, None, [], {})
ERROR_CODES = ("NotImplemented", "NotSupported", "InternalError", "Nonsense", "", "\ud800")


def encoded(message: Any, *, ascii_only: bool = True) -> bytes:
    """JSON as lenient writers make it: NaN and lone surrogates included."""
    text = json.dumps(message, ensure_ascii=ascii_only)
    return text.encode("utf-8", "surrogatepass")


_IDS = st.sampled_from(("m1", "m2", "8c1a0f7e-53b1-4b1e-8f6d-2a1d3c4b5a69")) | st.uuids().map(str)
_FORM = st.booleans()


@st.composite
def proper(draw: st.DrawFn, version: str) -> bytes:
    """A CALL (or a SEND in 2.1) whose payload fits its schema."""
    action = draw(_actions(version))
    payload = draw(valid(version, requests(version)[action]))
    kind = 6 if version == "2.1" and action == "NotifyPeriodicEventStream" else 2
    return encoded([kind, draw(_IDS), action, payload], ascii_only=draw(_FORM))


def _actions(version: str) -> st.SearchStrategy[str]:
    every = sorted(requests(version))
    from_stations = [action for action in every if not to_station(action)]
    return st.one_of(
        st.sampled_from(CHARGING[version]),
        st.sampled_from(from_stations),
        st.sampled_from(from_stations),
        st.sampled_from(every),
    )


REGISTERS = (0, 1, 999, 1_000, 1_500, 2_500, 5_000_000, 10**12, 10**12 + 1, -1)
_VALUES = st.sampled_from(REGISTERS)
_UNITS = st.sampled_from((None, None, "Wh", "kWh", "W", "", 7))
_CONTEXTS = st.sampled_from((None, "Sample.Periodic", "Transaction.Begin", "Transaction.End"))
_WHEN = st.sampled_from(TIMES[:4] * 3 + TIMES)


@st.composite
def charging(draw: st.DrawFn, version: str) -> bytes:
    """A message of a charge; those of one example belong together, in any order and number."""
    make = _charging_16 if version == "1.6" else _charging_2
    action, payload = make(draw)
    if draw(st.integers(0, 3)) == 0:
        spoilt = draw(st.sampled_from(sorted(payload)))
        payload[spoilt] = draw(st.sampled_from((None, "", "\x00", [], {}, -1, 2**63, True, 0.5)))
    return encoded([2, draw(_IDS), action, payload])


def _charging_16(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    # The well-behaved stations have begun first: 4 is the offender's first transaction.
    transaction = draw(st.sampled_from((4, 4, 4, 5, 1, 0, -1, 77)))
    what = draw(st.sampled_from(("start", "start", "meter", "stop")))
    if what == "start":
        return "StartTransaction", {
            "connectorId": draw(st.sampled_from((1, 1, 2, 0, 9))),
            "idTag": draw(st.sampled_from(("CARD", "OTHER", "BLOCKED", "nobody"))),
            "meterStart": draw(_VALUES),
            "timestamp": draw(_WHEN),
        }
    if what == "meter":
        return "MeterValues", {
            "connectorId": draw(st.sampled_from((1, 2, 0))),
            "transactionId": transaction,
            "meterValue": draw(st.lists(_meter_value(str), min_size=1, max_size=3)),
        }
    return "StopTransaction", {
        "transactionId": transaction,
        "meterStop": draw(_VALUES),
        "timestamp": draw(_WHEN),
        "idTag": draw(st.sampled_from(("CARD", "OTHER", "good-1.6"))),
        "transactionData": draw(st.lists(_meter_value(str), max_size=2)),
    }


def _charging_2(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    wire_id = draw(st.sampled_from(("tx-1", "tx-1", "tx-1", "tx-2", "good-2.1")))
    token = {"idToken": draw(st.sampled_from(("CARD", "OTHER", "nobody"))), "type": "ISO14443"}
    return "TransactionEvent", {
        "eventType": draw(st.sampled_from(("Started", "Updated", "Updated", "Ended"))),
        "timestamp": draw(_WHEN),
        "triggerReason": "MeterValuePeriodic",
        "seqNo": draw(st.sampled_from((0, 0, 1, 2, 3, 2**31 - 1, -1))),
        "transactionInfo": {"transactionId": wire_id, "chargingState": "Charging"},
        "evse": {"id": draw(st.sampled_from((1, 1, 2, 0, 50)))},
        "idToken": token,
        "offline": draw(_FORM),
        "meterValue": draw(st.lists(_meter_value(float), max_size=3)),
    }


@st.composite
def _meter_value(draw: st.DrawFn, kind: type) -> dict[str, Any]:
    reading: dict[str, Any] = {"value": kind(draw(_VALUES))}
    unit, context = draw(_UNITS), draw(_CONTEXTS)
    if unit is not None:
        reading["unit" if kind is str else "unitOfMeasure"] = (
            unit if kind is str else {"unit": unit}
        )
    if context is not None:
        reading["context"] = context
    if draw(_FORM) and draw(_FORM):
        reading["phase"] = draw(st.sampled_from(("L1", "L2", "N")))
    readings = [reading, {**reading, "phase": "L3"}] if "phase" in reading else [reading]
    return {"timestamp": draw(_WHEN), "sampledValue": readings}


@st.composite
def almost(draw: st.DrawFn, version: str) -> bytes:
    """A CALL with one thing wrong: in its payload or in its envelope."""
    action: Any = draw(_actions(version))
    name = requests(version)[action]
    message_id: Any = draw(_IDS)
    where = draw(st.sampled_from(("payload", "payload", "payload", "id", "action", "version")))
    if where == "payload":
        payload = draw(nearly(version, name)).payload
    else:
        payload = draw(valid(version, name))
    if where == "id":
        message_id = draw(st.sampled_from(ODD_IDS))
    elif where == "action":
        wrong = (action.lower(), "Nonsense", "", "\x00", action + " ", 1, None, [], {}, "A" * 5_000)
        action = draw(st.sampled_from(wrong))
    elif where == "version":
        # A station that negotiated one version and speaks another.
        other = draw(st.sampled_from(sorted(requests("1.6")) + sorted(requests("2.0.1"))))
        spoken = "1.6" if other in requests("1.6") else "2.0.1"
        action, payload = other, draw(valid(spoken, requests(spoken)[other]))
    return encoded([2, message_id, action, payload], ascii_only=draw(_FORM))


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from((10**50, -(10**50), 1e308, 2**64))
)
_ANY = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def wrong_arity(draw: st.DrawFn, version: str) -> bytes:
    """An array of any message type and any length."""
    kind = draw(st.sampled_from((2, 2, 3, 4, 5, 6, *ODD_KINDS)))
    words = _IDS | st.sampled_from(ODD_IDS) | st.sampled_from(CHARGING[version]) | _ANY
    return encoded([kind, *draw(st.lists(words, max_size=6))])


@st.composite
def unasked(draw: st.DrawFn, version: str) -> bytes:
    """An answer to a call that nobody made, or a SEND of something that is none."""
    message_id = draw(_IDS | st.sampled_from(ODD_IDS) | st.just("ours-1"))
    kind = draw(st.sampled_from((3, 4, 5, 6)))
    if kind == 3:
        return encoded([3, message_id, draw(_ANY)])
    if kind == 6:
        action = draw(_actions(version))
        return encoded([6, message_id, action, draw(valid(version, requests(version)[action]))])
    code = draw(st.sampled_from(ERROR_CODES))
    return encoded([kind, message_id, code, draw(st.text(max_size=300)), draw(_ANY)])


@st.composite
def damaged(draw: st.DrawFn, version: str) -> bytes:
    """A frame that was cut, doubled, mixed with other bytes, or has a key twice."""
    frame = draw(proper(version))
    how = draw(st.sampled_from(("cut", "bytes", "twice", "keys", "bom", "nul", "space", "hole")))
    at = draw(st.integers(0, max(0, len(frame) - 1)))
    if how == "cut":
        return frame[:at]
    if how == "bytes":
        return frame[:at] + draw(st.binary(min_size=1, max_size=6)) + frame[at + 1 :]
    if how == "twice":
        return frame + frame
    if how == "keys":
        return frame.replace(b"{", b'{"timestamp": 1, "timestamp": "x", ', 1)
    if how == "bom":
        return b"\xef\xbb\xbf" + frame
    if how == "nul":
        return frame + b"\x00"
    if how == "space":
        return b" \r\n\t" + frame.replace(b",", b" , ")
    return frame.replace(b": ", b":,", 1)


@st.composite
def monstrous(draw: st.DrawFn, version: str) -> bytes:
    """Large and deep frames."""
    action = draw(_actions(version))
    how = draw(st.sampled_from(("deep", "open", "keys", "digits", "text", "list")))
    payload: Any = {}
    if how == "deep":
        payload = nested(draw(st.sampled_from((60, 64, 500, 5_000))))
    elif how == "open":
        return b"[" * draw(st.sampled_from((100, 20_000)))
    elif how == "keys":
        payload = {f"k{n}": n for n in range(3_000)}
    elif how == "digits":
        return b'[2,"m1","%s",{"connectorId":%s}]' % (action.encode(), b"9" * 20_000)
    elif how == "text":
        payload = {"idTag": "x" * 60_000, "vendorId": "\x00" * 2_000}
    else:
        payload = {"meterValue": [{}] * 3_000, "customData": [[]] * 500}
    # Not with `json.dumps`: it stops at a depth that others do not stop at.
    return b'[2,"m1","%s",%s]' % (action.encode(), _deep_json(payload))


def _deep_json(value: Any) -> bytes:
    """JSON of a value that may be too deep for a recursive writer."""
    head, tail = [], []
    while isinstance(value, dict | list) and len(value) == 1:
        if isinstance(value, dict):
            ((key, value),) = value.items()
            head.append(json.dumps(key) + ":")
            head[-1] = "{" + head[-1]
            tail.append("}")
        else:
            (value,) = value
            head.append("[")
            tail.append("]")
    return "".join([*head, json.dumps(value), *reversed(tail)]).encode()


def hostile(version: str) -> st.SearchStrategy[bytes]:
    """Anything but a call."""
    return st.one_of(
        wrong_arity(version),
        unasked(version),
        damaged(version),
        damaged(version),
        monstrous(version),
        st.binary(max_size=60),
        _ANY.map(encoded),
    )


def frames(version: str) -> st.SearchStrategy[bytes]:
    """Whatever an offender sends: half of it about charges, a fifth no call at all."""
    kinds = {
        "charging": charging(version),
        "proper": proper(version),
        "almost": almost(version),
        "hostile": hostile(version),
    }
    # Not one_of, which would give each kind of hostile frame the weight of all calls.
    drawn = ("charging",) * 4 + ("proper",) * 2 + ("almost",) * 3 + ("hostile",) * 2
    return st.sampled_from(drawn).flatmap(kinds.__getitem__)
