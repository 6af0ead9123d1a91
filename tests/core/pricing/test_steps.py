"""Rounding up to blocks (OCPI 2.2.1 mod_cdrs, step_size); whole sessions are in test_cost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from csms.core.pricing.select import Stage
from csms.core.pricing.steps import Charge, blocks, round_up
from csms.core.pricing.tariff import Component, Dimension

D = Dimension


def charge(dimension: Dimension, quantity: object, step: int = 1, price: object = 1) -> Charge:
    component = Component(dimension, Decimal(str(price)), step)
    return Charge(0, Stage.CHARGING, dimension, 1, component, Decimal(str(quantity)), "")


@pytest.mark.parametrize(
    ("total", "step", "whole", "count"),
    [
        ("600.12", 600, True, 1),
        ("600.5", 600, True, 2),
        ("600", 600, True, 1),
        ("601", 600, True, 2),
        ("115.2", 1, False, 116),
        ("115.2", 25, False, 5),
        ("1", 500, False, 1),
        ("0.1", 500, False, 1),
    ],
)
def test_blocks_begun(total: str, step: int, whole: bool, count: int) -> None:
    """P6, with the notes on step_size in mod_tariffs, PriceComponent."""
    assert blocks(Decimal(total), step, whole=whole) == count


def added(*charges: Charge) -> list[tuple[Dimension, str]]:
    return [(s.charge.dimension, f"{s.quantity.normalize():f}") for s in round_up(charges)]


def test_energy_and_time_are_rounded_each_once() -> None:
    found = added(
        charge(D.ENERGY, 1_100, 500), charge(D.TIME, 61, 60), charge(D.ENERGY, 100, 1_000)
    )
    assert found == [(D.ENERGY, "800"), (D.TIME, "59")]


def test_billed_parking_leaves_charging_time_alone() -> None:
    assert added(charge(D.TIME, 61, 60), charge(D.PARKING_TIME, 61, 60)) == [(D.PARKING_TIME, "59")]
    assert added(charge(D.TIME, 61, 60), charge(D.PARKING_TIME, 61, 60, price=0)) == [
        (D.TIME, "59")
    ]


def test_the_last_paid_component_gives_the_step() -> None:
    assert added(charge(D.TIME, 61, 60), charge(D.TIME, 61, 900, price=0)) == [(D.TIME, "59")]


@pytest.mark.parametrize("quantity", [0, -5])
def test_nothing_and_less_than_nothing_are_not_rounded(quantity: int) -> None:
    assert added(charge(D.ENERGY, quantity, 500)) == []


def test_a_flat_fee_has_no_steps_and_a_step_of_0_is_none() -> None:
    assert added(charge(D.FLAT, 1, 7), charge(D.ENERGY, "0.5", 0)) == []


def test_a_fraction_of_a_second_is_rounded_away() -> None:
    assert added(charge(D.TIME, "60.4", 1)) == [(D.TIME, "-0.4")]


def test_it_is_said_in_words() -> None:
    (found,) = round_up([charge(D.TIME, 61, 60)])
    assert found.why == "61 s are billed as 120 s, in steps of 60 s"
