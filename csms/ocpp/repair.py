"""What stations send wrong and still mean: put right, so that no transaction is lost over it.

Used where a refusal would cost money (start, stop, meter values, status, boot); elsewhere a fault
is answered with an error. A repair never guesses: the value is the one that was sent, in the type
or the length that the specification has for it, or a word in its capitals. Enumerated values that
nobody knows and fields that are missing stay as they are, for the handler knows what they are
worth.

Every repaired value is checked against its rule before it is used, so a repair cannot exchange one
fault for another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from csms.ocpp.validation import Fault, Rule, scalar_fault

_PLAIN_CHARS = 50
"""Longer than any reading: a text beyond it stays text, a number beyond it keeps its exponent."""

_EXACT_FLOAT = 2.0**53
"""From here on floats skip integers, so an integer read as a float may be another one."""

_INT64 = range(-(2**63), 2**63)

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)

_DROP: Final = object()


@dataclass(frozen=True, slots=True)
class Repaired:
    """The payload after repair.

    `kinds` says once each what was done, in order: `number_to_text`, `boolean_to_text`,
    `text_to_number`, `text_to_boolean`, `float_to_integer`, `trimmed`, `respelled`, `truncated`,
    `empty_field_dropped`, `unknown_field_dropped`. `left` are the faults that remain.
    """

    payload: dict[str, Any]
    kinds: tuple[str, ...]
    left: tuple[Fault, ...]


def repair(payload: dict[str, Any], faults: Sequence[Fault]) -> Repaired:
    """Repair what can be repaired without guessing; never raises, `payload` stays untouched.

    `faults` are all that `Schemas` found in this very payload: ask it with
    `limit=FAULTS_REPAIRABLE`, and when it returns that many, check again what came out. Without
    faults the same object is returned. Only what lies on the way to a fault is copied; the cost is
    linear in the faults and in the size of the containers on their way.
    """
    if not faults:
        return Repaired(payload, (), ())
    copy = _Copy(payload)
    kinds: dict[str, None] = {}
    left: list[Fault] = []
    for fault in faults:
        kind = _repair_one(copy, fault)
        if kind is None:
            left.append(fault)
        else:
            kinds[kind] = None
    return Repaired(copy.root, tuple(kinds), tuple(left))


def _repair_one(copy: _Copy, fault: Fault) -> str | None:
    """Repair one fault inside `copy` and say how, or None and nothing is changed."""
    if not fault.steps or fault.kind == "missing_field":
        return None
    found, value = copy.look(fault.steps)
    if not found:
        return None
    key = fault.steps[-1]
    if fault.kind == "unknown_field":
        kind, better = "unknown_field_dropped", _DROP
    elif fault.optional and _is_empty(value):
        kind, better = "empty_field_dropped", _DROP
    else:
        mended = _mend(value, fault.rule)
        if mended is None or scalar_fault(fault.rule, mended[1]) is not None:
            return None
        kind, better = mended
    owner = copy.owner(fault.steps)
    if better is not _DROP:
        owner[key] = better
    elif type(owner) is dict:
        del owner[key]
    else:
        return None
    return kind


def _is_empty(value: object) -> bool:
    return value is None or value == [] or (type(value) is str and not value.strip())


def _mend(value: object, rule: Rule) -> tuple[str, object] | None:
    """What was done, and a value nearer to `rule`; the caller checks that it is near enough."""
    if type(value) is str:
        if rule.type == "string":
            return _fit(value, rule)
        if rule.type == "boolean":
            return _boolean(value.strip().lower())
        if rule.type in ("number", "integer"):
            return _number(value.strip(), rule)
    elif type(value) is bool:
        if rule.type == "string":
            return "boolean_to_text", "true" if value else "false"
    elif type(value) is int or type(value) is float:
        if rule.type == "string":
            text = _plain_text(value)
            return None if text is None else ("number_to_text", text)
        if rule.type == "integer":
            return _integer(value)
    return None


def _fit(value: str, rule: Rule) -> tuple[str, object] | None:
    """Without the spaces around it a text often fits; only then is anything cut off."""
    stripped = value.strip()
    if scalar_fault(rule, stripped) is None:
        return "trimmed", stripped
    if rule.options is not None:
        # No two words of one list of OCPP differ in capitals only (tested).
        folded = stripped.casefold()
        return next((("respelled", o) for o in rule.options if o.casefold() == folded), None)
    if rule.max_length is not None:
        return "truncated", stripped[: rule.max_length]
    return None


def _boolean(text: str) -> tuple[str, object] | None:
    return ("text_to_boolean", text == "true") if text in ("true", "false") else None


def _number(text: str, rule: Rule) -> tuple[str, object] | None:
    if len(text) > _PLAIN_CHARS or _NUMBER.fullmatch(text) is None:
        return None
    if _INTEGER.fullmatch(text) is not None:
        whole = int(text)
        return ("text_to_number", whole) if whole in _INT64 else None
    if rule.type == "number":
        return "text_to_number", float(text)
    exact = Decimal(text)
    if exact != exact.to_integral_value() or int(exact) not in _INT64:
        return None
    return "text_to_number", int(exact)


def _integer(value: float) -> tuple[str, object] | None:
    # NaN and the infinities fail the comparison.
    if not abs(value) < _EXACT_FLOAT or value != int(value):
        return None
    return "float_to_integer", int(value)


def _plain_text(value: float) -> str | None:
    """A number as people write it: 12.5 for 12.50, 5 for 5.0, and no exponent where avoidable.

    None where digits were lost on the way here: the text could be an identity.
    """
    if type(value) is int:
        return str(value) if abs(value) < 2**64 else None
    if not abs(value) < _EXACT_FLOAT:
        return None
    if value == int(value):
        return str(int(value))
    text = repr(value)
    plain = format(Decimal(text), "f")
    return plain if len(plain) <= _PLAIN_CHARS else text


class _Copy:
    """A payload that is copied only where it is written to."""

    __slots__ = ("_own", "root")

    def __init__(self, payload: dict[str, Any]) -> None:
        self.root = payload.copy()
        self._own: dict[tuple[str | int, ...], Any] = {(): self.root}

    def look(self, steps: tuple[str | int, ...]) -> tuple[bool, Any]:
        """Whether `steps` lead to a value, and the value."""
        value: Any = self.root
        for step in steps:
            if type(value) is dict:
                if step not in value:
                    return False, None
            elif not (type(value) is list and type(step) is int and 0 <= step < len(value)):
                return False, None
            value = value[step]
        return True, value

    def owner(self, steps: tuple[str | int, ...]) -> Any:
        """The container that holds the last of `steps`, ours to change."""
        length = len(steps) - 1
        owner = self._own.get(steps[:length])
        if owner is not None:
            return owner
        container: Any = self.root
        for depth in range(length):
            way = steps[: depth + 1]
            own = self._own.get(way)
            if own is None:
                own = self._own[way] = container[steps[depth]].copy()
                container[steps[depth]] = own
            container = own
        return container
