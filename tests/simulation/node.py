"""A node of the system in the simulation: what `csms.app` puts together, without listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx

from csms.bus.local import LocalBus
from csms.core import stations
from csms.core.billing import PriceAsked
from csms.core.errors import CsmsError, NodeUnreachable, StoreUnavailable
from csms.core.ids import Origin
from csms.core.security import Keyring
from csms.core.taxes import table
from csms.core.visitors import HomeAsked
from csms.flows import places, reach
from csms.flows.availability import Availability
from csms.flows.commands import Commander, Performed
from csms.flows.configuration import Configuration
from csms.flows.contact import Contact, ContactLimits
from csms.flows.duties import Duties
from csms.flows.exchange import Answerers
from csms.flows.lost_nodes import LostNodes
from csms.flows.membership import Membership, Pulse
from csms.flows.prices import Pricer
from csms.flows.reach import Reach
from csms.flows.records import Biller
from csms.observability import Metrics
from csms.ocpp.admission import Admission, Denial
from csms.ocpp.gateway import Gateway, GatewayLimits
from csms.ocpp.registry import Registry
from csms.ocpp.treatment import Treatments
from csms.ocpp.upkeep import Upkeep
from csms.ocpp.versions import PROTOCOLS
from tests.simulation.internet import asked
from tests.simulation.partners import Roaming
from tests.simulation.pipes import End, Pipe
from tests.simulation.stores import SimStore

SETTLE_EVERY_S = 15.0
CALL_TIMEOUT_S = 30.0
START_AGAIN_S = 1.0
OFFLINE_GRACE_S = 300.0
PULSE = Pulse(beat_s=2.0, lost_after_s=12.0)


class Letters:
    """The post between nodes of one world; see `flows.post.Post`. `broken`: the broker is away."""

    trouble: str | None = None
    asked = under_way = at_once = 0

    def __init__(self, everybody: dict[str, Letters]) -> None:
        self.handlers: dict[str, Any] = {}
        self.everybody = everybody
        self.broken = False
        self.gone = False

    async def ask(self, node: str, what: str, body: Mapping[str, Any]) -> Letter:
        await asyncio.sleep(0.005)
        there = self.everybody.get(node)
        if self.broken or there is None or there.broken:
            raise NodeUnreachable(f"{node} cannot be reached: the broker is away")
        if there.gone or what not in there.handlers:
            await asyncio.sleep(3.0)
            raise NodeUnreachable(f"{node} did not answer over the broker in 3 s")
        return Letter(node, asyncio.create_task(there.handlers[what](body), name=f"letter {what}"))


class Letter:
    def __init__(self, node: str, working: asyncio.Task[Any]) -> None:
        self._node, self._working = node, working
        # Not everybody waits for an answer.
        working.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def answer(self, within_s: float) -> Any:
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self._working)
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not self._working.cancelled():
                raise
            raise NodeUnreachable(f"{self._node} gave no answer") from None
        except CsmsError as error:
            raise NodeUnreachable(f"{self._node}: {error.detail}") from None


class NodeSim:
    """`await start()`, `kill()`, `await start()` again: the same name, another life."""

    def __init__(
        self,
        name: str,
        store: SimStore,
        keyring: Keyring,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        letters: dict[str, Letters],
        roaming: Callable[[NodeSim], Roaming],
        takes_stations: bool = True,
    ) -> None:
        self.name, self.clock, self.takes_stations = name, clock, takes_stations
        self._store, self.store = store, store.life()
        self.keyring, self.new_id, self._letters = keyring, new_id, letters
        self._roaming = roaming
        self.up = False
        self._requests: set[asyncio.Task[httpx.Response]] = set()
        # In the order in which they came: that of a set would be another one in each run.
        self.pipes: dict[Pipe, None] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._life: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self.failed: BaseException | None = None

    async def start(self) -> None:
        """Begin a life; again and again while the store is away, as its supervisor would."""
        while True:
            self._ready.clear()
            self._life = asyncio.create_task(self._live(), name=f"node {self.name}")
            ready = asyncio.create_task(self._ready.wait(), name="ready")
            await asyncio.wait((self._life, ready), return_when=asyncio.FIRST_COMPLETED)
            if self._ready.is_set():
                return
            ready.cancel()
            error = self._life.exception()
            if not isinstance(error, StoreUnavailable):
                raise error or AssertionError("it ended by itself")
            await asyncio.sleep(START_AGAIN_S)

    async def _live(self) -> None:
        self.store = store = self._store.life()
        clock = self.clock
        self.bus = LocalBus()
        self.metrics = Metrics()
        self.registry = Registry(self.metrics)
        letters = self._letters[self.name] = Letters(self._letters)
        self.post = letters
        self.membership = Membership(
            store,
            self.name,
            clock,
            self.new_id,
            pulse=PULSE,
            place=f"{self.name}/{self.new_id()}",
            links=self.registry.__len__,
            takes_stations=self.takes_stations,
        )
        lost = LostNodes(store, clock)
        await self.membership.join()
        await lost.settle_own(self.membership.me)
        self.links = Reach(store, self.registry, letters, self.name)
        self.commander = Commander(store, self.links, self.name, clock, self.new_id, CALL_TIMEOUT_S)
        self.pricer = Pricer(store, table([], {}), clock)
        configuration = Configuration(store, self.links, clock, CALL_TIMEOUT_S)
        contact = self.contact = Contact(store, self.links, configuration, clock, ContactLimits())
        availability = Availability(store, self.commander, self.links.holds, clock)
        registry = self.registry
        registry.on_attached = contact.link_up
        registry.on_boot = contact.booted
        registry.on_detached = contact.link_down
        registry.on_reachable = availability.reachable
        self.admission = Admission(store, self.keyring, None, self.new_id, "CA*NTH")
        treatments = Treatments(store)
        self.duties = Duties(store, self.membership, clock)
        biller = Biller(store, self.pricer, clock, self.new_id)
        self.membership.on_change = self.duties.look

        async def settle() -> None:
            while True:
                with suppress(CsmsError):
                    await self.pricer.settle_due()
                    await biller.bill_priced()
                await asyncio.sleep(SETTLE_EVERY_S)

        self.duties.add("prices and records", settle)
        self.duties.add("lost nodes", lost.run)
        self.duties.add("lost links", places.Watch(store, OFFLINE_GRACE_S, clock).run)
        self.roaming = self._roaming(self)
        store.buses.append(self.bus)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                upkeep = Upkeep(registry, treatments, tasks)
                registry.on_late = self._note_late
                self.gateway = Gateway(
                    store,
                    self.admission,
                    registry,
                    Answerers({PriceAsked: self.pricer, HomeAsked: self.roaming.homes}),
                    self.metrics,
                    GatewayLimits(),
                    self.name,
                    clock,
                    treatments=treatments,
                )
                self.links.serve(
                    self.commander.follow,
                    {reach.DROP: upkeep.drop, reach.TREAT: upkeep.treat},
                    upkeep.replaced,
                )
                self.membership.on_given_up = self._given_up
                for work in (
                    self.membership.run(),
                    self.duties.run(),
                    contact.run(),
                    availability.run(),
                    self.gateway._sweep(),
                    self.roaming.publisher.run(),
                ):
                    tasks.create_task(work)
                self.up = True
                self._ready.set()
        except BaseExceptionGroup as error:
            if self.up:
                self.failed = error
                raise
        finally:
            self.up = False

    def _note_late(self, command_id: str, performed: Performed) -> None:
        assert self._tasks is not None
        self._tasks.create_task(self.commander.note_late(command_id, performed))

    async def _given_up(self) -> None:
        await self.registry.close_all(1001, "given up")

    async def kill(self) -> None:
        """kill -9: nothing is written, every connection breaks."""
        assert self._life is not None
        self.up = False
        self.post.gone = True
        # What a process had queued is gone with it: nothing of it reaches the store any more.
        pipes = list(self.pipes)
        self.store.over = True
        self.store.buses.remove(self.bus)
        self._life.cancel()
        for request in list(self._requests):
            request.cancel()
        for task in list(self.commander._running.values()):
            task.cancel()
        # At once: whoever kills may be ended before this life has.
        for pipe in pipes:
            pipe.cut()
        self.pipes.clear()
        await asyncio.gather(self._life, return_exceptions=True)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """What a partner is answered. Raises `httpx.ConnectError` when the node dies over it."""
        working = asyncio.create_task(asked(self.roaming.app, request), name="request of a partner")
        self._requests.add(working)
        working.add_done_callback(self._requests.discard)
        await asyncio.wait((working,))
        if working.cancelled():
            raise httpx.ConnectError("the connection broke")
        return working.result()

    # -- stations ------------------------------------------------------------------------------

    async def admit(self, path: str, authorization: str, subprotocol: str) -> Any:
        """What the gateway does before the upgrade; a station and its login, or a `Denial`."""
        if not self.up or not self.membership.living:
            return Denial(503, "down")
        return await self.admission.admit(path, authorization, "192.0.2.1", self.clock())

    def take(self, pipe: Pipe, found: Any) -> None:
        """Serve the station at the other end."""
        assert self._tasks is not None
        self.pipes[pipe] = None
        end: Any = pipe.ends[1]
        end.switches = self.gateway._treatments.of(found.station, found.policy)
        self._tasks.create_task(self._serve(end, pipe, found), name=f"link {found.station.id}")

    async def _serve(self, end: End, pipe: Pipe, found: Any) -> None:
        version = PROTOCOLS[pipe.subprotocol]
        origin = Origin(found.station.id, found.station.identity, version.version, self.clock())
        try:
            station = await self.store.transact(
                stations.link_opened, origin, self.name, "192.0.2.1", found.login
            )
        except StoreUnavailable:
            self.pipes.pop(pipe, None)
            await end.close(1013, "store unavailable, try again later")
            return
        before = found.station.node
        if before is not None and before != self.name:
            assert self._tasks is not None
            self._tasks.create_task(self.links.moved(station.id, station.generation, before))
        try:
            protocol = self.gateway._protocols[pipe.subprotocol]
            await self.gateway._run(end, station, protocol)  # type: ignore[arg-type]
        finally:
            self.pipes.pop(pipe, None)
