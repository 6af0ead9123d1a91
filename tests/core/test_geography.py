"""Which places are near: found by cell, then measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.core.geography import MAX_RADIUS_KM, cell, cells_around, distance_km

MONTREAL, NEW_YORK = (45.5017, -73.5673), (40.7128, -74.0060)


def test_distances_are_those_of_an_atlas() -> None:
    assert distance_km(*MONTREAL, *NEW_YORK) == pytest.approx(533, abs=3)
    assert distance_km(0, 179.9, 0, -179.9) == pytest.approx(22.2, abs=0.1)
    assert distance_km(*MONTREAL, *MONTREAL) == 0


def test_a_cell_is_a_quarter_of_a_degree() -> None:
    assert cell(45.5017, -73.5673) == cell(45.74, -73.51) == "182:-295"
    assert cell(-0.1, -0.1) != cell(0.1, 0.1)


@given(
    st.floats(-80, 80),
    st.floats(-180, 180),
    st.floats(1, MAX_RADIUS_KM),
    st.floats(-2, 2),
    st.floats(-20, 20),
)
def test_whatever_is_within_a_circle_lies_in_its_cells(
    latitude: float, longitude: float, radius_km: float, up: float, across: float
) -> None:
    there = max(-90.0, min(90.0, latitude + up)), (longitude + across + 180) % 360 - 180
    if distance_km(latitude, longitude, *there) <= radius_km:
        assert cell(*there) in cells_around(latitude, longitude, radius_km)


def test_looking_around_is_bounded_even_near_a_pole() -> None:
    assert len(cells_around(89, 0, MAX_RADIUS_KM)) < 20 * 1_500
    assert len(set(cells_around(0, 180, 50))) == len(cells_around(0, 180, 50))
