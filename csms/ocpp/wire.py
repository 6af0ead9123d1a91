"""Values as stations write them: lenient readers and the strict writers of both directions.

Readers return None for what cannot be used and never raise; what the schema says was checked (and
counted) before, so here it only matters what a value is worth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from csms.core.ids import MAX_INT32
from csms.core.metering import MAX_WH, REGISTER, Reading

MAX_TEXT = 255
MAX_DIGITS = 32
MAX_SIGNED = 40_000
"""The longest signed data that any version allows (32,768 in 2.1), with room for its key and what
else stands beside it."""
MAX_WORD = 64
_SHARED: Final[tuple[Literal["context", "location", "phase"], ...]] = (
    "context",
    "location",
    "phase",
)
_PLAIN_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)
UNUSABLE = "unusable"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SHORT_OFFSET = re.compile(r"([+-]\d{2})$")


def text(payload: Mapping[str, Any], name: str, limit: int = MAX_TEXT) -> str | None:
    """A text field, trimmed, without control characters, None when empty or absent."""
    value = payload.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    return _CONTROL.sub("", value).strip()[:limit] or None


def plain(value: str) -> str:
    """A text without control characters and lone surrogates, which some databases refuse."""
    return _CONTROL.sub("", value)


def name(payload: Mapping[str, Any], field: str) -> str | None:
    """What something is called: as `text`, but never cut, because two names could become one; None
    beyond `MAX_TEXT` characters."""
    value = text(payload, field, MAX_TEXT + 1)
    return value if value is not None and len(value) <= MAX_TEXT else None


def integer(payload: Mapping[str, Any], name: str) -> int | None:
    """An int32 field; numeric text and integral floats count."""
    value = payload.get(name)
    if isinstance(value, bool):
        return None
    if isinstance(value, str | float):
        try:
            number = Decimal(str(value).strip())
            if number != number.to_integral_value() or abs(number) > MAX_INT32:
                return None
            value = int(number)
        except (ArithmeticError, ValueError):
            return None
    return value if isinstance(value, int) and abs(value) <= MAX_INT32 else None


def watt_hours(payload: Mapping[str, Any], name: str) -> int | None:
    """A meter register in Wh as a plain number (OCPP 1.6 meterStart, meterStop)."""
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip())
        return int(number) if 0 <= number <= MAX_WH else None
    except (ArithmeticError, ValueError):
        return None


def moment(value: object) -> datetime | None:
    """A time; without a zone it is taken as UTC (what stations mean that leave it out), offsets
    such as `+1000` and `+02` are understood."""
    if not isinstance(value, str) or not 8 <= len(value) <= 64:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        try:
            at = datetime.fromisoformat(_SHORT_OFFSET.sub(r"\1:00", value.strip().upper()))
        except ValueError:
            return None
    try:
        # Hot path: the ordinary "Z" is UTC already.
        if at.tzinfo is UTC:
            return at
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        return None


def mapping(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object field, empty when absent or of another type."""
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def items(payload: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of an array field, others left out. Their number is bounded by the size of a
    message, and by nothing else: what is cut off silently was acknowledged and lost."""
    value = payload.get(name)
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, dict)]


def rfc3339(at: datetime) -> str:
    """How we write times: UTC, whole seconds, `Z`. Some stations read nothing else."""
    return f"{at.astimezone(UTC).isoformat()[:19]}Z"


def number_text(value: object, multiplier: int = 0) -> str | None:
    """A measured value as plain decimal text, None when it is no finite number of sane size."""
    if type(value) is str and multiplier == 0 and _PLAIN_NUMBER.fullmatch(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip())
        if not number.is_finite() or (number and abs(number.adjusted()) > MAX_DIGITS):
            return None
        if multiplier:
            number = number.scaleb(max(-MAX_DIGITS, min(MAX_DIGITS, multiplier)))
        return format(number, "f")[:64]
    except (ArithmeticError, ValueError):
        return None


def reading(
    sampled: Mapping[str, Any], value: str, unit: Any = None, signed: Any = None
) -> Reading:
    """A `Reading` from the fields that all versions share (measurand, context, location, phase). A
    field that is there and cannot be used is `unusable`: left out, it would get its default, and a
    temperature could become an energy."""
    found: Reading = {"value": value, "measurand": _word(sampled.get("measurand")) or REGISTER}
    if unit is not None:
        found["unit"] = _word(unit)
    for name in _SHARED:
        word = sampled.get(name)
        if word is not None:
            found[name] = _word(word)
    if signed is not None:
        found["signed"] = signed
    return found


def fits(signed: Any) -> bool:
    """Whether signed data is kept: whole and as it came, because what is cut proves nothing."""
    if isinstance(signed, dict):
        return sum(len(name) + len(str(part)) for name, part in signed.items()) <= MAX_SIGNED
    return len(str(signed)) <= MAX_SIGNED


def _word(value: Any) -> Any:
    return value if value is None or (type(value) is str and len(value) <= MAX_WORD) else UNUSABLE
