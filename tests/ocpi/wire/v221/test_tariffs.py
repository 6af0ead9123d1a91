"""Tariffs (mod_tariffs)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from csms.core.errors import Invalid
from csms.ocpi.wire.reading import parse, plain
from csms.ocpi.wire.v221.tariffs import Tariff
from tests.support.ocpi_objects import NOW, tariff


def test_a_tariff_survives() -> None:
    restrictions = {"min_kwh": Decimal(5), "day_of_week": ["MONDAY"], "end_time": "17:00"}
    given = tariff()
    given["elements"][0]["restrictions"] = restrictions
    assert plain(parse(Tariff, given, NOW).value) == given


@pytest.mark.parametrize(
    "change", [{"type": "WEIGHT"}, {"price": "free"}, {"price": 0.25}, {"step_size": None}]
)
def test_a_price_that_is_not_understood_is_not_guessed(change: dict[str, object]) -> None:
    given = tariff()
    given["elements"][0]["price_components"][0].update(change)
    with pytest.raises(Invalid, match=r"price_components\.0"):
        parse(Tariff, given, NOW)
