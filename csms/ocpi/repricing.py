"""What a partner's record should cost, by the tariff of theirs that we hold.

The charging periods of the record are priced by the one function for prices, by the tariff that was
held here when the charge began. Only where it is certain: one tariff, and a version of it that was
in force then. The expected difference is 0.

What a partner tells is priced in a thread of its own, one record after the other, and within
limits: a few bytes may tell of years of charging, and our own charges must not wait for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from csms.core.errors import Invalid
from csms.core.ids import folded
from csms.core.neighbours import TARIFFS, NeighbourObject, PastTariff
from csms.core.pricing.cost import price, too_much
from csms.core.pricing.periods import Period
from csms.core.pricing.tariff import Terms, parse
from csms.ocpi.network import Network
from csms.ocpi.wire import reading
from csms.ocpi.wire.v221 import cdrs as wire
from csms.ocpi.zones import only_zone

WH_OF_KWH = Decimal(1000)
SECONDS_OF_HOUR = Decimal(3600)
# Hours are told with four decimals, which is a third of a second.
NOISE_S = Decimal("0.2")
# What a charge is believed to have been.
YEARS = range(2000, 3000)
LONGEST = timedelta(days=100)
_THREAD = ThreadPoolExecutor(1, "repricing")


@dataclass(frozen=True, slots=True)
class Repriced:
    """`by`: the tariff, or why there is no price. `difference`: how much more the record asks,
    before taxes."""

    by: str
    before_taxes: str | None = None
    difference: str | None = None


async def reprice(network: Network, owner: str, value: wire.CDR) -> Repriced:
    """Price the charge of a record once more."""
    named = {period.tariff_id for period in value.charging_periods if period.tariff_id}
    named = named or {tariff.id for tariff in value.tariffs}
    if len(named) != 1:
        return Repriced("several tariffs" if named else "no tariff is named")
    (tariff_id,) = named
    reader = network.store.reader
    held = await _held(network, owner, folded(tariff_id), value.start_date_time)
    if held is None:
        return Repriced(f"tariff {tariff_id} is not known here")
    last_updated, body = held
    if last_updated > value.start_date_time:
        return Repriced(f"tariff {tariff_id} changed since the charge began")
    try:
        terms = parse(reading.load(body.encode()))
    except Invalid as error:
        return Repriced(error.detail)
    if terms.currency != value.currency.upper():
        return Repriced(f"tariff {tariff_id} is in {terms.currency}")
    place = value.cdr_location.id
    known = await reader.get(NeighbourObject, "locations", owner, folded(place))
    zone = _zone(reading.load(known.body.encode()) if known else {})
    zone = zone or only_zone(value.cdr_location.country)
    if zone is None and any(element.restrictions.by_clock for element in terms.elements):
        return Repriced(f"the time zone of location {place} is not known here")
    why = _too_much(terms, value)
    if why is not None:
        return Repriced(why)
    computing = asyncio.get_running_loop().run_in_executor(
        _THREAD, _cost, terms, value, zone or UTC
    )
    try:
        # The partner waits for an answer; its record is taken in also where its turn does not come.
        async with asyncio.timeout(network.limits.request_timeout_s / 2):
            cost = await computing
    except TimeoutError:
        return Repriced("there was no time: very many records were told at once")
    cost = -cost if value.credit else cost
    difference = value.total_cost.excl_vat - cost
    return Repriced(f"tariff {tariff_id}", _text(cost), _text(difference))


async def _held(
    network: Network, owner: str, key: str, began: datetime
) -> tuple[datetime, str] | None:
    """When a tariff was last updated, and its text: as it was held here when a charge began; where
    nothing was held yet, as it came first."""
    reader = network.store.reader
    where = {"party_id": owner, "id_key": key}
    versions = [
        (row.since, row.last_updated, row.body)
        for row in await reader.page(PastTariff, where, limit=1_000)
    ]
    now = await reader.get(NeighbourObject, TARIFFS, owner, key)
    if now is not None:
        versions.append((now.received_at, now.last_updated, now.body))
    versions.sort(key=lambda version: version[0])
    before = [version for version in versions if version[0] <= began] or versions[:1]
    return before[-1][1:] if before else None


def _too_much(terms: Terms, value: wire.CDR) -> str | None:
    """Why a record is not priced, None when it is: it may claim anything."""
    begun = [period.start_date_time for period in value.charging_periods]
    first, last = min(begun), max(value.end_date_time, *begun)
    for moment in (first, last):
        if moment.year not in YEARS:
            return f"by its times the charge was in the year {moment.year}"
    if last - first > LONGEST:
        return f"the charge lasted for more than {LONGEST.days} days"
    if too_much(terms, len(begun)):
        return (
            f"{len(begun)} charging periods are too many for the {len(terms.elements)} elements of "
            "the tariff"
        )
    return None


def _cost(terms: Terms, value: wire.CDR, zone: tzinfo) -> Decimal:
    return price(terms, periods(value), zone).total.before_taxes


def _zone(place: Mapping[str, Any]) -> tzinfo | None:
    try:
        return ZoneInfo(str(place["time_zone"]))
    except (KeyError, ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _text(amount: Decimal) -> str:
    return format(amount if amount else Decimal(0), "f")


def periods(value: wire.CDR) -> list[Period]:
    """The charging periods of a record; each lasts until the next begins."""
    begun = sorted(value.charging_periods, key=lambda period: period.start_date_time)
    ends: list[datetime] = [period.start_date_time for period in begun[1:]]
    ends.append(max(value.end_date_time, begun[-1].start_date_time))
    return [_period(period, end) for period, end in zip(begun, ends, strict=True)]


def _period(given: wire.ChargingPeriod, end: datetime) -> Period:
    volumes = {dimension.type: dimension.volume for dimension in given.dimensions}
    return Period(
        start=given.start_date_time,
        end=end,
        energy_wh=volumes.get("ENERGY", Decimal(0)) * WH_OF_KWH,
        time_s=_seconds(volumes.get("TIME")),
        parking_s=_seconds(volumes.get("PARKING_TIME")),
        reservation_s=_seconds(volumes.get("RESERVATION_TIME")),
        min_power=volumes.get("MIN_POWER"),
        max_power=volumes.get("MAX_POWER"),
        min_current=volumes.get("MIN_CURRENT"),
        max_current=volumes.get("MAX_CURRENT"),
    )


def _seconds(hours: Decimal | None) -> Decimal:
    """Hours as seconds; whole ones where no more than the missing decimals are between."""
    if not hours:
        return Decimal(0)
    seconds = hours * SECONDS_OF_HOUR
    whole = seconds.quantize(Decimal(1), ROUND_HALF_UP)
    return whole if abs(seconds - whole) <= NOISE_S else seconds
