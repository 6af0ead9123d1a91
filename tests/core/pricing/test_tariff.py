"""Reading a tariff: what is understood, and what is refused with the element named."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from csms.core.errors import Invalid
from csms.core.pricing.tariff import (
    Dimension,
    Limit,
    Reservation,
    Restrictions,
    TaxIncluded,
    moment,
    number,
    parse,
    read,
)
from tests.support.pricing import EXAMPLES

ENERGY = {"type": "ENERGY", "price": 0.25, "step_size": 1}
PLAIN: dict[str, Any] = {"currency": "CAD", "elements": [{"price_components": [ENERGY]}]}


def with_element(**element: Any) -> dict[str, Any]:
    """A tariff whose second element is that one."""
    return PLAIN | {"elements": [*PLAIN["elements"], {"price_components": [ENERGY]} | element]}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda p: p.stem)
def test_every_example_of_the_specification_can_be_priced(path: Any) -> None:
    found, faults = read(json.loads(path.read_text()))
    assert faults == ()
    assert found.elements


def test_prices_are_exact() -> None:
    """No float touches money: 0.1 is a tenth."""
    data = PLAIN | {"elements": [{"price_components": [ENERGY | {"price": 0.1, "vat": 9.975}]}]}
    (component,) = parse(data).elements[0].components
    assert (component.price, component.vat) == (Decimal("0.1"), Decimal("9.975"))


def test_all_restrictions_are_understood() -> None:
    given = {
        "start_time": "09:30",
        "end_time": "00:00",
        "start_date": "2026-01-31",
        "end_date": "2026-02-28",
        "min_kwh": 5,
        "max_kwh": 50.5,
        "min_current": 6,
        "max_current": 32,
        "min_power": 3.7,
        "max_power": 22,
        "min_duration": 60,
        "max_duration": 3600,
        "day_of_week": ["MONDAY", "SUNDAY"],
        "reservation": None,
    }
    assert parse(with_element(restrictions=given)).elements[1].restrictions == Restrictions(
        start_time=570,
        end_time=0,
        start_date=date(2026, 1, 31),
        end_date=date(2026, 2, 28),
        min_wh=Decimal(5000),
        max_wh=Decimal(50500),
        min_current=Decimal(6),
        max_current=Decimal(32),
        min_power=Decimal("3.7"),
        max_power=Decimal(22),
        min_duration=60,
        max_duration=3600,
        days=frozenset({0, 6}),
    )


def test_a_reservation_is_understood() -> None:
    element = {"price_components": [ENERGY | {"type": "TIME"}]}
    found = parse(with_element(**element, restrictions={"reservation": "RESERVATION_EXPIRES"}))
    assert found.elements[1].restrictions.reservation is Reservation.EXPIRED


def test_limits_are_those_of_both_versions() -> None:
    new = parse(PLAIN | {"min_price": {"before_taxes": 1}, "max_price": {"before_taxes": 9.5}})
    assert (new.min_price, new.max_price) == (Limit(Decimal(1)), Limit(Decimal("9.5")))
    old = parse(PLAIN | {"max_price": {"excl_vat": 10, "incl_vat": "11.00"}})
    assert old.max_price == Limit(Decimal(10), Decimal(11))


def test_a_tariff_of_2_2_1_excludes_taxes() -> None:
    assert parse(PLAIN).included is TaxIncluded.NO
    assert parse(PLAIN | {"tax_included": "N/A"}).included is TaxIncluded.NOT_APPLICABLE


REFUSED: list[tuple[dict[str, Any], str]] = [
    (PLAIN | {"currency": "dollars"}, "currency: three letters"),
    (PLAIN | {"elements": []}, "elements: at least one"),
    (PLAIN | {"elements": None}, "elements: at least one"),
    (PLAIN | {"elements": ["free"]}, "element 1: an object"),
    (PLAIN | {"elements": PLAIN["elements"] * 201}, "elements: at most 200"),
    (with_element(price_components=[]), "element 2: price_components"),
    (with_element(price_components=["x"]), "element 2: a price component is an object"),
    (with_element(price_components=[{"type": "KM", "price": 1}]), "element 2: type 'KM'"),
    (with_element(price_components=[ENERGY | {"price": -1}]), "element 2: ENERGY: price"),
    (with_element(price_components=[ENERGY | {"price": None}]), "element 2: ENERGY: price"),
    (with_element(price_components=[ENERGY | {"price": True}]), "element 2: ENERGY: price"),
    (with_element(price_components=[ENERGY | {"price": "NaN"}]), "element 2: ENERGY: price"),
    (with_element(price_components=[ENERGY | {"step_size": -1}]), "element 2: ENERGY: step_size"),
    (with_element(price_components=[ENERGY | {"step_size": 0.5}]), "element 2: ENERGY: step_size"),
    (with_element(price_components=[ENERGY | {"vat": 101}]), "element 2: ENERGY: vat"),
    (with_element(price_components=[ENERGY, ENERGY]), "element 2: it has two prices for ENERGY"),
    (with_element(restrictions=[]), "element 2: restrictions"),
    (with_element(restrictions={"start_time": "9:30"}), "element 2: start_time: a time such as"),
    (with_element(restrictions={"end_time": "24:00"}), "element 2: end_time"),
    (with_element(restrictions={"start_date": "2026-02-30"}), "element 2: start_date"),
    (with_element(restrictions={"min_kwh": -1}), "element 2: min_kwh"),
    (with_element(restrictions={"max_duration": 1.5}), "element 2: max_duration: whole seconds"),
    (with_element(restrictions={"day_of_week": ["FUNDAY"]}), "element 2: day_of_week"),
    (with_element(restrictions={"day_of_week": "MONDAY"}), "element 2: day_of_week"),
    (with_element(restrictions={"reservation": "MAYBE"}), "element 2: reservation"),
    (with_element(restrictions={"reservation": "RESERVATION"}), "FLAT and TIME only, not ENERGY"),
    (with_element(restrictions={"weather": "sunny"}), "element 2: weather: .* is not known"),
    (with_element(restrictions={"min_kwh": 5, "max_kwh": 5}), "element 2: .* can never apply"),
    (PLAIN | {"min_price": 1}, "min_price: an object"),
    (PLAIN | {"max_price": {"before_taxes": -1}}, "max_price: before_taxes"),
    (PLAIN | {"max_price": {"before_taxes": 2, "after_taxes": 1}}, "after_taxes is below"),
    (
        PLAIN | {"min_price": {"before_taxes": 2}, "max_price": {"before_taxes": 1}},
        "min_price is above max_price",
    ),
    (PLAIN | {"tax_included": "PERHAPS"}, "tax_included: YES, NO or N/A"),
    (PLAIN | {"start_date_time": "tomorrow"}, "start_date_time: an ISO 8601 time"),
]


@pytest.mark.parametrize(("data", "fault"), REFUSED, ids=[fault for _, fault in REFUSED])
def test_what_cannot_be_priced_is_refused_when_it_is_added(
    data: dict[str, Any], fault: str
) -> None:
    with pytest.raises(Invalid, match=fault):
        parse(data)


def test_an_element_that_is_not_understood_is_left_out_of_a_partners_tariff() -> None:
    found, faults = read(with_element(restrictions={"weather": "sunny"}))
    assert [e.number for e in found.elements] == [1]
    assert len(faults) == 1
    assert found.elements[0].component(Dimension.TIME) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00.5Z", datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("soon", None),
        (None, None),
    ],
)
def test_times_are_utc_with_or_without_the_z(text: Any, expected: datetime | None) -> None:
    """OCPI 2.2.1 types, DateTime."""
    assert moment(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, "1"), (0.3, "0.3"), ("2.00", "2.00"), (10**10, None), ("x", None), ([], None)],
)
def test_numbers_are_what_money_can_be_made_of(value: Any, expected: str | None) -> None:
    assert number(value) == (None if expected is None else Decimal(expected))
