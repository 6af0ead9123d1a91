"""Charging periods: what was used between two instants of a session (OCPI ChargingPeriod)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Period:
    """What was used from `start` until `end`: energy in Wh, times in seconds.

    `time_s` is time charging, `parking_s` time during which the vehicle asked for no power (OCPI
    2.2.1 mod_cdrs, PARKING_TIME), `reservation_s` time reserved before it came; `expired`: it never
    came. Powers in kW and currents in A (sum of the phases) are those during the period, None where
    they are not known.
    """

    start: datetime
    end: datetime
    energy_wh: Decimal = ZERO
    time_s: Decimal = ZERO
    parking_s: Decimal = ZERO
    reservation_s: Decimal = ZERO
    expired: bool = False
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None

    @property
    def is_reservation(self) -> bool:
        """Whether it belongs to a reservation, not to the charging session."""
        return self.expired or self.reservation_s > 0


def seconds_between(start: datetime, end: datetime) -> Decimal:
    """The seconds from one instant to another, exactly; 0 when the end is before the start."""
    span = end - start
    whole = Decimal(span.days * 86_400 + span.seconds) + Decimal(span.microseconds) / 1_000_000
    return max(ZERO, whole)
