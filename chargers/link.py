"""The life of a charger's link: connect, boot, keep the heartbeat, and again after a loss.

A charger is *online* when its connection is up and the central system has accepted it. What a
lost link means for transactions is not decided here: `went_online` and `went_offline` tell.
`changed` is called for whatever else becomes different in the ledger.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chargers.clock import Clock, sleep_unless
from chargers.configuration import Configuration
from chargers.dialect import Dialect, Wishes
from chargers.facts import BootReason
from chargers.faults import FaultyConnection
from chargers.ledger import Ledger
from chargers.profile import ChargerProfile
from chargers.wire import CallFailed, Connect, ConnectFailed, LinkLost, Wire, open_connection

log = logging.getLogger(__name__)


class Link:
    """Keeps one charger connected. `run` never ends by itself; cancel it to disconnect."""

    def __init__(
        self,
        profile: ChargerProfile,
        url: str,
        dialect: Dialect,
        configuration: Configuration,
        ledger: Ledger,
        clock: Clock,
        rng: random.Random,
        went_online: Callable[[], None],
        went_offline: Callable[[], None],
        changed: Callable[[], None],
        authority: Path | None = None,
        connect: Connect = open_connection,
    ) -> None:
        self._connect = connect
        self._profile = profile
        self._url = url
        self._dialect = dialect
        self._configuration = configuration
        self._ledger = ledger
        self._clock = clock
        self._rng = rng
        self._went_online = went_online
        self._went_offline = went_offline
        self._changed = changed
        self._authority = authority
        self._faults = profile.faults
        self._wire: Wire | None = None
        self._boot_reason: BootReason | None = BootReason.POWER_UP
        self._accepted = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._interval_changed = asyncio.Event()
        self._failures = 0
        self._away_s = 0.0

    @property
    def online(self) -> bool:
        return self._wire is not None and self._wire.up and self._accepted.is_set()

    async def call(self, payload: Any) -> Any:
        """Send a call over the present connection. Raises a `CallFailed`."""
        if self._wire is None:
            raise LinkLost(type(payload).__name__)
        return await self._wire.call(payload)

    def drop(self, *, stay_down: bool) -> None:
        """Cut the connection; with `stay_down` do not reconnect until `restore`."""
        if stay_down:
            self._free.clear()
        if self._wire is not None:
            self._wire.abort()

    def restore(self) -> None:
        self._failures = 0
        self._free.set()

    async def reset(self) -> None:
        """Disconnect, stay away as long as a reboot takes, and boot again."""
        self._boot_reason = BootReason.REMOTE_RESET
        if self._wire is not None:
            self._away_s = self._profile.reboot_s
            await self._wire.close()

    def interval_changed(self) -> None:
        """The heartbeat interval is another one now: do not wait for the old one to pass."""
        self._interval_changed.set()

    async def boot_again(self) -> None:
        """Send a BootNotification because the central system asked for one."""
        await self._boot(BootReason.TRIGGERED)

    async def run(self, wishes: Wishes) -> None:
        routes = self._dialect.routes(wishes)
        while True:
            await self._free.wait()
            try:
                connection = await self._connect(
                    self._url,
                    self._profile.id,
                    self._dialect.subprotocol,
                    self._configuration.password,
                    self._authority,
                )
            except ConnectFailed as error:
                self._ledger.connections_failed += 1
                self._ledger.last_failure = str(error)
                self._changed()
                log.warning("%s: cannot connect: %s", self._profile.id, error)
                await self._back_off()
                continue
            self._ledger.connections += 1
            self._changed()
            self._wire = Wire(
                FaultyConnection(connection, self._faults) if self._faults else connection,
                self._dialect.package,
                self._profile.id,
                routes,
                self._ledger,
                self._profile.message_timeout_s,
            )
            log.info("%s: connected with %s", self._profile.id, self._dialect.subprotocol)
            try:
                await self._live(self._wire)
            finally:
                await self._lost(self._wire)
            if self._away_s:
                away, self._away_s = self._away_s, 0.0
                await self._clock.sleep(away)
            else:
                await self._back_off()

    async def _live(self, wire: Wire) -> None:
        async with asyncio.TaskGroup() as tasks:
            accepted = tasks.create_task(
                self._be_accepted(), name=f"{self._profile.id} boot and heartbeat"
            )
            await wire.serve()
            accepted.cancel()

    async def _lost(self, wire: Wire) -> None:
        log.info("%s: link lost", self._profile.id)
        self._wire = None
        self._accepted.clear()
        # A reset has named its own reason already. Without one, a charger that was never
        # accepted has to boot; one that was may leave it out.
        boots = self._profile.boot_on_reconnect and "no-boot" not in self._faults
        if self._boot_reason is None and boots:
            self._boot_reason = BootReason.RECONNECTED
        self._went_offline()
        await wire.close()

    async def _back_off(self) -> None:
        """Exponential with jitter, so that a thousand chargers do not return at once."""
        longest = min(
            self._profile.reconnect_max_s,
            self._profile.reconnect_min_s * 2 ** min(self._failures, 20),
        )
        self._failures += 1
        await self._clock.sleep(longest * self._rng.uniform(0.5, 1.0))

    async def _be_accepted(self) -> None:
        """Boot until accepted, then send heartbeats. Ends when the link does."""
        try:
            while self._boot_reason is not None and not self._accepted.is_set():
                wait_s = await self._boot(self._boot_reason)
                if wait_s is not None:
                    await sleep_unless(self._clock, wait_s, self._accepted)
            self._come_online()
            while True:
                self._interval_changed.clear()
                interval_s = self._configuration.heartbeat_interval_s
                if not await sleep_unless(self._clock, interval_s, self._interval_changed):
                    await self.heartbeat()
        except LinkLost:
            return

    async def _boot(self, reason: BootReason) -> float | None:
        """Boot once. None when accepted, else the virtual seconds until the next attempt."""
        try:
            booted = await self._dialect.boot(self.call, self._profile, reason)
        except LinkLost:
            raise
        except CallFailed:
            return self._profile.reconnect_max_s
        self._ledger.boots.append(booted.verdict)
        self._changed()
        log.info("%s: boot %s, interval %s s", self._profile.id, booted.verdict, booted.interval_s)
        if booted.verdict != "Accepted":
            return booted.interval_s or self._profile.reconnect_max_s
        if booted.interval_s:
            self._configuration.change("heartbeat_interval_s", str(booted.interval_s))
        self._boot_reason = None
        self._accepted.set()
        self._interval_changed.set()
        return None

    def _come_online(self) -> None:
        self._accepted.set()
        self._failures = 0
        self._went_online()

    async def heartbeat(self) -> None:
        """Send a Heartbeat now. Raises LinkLost; any other failure is only counted."""
        try:
            await self._dialect.heartbeat(self.call)
        except LinkLost:
            raise
        except CallFailed:
            # Counted in the ledger; a charger takes a failed heartbeat for what it is.
            return
