"""Taxes by place and date: dated tables as data, and the taxes that apply at one place on one day.

A table is CSV with the columns
`country,region,locality,tax,percentage,valid_from,valid_to,base,source`; lines that begin with #
are remarks. A row without region holds for the whole country, one with a locality for that city or
postal code. All rows that fit are stacked, in the order of the tables, each on its `base`: `price`
is the amount before taxes, `price+taxes` that with the taxes of the rows before it. A row without a
source, with a bad date, or overlapping another one is refused with its file and line: no rate may
stand in a bill that nobody can account for.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from csms.core.countries import ALPHA_3, REGIONS, region_of
from csms.core.errors import Invalid
from csms.core.pricing.money import Tax
from csms.core.pricing.tariff import number

COLUMNS = (
    "country",
    "region",
    "locality",
    "tax",
    "percentage",
    "valid_from",
    "valid_to",
    "base",
    "source",
)
ON_PRICE, ON_TAXES = "price", "price+taxes"
MAX_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Rate:
    """One row: a tax at a place from `valid_from` until before `valid_to` (None: still valid)."""

    country: str
    region: str
    locality: str
    tax: str
    percentage: Decimal
    valid_from: date
    valid_to: date | None
    base: str
    source: str
    where: str
    """File and line, for messages."""

    def holds(self, day: date) -> bool:
        """Whether it is the rate of that day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True, slots=True)
class Place:
    """A place of supply. `localities`: its city and its postal code, as far as they are known."""

    country: str
    state: str | None = None
    localities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """The taxes of a place on a day, and what is missing to be sure of them."""

    taxes: tuple[Tax, ...]
    doubts: tuple[str, ...] = ()

    @property
    def single(self) -> Decimal | None:
        """The percentage of the price that they are, as a VAT is; None where they are stacked, none
        is known, or there may be more."""
        return self.taxes[0].percentage if len(self.taxes) == 1 and not self.doubts else None


@dataclass(frozen=True)
class TaxTable:
    """All rates that are known, by country. `accounts`: tax -> the account it is collected under
    (a registration number), as the operator says."""

    rates: Mapping[str, Sequence[Rate]]
    accounts: Mapping[str, str]

    def at(self, place: Place, day: date) -> Found:
        """The taxes that apply at a place on a day."""
        rates = self.rates.get(place.country)
        if not rates:
            named = f"for {place.country}" if place.country else "for a place without a country"
            return Found((), (f"there is no tax table {named}",))
        region = region_of(place.country, place.state)
        doubts = []
        if region is None and any(rate.region for rate in rates):
            doubts.append(f"the taxes of {place.country} depend on the region, which is not known")
        known = {text.strip().casefold() for text in place.localities if text}
        fit = [
            rate
            for rate in rates
            if rate.holds(day)
            and rate.region in ("", region)
            and (not rate.locality or rate.locality.casefold() in known)
        ]
        if not fit and not doubts:
            doubts.append(f"no rate of {place.country} holds there on {day}")
        return Found(self._stacked(fit), tuple(doubts))

    def _stacked(self, rates: Sequence[Rate]) -> tuple[Tax, ...]:
        """The rates as taxes, each on its base."""
        taxes: list[Tax] = []
        for rate in rates:
            before = sum((tax.effective for tax in taxes), Decimal(0))
            factor = 1 + before / 100 if rate.base == ON_TAXES else Decimal(1)
            taxes.append(Tax(rate.tax, rate.percentage, self.accounts.get(rate.tax), factor))
        return tuple(taxes)


NO_TAXES = TaxTable({}, {})


def table(files: Iterable[tuple[str, str]], accounts: Mapping[str, str] | None = None) -> TaxTable:
    """The table of several files, each as name and text. Raises `Invalid` naming file and line."""
    rates: dict[str, list[Rate]] = {}
    count = 0
    for name, text in files:
        for rate in parse(name, text):
            count += 1
            if count > MAX_ROWS:
                raise Invalid(f"{rate.where}: more than {MAX_ROWS} rates")
            rates.setdefault(rate.country, []).append(rate)
    for each in rates.values():
        _refuse_overlaps(each)
    return TaxTable(rates, accounts or {})


def parse(name: str, text: str) -> list[Rate]:
    """The rows of one file. Raises `Invalid` naming file and line."""
    lines = text.lstrip("\ufeff").splitlines()
    kept = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and line[:1] != "#"]
    if not kept:
        return []
    rows = list(csv.reader([line for _, line in kept]))
    if len(rows) != len(kept):
        raise Invalid(f"{name}: a value goes over several lines")
    if tuple(cell.strip() for cell in rows[0]) != COLUMNS:
        raise Invalid(f"{name}:{kept[0][0]}: the columns must be {','.join(COLUMNS)}")
    return [_rate(f"{name}:{n}", row) for (n, _), row in zip(kept[1:], rows[1:], strict=True)]


def _rate(where: str, row: Sequence[str]) -> Rate:
    if len(row) != len(COLUMNS):
        raise Invalid(f"{where}: {len(row)} values in {len(COLUMNS)} columns")
    given = dict(zip(COLUMNS, (cell.strip() for cell in row), strict=True))
    country, region = given["country"], given["region"]
    if country not in ALPHA_3:
        raise Invalid(f"{where}: country: two letters (ISO 3166-1) are expected")
    codes = REGIONS.get(country)
    # XX is the user-assigned code that stands for no region in examples.
    if region and codes is not None and region not in (*codes.values(), "XX"):
        raise Invalid(f"{where}: region: {region} is no region of {country} (ISO 3166-2)")
    if not given["tax"]:
        raise Invalid(f"{where}: tax: a name is expected")
    if not given["source"]:
        raise Invalid(f"{where}: source: every rate says where it comes from")
    percentage = number(given["percentage"])
    if percentage is None or not 0 <= percentage <= 100:
        raise Invalid(f"{where}: percentage: a number from 0 to 100 is expected")
    if given["base"] not in (ON_PRICE, ON_TAXES):
        raise Invalid(f"{where}: base: {ON_PRICE} or {ON_TAXES} is expected")
    begins = _day(where, "valid_from", given["valid_from"])
    ends = _day(where, "valid_to", given["valid_to"]) if given["valid_to"] else None
    if ends is not None and ends <= begins:
        raise Invalid(f"{where}: valid_to is not after valid_from")
    return Rate(
        country,
        region,
        given["locality"],
        given["tax"],
        percentage,
        begins,
        ends,
        given["base"],
        given["source"],
        where,
    )


def _day(where: str, name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{where}: {name}: a date such as 2026-01-31 is expected") from None


def _refuse_overlaps(rates: Sequence[Rate]) -> None:
    seen: dict[tuple[str, str, str], list[Rate]] = {}
    for rate in rates:
        same = seen.setdefault((rate.region, rate.locality.casefold(), rate.tax), [])
        for other in same:
            first, second = sorted((rate, other), key=lambda r: r.valid_from)
            if first.valid_to is None or first.valid_to > second.valid_from:
                raise Invalid(f"{rate.where}: overlaps {other.where}: {rate.tax} at the same place")
        same.append(rate)
