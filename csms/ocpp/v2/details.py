"""What a TransactionEvent says beyond what a charge depends on, most of it only in OCPP 2.1: why it
was sent, limits and tariff as the station has them (E16, I), its mode of operation (Q), what it
reckons the charge costs (I12), and the state of the vehicle.

It is kept for people and for disputes; no decision is made on it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

from csms.core.ids import MAX_INT32
from csms.ocpp import wire
from csms.ocpp.routing import Payload

MAX_COST_BYTES = 16_384
MAX_CLEAN_DEPTH = 16

# These come with every reading and say nothing that the reading does not say.
_ORDINARY = frozenset({"MeterValuePeriodic", "MeterValueClock"})


def details(payload: Payload) -> Payload | None:
    """The details of one event by their neutral names; what cannot be used is left out.
    None when there are none."""
    found: dict[str, Any] = {}
    trigger = _word(payload, "triggerReason")
    if trigger is not None and trigger not in _ORDINARY:
        found["trigger"] = trigger
    for name, (field, read) in _OF_EVENT.items():
        if field in payload:
            _add(found, name, read(payload, field))
    info = wire.mapping(payload, "transactionInfo")
    for name, (field, read) in _OF_TRANSACTION.items():
        if field in info:
            _add(found, name, read(info, field))
    return found or None


def _add(found: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        found[name] = value


def _word(payload: Payload, field: str) -> str | None:
    return wire.text(payload, field, wire.MAX_WORD)


def _flag(payload: Payload, field: str) -> bool | None:
    value = payload.get(field)
    return value if isinstance(value, bool) else None


def _limit(info: Payload, field: str) -> Any:
    """Money as decimal text, energy in whole Wh, time in whole seconds."""
    said = wire.mapping(info, field)
    limit: dict[str, Any] = {
        "max_cost": wire.number_text(said.get("maxCost")),
        "max_energy_wh": _whole(said.get("maxEnergy")),
        "max_time_s": _whole(said.get("maxTime")),
        "max_soc_percent": _whole(said.get("maxSoC")),
    }
    return {name: value for name, value in limit.items() if value is not None} or None


def _whole(value: object) -> int | None:
    text = wire.number_text(value)
    if text is None:
        return None
    number = int(Decimal(text))
    return number if abs(number) <= MAX_INT32 else None


def _cost(payload: Payload, field: str) -> Any:
    """As the station sent it: whoever disputes a bill wants its words."""
    cost = _clean(wire.mapping(payload, field), 0)
    size = len(orjson.dumps(cost))
    return cost if size <= MAX_COST_BYTES else {"left_out_bytes": size}


def _clean(value: Any, depth: int) -> Any:
    """The same JSON value with texts as every database takes them."""
    if depth > MAX_CLEAN_DEPTH:
        return None
    if isinstance(value, dict):
        return {wire.plain(name): _clean(part, depth + 1) for name, part in value.items()}
    if isinstance(value, list):
        return [_clean(part, depth + 1) for part in value]
    return wire.plain(value) if isinstance(value, str) else value


_Read = Callable[[Payload, str], Any]
_OF_EVENT: dict[str, tuple[str, _Read]] = {
    "phases": ("numberOfPhasesUsed", wire.integer),
    "cable_max_current_a": ("cableMaxCurrent", wire.integer),
    "preconditioning": ("preconditioningStatus", _word),
    "evse_sleep": ("evseSleep", _flag),
    "cost": ("costDetails", _cost),
}
_OF_TRANSACTION: dict[str, tuple[str, _Read]] = {
    "tariff_id": ("tariffId", wire.name),
    "limit": ("transactionLimit", _limit),
    "operation_mode": ("operationMode", _word),
    "time_spent_charging_s": ("timeSpentCharging", wire.integer),
}
