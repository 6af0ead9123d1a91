"""One simulated charging station, put together, and the surface to drive it by.

    async with Charger(profile, "ws://127.0.0.1:9000/ocpp") as charger:
        await charger.booted()
        charger.plug_in(1, Car(soc=0.4))
        await charger.tap(1, "DRIVER-1")
        await charger.until(lambda: charger.ledger.transactions[0].start_acknowledged)

What it did and what was acknowledged is in `charger.ledger`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from chargers.car import Car
from chargers.charging import Charging, Tap
from chargers.clock import Clock, ScaledClock, sleep_unless
from chargers.commands import Commands
from chargers.configuration import Configuration
from chargers.dialect import Dialect
from chargers.evse import Evse
from chargers.facts import Cause, Kind, Target, Token, TransactionMessage
from chargers.ledger import Ledger
from chargers.link import Link
from chargers.notices import Notices
from chargers.outbox import Delivery, Outbox
from chargers.profile import ChargerProfile
from chargers.state import SAVE_EVERY_S, State, file_of, load, save
from chargers.v2 import Dialect2
from chargers.v16 import Dialect16
from chargers.wire import CallFailed, Connect, LinkLost, open_connection

log = logging.getLogger(__name__)

Result = TypeVar("Result")


def dialect_for(profile: ChargerProfile) -> Dialect:
    """The dialect of a profile's version: the one place that chooses."""
    if profile.version == "1.6":
        return Dialect16(profile.connectors_per_evse)
    return Dialect2(profile.version)


class Charger:
    """A charger connects when `run` is started and lives until `stop`.

    `url` is the central system's address without the identity, `authority` the file of the
    certificate authority behind a wss address; `connect` makes connections there. `clock` and
    `rng` make a run repeatable; by default time is real and randomness is not. `state`: a folder
    where it keeps, over a restart of the process, what it has not been heard on; raises
    `StateError`. Used as
    `async with`, the charger runs inside the block and is stopped at its end.
    """

    def __init__(
        self,
        profile: ChargerProfile,
        url: str,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        authority: Path | None = None,
        state: Path | None = None,
        connect: Connect = open_connection,
    ) -> None:
        self.profile = profile
        self.ledger = Ledger()
        self._state = None if state is None else file_of(state, profile.id)
        kept = None if self._state is None else load(self._state)
        self.clock = clock or ScaledClock()
        self._rng = rng or random.Random()
        self._configuration = Configuration(profile)
        self._dialect = dialect_for(profile)
        self._link = Link(
            profile,
            url,
            self._dialect,
            self._configuration,
            self.ledger,
            self.clock,
            self._rng,
            self._went_online,
            self._went_offline,
            self._wake,
            authority,
            connect,
        )
        self._notices = Notices(self._report_status)
        self._outbox = Outbox(
            self._deliver,
            self._given_up,
            self._wake,
            self.clock,
            self._configuration.retries,
            profile.outbox_limit,
        )
        self._charging = Charging(
            profile, self._configuration, self.ledger, self.clock, self._rng, self, kept
        )
        if kept is not None:
            self.ledger.transactions += kept.records
            for message in kept.messages:
                self._outbox.put(message)
        self._commands = Commands(
            profile,
            self._configuration,
            self._charging,
            self._dialect,
            self._link,
            self._notices,
            self.clock,
            self,
        )
        self._known_tokens: set[str] = set()
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._alive: set[asyncio.Task[Any]] = set()
        self._own_run: asyncio.Task[None] | None = None

    # Life

    async def run(self) -> None:
        """Connect and be a charger until `stop` is called. Once per charger."""
        if self._stopping.is_set():
            return
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.later("link", self._link.run(self._commands))
            self.later("outbox", self._outbox.run())
            self.later("notices", self._notices.run())
            if self._state is not None:
                self.later("state", self._keep_state(self._state))
            await self._stopping.wait()
            if self._state is not None:
                save(self._state, self._what_is_kept())
            self._tasks = None
            for task in list(self._alive):
                task.cancel()
        self._wake()

    async def _keep_state(self, file: Path) -> None:
        while True:
            save(file, self._what_is_kept())
            await asyncio.sleep(SAVE_EVERY_S)

    def _what_is_kept(self) -> State:
        """As if the power failed now: running transactions are ended in what is kept."""
        ends, meters = self._charging.as_if_power_failed()
        messages = [*self._outbox.pending, *(m for m in ends if self._dialect.carries(m.kind))]
        wanted = {message.transaction for message in messages}
        ledger = Ledger()
        ledger.transactions = [
            replace(r) for r in self.ledger.transactions if r.station_id in wanted
        ]
        for end in ends:
            ledger.made(end)
        return State(self.clock.now(), meters, messages, ledger.transactions)

    def stop(self) -> None:
        """Disconnect and let `run` end. What is still in the outbox stays unsent: see `drain`."""
        self._stopping.set()

    async def drain(self, deadline_s: float = 10.0, *, for_good: bool = False) -> bool:
        """Stop every transaction as its driver would, and wait until all is heard.

        True when nothing is left to send; False when `deadline_s` (wall seconds) ran out.
        Nobody can begin meanwhile, nor, with `for_good`, afterwards.
        """
        # A tap may be waiting for its authorization, and a remote start may come any time.
        self._charging.closed = True
        self._charging.end_all(Cause.LOCAL_STOP)
        try:
            await self.until(lambda: not len(self._outbox), within_s=deadline_s)
        except TimeoutError:
            return False
        finally:
            self._charging.closed = for_good
        return True

    async def booted(self, within_s: float = 10.0) -> None:
        """Return once the central system has accepted the charger. Raises TimeoutError."""
        await self.until(lambda: self.online, within_s=within_s)

    async def until(self, condition: Callable[[], bool], within_s: float | None = 10.0) -> None:
        """Wait, for wall seconds, until something the charger does makes `condition` true.

        Raises TimeoutError; `within_s` None waits for ever. The condition is looked at after
        each message, each change at an EVSE and each change of the link.
        """
        async with asyncio.timeout(within_s):
            while not condition():
                await self._changed.wait()

    async def __aenter__(self) -> Self:
        self._own_run = asyncio.create_task(self.run(), name=f"{self.profile.id} run")
        # One turn of the loop, so that everything can be called from here on.
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        assert self._own_run is not None
        await self._own_run

    # What people do to a charger. All but `drop_link` need a charger that runs.

    def plug_in(self, evse: int, car: Car, connector: int = 1) -> None:
        """Raises KeyError or ValueError for a place that is not there or holds a car."""
        self._charging.plug_in(evse, car, connector)

    def unplug(self, evse: int) -> None:
        """Pull the cable; ends what runs. Without a car nothing happens."""
        self._charging.unplug(evse)

    def tap(self, evse: int, token: str) -> asyncio.Task[Tap]:
        """Hold an RFID token to the reader. The task may be awaited for what came of it."""
        return self._start(f"tap {evse}", self._charging.tap(evse, token))

    def drop_link(self, *, stay_down: bool = False) -> None:
        """Cut the TCP connection without a word; with `stay_down` until `restore_link`."""
        self._link.drop(stay_down=stay_down)

    def restore_link(self) -> None:
        """Let the charger connect again."""
        self._link.restore()

    def on_plug_wanted(self, call: Callable[[int], None]) -> None:
        """Have `call(evse)` called when a remote start waits for somebody to plug in."""
        self._charging.plug_wanted = call

    # What can be seen

    @property
    def online(self) -> bool:
        """Connected, and accepted by the central system."""
        return self._link.online

    @property
    def outbox(self) -> list[TransactionMessage]:
        """The messages about transactions that nobody has heard yet, in order."""
        return self._outbox.pending

    @property
    def evses(self) -> list[Evse]:
        """The EVSEs, to look at."""
        return list(self._charging.evses.values())

    def status(self, evse: int, connector: int = 1) -> str | None:
        """The status of a connector in the words of the charger's version."""
        target = Target(evse, connector)
        return self._dialect.status_word(target, dict(self._charging.states())[target])

    # What the parts need of each other (commands.Host)

    def later(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that ends with the charger. An exception in it ends the charger."""
        return self._start(name, work)

    def _start(self, name: str, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        if self._tasks is None:
            work.close()
            raise RuntimeError(f"charger {self.profile.id} does not run")
        task = self._tasks.create_task(work, name=f"{self.profile.id} {name}")
        self._alive.add(task)
        task.add_done_callback(self._alive.discard)
        return task

    def changed(self) -> None:
        """Something at an EVSE is different: report what the version reports of it."""
        self._commands.transaction_ended()
        now = self.clock.now()
        for target, state in self._charging.states():
            word = self._dialect.status_word(target, state)
            if word is not None:
                self._notices.note(target, word, now)
        self._wake()

    def send(self, message: TransactionMessage) -> None:
        if self._dialect.carries(message.kind):
            self._outbox.put(message)
            self._wake()

    def carries(self, kind: Kind) -> bool:
        return self._dialect.carries(kind)

    def forget_tokens(self) -> None:
        self._known_tokens.clear()

    async def authorize(self, token: Token) -> bool:
        """Ask the central system; without a link, go by what it said before."""
        known = token.uid.casefold() in self._known_tokens
        if not self.online:
            return self._good_offline(known=known)
        try:
            status = await self._dialect.authorize(self._link.call, token)
        except LinkLost:
            return self._good_offline(known=known)
        except CallFailed:
            return False
        self._learn(token, status)
        return status == "Accepted"

    async def outbox_empty(self, within_s: float) -> bool:
        return not len(self._outbox) or await sleep_unless(
            self.clock, within_s, self._outbox.emptied
        )

    def _good_offline(self, *, known: bool) -> bool:
        return known or self._configuration.flag("allow_offline_unknown")

    def _learn(self, token: Token, status: str) -> None:
        if status == "Accepted":
            self._known_tokens.add(token.uid.casefold())
        else:
            self._known_tokens.discard(token.uid.casefold())
            self.ledger.tokens_refused.append(token.uid)

    def _went_online(self) -> None:
        self._notices.open()
        self._outbox.open()
        self._commands.came_online()
        self.changed()

    def _went_offline(self) -> None:
        self._notices.close()
        self._outbox.close()
        self._wake()

    async def _report_status(self, target: Target, word: str, at: datetime) -> None:
        try:
            await self._dialect.report_status(self._link.call, target, word, at)
        except CallFailed:
            # Counted in the ledger. Every status is reported anew when the link is back.
            return

    async def _deliver(self, message: TransactionMessage) -> Delivery:
        record = self.ledger.record(message.transaction)
        try:
            answer = await self._dialect.deliver(self._link.call, message, record)
        except LinkLost:
            return Delivery.LINK_LOST
        except CallFailed:
            return Delivery.FAILED
        self.ledger.acknowledge(message, answer)
        log.info("%s: %s acknowledged (%s)", self.profile.id, message.kind.value, record.central_id)
        if answer.token_status is not None:
            self._learn(Token(record.token), answer.token_status)
        if answer.refused:
            self._charging.deauthorize(message.transaction)
        return Delivery.HEARD

    def _given_up(self, message: TransactionMessage) -> None:
        log.warning("%s: gave up a %s message", self.profile.id, message.kind.value)
        self.ledger.give_up(message)

    def _wake(self) -> None:
        # A new event each time: clearing the old one would starve all waiters but the first.
        happened, self._changed = self._changed, asyncio.Event()
        happened.set()
