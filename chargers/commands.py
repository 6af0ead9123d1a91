"""The central system's wishes, obeyed: remote start and stop, reset, unlock and so on.

Each is decided at once, with what the charger knows; the work that takes time follows in a
task of its own, after the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Protocol

from chargers.charging import Charging, Surroundings
from chargers.clock import Clock
from chargers.configuration import Configuration
from chargers.dialect import Dialect
from chargers.evse import Authorization, Evse
from chargers.facts import (
    Cause,
    ConnectorState,
    Target,
    Token,
    TransactionMessage,
    Trigger,
    Verdict,
)
from chargers.link import Link
from chargers.notices import Notices
from chargers.profile import ChargerProfile
from chargers.wire import Caller, CallFailed

SOFT_RESET_WAIT_S = 30.0
"""Virtual seconds a soft reset waits for the stops it caused to be heard."""


class Host(Surroundings, Protocol):
    """What commands need of the charger around them."""

    @property
    def outbox(self) -> list[TransactionMessage]:
        """The messages about transactions that nobody has heard yet."""

    def forget_tokens(self) -> None:
        """Empty the cache of tokens accepted before."""

    async def outbox_empty(self, within_s: float) -> bool:
        """Wait, for that many virtual seconds at most, until nothing waits to be sent."""


class Commands:
    """Implements `dialect.Wishes` for one charger."""

    def __init__(
        self,
        profile: ChargerProfile,
        configuration: Configuration,
        charging: Charging,
        dialect: Dialect,
        link: Link,
        notices: Notices,
        clock: Clock,
        host: Host,
    ) -> None:
        self.profile = profile
        self.configuration = configuration
        self._charging = charging
        self._dialect = dialect
        self._link = link
        self._notices = notices
        self._clock = clock
        self._host = host
        self._reset_when_idle = False
        self._resuming = False

    def now(self) -> datetime:
        return self._clock.now()

    def states(self) -> list[tuple[Target, ConnectorState]]:
        return self._charging.states()

    def remote_start(self, token: Token, evse: int | None, remote_start_id: int | None) -> Verdict:
        """Accepted means "will try": the driver may have to plug in first.

        Without an EVSE the charger prefers one where a car waits already.
        """
        # Before the central system has accepted the charger, remote starts are forbidden
        # (1.6 section 4.2, 2.0.1 B02.FR.05).
        if not self._link.online:
            return Verdict.REJECTED
        place = self._place_for(evse)
        if place is None:
            return Verdict.REJECTED
        granted = Authorization(token, remote_start_id, remote=True)
        if self.configuration.flag("authorize_remote_start"):
            self._later("authorize remote start", self._ask_and_grant(place, granted))
        else:
            self._later("remote start", self._grant(place, granted))
        return Verdict.ACCEPTED

    def _place_for(self, number: int | None) -> Evse | None:
        free = [
            evse
            for evse in self._charging.evses.values()
            if number in (None, evse.number) and self._charging.can_start(evse)
        ]
        with_car = [evse for evse in free if evse.car is not None]
        return next(iter(with_car or free), None)

    async def _ask_and_grant(self, evse: Evse, granted: Authorization) -> None:
        if await self._host.authorize(granted.token):
            await self._grant(evse, granted)

    async def _grant(self, evse: Evse, granted: Authorization) -> None:
        if self._charging.can_start(evse):
            self._charging.grant(evse, granted)

    def remote_stop(self, transaction: str) -> Verdict:
        """`transaction` is either side's id of a transaction that runs."""
        evse = self._charging.evse_of(transaction)
        if evse is None:
            return Verdict.REJECTED
        self._later("remote stop", self._end(evse, Cause.REMOTE_STOP))
        return Verdict.ACCEPTED

    async def _end(self, evse: Evse, cause: Cause) -> None:
        if evse.running is not None:
            self._charging.end(evse, cause)

    def reset(
        self, *, evse: int | None, hard: bool, when_idle: bool, resume: bool = False
    ) -> Verdict:
        """Reset the station, or only end what runs at one EVSE.

        A soft reset lets the stops it causes be heard before it disconnects; a hard one does
        not, they follow after the boot. With `when_idle` transactions run to their end first; with
        `resume` they go on after the boot.
        """
        if evse is not None and evse not in self._charging.evses:
            return Verdict.REJECTED
        if when_idle and self._charging.busy(Target(evse or 0)):
            # Resetting a single EVSE that has become idle has no effect anyone could see.
            self._reset_when_idle = self._reset_when_idle or evse is None
            return Verdict.SCHEDULED
        if resume:
            self._resuming = evse is None
            self._later("reset", self._link.reset() if evse is None else self._resume(evse))
            return Verdict.ACCEPTED
        cause = Cause.HARD_RESET if hard else Cause.SOFT_RESET
        if evse is not None:
            self._later("reset EVSE", self._end(self._charging.evses[evse], cause))
        else:
            self._later("reset", self._reset(cause))
        return Verdict.ACCEPTED

    def came_online(self) -> None:
        """The charger has booted: what was to go on goes on."""
        if self._resuming:
            self._resuming = False
            self._charging.resume()

    async def _resume(self, evse: int) -> None:
        self._charging.resume(evse)

    def transaction_ended(self) -> None:
        """Carry out a reset that waited for the last transaction to end."""
        if self._reset_when_idle and not self._charging.busy(Target()):
            self._reset_when_idle = False
            self._later("reset", self._reset(Cause.SOFT_RESET))

    async def _reset(self, cause: Cause) -> None:
        self._charging.end_all(cause)
        if cause is Cause.SOFT_RESET:
            await self._host.outbox_empty(SOFT_RESET_WAIT_S)
        await self._link.reset()

    def unlock(self, target: Target, *, end_transaction: bool) -> Verdict:
        """Release the plug; what runs on it is ended, or (`end_transaction` false) in the way."""
        evse = self._charging.evses.get(target.evse)
        if evse is None or not 1 <= target.connector <= evse.connectors:
            return Verdict.UNKNOWN
        if self._charging.busy(target):
            if not end_transaction:
                return Verdict.BUSY
            self._later("unlock", self._end(evse, Cause.UNLOCK))
        return Verdict.ACCEPTED

    def change_availability(self, targets: Sequence[Target], *, operative: bool) -> Verdict:
        """Scheduled when a transaction keeps any of the targets for now."""
        known = {target for target, _ in self._charging.states()}
        known |= {Target(number) for number in self._charging.evses}
        if not set(targets) <= known:
            return Verdict.REJECTED
        busy = self._charging.busy
        availability = self._charging.availability
        # Whole-station targets come first, and a part is busy on its own account.
        verdicts = {
            availability.change(target, operative=operative, busy=busy) for target in targets
        }
        self._later("report availability", self._report_changes())
        return Verdict.SCHEDULED if Verdict.SCHEDULED in verdicts else Verdict.ACCEPTED

    async def _report_changes(self) -> None:
        self._host.changed()

    def trigger(self, trigger: Trigger, target: Target) -> Verdict:
        """Send a message at once; a target of the whole station means each EVSE of it."""
        if target.evse and target.evse not in self._charging.evses:
            return Verdict.REJECTED
        if trigger is Trigger.BOOT:
            self._later("triggered boot", self._unless_failed(self._link.boot_again()))
        elif trigger is Trigger.HEARTBEAT:
            self._later("triggered heartbeat", self._unless_failed(self._link.heartbeat()))
        elif trigger is Trigger.STATUS:
            self._later("triggered status", self._repeat_status(target))
        else:
            places = [
                evse
                for evse in self._charging.evses.values()
                if target.evse in (0, evse.number)
                and (evse.running is not None or trigger is Trigger.METER_VALUES)
            ]
            if not places:
                return Verdict.REJECTED
            self._later("triggered meter values", self._meter_values(places, trigger))
        return Verdict.ACCEPTED

    async def _repeat_status(self, wanted: Target) -> None:
        for target, state in self._charging.states():
            if wanted.evse in (0, target.evse) and wanted.connector in (0, target.connector):
                word = self._dialect.status_word(target, state)
                if word is not None:
                    self._notices.repeat(target, word, self._clock.now())

    async def _meter_values(self, places: Sequence[Evse], trigger: Trigger) -> None:
        in_transaction = trigger is Trigger.TRANSACTION or self._dialect.readings_are_meter_values
        for evse in places:
            if evse.running is not None and in_transaction:
                self._charging.take_reading(evse, Cause.TRIGGER)
            else:
                reading = evse.reading(self._clock.now())
                target = Target(evse.number, evse.connector)
                await self._unless_failed(
                    self._dialect.meter_values(self._link.call, target, reading)
                )

    def transaction_status(self, transaction: str | None) -> tuple[bool | None, bool]:
        waiting = {message.transaction for message in self._host.outbox}
        if transaction is None:
            return None, bool(waiting)
        return self._charging.evse_of(transaction) is not None, transaction in waiting

    def clear_cache(self) -> None:
        self._host.forget_tokens()

    def settings_changed(self) -> None:
        self._link.interval_changed()

    def send_later(self, name: str, send: Callable[[Caller], Awaitable[None]]) -> None:
        self._later(name, self._unless_failed(send(self._link.call)))

    def _later(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._host.later(name, work)

    async def _unless_failed(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except CallFailed:
            # Counted in the ledger; what was asked for once is not sent twice.
            return
