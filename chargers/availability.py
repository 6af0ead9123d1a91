"""Which parts of a station are in service, and what is to change when a transaction ends."""

from __future__ import annotations

from collections.abc import Callable

from chargers.facts import Target, Verdict


class Availability:
    """The station, each EVSE and each connector are in or out of service on their own.

    A connector can be used when nothing above it is out of service either. Kept over resets
    (1.6 section 5.2, 2.0.1 G03.FR.05).
    """

    def __init__(self) -> None:
        self._out: set[Target] = set()
        self._scheduled: dict[Target, bool] = {}

    def operative(self, target: Target) -> bool:
        """Whether `target` can be used, seen together with what it is a part of."""
        parts = {Target(), Target(target.evse), target}
        return not parts & self._out

    def change(self, target: Target, *, operative: bool, busy: Callable[[Target], bool]) -> Verdict:
        """Put `target` in or out of service; later, when a transaction is in the way.

        `busy` tells whether a transaction runs on any part of a target.
        """
        if not operative and busy(target):
            self._scheduled[target] = operative
            return Verdict.SCHEDULED
        self._scheduled.pop(target, None)
        self._set(target, operative=operative)
        return Verdict.ACCEPTED

    def transaction_ended(self, busy: Callable[[Target], bool]) -> None:
        """Make the scheduled changes that nothing is in the way of any more."""
        for target, operative in list(self._scheduled.items()):
            if not busy(target):
                del self._scheduled[target]
                self._set(target, operative=operative)

    def _set(self, target: Target, *, operative: bool) -> None:
        if operative:
            self._out.discard(target)
        else:
            self._out.add(target)
