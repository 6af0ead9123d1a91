"""A bound on how often something happens: so many in a window, refilled evenly."""

from __future__ import annotations

from datetime import datetime


class Allowance:
    """At most `most` at once, and as many again in each `window_s`."""

    def __init__(self, most: int, window_s: float) -> None:
        self._most = float(most)
        self._per_s = most / window_s
        self._left = float(most)
        self._at: datetime | None = None

    def take(self, now: datetime) -> bool:
        """Use one; False when none is left. A clock that goes back gives nothing."""
        if self._at is not None:
            passed_s = max(0.0, (now - self._at).total_seconds())
            self._left = min(self._most, self._left + passed_s * self._per_s)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
