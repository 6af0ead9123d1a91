"""What a station says under load, encoded once: before each message only digits are put in.

A *script* gives a lane its next frame and counts what was acknowledged. Message ids are ten digits
that rise by one, and so do the meter's register (in Wh) and the station's clock (in seconds), so
that every sample is new and the database can be checked by arithmetic alone.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from chargers.frames import header_size, masked

# Digits of the first message id, which are those of the register as well.
FIRST = 1_000_000_000
# The stations' clocks start this long ago, at midnight, so that no message is from the future.
BEGAN_DAYS_AGO = 30
UPDATES = 8

DAY_S = 86_400
_CLOCK = [
    f"T{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}Z".encode("ascii") for s in range(DAY_S)
]
_ID, _STAMP, _COUNT, _REGISTER = "@message@@", "@timestamp@@@@@@@@@@", "@count@@", 9_080_706_050


def began(now: datetime) -> datetime:
    """The station time of a run's first message."""
    day = now.astimezone(UTC) - timedelta(days=BEGAN_DAYS_AGO)
    return day.replace(hour=0, minute=0, second=0, microsecond=0)


def rfc3339(at: datetime) -> str:
    """A time as stations write it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def call(message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    """A CALL as compact JSON."""
    return json.dumps([2, message_id, action, payload], separators=(",", ":")).encode()


class _Template:
    """One masked frame with the places in it that change, each a tuple of slices."""

    __slots__ = ("count", "frame", "message_id", "register", "stamp")

    def __init__(self, action: str, payload: dict[str, Any]) -> None:
        text = call(_ID, action, payload)
        self.frame = masked(text)
        before = header_size(text)

        def places(word: str) -> tuple[slice, ...]:
            sought, found, at = word.encode(), [], -1
            while (at := text.find(sought, at + 1)) >= 0:
                found.append(slice(before + at, before + at + len(sought)))
            return tuple(found)

        (self.message_id,) = places(_ID)
        self.stamp, self.count = places(_STAMP), places(_COUNT)
        self.register = places(str(_REGISTER))


class Script:
    """The messages of one lane, the same few templates over and over.

    `acknowledged` is counted by the lane; `message_id` is that of the last frame given out.
    """

    def __init__(self, name: str, start: datetime, templates: list[_Template]) -> None:
        self.name = name
        self.acknowledged = 0
        self.message_id = b""
        self._start = start
        self._templates = templates
        self._each = len(templates)
        self._next = 0
        self._day, self._date = -1, b""

    @property
    def messages_each(self) -> int:
        """How many messages make one unit of what is counted."""
        return self._each

    def next(self) -> bytearray:
        """The next frame. It is the same object each time its turn comes: the one before must have
        been answered."""
        n = self._next
        self._next = n + 1
        count, step = divmod(n, self._each)
        day, second = divmod(n, DAY_S)
        if day != self._day:
            self._day = day
            self._date = (self._start + timedelta(days=day)).strftime("%Y-%m-%d").encode()
        template = self._templates[step]
        frame = template.frame
        self.message_id = digits = b"%d" % (FIRST + n)
        frame[template.message_id] = digits
        stamp = self._date + _CLOCK[second]
        for place in template.stamp:
            frame[place] = stamp
        for place in template.register:
            frame[place] = digits
        for place in template.count:
            frame[place] = b"%08d" % count
        return frame


def meter(transaction_id: int, start: datetime) -> Script:
    """OCPP 1.6 MeterValues of one running transaction: register, power and current at one time.
    The script's name is the transaction id."""
    sampled = [
        {
            "value": str(_REGISTER),
            "context": "Sample.Periodic",
            "measurand": "Energy.Active.Import.Register",
            "unit": "Wh",
        },
        {"value": "7360.0", "measurand": "Power.Active.Import", "unit": "W"},
        {"value": "32.0", "measurand": "Current.Import", "phase": "L1", "unit": "A"},
    ]
    payload = {
        "connectorId": 1,
        "transactionId": transaction_id,
        "meterValue": [{"timestamp": _STAMP, "sampledValue": sampled}],
    }
    return Script(str(transaction_id), start, [_Template("MeterValues", payload)])


def wire_id(lane: str, count: int) -> str:
    """A 2.0.1 station's id for its `count`-th transaction, from 0."""
    return f"{lane}-{count:08d}"


def transactions(lane: str, token: str, start: datetime) -> Script:
    """OCPP 2.0.1 transactions one after the other: Started with a token, eight Updated with three
    readings each, Ended."""
    steps = range(UPDATES + 2)
    return Script(
        lane, start, [_Template("TransactionEvent", _event(lane, token, seq)) for seq in steps]
    )


def _event(lane: str, token: str, seq: int) -> dict[str, Any]:
    info: dict[str, Any] = {"transactionId": f"{lane}-{_COUNT}"}
    payload: dict[str, Any] = {"timestamp": _STAMP, "seqNo": seq, "transactionInfo": info}
    if seq == 0:
        info["chargingState"] = "Charging"
        return payload | {
            "eventType": "Started",
            "triggerReason": "Authorized",
            "evse": {"id": 1, "connectorId": 1},
            "idToken": {"idToken": token, "type": "ISO14443"},
        }
    if seq > UPDATES:
        info["stoppedReason"] = "EVDisconnected"
        return payload | {"eventType": "Ended", "triggerReason": "EVDeparted"}
    sampled = [
        {
            "value": _REGISTER,
            "context": "Sample.Periodic",
            "measurand": "Energy.Active.Import.Register",
            "unitOfMeasure": {"unit": "Wh"},
        },
        {"value": 7360.0, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W"}},
        {"value": 32.0, "measurand": "Current.Import", "phase": "L1"},
    ]
    return payload | {
        "eventType": "Updated",
        "triggerReason": "MeterValuePeriodic",
        "meterValue": [{"timestamp": _STAMP, "sampledValue": sampled}],
    }


# -- before the load -----------------------------------------------------------------------------


def boot_16() -> bytes:
    """A 1.6 BootNotification."""
    return call(
        "boot", "BootNotification", {"chargePointVendor": "Bench", "chargePointModel": "Load"}
    )


def boot_201() -> bytes:
    """A 2.0.1 BootNotification."""
    station = {"vendorName": "Bench", "model": "Load"}
    return call("boot", "BootNotification", {"reason": "PowerUp", "chargingStation": station})


def start_16(token: str, start: datetime) -> bytes:
    """A 1.6 StartTransaction on connector 1."""
    payload = {
        "connectorId": 1,
        "idTag": token,
        "meterStart": FIRST,
        "timestamp": rfc3339(start),
    }
    return call("start", "StartTransaction", payload)
