"""The charging curve."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.car import Car


def test_constant_power_then_a_taper() -> None:
    offered = 11_000
    powers = [Car(60_000, soc).power_w(offered) for soc in (0.1, 0.8, 0.9, 0.99, 1.0)]
    assert powers[0] == powers[1] == offered
    assert offered > powers[2] > powers[3] > powers[4] == 0


def test_a_car_takes_no_more_than_it_can() -> None:
    assert Car(max_power_w=7_000).power_w(11_000) == 7_000
    assert Car().power_w(0) == 0


def test_an_hour_below_the_taper_is_power_times_time() -> None:
    car = Car(battery_wh=60_000, soc=0.2)
    assert car.charge(11_000, 3600) == pytest.approx(11_000 * 3600)
    assert car.soc == pytest.approx(0.2 + 11 / 60)


def test_a_car_gets_full_and_takes_exactly_what_fits() -> None:
    car = Car(battery_wh=10_000, soc=0.5)
    assert car.charge(11_000, 24 * 3600) == pytest.approx(5_000 * 3600)
    assert car.full
    assert car.soc_percent == 100
    assert car.charge(11_000, 3600) == 0


@given(
    soc=st.floats(0, 1),
    battery=st.integers(1_000, 200_000),
    offered=st.integers(0, 400_000),
    steps=st.lists(st.floats(0, 5_000), max_size=5),
)
def test_energy_is_conserved(soc: float, battery: int, offered: int, steps: list[float]) -> None:
    car = Car(battery, soc)
    taken = sum(car.charge(offered, seconds) for seconds in steps)
    assert 0 <= car.soc <= 1
    assert taken == pytest.approx((car.soc - soc) * battery * 3600, abs=1)
    assert taken <= offered * sum(steps) + 1


def test_no_such_car() -> None:
    with pytest.raises(ValueError, match="no such car"):
        Car(battery_wh=0)
