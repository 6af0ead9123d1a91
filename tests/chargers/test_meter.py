"""The meter only ever counts up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.meter import Meter


@given(start=st.integers(0, 10**9), added=st.lists(st.floats(0, 1e7), max_size=30))
def test_monotone_and_exact(start: int, added: list[float]) -> None:
    meter = Meter(start)
    seen = [meter.wh]
    for energy in added:
        meter.add(energy)
        seen.append(meter.wh)
    assert seen == sorted(seen)
    assert seen[0] == start
    assert abs(seen[-1] - start - sum(added) / 3600) <= 1


def test_many_small_additions_are_one_large_one() -> None:
    meter = Meter()
    for _ in range(3600):
        meter.add(1)
    assert meter.wh == 1


@pytest.mark.parametrize("energy", [-1.0, float("nan")])
def test_nothing_flows_back(energy: float) -> None:
    with pytest.raises(ValueError, match="counts up"):
        Meter().add(energy)


def test_no_negative_start() -> None:
    with pytest.raises(ValueError, match="below 0"):
        Meter(-1)
