"""What a record of a partner should cost by the tariff that we hold."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from csms.core import neighbours
from csms.core.neighbours import NeighbourObject
from csms.ocpi import repricing
from csms.ocpi.network import Limits
from csms.ocpi.repricing import Repriced, periods, reprice
from csms.ocpi.wire import reading
from csms.ocpi.wire.v221.cdrs import CDR
from tests.support import ocpi_objects as objects
from tests.support.ocpi import NOW, Side

BEGAN = datetime(2026, 1, 1, 10, tzinfo=UTC)
DAY = objects.tariff("DAY")
NIGHT = {"start_time": "20:00", "end_time": "06:00"}


def cdr(*tariffs: str, **changes: Any) -> CDR:
    """10.5 kWh in an hour for 2.63; one charging period for each tariff."""
    named = [objects.period(tariff_id=name) for name in tariffs] or [objects.period()]
    given = {"start_date_time": reading.moment(BEGAN), "charging_periods": named, **changes}
    return reading.parse(CDR, objects.cdr(**given), NOW).value


def held(kind: str, body: dict[str, Any], at: datetime = BEGAN) -> NeighbourObject:
    owner = f"{body['country_code']}*{body['party_id']}"
    text = reading.dump(body).decode()
    return NeighbourObject(kind, owner, "", body["id"], "p1", at, NOW, text)


async def priced(value: CDR, *known: NeighbourObject, limits: Limits | None = None) -> Repriced:
    side = Side("CA*NTH", limits=limits)
    side.listener.close()
    for row in known:
        side.store.run(neighbours.put, row)
    return await reprice(side.network, f"{value.country_code}*{value.party_id}", value)


async def test_the_expected_difference_is_none() -> None:
    found = await priced(cdr("DAY"), held("tariffs", DAY))
    assert found == Repriced("tariff DAY", "2.63", "0")


async def test_what_is_asked_too_much_is_shown() -> None:
    dear = cdr("DAY", total_cost={"excl_vat": Decimal("3.00")})
    assert (await priced(dear, held("tariffs", DAY))).difference == "0.37"


async def test_a_credit_is_the_negative() -> None:
    credit = cdr(
        "DAY",
        credit=True,
        credit_reference_id="C0",
        total_cost={"excl_vat": Decimal("-2.63")},
    )
    found = await priced(credit, held("tariffs", DAY))
    assert (found.before_taxes, found.difference) == ("-2.63", "0")


@pytest.mark.parametrize(
    ("value", "known", "why"),
    [
        (cdr(), [], "no tariff is named"),
        (cdr("DAY", "NIGHT"), [], "several tariffs"),
        (cdr("DAY"), [], "not known here"),
        (cdr("DAY"), [held("tariffs", DAY, BEGAN + timedelta(hours=1))], "changed since"),
        (cdr("DAY"), [held("tariffs", {**DAY, "currency": "USD"})], "is in USD"),
        (cdr("DAY"), [held("tariffs", {**DAY, "elements": []})], "cannot be priced"),
    ],
)
async def test_where_the_tariff_is_not_certain_nothing_is_said(
    value: CDR, known: list[NeighbourObject], why: str
) -> None:
    found = await priced(value, *known)
    assert why in found.by
    assert (found.before_taxes, found.difference) == (None, None)


async def test_the_price_is_that_of_the_tariff_that_was_held_when_the_charge_began() -> None:
    dear = {**DAY, "elements": [{"price_components": [{"type": "FLAT", "price": 99}]}]}
    before, after = BEGAN - timedelta(hours=1), BEGAN + timedelta(hours=1)
    old = held("tariffs", DAY, before)._replace(received_at=before)
    new = held("tariffs", dear, after)._replace(received_at=after)
    assert await priced(cdr("DAY"), old, new) == Repriced("tariff DAY", "2.63", "0")
    # Held since the charge began, and in force before: it was only not told yet.
    late = held("tariffs", DAY, before)._replace(received_at=after)
    assert await priced(cdr("DAY"), late) == Repriced("tariff DAY", "2.63", "0")


async def test_a_tariff_by_the_clock_needs_the_time_zone_of_the_place() -> None:
    tariff = held("tariffs", {**DAY, "elements": [{**DAY["elements"][0], "restrictions": NIGHT}]})
    place = {**objects.cdr()["cdr_location"], "country": "USA"}
    assert "time zone" in (await priced(cdr("DAY", cdr_location=place), tariff)).by
    # P5: a country with one zone needs no more than its name.
    assert (await priced(cdr("DAY"), tariff)).before_taxes == "0"
    # In the morning in Utrecht no element applies; in Auckland it is late in the evening.
    for zone, cost in (("Europe/Amsterdam", "0"), ("Pacific/Auckland", "2.63")):
        place = {**objects.location("LOC1"), "time_zone": zone}
        assert (await priced(cdr("DAY"), tariff, held("locations", place))).before_taxes == cost


def split(begin: datetime, each: timedelta, count: int) -> CDR:
    """A charge that lasts as long as `count` of these."""
    starts = [reading.moment(begin + each * n) for n in range(count + 1)]
    named = [objects.period(tariff_id="DAY", start_date_time=at) for at in starts[:-1]]
    return cdr(start_date_time=starts[0], end_date_time=starts[-1], charging_periods=named)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (split(BEGAN, timedelta(days=51), 2), "the charge lasted for more than 100 days"),
        (
            split(BEGAN, timedelta(minutes=15), 251),
            "251 charging periods are too many for the 200 elements of the tariff",
        ),
        (split(BEGAN.replace(year=1000), timedelta(hours=1), 1), "was in the year 1000"),
        (split(BEGAN.replace(year=9999), timedelta(hours=1), 1), "was in the year 9999"),
    ],
)
async def test_what_would_take_long_to_price_is_not_priced_and_it_is_said(
    value: CDR, why: str
) -> None:
    """A partner may claim anything in a few bytes, under a tariff of its own."""
    windows = [f"{n // 60:02}:{n % 60:02}" for n in range(200)]
    elements = [{**DAY["elements"][0], "restrictions": {"start_time": at}} for at in windows]
    long = held("tariffs", {**DAY, "elements": elements}, datetime(1, 1, 1, tzinfo=UTC))
    found = await priced(value, long)
    assert why in found.by
    assert (found.before_taxes, found.difference) == (None, None)


async def test_records_are_priced_one_after_the_other_and_hold_up_nobody_else() -> None:
    busy, first = threading.Event(), repricing._THREAD.submit(lambda: busy.wait(10))
    try:
        hurried = Limits(request_timeout_s=0.1)
        found = await priced(cdr("DAY"), held("tariffs", DAY), limits=hurried)
        assert found == Repriced("there was no time: very many records were told at once")
        waiting = asyncio.create_task(priced(cdr("DAY"), held("tariffs", DAY)))
        # Where our own charges are priced there is room.
        assert await asyncio.to_thread(lambda: "ours") == "ours"
        assert not waiting.done()
    finally:
        busy.set()
    assert first.result(10)
    assert await waiting == Repriced("tariff DAY", "2.63", "0")


def test_times_are_whole_seconds_again() -> None:
    """1234 s are told as 0.3428 h."""
    dimensions = [{"type": "TIME", "volume": Decimal("0.3428")}]
    (period,) = periods(cdr(charging_periods=[objects.period(dimensions=dimensions)]))
    assert period.time_s == 1234
    assert period.end == datetime(2026, 1, 1, 11, tzinfo=UTC)
