"""What a station's clock is worth (rule 2 and rule 9)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from csms.core.times import AHEAD, EARLIEST, believed, plausible
from tests.support.charging import NOW

TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("at", "good"),
    [
        (None, False),
        (datetime(1970, 1, 1, tzinfo=UTC), False),
        (EARLIEST - TICK, False),
        (EARLIEST, True),
        (NOW - timedelta(days=400), True),
        (NOW, True),
        (NOW + AHEAD, True),
        (NOW + AHEAD + TICK, False),
        (datetime(2099, 1, 1, tzinfo=UTC), False),
        (NOW.astimezone(timezone(timedelta(hours=-8))), True),
    ],
)
def test_the_stations_time_counts_when_it_is_plausible(at: datetime | None, good: bool) -> None:
    assert plausible(at, NOW) is good
    assert believed(at, NOW) == (at if good else NOW)
