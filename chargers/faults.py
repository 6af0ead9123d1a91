"""What chargers in the field get wrong, to be switched on one by one.

A fault bends the frames of a charger on their way to and from the network; the charger itself goes
on as if nothing were wrong, and its ledger stays the truth. Everything here works on the JSON text
alone, so that frames come out that no library would let through.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

from websockets.asyncio.client import ClientConnection

FAULTS = {
    "clock-1970": "the clock was never set: all times are of 1970",
    "drops": "the connection is cut every now and then",
    "duplicates": "messages about transactions are sent twice, with the same message id",
    "extra-fields": "fields that no schema knows, and empty texts",
    "late-replies": "calls of the central system are answered seconds later",
    "lost-answers": "some answers never arrive, so that messages are sent again",
    "missing-fields": "required fields are left out, and everything that has a default",
    "mixed-units": "every other meter value is in kWh, the rest in Wh",
    "no-boot": "no boot message after a lost connection, which is cut every now and then",
    "no-zone": "times without a time zone",
    "nul": "a NUL behind every message",
    "numbers-as-text": "numbers are sent as text, and text that looks like a number as number",
    "stuck-seqno": "the sequence number of transaction messages is always 0 (OCPP 2.x)",
}
"""Name -> what it does, for people."""

ALL = "all"

TRANSACTIONS = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})
CUT_EVERY_FRAMES = 25
LOSE_EVERY_ANSWERS = 7
LATE_S = 1.0
"""Wall seconds: it is the network or a slow processor, not the virtual clock."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# What a message is about must be there: no central system could place it otherwise.
_NEEDED = frozenset(
    {
        *("connectorId", "idTag", "meterStart", "meterStop", "transactionId", "timestamp"),
        *("meterValue", "sampledValue", "value", "measurand", "unit", "unitOfMeasure"),
        *("eventType", "transactionInfo", "seqNo", "idToken", "evse", "id", "type", "offline"),
        *("evseId", "status", "connectorStatus", "context"),
    }
)


def chosen(names: str) -> tuple[str, ...]:
    """The faults of a list such as `duplicates,nul`; `all` is all of them. Raises `ValueError` that
    names what there is."""
    found: dict[str, None] = {}
    for name in (part.strip() for part in names.split(",")):
        if name == ALL:
            found |= dict.fromkeys(FAULTS)
        elif name in FAULTS:
            found[name] = None
        elif name:
            raise ValueError(f"faults = {name!r}: allowed is {ALL}, or some of {', '.join(FAULTS)}")
    return tuple(found)


class FaultyConnection:
    """A client connection with faults: what `chargers.wire` uses of one.

    What one fault bends the next one gets, in the order of `_BENDS`.
    """

    def __init__(self, connection: ClientConnection, faults: tuple[str, ...]) -> None:
        self._connection = connection
        self._faults = frozenset(faults)
        self._bends = [bend for name, bend in _BENDS.items() if name in self._faults]
        self._sent = 0
        self._answers = 0
        self._samples = 0
        self._late: set[asyncio.Task[None]] = set()

    @property
    def transport(self) -> Any:
        return self._connection.transport

    @property
    def subprotocol(self) -> str | None:
        return self._connection.subprotocol

    async def close(self) -> None:
        for task in self._late:
            task.cancel()
        await self._connection.close()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        async for text in self._connection:
            if not self._loses(text):
                yield text

    def _loses(self, text: str | bytes) -> bool:
        if "lost-answers" not in self._faults or json.loads(text)[0] != 3:
            return False
        self._answers += 1
        return self._answers % LOSE_EVERY_ANSWERS == 0

    async def send(self, text: str) -> None:
        message = json.loads(text, parse_float=Decimal)
        if message[0] != 2:
            if "late-replies" in self._faults:
                late = asyncio.create_task(self._send_late(text), name="late reply")
                self._late.add(late)
                late.add_done_callback(self._late.discard)
                return
            await self._connection.send(text)
            return
        self._sent += 1
        about_transaction = message[2] in TRANSACTIONS
        for bend in self._bends:
            bend(self, message)
        frame = json.dumps(message, default=_plain) + ("\x00" if "nul" in self._faults else "")
        await self._connection.send(frame)
        if "duplicates" in self._faults and about_transaction:
            await self._connection.send(frame)
        cuts = {"drops", "no-boot"} & self._faults
        if cuts and self._sent % CUT_EVERY_FRAMES == 0:
            self._connection.transport.abort()

    async def _send_late(self, text: str) -> None:
        await asyncio.sleep(LATE_S)
        # The connection may be gone by now, and nobody waits for this answer any more.
        if self._connection.close_code is None:
            await self._connection.send(text)

    # -- what bends a call -----------------------------------------------------------------------

    def clock_1970(self, message: list[Any]) -> None:
        _times(message[3], _from_1970)

    def no_zone(self, message: list[Any]) -> None:
        _times(message[3], lambda text: text.removesuffix("Z"))

    def mixed_units(self, message: list[Any]) -> None:
        for sampled in _objects(message[3], "sampledValue"):
            self._samples += 1
            unit = sampled.get("unit") or sampled.get("unitOfMeasure", {}).get("unit")
            if unit != "Wh" or self._samples % 2:
                continue
            value = Decimal(str(sampled["value"])) / 1000
            if "unit" in sampled:
                sampled |= {"value": f"{value:f}", "unit": "kWh"}
            else:
                sampled |= {"value": value, "unitOfMeasure": {"unit": "kWh"}}

    def stuck_seqno(self, message: list[Any]) -> None:
        if "seqNo" in message[3]:
            message[3]["seqNo"] = 0

    def missing_fields(self, message: list[Any]) -> None:
        if message[2] in TRANSACTIONS:
            _leave_out(message[3])

    def extra_fields(self, message: list[Any]) -> None:
        message[3] |= {"vendorNote": "x", "empty": "", "nothing": None}

    def numbers_as_text(self, message: list[Any]) -> None:
        _swap(message[3])


_Bend = Callable[[FaultyConnection, list[Any]], None]
_BENDS: dict[str, _Bend] = {
    "clock-1970": FaultyConnection.clock_1970,
    "mixed-units": FaultyConnection.mixed_units,
    "missing-fields": FaultyConnection.missing_fields,
    "no-zone": FaultyConnection.no_zone,
    "stuck-seqno": FaultyConnection.stuck_seqno,
    "numbers-as-text": FaultyConnection.numbers_as_text,
    "extra-fields": FaultyConnection.extra_fields,
}


def _plain(value: object) -> float:
    assert isinstance(value, Decimal)
    return float(value)


def _parts(value: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Every value inside a payload, with its owner and its place there."""
    places = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for place, part in places:
        yield value, place, part
        if isinstance(part, dict | list):
            yield from _parts(part)


def _times(payload: Any, change: Callable[[str], str]) -> None:
    for owner, place, part in list(_parts(payload)):
        if isinstance(part, str) and _MOMENT.fullmatch(part):
            owner[place] = change(part)


def _from_1970(text: str) -> str:
    """The same day and time of 1970."""
    return f"1970{text[4:]}"


def _objects(payload: Any, name: str) -> Iterator[dict[str, Any]]:
    """The objects of all lists of that name."""
    for _, place, part in list(_parts(payload)):
        if place == name and isinstance(part, list):
            yield from part


def _leave_out(payload: dict[str, Any]) -> None:
    for owner, place, _ in list(_parts(payload)):
        if isinstance(place, str) and place not in _NEEDED:
            del owner[place]


def _swap(payload: Any) -> None:
    for owner, place, part in list(_parts(payload)):
        if isinstance(part, int | Decimal) and not isinstance(part, bool):
            owner[place] = str(part)
        elif place == "value" and isinstance(part, str) and _NUMBER.fullmatch(part):
            owner[place] = Decimal(part)
