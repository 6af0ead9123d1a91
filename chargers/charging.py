"""What happens at the EVSEs: plugging in, tapping, charging, stopping, leaving.

Turns it into transaction messages, in the order of the happenings and each made once. Whether
they are heard, and when, is the outbox's business: charging goes on without a link.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from enum import Enum
from random import Random
from typing import Any, Protocol

from chargers.availability import Availability
from chargers.car import Car
from chargers.clock import Clock
from chargers.configuration import Configuration
from chargers.evse import Authorization, Evse, Running, cause_of_start
from chargers.facts import Cause, ConnectorState, Kind, Reading, Target, Token, TransactionMessage
from chargers.ledger import Ledger
from chargers.meter import Meter
from chargers.profile import ChargerProfile
from chargers.state import State

log = logging.getLogger(__name__)

LOCAL_TOKEN_KIND = "ISO14443"  # noqa: S105 - the kind of card a reader reads, not a secret
FULL_CHECK_S = 60.0
"""How often to look at the car when no meter values are wanted."""


class Tap(Enum):
    """What came of holding a token to the reader."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    STOPPED = "stopped"
    IGNORED = "ignored"


class Surroundings(Protocol):
    """What charging needs of the charger around it."""

    @property
    def online(self) -> bool: ...

    async def authorize(self, token: Token) -> bool: ...

    def send(self, message: TransactionMessage) -> None: ...

    def carries(self, kind: Kind) -> bool:
        """Whether the charger's version has words for this."""
        ...

    def later(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...

    def changed(self) -> None: ...


class Charging:
    """All EVSEs of one charger. Methods that name an EVSE raise KeyError for one not there."""

    def __init__(
        self,
        profile: ChargerProfile,
        configuration: Configuration,
        ledger: Ledger,
        clock: Clock,
        rng: Random,
        around: Surroundings,
        kept: State | None = None,
    ) -> None:
        self._profile = profile
        self._configuration = configuration
        self._ledger = ledger
        self._clock = clock
        self._rng = rng
        self._around = around
        self.availability = Availability()
        self.closed = False
        """True lets nobody begin; what runs goes on."""
        self.plug_wanted: Callable[[int], None] | None = None
        """Called with the EVSE when a remote start waits for somebody to plug in."""
        meters = {} if kept is None else kept.meters
        self.evses = {
            number: Evse(
                number,
                profile.connectors_per_evse,
                profile.power_w,
                dc=profile.dc,
                # Meters in the field have counted before; 0 would hide mistakes.
                meter=Meter(meters.get(number) or rng.randint(1_000, 5_000_000)),
            )
            for number in range(1, profile.evses + 1)
        }

    def plug_in(self, number: int, car: Car, connector: int = 1) -> None:
        """Connect a car; begins the transaction when the driver is authorized already."""
        evse = self.evses[number]
        evse.plug_in(car, connector)
        if evse.authorization is not None:
            self._begin(evse, plugged_first=False)
        self._around.changed()

    def unplug(self, number: int) -> None:
        """Take the cable out; ends the transaction that runs. Nothing plugged in: no effect."""
        evse = self.evses[number]
        if evse.running is not None:
            self.end(evse, Cause.UNPLUGGED)
        evse.unplug()
        self._around.changed()

    async def tap(self, number: int, uid: str) -> Tap:
        """Hold a token to the reader of an EVSE: begin, or end what the same token began."""
        evse = self.evses[number]
        token = Token(uid, LOCAL_TOKEN_KIND)
        if evse.running is not None:
            if not evse.running.token.same_driver(token):
                return Tap.IGNORED
            self.end(evse, Cause.LOCAL_STOP, token=token)
            return Tap.STOPPED
        if not self.can_start(evse):
            return Tap.IGNORED
        if not await self._around.authorize(token):
            log.info("%s: token %s refused", self._profile.id, uid)
            return Tap.REFUSED
        # The answer took a while: somebody may have been quicker.
        if not self.can_start(evse):
            return Tap.IGNORED
        self.grant(evse, Authorization(token))
        return Tap.ACCEPTED

    def can_start(self, evse: Evse) -> bool:
        """Whether a driver could be let in here now."""
        target = Target(evse.number, evse.connector if evse.car else 1)
        free = evse.running is None and evse.authorization is None and not self.closed
        return free and self.availability.operative(target)

    def grant(self, evse: Evse, granted: Authorization) -> None:
        """Let a driver charge: at once if a car is plugged in, else when one comes in time."""
        evse.authorization = granted
        if evse.car is not None:
            self._begin(evse, plugged_first=True)
        else:
            self._around.later(f"wait for plug {evse.number}", self._await_plug(evse, granted))
            if granted.remote and self.plug_wanted is not None:
                self.plug_wanted(evse.number)
        self._around.changed()

    async def _await_plug(self, evse: Evse, granted: Authorization) -> None:
        await self._clock.sleep(self._configuration.integer("connection_timeout_s"))
        if evse.authorization is granted:
            evse.authorization = None
            log.info("%s: nobody plugged in at EVSE %s", self._profile.id, evse.number)
            self._around.changed()

    def _begin(self, evse: Evse, *, plugged_first: bool) -> None:
        granted = evse.authorization
        assert granted is not None
        now = self._clock.now()
        # A run repeats itself when clock and randomness do. The time is in it because a seed is
        # used again, and a station may never use an id twice (2.0.1 E01.FR.08).
        seed = f"{self._profile.id}/{now.isoformat()}/{self._rng.getrandbits(64)}"
        transaction = str(uuid.uuid5(uuid.NAMESPACE_OID, seed))
        running = evse.begin(transaction, now)
        cause = cause_of_start(granted, plugged_first=plugged_first)
        log.info("%s: charging at EVSE %s, %s", self._profile.id, evse.number, granted.token.uid)
        reading = evse.reading(now)
        running.drawing = reading.power_w > 0
        self._say(evse, running, Kind.STARTED, cause, reading, granted.token)
        if self._profile.limit_wh and self._around.carries(Kind.LIMIT):
            self._say(evse, running, Kind.LIMIT, Cause.LIMIT_SET, reading)
        self._around.later(f"meter of EVSE {evse.number}", self._watch_meter(evse, running))

    def end(self, evse: Evse, cause: Cause, *, token: Token | None = None) -> None:
        """End the transaction that runs; `token` is the driver who asked for it, if one did."""
        running = evse.running
        assert running is not None
        now = self._clock.now()
        evse.end(now)
        self._say(evse, running, Kind.STOPPED, cause, evse.reading(now), token)
        log.info("%s: stopped at EVSE %s, %s", self._profile.id, evse.number, cause.value)
        self.availability.transaction_ended(self.busy)
        self._around.changed()

    def end_all(self, cause: Cause) -> None:
        """End every running transaction and forget who was waiting to plug in."""
        for evse in self.evses.values():
            evse.authorization = None
            if evse.running is not None:
                # Who stops at the charger does so with the token that began.
                local = cause is Cause.LOCAL_STOP
                self.end(evse, cause, token=evse.running.token if local else None)
        self._around.changed()

    def deauthorize(self, transaction: str) -> None:
        """The central system does not want this transaction's token after all."""
        evse = self.evse_of(transaction)
        if evse is not None and self._configuration.flag("stop_on_invalid_token"):
            self.end(evse, Cause.DEAUTHORIZED)

    def take_reading(self, evse: Evse, cause: Cause) -> None:
        """Send meter values of the transaction that runs at `evse`."""
        assert evse.running is not None
        reading = evse.reading(self._clock.now())
        self._say(evse, evse.running, Kind.READING, cause, reading)

    def resume(self, number: int | None = None) -> None:
        """What runs goes on after a reset, at one EVSE or everywhere: say so."""
        now = self._clock.now()
        for evse in self.evses.values():
            if evse.running is not None and number in (None, evse.number):
                self._say(evse, evse.running, Kind.STATE, Cause.RESUMED, evse.reading(now))

    def evse_of(self, transaction: str) -> Evse | None:
        """Where a transaction runs, by either side's id; None when it does not."""
        for evse in self.evses.values():
            if evse.running is None:
                continue
            if transaction in (evse.running.id, self._ledger.record(evse.running.id).central_id):
                return evse
        return None

    def as_if_power_failed(self) -> tuple[list[TransactionMessage], dict[int, int]]:
        """The ends that running transactions would have if the power failed now, and the meters in
        Wh. Nothing changes but that what has flowed is counted."""
        now = self._clock.now()
        ends = []
        for evse in self.evses.values():
            running = evse.running
            if running is not None:
                end = self._message(
                    evse, running, Kind.STOPPED, Cause.POWER_LOSS, evse.reading(now), None
                )
                ends.append(replace(end, offline=True))
        return ends, {number: evse.meter.wh for number, evse in self.evses.items()}

    def busy(self, target: Target) -> bool:
        """Whether a transaction runs on any part of `target`."""
        return any(
            evse.running is not None
            and target.evse in (0, evse.number)
            and target.connector in (0, evse.running.connector)
            for evse in self.evses.values()
        )

    def states(self) -> list[tuple[Target, ConnectorState]]:
        """What the station and each of its connectors are doing."""
        station = Target()
        found = [(station, self._in_service(station, ConnectorState.AVAILABLE))]
        for evse in self.evses.values():
            for connector in range(1, evse.connectors + 1):
                target = Target(evse.number, connector)
                found.append((target, self._in_service(target, evse.state(connector))))
        return found

    def _in_service(self, target: Target, state: ConnectorState) -> ConnectorState:
        if state in (ConnectorState.CHARGING, ConnectorState.SUSPENDED):
            return state
        return state if self.availability.operative(target) else ConnectorState.UNAVAILABLE

    async def _watch_meter(self, evse: Evse, running: Running) -> None:
        """Meter values at their interval, and the moment the car is full, to the end."""
        while True:
            interval_s = self._configuration.integer("meter_interval_s")
            await self._clock.sleep(interval_s or FULL_CHECK_S)
            if evse.running is not running:
                return
            reading = evse.reading(self._clock.now())
            if interval_s:
                self._say(evse, running, Kind.READING, Cause.PERIOD, reading)
            counted_wh = reading.energy_wh - self._ledger.record(running.id).meter_start_wh
            if 0 < self._profile.limit_wh <= counted_wh:
                self.end(evse, Cause.LIMIT)
                return
            drawing = reading.power_w > 0
            if drawing != running.drawing:
                running.drawing = drawing
                self._say(evse, running, Kind.STATE, Cause.CAR, reading)
                self._around.changed()

    def _say(
        self,
        evse: Evse,
        running: Running,
        kind: Kind,
        cause: Cause,
        reading: Reading,
        token: Token | None = None,
    ) -> None:
        message = self._message(evse, running, kind, cause, reading, token)
        running.next_number += 1
        if kind is Kind.STARTED:
            self._ledger.started(message, running.token)
        self._ledger.made(message)
        self._around.send(message)

    def _message(
        self,
        evse: Evse,
        running: Running,
        kind: Kind,
        cause: Cause,
        reading: Reading,
        token: Token | None,
    ) -> TransactionMessage:
        return TransactionMessage(
            kind=kind,
            transaction=running.id,
            number=running.next_number,
            evse=evse.number,
            connector=running.connector,
            cause=cause,
            reading=reading,
            charging=running.drawing,
            token=token,
            remote_start_id=running.remote_start_id,
            offline=not self._around.online,
            limit_wh=self._profile.limit_wh if kind is Kind.LIMIT else None,
        )
