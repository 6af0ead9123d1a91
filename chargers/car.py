"""A car: battery, state of charge and the power it asks for.

Constant power up to 80 % state of charge, then a straight taper to a twentieth of it at 100 %,
which is close to what lithium batteries do.
"""

from __future__ import annotations

from dataclasses import dataclass

TAPER_FROM = 0.8
TAPER_TO = 0.05
STEP_S = 10.0
"""Longest step of the integration; power changes by well under 1 % within it."""


@dataclass
class Car:
    """A battery of `battery_wh` that charges with at most `max_power_w`.

    `soc` is the state of charge, 0 to 1. The energy charged is what the meter counts; losses
    are left out.
    """

    battery_wh: int = 60_000
    soc: float = 0.2
    max_power_w: int = 150_000

    def __post_init__(self) -> None:
        if self.battery_wh <= 0 or self.max_power_w <= 0 or not 0.0 <= self.soc <= 1.0:
            raise ValueError(f"no such car: {self!r}")

    @property
    def full(self) -> bool:
        return self.soc >= 1.0

    @property
    def soc_percent(self) -> int:
        """0 to 100; 100 only when the car is full."""
        return int(self.soc * 100)

    def power_w(self, offered_w: int) -> int:
        """What the car draws now when the EVSE offers `offered_w`; 0 when it is full."""
        if self.full or offered_w <= 0:
            return 0
        most = min(offered_w, self.max_power_w)
        if self.soc <= TAPER_FROM:
            return most
        done = (self.soc - TAPER_FROM) / (1.0 - TAPER_FROM)
        return max(1, round(most * (1.0 - done * (1.0 - TAPER_TO))))

    def charge(self, offered_w: int, seconds: float) -> float:
        """Charge for `seconds` and return the watt-seconds taken, never more than fit in."""
        taken = 0.0
        left = seconds
        while left > 0 and (power := self.power_w(offered_w)):
            step = min(left, STEP_S)
            room = (1.0 - self.soc) * self.battery_wh * 3600.0
            energy = power * step
            if energy >= room:
                # Set rather than added: sums of floats stop just short of 1.
                self.soc = 1.0
                return taken + room
            self.soc = min(1.0, self.soc + energy / (self.battery_wh * 3600.0))
            taken += energy
            left -= step
        return taken
