"""The terms of a tariff: what its JSON in the shape of OCPI 2.3.0 (or 2.2.1) means.

`read` takes what it can and lists what it cannot; `parse` refuses, naming the element: a tariff of
ours that cannot be priced must not be offered. Numbers are taken by their shortest decimal text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from csms.core.errors import Invalid

MAX_ELEMENTS = 200
MAX_AMOUNT = Decimal(10) ** 9
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DATE = re.compile(r"[12][0-9]{3}-[01][0-9]-[0-3][0-9]")
_CURRENCY = re.compile(r"[A-Z]{3}")
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


class Dimension(StrEnum):
    """What is priced (OCPI TariffDimensionType)."""

    FLAT = "FLAT"
    ENERGY = "ENERGY"
    TIME = "TIME"
    PARKING_TIME = "PARKING_TIME"


class TaxIncluded(StrEnum):
    """Whether the prices include taxes (OCPI 2.3.0 TaxIncluded)."""

    YES = "YES"
    NO = "NO"
    NOT_APPLICABLE = "N/A"


class Reservation(StrEnum):
    """That an element prices a reservation (OCPI ReservationRestrictionType)."""

    USED = "RESERVATION"
    EXPIRED = "RESERVATION_EXPIRES"


@dataclass(frozen=True, slots=True)
class Component:
    """The price of one dimension, per kWh, per hour or once; `step` in Wh or seconds, 0: none."""

    dimension: Dimension
    price: Decimal
    step: int = 1
    vat: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Restrictions:
    """When an element applies; all that are set must hold. Times of day are minutes after local
    midnight, energies Wh, powers kW, durations seconds; minima include their value, maxima do
    not."""

    start_time: int | None = None
    end_time: int | None = None
    start_date: date | None = None
    end_date: date | None = None
    min_wh: Decimal | None = None
    max_wh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    days: frozenset[int] = frozenset()
    reservation: Reservation | None = None

    @property
    def by_clock(self) -> bool:
        """Whether the time of day, the date or the day of the week matters."""
        times = (self.start_time, self.end_time, self.start_date, self.end_date)
        return bool(self.days) or any(value is not None for value in times)


@dataclass(frozen=True, slots=True)
class Element:
    """Components under the same restrictions. `number` counts from 1, as people do."""

    number: int
    components: tuple[Component, ...]
    restrictions: Restrictions = Restrictions()

    def component(self, dimension: Dimension) -> Component | None:
        """The price of that dimension, None when it says nothing about it."""
        return next((c for c in self.components if c.dimension is dimension), None)


@dataclass(frozen=True, slots=True)
class Limit:
    """A minimum or maximum price of a session, before and after taxes."""

    before_taxes: Decimal
    after_taxes: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """A tariff as understood."""

    currency: str
    elements: tuple[Element, ...]
    included: TaxIncluded = TaxIncluded.NO
    min_price: Limit | None = None
    max_price: Limit | None = None


# -- reading -------------------------------------------------------------------------------------


def parse(data: Mapping[str, Any]) -> Terms:
    """The terms of a tariff. Raises `Invalid` naming what cannot be priced, and where."""
    terms, faults = read(data)
    if faults:
        raise Invalid(f"the tariff cannot be priced: {'; '.join(faults[:5])}")
    return terms


def read(data: Mapping[str, Any]) -> tuple[Terms, tuple[str, ...]]:
    """The terms as far as they are understood, and the faults in words. An element with a
    restriction that is not understood is left out: it may not apply to anything."""
    faults: list[str] = []
    currency = str(data.get("currency") or "").upper()
    if not _CURRENCY.fullmatch(currency):
        faults.append("currency: three letters (ISO 4217) are expected")
    given = data.get("elements")
    if not isinstance(given, list | tuple) or not given:
        faults.append("elements: at least one is needed, also where it is free of charge")
        given = []
    if len(given) > MAX_ELEMENTS:
        faults.append(f"elements: at most {MAX_ELEMENTS}")
    elements = []
    for number, item in enumerate(given[:MAX_ELEMENTS], 1):
        element = _element(number, item, faults)
        if element is not None:
            elements.append(element)
    limits = [_limit(data, name, faults) for name in ("min_price", "max_price")]
    low, high = limits
    if low and high and low.before_taxes > high.before_taxes:
        faults.append("min_price is above max_price")
    for name in ("start_date_time", "end_date_time"):
        if data.get(name) is not None and moment(data[name]) is None:
            faults.append(f"{name}: an ISO 8601 time in UTC is expected")
    included = _included(data, faults)
    return Terms(currency, tuple(elements), included, low, high), tuple(faults)


def moment(value: Any) -> datetime | None:
    """A time of OCPI: UTC, the `Z` may be missing; None when it is none."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else datetime.fromisoformat(f"{value}+00:00")


def _included(data: Mapping[str, Any], faults: list[str]) -> TaxIncluded:
    # 2.2.1 has no such field: its prices exclude VAT.
    given = data.get("tax_included", "NO")
    try:
        return TaxIncluded(given)
    except ValueError:
        faults.append("tax_included: YES, NO or N/A is expected")
        return TaxIncluded.NO


def _element(number: int, item: Any, faults: list[str]) -> Element | None:
    where = f"element {number}"
    if not isinstance(item, Mapping):
        faults.append(f"{where}: an object is expected")
        return None
    given = item.get("price_components")
    if not isinstance(given, list | tuple) or not given:
        faults.append(f"{where}: price_components: at least one is needed")
        return None
    found: dict[Dimension, Component] = {}
    for part in given:
        component = _component(where, part, faults)
        if component is None:
            continue
        if component.dimension in found:
            faults.append(f"{where}: it has two prices for {component.dimension}")
            continue
        found[component.dimension] = component
    restrictions = _restrictions(where, item.get("restrictions"), faults)
    if restrictions is None or not found:
        return None
    if restrictions.reservation:
        odd = sorted(set(found) - {Dimension.FLAT, Dimension.TIME})
        if odd:
            faults.append(f"{where}: a reservation has FLAT and TIME only, not {', '.join(odd)}")
    return Element(number, tuple(found.values()), restrictions)


def _component(where: str, part: Any, faults: list[str]) -> Component | None:
    if not isinstance(part, Mapping):
        faults.append(f"{where}: a price component is an object")
        return None
    try:
        dimension = Dimension(str(part.get("type")))
    except ValueError:
        faults.append(f"{where}: type {part.get('type')!r}: one of {', '.join(Dimension)}")
        return None
    price = number(part.get("price"))
    if price is None or price < 0:
        faults.append(f"{where}: {dimension}: price: a number of 0 or more is expected")
        return None
    step = part.get("step_size", 1)
    if type(step) is not int or not 0 <= step <= 10**6:
        faults.append(f"{where}: {dimension}: step_size: a whole number of 0 or more is expected")
        step = 1
    vat = number(part.get("vat"))
    if part.get("vat") is not None and (vat is None or not 0 <= vat <= 100):
        faults.append(f"{where}: {dimension}: vat: a percentage is expected")
        vat = None
    return Component(dimension, price, step, vat)


def _limit(data: Mapping[str, Any], name: str, faults: list[str]) -> Limit | None:
    given = data.get(name)
    if given is None:
        return None
    if not isinstance(given, Mapping):
        faults.append(f"{name}: an object with before_taxes is expected")
        return None
    before = number(given.get("before_taxes", given.get("excl_vat")))
    after_given = given.get("after_taxes", given.get("incl_vat"))
    after = number(after_given)
    if before is None or before < 0 or (after_given is not None and after is None):
        faults.append(f"{name}: before_taxes (and after_taxes): numbers of 0 or more are expected")
        return None
    if after is not None and after < before:
        faults.append(f"{name}: after_taxes is below before_taxes")
    return Limit(before, after)


def number(value: Any) -> Decimal | None:
    """A JSON number as Decimal, None when it is none that money can be made of. Text is taken as
    well: some peers write amounts so."""
    if (
        value is None
        or isinstance(value, bool)
        or not isinstance(value, int | float | str | Decimal)
    ):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) <= MAX_AMOUNT else None


# -- restrictions --------------------------------------------------------------------------------


def _minutes(value: Any) -> int | None:
    found = _TIME.fullmatch(str(value))
    return int(found[1]) * 60 + int(found[2]) if found else None


def _date(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)) if _DATE.fullmatch(str(value)) else None
    except ValueError:
        return None


def _positive(value: Any) -> Decimal | None:
    found = number(value)
    return found if found is not None and found >= 0 else None


def _watt_hours(value: Any) -> Decimal | None:
    found = _positive(value)
    return None if found is None else found * 1000


def _seconds(value: Any) -> int | None:
    found = _positive(value)
    return None if found is None or found != found.to_integral_value() else int(found)


def _days(value: Any) -> frozenset[int] | None:
    if not isinstance(value, list | tuple) or not set(map(str, value)) <= set(DAYS):
        return None
    return frozenset(DAYS.index(str(day)) for day in value)


def _reservation(value: Any) -> Reservation | None:
    return Reservation(value) if value in tuple(Reservation) else None


# Name in OCPI -> our field, how it is read, what is expected.
_FIELDS: dict[str, tuple[str, Any, str]] = {
    "start_time": ("start_time", _minutes, "a time such as 09:30"),
    "end_time": ("end_time", _minutes, "a time such as 09:30"),
    "start_date": ("start_date", _date, "a date such as 2026-01-31"),
    "end_date": ("end_date", _date, "a date such as 2026-01-31"),
    "min_kwh": ("min_wh", _watt_hours, "a number of 0 or more"),
    "max_kwh": ("max_wh", _watt_hours, "a number of 0 or more"),
    "min_current": ("min_current", _positive, "a number of 0 or more"),
    "max_current": ("max_current", _positive, "a number of 0 or more"),
    "min_power": ("min_power", _positive, "a number of 0 or more"),
    "max_power": ("max_power", _positive, "a number of 0 or more"),
    "min_duration": ("min_duration", _seconds, "whole seconds"),
    "max_duration": ("max_duration", _seconds, "whole seconds"),
    "day_of_week": ("days", _days, "a list of days such as MONDAY"),
    "reservation": ("reservation", _reservation, "RESERVATION or RESERVATION_EXPIRES"),
}
_RANGES = (
    ("start_date", "end_date"),
    ("min_wh", "max_wh"),
    ("min_current", "max_current"),
    ("min_power", "max_power"),
    ("min_duration", "max_duration"),
)


def _restrictions(where: str, given: Any, faults: list[str]) -> Restrictions | None:
    if given is None:
        return Restrictions()
    if not isinstance(given, Mapping):
        faults.append(f"{where}: restrictions: an object is expected")
        return None
    values: dict[str, Any] = {}
    understood = True
    for name, value in given.items():
        if value is None:
            continue
        field = _FIELDS.get(name)
        found = field[1](value) if field else None
        if field is None or found is None:
            expected = field[2] if field else "this restriction is not known"
            faults.append(f"{where}: {name}: {expected}")
            understood = False
            continue
        values[field[0]] = found
    for low, high in _RANGES:
        if low in values and high in values and values[low] >= values[high]:
            faults.append(f"{where}: {low} is not below {high}: it can never apply")
    return Restrictions(**values) if understood else None
