"""Inquiries on the wire: an *exchange* says what to call next and reads what was answered.

An exchange is a generator without I/O: it yields calls, is sent what was heard, and returns the
answer. `ask` runs one on a link, a call at a time, so that commands of operators go in between.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson

from csms.core.inquiries import (
    Announced,
    Answer,
    Declined,
    Inquiry,
    Limits,
    NoAnswer,
    TriggerReadings,
    TriggerStatus,
    Unsupported,
    word_of,
)
from csms.core.quirks import DEFAULTS, Switches
from csms.ocpp.commands import Encoded
from csms.ocpp.routing import Payload
from csms.ocpp.rpc import ErrorCode, Failure, Result
from csms.ocpp.validation import Schemas

T = TypeVar("T")
# How many items a station is trusted with that has not said how many it takes; one that refuses
# them gets them one by one.
UNTOLD_ITEMS = 4
# What goes around a payload: type, message id, action.
FRAME_BYTES = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """A CALLERROR. `unsupported`: the station does not have this call at all."""

    words: str
    unsupported: bool


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer: `timed_out` or `closed`."""

    reason: str


Heard = Payload | Fault | Silence
Exchange = Generator[Encoded, Heard, Answer]
Askers = Mapping[type[Any], Callable[[Any], Exchange]]


def begin(inquiry: Inquiry, askers: Askers, switches: Switches = DEFAULTS) -> Exchange:
    """The exchange for an inquiry; one that ends at once where the version has none, or where the
    station is known to take triggers ill (quirk 29)."""
    asker = askers.get(type(inquiry))
    if asker is None:
        return _none(f"this version has no {word_of(inquiry)}")
    if isinstance(inquiry, TriggerStatus | TriggerReadings):
        if switches.trigger == "none":
            return _none("this station answers no triggers (switch trigger)")
        if switches.trigger == "global":
            return asker(replace(inquiry, evse=None))
    return asker(inquiry)


def _none(why: str) -> Exchange:
    yield from ()
    return Unsupported(why)


def heard(outcome: Result | Failure) -> Heard:
    """What the link heard, as an exchange sees it."""
    if isinstance(outcome, Result):
        return outcome.payload
    words = f"{outcome.wire_code or outcome.code}: {outcome.description}".rstrip(": ")
    return Fault(words, outcome.code in (ErrorCode.NOT_IMPLEMENTED, ErrorCode.NOT_SUPPORTED))


def unsendable(encoded: Encoded, schemas: Schemas) -> Fault | None:
    """Why a call cannot go out: what we send always passes the schema."""
    action, payload = encoded
    faults = schemas.request_faults(action, payload)
    if not faults:
        return None
    return Fault(f"cannot be said: {faults[0].path or '/'}: {faults[0].detail}", unsupported=False)


def of_silence_or_fault(said: Fault | Silence) -> Answer:
    """The answer to an inquiry of which nothing usable came."""
    if isinstance(said, Silence):
        return NoAnswer(said.reason)
    return Unsupported(said.words) if said.unsupported else Declined(said.words)


def by_status(said: Heard) -> Answer:
    """The answer by the result's `status`, as most calls have it."""
    if isinstance(said, Fault | Silence):
        return of_silence_or_fault(said)
    status = str(said.get("status", ""))
    if status == "Accepted":
        return Announced()
    info = said.get("statusInfo")
    reason = info.get("reasonCode") if isinstance(info, dict) else None
    words = f"{status}: {reason}" if isinstance(reason, str) else status or "no status"
    if status in ("NotImplemented", "NotSupported"):
        return Unsupported(words)
    return Declined(words)


def in_messages(items: Sequence[T], limits: Limits, shown: Callable[[T], Any]) -> list[list[T]]:
    """The items in as few messages as the station takes; `shown`: how an item is written."""
    most = limits.items or UNTOLD_ITEMS
    chunks: list[list[T]] = []
    size = 0
    for item in items:
        length = len(orjson.dumps(shown(item))) + 1
        full = chunks and (
            len(chunks[-1]) >= most
            or (limits.size_bytes is not None and size + length > limits.size_bytes)
        )
        if not chunks or full:
            chunks.append([])
            size = FRAME_BYTES
        chunks[-1].append(item)
        size += length
    return chunks
