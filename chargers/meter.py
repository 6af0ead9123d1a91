"""The energy meter of an EVSE: an integer Wh register that only ever counts up."""

from __future__ import annotations

_MILLI_WS_PER_WH = 3_600_000


class Meter:
    """Counts over the charger's whole life; unplugging, stops and resets do not touch it.

    Fractions of a Wh are kept inside in integer milliwatt-seconds, so that many small additions
    make the same sum as one large one.
    """

    def __init__(self, start_wh: int = 0) -> None:
        if start_wh < 0:
            raise ValueError(f"start_wh = {start_wh}: a meter cannot start below 0")
        self._milli_ws = start_wh * _MILLI_WS_PER_WH

    @property
    def wh(self) -> int:
        """Whole watt-hours counted so far."""
        return self._milli_ws // _MILLI_WS_PER_WH

    def add(self, watt_seconds: float) -> None:
        """Count energy. Raises ValueError for a negative amount: nothing flows back."""
        if not watt_seconds >= 0:
            raise ValueError(f"watt_seconds = {watt_seconds!r}: the meter only counts up")
        self._milli_ws += round(watt_seconds * 1000)
