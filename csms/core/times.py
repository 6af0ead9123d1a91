"""What a station's clock is worth.

The station's time and the time of receipt are both kept everywhere; this decides which one counts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# Before this no OCPP 1.6J station existed: 1970 and 2000 are clocks that were never set.
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)


def plausible(at: datetime | None, received_at: datetime) -> bool:
    """True when a station's time can be believed."""
    return at is not None and EARLIEST <= at <= received_at + AHEAD


def believed(at: datetime | None, received_at: datetime) -> datetime:
    """The station's time when plausible, else the time of receipt."""
    return at if at is not None and plausible(at, received_at) else received_at
