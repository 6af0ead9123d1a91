"""The line at the door: how many may be connecting at once, and when those are told to come again
for whom it is too long.

After an outage all stations come at the same moment. Whoever can be served soon waits, because a
refusal costs nearly as much as a link and half a minute of the station's time; the others are given
times to come again, one after the other, at the rate at which links are being opened.
"""

from __future__ import annotations

from dataclasses import dataclass

# Links per second that are expected before any has been opened.
FIRST_RATE = 500.0
# Over about so long the rate is measured.
MEASURED_S = 2.0
SOONEST_S = 1.0
# So much of what may get in may do so at once.
UNEVEN_S = 0.05
# Nobody is sent away for longer, whatever the rate was a moment ago: it may be ten times that soon.
LATEST_S = 60.0


@dataclass(frozen=True, slots=True)
class LineLimits:
    """`most`: attempts under way at once, a hard limit. `wait_s`: how long one may have to wait,
    by what is expected; beyond that it is refused. `per_s`: links opened per second at most (and so
    boots: a station boots as soon as it is connected)."""

    most: int = 5_000
    wait_s: float = 10.0
    per_s: float = 1_000.0


class Line:
    """`enter` for each attempt; `leave` when its link is open or it has failed. Times are those of
    the caller's clock, in seconds; no I/O, no waiting."""

    def __init__(self, limits: LineLimits | None = None) -> None:
        self._limits = limits or LineLimits()
        self.length = 0
        self._rate = min(FIRST_RATE, self._limits.per_s)
        self._counted = 0
        self._since: float | None = None
        self._next_s = 0.0
        self._paced_s = 0.0

    @property
    def rate(self) -> float:
        """Links per second that it expects to be opened."""
        return self._rate

    def enter(self, now_s: float) -> float | None:
        """None: it may go on. Else the attempt is refused: seconds until it should come again."""
        limits = self._limits
        full = self.length >= limits.most or self.length / self._rate > limits.wait_s
        if not full:
            self.length += 1
            return None
        # Who is refused comes after those who wait now, and after those refused before.
        soonest_s = max(limits.wait_s, SOONEST_S)
        self._next_s = max(self._next_s + 1 / self._rate, now_s + soonest_s)
        if self._next_s > now_s + max(LATEST_S, soonest_s):
            # The appointments are all taken: from the first one on again.
            self._next_s = now_s + soonest_s
        return self._next_s - now_s

    def pause_s(self, now_s: float) -> float:
        """How long the next one whose turn it is has to wait (s), so that no more than `per_s` get
        in."""
        begins_s = max(self._paced_s, now_s - UNEVEN_S)
        self._paced_s = begins_s + 1 / self._limits.per_s
        return max(0.0, begins_s - now_s)

    def leave(self, now_s: float, *, opened: bool) -> None:
        """An attempt that had entered is over; `opened`: there is a link now."""
        self.length -= 1
        assert self.length >= 0
        if not opened:
            return
        if self._since is None or now_s - self._since > 2 * MEASURED_S:
            # There was nothing to do: that says nothing of how fast it can be done.
            self._since, self._counted = now_s, 0
            return
        self._counted += 1
        gone_s = now_s - self._since
        # What was idle time is not counted as slowness: only a line that stands is measured.
        if gone_s >= MEASURED_S / 4:
            if self.length:
                measured = self._counted / gone_s
                self._rate = min(max((self._rate + measured) / 2, 1.0), self._limits.per_s)
            self._since, self._counted = now_s, 0
