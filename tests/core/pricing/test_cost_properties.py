"""What holds for every session and tariff."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from csms.core.pricing.cost import Policy, price
from csms.core.pricing.money import Tax
from csms.core.pricing.periods import Period
from csms.core.pricing.tariff import Component, Dimension, Element, Restrictions, TaxIncluded, Terms
from tests.support.pricing import BERLIN

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
QUEBEC = Policy((Tax("GST", Decimal(5)), Tax("QST", Decimal("9.975"))))

prices = st.decimals(0, 20, places=4)


@st.composite
def tariffs(draw: st.DrawFn, max_step: int = 1_000) -> Terms:
    """Elements of any dimensions, without restrictions that a period could hide."""
    elements = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        dimensions = draw(st.sets(st.sampled_from(Dimension), min_size=1))
        components = tuple(
            Component(
                d,
                draw(prices),
                draw(st.integers(0, max_step)),
                draw(st.none() | st.decimals(0, 27, places=2)),
            )
            for d in sorted(dimensions)
        )
        power = draw(st.none() | st.integers(1, 100).map(Decimal))
        elements.append(Element(number, components, Restrictions(max_power=power)))
    return Terms("EUR", tuple(elements), draw(st.sampled_from(TaxIncluded)))


@st.composite
def sessions(draw: st.DrawFn) -> list[Period]:
    """Periods of whole seconds and whole Wh, charging or parked."""
    periods, at = [], START
    for _ in range(draw(st.integers(1, 5))):
        seconds = draw(st.integers(1, 20_000))
        parked = draw(st.booleans())
        power = Decimal(draw(st.integers(0, 120)))
        periods.append(
            Period(
                at,
                at + timedelta(seconds=seconds),
                energy_wh=Decimal(0 if parked else draw(st.integers(0, 50_000))),
                time_s=Decimal(0 if parked else seconds),
                parking_s=Decimal(seconds if parked else 0),
                min_power=power,
                max_power=power,
            )
        )
        at = periods[-1].end
    return periods


@settings(deadline=None)
@given(tariffs(), sessions())
def test_tax_lines_add_up_exactly(terms: Terms, periods: list[Period]) -> None:
    total = price(terms, periods, BERLIN, QUEBEC).total
    assert sum((x.amount for x in total.taxes), total.before_taxes) == total.after_taxes


@settings(deadline=None)
@given(tariffs(), sessions(), st.data())
def test_splitting_a_period_where_no_price_changes_changes_nothing(
    terms: Terms, periods: list[Period], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(periods) - 1))
    whole = periods[index]
    length = int((whole.end - whole.start).total_seconds())
    cut = data.draw(st.integers(0, length))
    wh = Decimal(data.draw(st.integers(0, int(whole.energy_wh))))
    at = whole.start + timedelta(seconds=cut)
    charging = whole.time_s > 0
    first = replace(
        whole,
        end=at,
        energy_wh=wh,
        time_s=Decimal(cut if charging else 0),
        parking_s=Decimal(0 if charging else cut),
    )
    second = replace(
        whole,
        start=at,
        energy_wh=whole.energy_wh - wh,
        time_s=whole.time_s - first.time_s,
        parking_s=whole.parking_s - first.parking_s,
    )
    split = [*periods[:index], first, second, *periods[index + 1 :]]
    before, after = (price(terms, p, BERLIN, QUEBEC) for p in (periods, split))
    assert before.total == after.total
    assert before.parts == after.parts


@settings(deadline=None)
@given(tariffs(max_step=1), sessions())
def test_appending_a_period_never_lowers_the_total(terms: Terms, periods: list[Period]) -> None:
    """For prices of 0 or more and steps up to 1; larger ones move from charging to parking."""
    totals = [
        price(terms, periods[:count], BERLIN, QUEBEC).total.after_taxes
        for count in range(len(periods) + 1)
    ]
    assert totals == sorted(totals)


@settings(deadline=None)
@given(tariffs(), sessions())
def test_an_inclusive_price_is_the_exclusive_one_with_its_taxes(
    terms: Terms, periods: list[Period]
) -> None:
    """The total after taxes of an inclusive tariff is what its prices add up to."""
    inclusive = price(replace(terms, included=TaxIncluded.YES), periods, BERLIN, QUEBEC)
    untaxed = price(replace(terms, included=TaxIncluded.NOT_APPLICABLE), periods, BERLIN)
    assert inclusive.total.after_taxes == untaxed.total.after_taxes
