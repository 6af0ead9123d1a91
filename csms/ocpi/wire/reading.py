"""Reading what partners send and writing what we send.

In: JSON with exact numbers; then an object, leniently, with the list of what it was forgiven, or
the faults that make it unusable. Out: what our own strict objects hold, without nulls and empty
lists, numbers as they are, times in UTC with milliseconds at most (string(25) has no room for
more).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Generic, NoReturn, TypeVar

import orjson
from pydantic import ValidationError

from csms.core.errors import Invalid
from csms.ocpi.wire.types import Leniency, Wire

W = TypeVar("W", bound=Wire)
MAX_FAULTS = 10
MAX_DEPTH = 40


@dataclass(frozen=True, slots=True)
class Read(Generic[W]):
    """An object of a partner, and what it was forgiven."""

    value: W
    deviations: tuple[str, ...] = ()


def load(body: bytes) -> Any:
    """The value of a JSON text, with `Decimal` for every number that is no integer. Raises
    `Invalid`."""
    try:
        value = json.loads(body, parse_float=_exact, parse_constant=_refuse)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise Invalid("the body is not valid JSON") from error
    if _deeper(value, MAX_DEPTH):
        raise Invalid(f"the body is nested deeper than {MAX_DEPTH} levels")
    return value


def _exact(text: str) -> Decimal:
    if len(text) > 64:
        raise ValueError("a number with too many digits")
    return Decimal(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _deeper(value: Any, left: int) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return left == 0 or any(_deeper(item, left - 1) for item in value)


def parse(kind: type[W], value: Any, received_at: datetime) -> Read[W]:
    """A partner's object. Raises `Invalid` naming the fields that cannot be understood."""
    leniency = Leniency(received_at)
    try:
        return Read(kind.model_validate(value, context=leniency), tuple(leniency.deviations))
    except ValidationError as error:
        raise Invalid(_faults(error)) from error


def parse_list(
    kind: type[W], values: Any, received_at: datetime
) -> tuple[list[Read[W]], list[str]]:
    """The usable objects of a list and the faults of the others (transport_and_format, GET: the
    correct objects of a list are to be processed). Raises `Invalid` when it is no list."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise Invalid("data: a list is expected")
    good: list[Read[W]] = []
    faults: list[str] = []
    for value in values:
        try:
            good.append(parse(kind, value, received_at))
        except Invalid as error:
            faults.append(error.detail)
    return good, faults


def _faults(error: ValidationError) -> str:
    told = [
        f"{'.'.join(str(step) for step in fault['loc']) or 'the object'}: {fault['msg'].lower()}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return "; ".join(told[:MAX_FAULTS])


def plain(value: Any) -> Any:
    """An object as JSON-ready values: no nulls, no empty lists of ours, times as text. Decimals
    stay; `dump` writes them."""
    if isinstance(value, Wire):
        shown = {name: getattr(value, name) for name in type(value).model_fields}
        kept = {n: plain(v) for n, v in shown.items() if v is not None and v != ()}
        return {**kept, **(value.model_extra or {})}
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items() if item is not None}
    return value


def storable(value: Any) -> Any:
    """As `plain`, as it comes back from a JSON column. For objects that hold no money: their
    numbers become floats."""
    return orjson.loads(dump(value))


def moment(at: datetime) -> str:
    """A DateTime: UTC, `Z`, milliseconds only where there are any."""
    utc = at.astimezone(UTC)
    text = utc.isoformat(timespec="milliseconds" if utc.microsecond >= 1_000 else "seconds")
    return text.removesuffix("+00:00") + "Z"


def dump(value: Any) -> bytes:
    """JSON of anything that `plain` takes."""
    return orjson.dumps(plain(value), default=_number)


def _number(value: Any) -> orjson.Fragment:
    """A Decimal as a JSON number, digit for digit."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return orjson.Fragment("0" if text in ("-0", "") else text)
