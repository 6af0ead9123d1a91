"""The world of one seed: a network of two or three nodes, fifty chargers and their drivers, three
partners whose drivers charge here too, an operator who asks for things, and everything that goes
wrong. `run` lives it, and asserts what must hold."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import structlog

from chargers.charger import Charger
from chargers.driver import Driver, Habits
from chargers.profile import ChargerProfile
from chargers.wire import ConnectFailed
from csms.core import billing, locations, security, stations, tariffs, tokens
from csms.core.availability import Connector
from csms.core.cdrs import Cdr
from csms.core.commands import Command, Kind, Status
from csms.core.entities import SHAPES
from csms.core.errands import OPEN, Errand
from csms.core.errors import CsmsError
from csms.core.locations import Location, LocationEvse
from csms.core.quarantine import Quarantined
from csms.core.security import BASIC, Credential, Keyring
from csms.core.stations import NewStation, Station
from csms.core.tariffs import Tariff
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.core.visits import Visit
from csms.ocpi.exchange import by_name
from csms.ocpp.admission import Denial
from tests.simulation.agreement import Agreement, every
from tests.simulation.holders import Holders
from tests.simulation.internet import AWAY, Internet, Odds, Way
from tests.simulation.node import OFFLINE_GRACE_S, Letters, NodeSim
from tests.simulation.partners import (
    HOME,
    HOMES,
    PartnerSim,
    Roaming,
    connect,
    known,
)
from tests.simulation.pipes import Pipe, Weather
from tests.simulation.queues import Queues
from tests.simulation.stores import SimStore
from tests.support.ocpi_objects import PLUG
from tests.support.ocpp import at_once
from tests.support.ocpp_links import basic

BEGAN = datetime(2031, 5, 1, 6, tzinfo=UTC)
PARTY = "CA*NTH"
KEYRING = Keyring({"k1": b"0123456789abcdef"}, "k1")
SUBPROTOCOL = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}
# What a charger gets wrong without losing what it is asked to keep.
FAULTS = ("", "", "", "duplicates", "lost-answers", "extra-fields", "no-zone", "mixed-units")
CENT = Decimal("0.01")
PRICE_OF_KWH = Decimal("0.3")
TARIFF: dict[str, Any] = {
    "country_code": "CA",
    "party_id": "NTH",
    "id": "DAY",
    "currency": "CAD",
    "tax_included": "NO",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "0.3", "step_size": 1}]}],
}
OUTCOME_WITHIN = timedelta(minutes=15)
CHARGERS_OF_A_PLACE = 5
NODES_WRONG_S = 15.0
PARTNERS_WRONG_S = 20.0
PRICED_WITHIN_S = 120.0


# How long it takes at most until partners hold what we hold, once all is calm.
AGREED_WITHIN_S = 2 * 3_600.0
AGREED_EVERY_S = 30.0
OUTDATED = "neighbour_object_outdated"
FAIR = Weather()
USUAL = Odds()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is lived: `hours` of charging by `chargers`, with a node that dies so many times, and so
    many outages of the broker, of a partner, of the store. `commands` of an operator; cards that
    partners block: `blocks`, charges that their drivers order: `orders`."""

    seed: int
    hours: float = 1.0
    chargers: int = 50
    deaths: int = 3
    broker_outages: int = 2
    commands: int = 60
    partner_outages: int = 3
    store_outages: int = 2
    blocks: int = 4
    orders: int = 12
    weather: Weather = FAIR
    odds: Odds = USUAL

    @property
    def nodes(self) -> dict[str, bool]:
        """Name -> whether stations connect to it: in every other world there is one that takes
        none."""
        return {"a": True, "b": True, **({} if self.seed % 2 else {"d": False})}


class Clock:
    """Wrong by so many seconds."""

    def __init__(self, wrong_s: float = 0.0) -> None:
        self._wrong = timedelta(seconds=wrong_s)

    def now(self) -> datetime:
        gone = timedelta(seconds=asyncio.get_running_loop().time())
        return BEGAN + gone + self._wrong

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class World:
    """Everything there is in it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.happened: Counter[str] = Counter()
        self.store = SimStore()
        self.clock = Clock()
        ids = count(1)
        self.new_id = lambda: f"{next(ids):012}"
        letters: dict[str, Letters] = {}
        self.internet = Internet(plan.odds, self._rng(), self._counted)
        self.internet.join(HOME, self._at_home)
        self.nodes = [
            NodeSim(
                name,
                self.store,
                KEYRING,
                Clock(self.rng.uniform(-NODES_WRONG_S, NODES_WRONG_S)).now,
                self.new_id,
                letters,
                lambda node: Roaming(node, PARTY, self._rng(), self.internet),
                takes_stations,
            )
            for name, takes_stations in plan.nodes.items()
        ]
        self.letters = letters
        self.partners = [
            PartnerSim(
                home,
                SimStore(),
                Clock(self.rng.uniform(-PARTNERS_WRONG_S, PARTNERS_WRONG_S)).now,
                self._rng(),
                self.internet,
            )
            for home in HOMES
        ]
        self.chargers = [self._charger(number) for number in range(plan.chargers)]
        self.drivers = [
            Driver(c, [f"{c.profile.id}-A", f"{c.profile.id}-B"], self._rng(), HABITS)
            for c in self.chargers
        ]
        self.queues = Queues()
        self.holders = Holders()
        self.lived_s = 0.0

    def _rng(self) -> random.Random:
        return random.Random(self.rng.random())

    def _charger(self, number: int) -> Charger:
        version = ("1.6", "2.0.1", "2.1")[number % 3]
        fault = self.rng.choice(FAULTS)
        profile = ChargerProfile(
            id=f"CP-{number:02}",
            version=version,
            token=f"secret of CP-{number:02}",
            evses=1 + number % 2,
            meter_interval_s=self.rng.choice((60, 120, 300)),
            message_timeout_s=30.0,
            attempts=100,
            retry_interval_s=20,
            boot_on_reconnect=number % 3 == 0,
            faults=(fault,) if fault else (),
        )
        # Some clocks are wrong, by less than makes a time implausible.
        wrong = self.rng.choice((0.0, 0.0, 0.0, 7_200.0, -40_000.0))
        return Charger(
            profile, "sim://", clock=Clock(wrong), rng=self._rng(), connect=self._connect
        )

    # -- connections ---------------------------------------------------------------------------

    async def _connect(
        self,
        url: str,
        charger_id: str,
        subprotocol: str,
        password: bytes | None,
        authority: Path | None,
    ) -> Any:
        """By the balancer to a node that is up; see `chargers.wire.open_connection`."""
        await asyncio.sleep(self.rng.uniform(0.01, self.plan.weather.slowest_s))
        up = [node for node in self.nodes if node.up and node.takes_stations]
        if not up:
            raise ConnectFailed("nobody listens")
        node = self.rng.choice(up)
        header = basic(charger_id, password or b"")
        try:
            found = await node.admit(f"/ocpp/{charger_id}", header, subprotocol)
        except CsmsError as error:
            raise ConnectFailed(str(error)) from error
        if isinstance(found, Denial) or not node.up:
            raise ConnectFailed("turned away")
        pipe = Pipe(self._rng(), self.plan.weather, subprotocol, self._counted)
        node.take(pipe, found)
        return pipe.ends[0]

    def _counted(self, what: str) -> None:
        self.happened[what] += 1

    # -- partners ------------------------------------------------------------------------------

    async def _at_home(self, request: httpx.Request) -> httpx.Response:
        """By the balancer to a node that is up."""
        up = [node for node in self.nodes if node.up]
        if not up:
            return httpx.Response(503, text="nobody is up")
        return await self.rng.choice(up).answer(request)

    async def _connected(self) -> None:
        """Everybody has exchanged credentials, and the tokens of all drivers are known here."""
        await connect(self.nodes[0].roaming.network, self.store, self.partners)
        await known(self.store, self.partners)

    async def _agreed(self) -> list[Agreement]:
        """Partners hold what we hold, soon."""
        ours = self.nodes[0].roaming.network
        found = [Agreement(ours, one, await by_name(ours, one.home.party)) for one in self.partners]
        began = asyncio.get_running_loop().time()
        until = began + AGREED_WITHIN_S
        while True:
            left = [line for one in found for line in await one.differences()]
            if not left:
                break
            assert asyncio.get_running_loop().time() < until, "\n".join(left)
            await asyncio.sleep(AGREED_EVERY_S)
        self.happened["agreed_after_s"] += round(asyncio.get_running_loop().time() - began)
        assert not self.internet.overlapped, self.internet.overlapped
        for partner in self.partners:
            for errand in await every(partner.store, Errand):
                assert errand.status not in OPEN, errand
        return found

    def _count_agreed(self, found: Iterable[Agreement]) -> None:
        for one in found:
            self.happened += one.counted
        for partner in self.partners:
            for errand in at_once(every(partner.store, Errand)):
                self.happened[f"ordered_{errand.status}"] += 1
            self.happened["told_late"] += partner.store.inner.marks.count(OUTDATED)
        for visit in self.rows(Visit):
            self.happened[f"visit_{visit.auth_method.lower()}"] += 1

    async def _orders(self, tasks: asyncio.TaskGroup) -> None:
        """Drivers of partners start charges from afar."""

        async def order(partner: PartnerSim) -> None:
            found = await partner.order(PARTY)
            self.happened[f"order_{found.status if found else 'impossible'}"] += 1

        for _ in range(self.plan.orders):
            await asyncio.sleep(self.plan.hours * 3_600 / (self.plan.orders + 1))
            tasks.create_task(order(self.rng.choice(self.partners)), name="order")

    def _ways(self) -> Iterator[Way]:
        """The ways out to partners, and theirs to us, as they are at the moment."""
        for node in self.nodes:
            if node.up:
                yield node.roaming.way
        for partner in self.partners:
            yield partner.way

    # -- the network ---------------------------------------------------------------------------

    def furnish(self) -> None:
        """What operators have set up: stations, cards, places, a price."""
        now, run = self.clock.now(), self.store.run
        run(tariffs.put, Tariff(PARTY, "day", 0, "DAY", True, now, now, "CAD", data=TARIFF), now)
        evses: dict[str, list[LocationEvse]] = {}
        for n, charger in enumerate(self.chargers):
            profile, depot = charger.profile, f"DEPOT-{n // CHARGERS_OF_A_PLACE}"
            station_id = f"id {profile.id}"
            run(stations.onboard, station_id, NewStation(profile.id, PARTY, profile.evses), now)
            key_id, hashed = KEYRING.hash((profile.token or "").encode())
            credential = Credential(f"c {profile.id}", station_id, BASIC, key_id, hashed, now)
            run(security.issue, credential, now)
            run(tokens.add, Token(PARTY, "", "rfid", f"{profile.id}-A", now), now)
            self.rng.choice(self.partners).issue(f"{profile.id}-B")
            for number in range(1, profile.evses + 1):
                uid = f"{profile.id}-{number}"
                served = LocationEvse(PARTY, uid.lower(), uid, depot.lower(), now, now)
                served = served._replace(station_id=station_id, evse=number, connectors=[PLUG])
                evses.setdefault(depot, []).append(served)
        address = ("1 Main Street", "Montreal", "CAN", "45.500000", "-73.500000")
        for depot, there in evses.items():
            place = Location(PARTY, depot.lower(), depot, now, now, *address, "America/Toronto")
            run(locations.put, place, there, now)
            run(tariffs.assign, PARTY, "DAY", depot, None, now)

    async def run(self) -> None:
        """Live it, let it come to rest, and look at what is left."""
        self.furnish()
        for node in self.nodes:
            await node.start()
        pumps = [asyncio.create_task(one.run(), name=one.home.party) for one in self.partners]
        pumps.append(asyncio.create_task(self.queues.watch(self.nodes, self._ways), name="queues"))
        pumps.append(asyncio.create_task(self.holders.watch(self.nodes), name="holders"))
        await self._connected()
        async with asyncio.TaskGroup() as tasks:
            for charger in self.chargers:
                tasks.create_task(charger.run(), name=charger.profile.id)
            driving = [tasks.create_task(driver.run()) for driver in self.drivers]
            trouble = [
                tasks.create_task(self._deaths(), name="deaths"),
                tasks.create_task(self._broker(), name="broker"),
                tasks.create_task(self._operator(), name="operator"),
                tasks.create_task(self._partner_outages(), name="partner outages"),
                tasks.create_task(self._store_outages(), name="store outages"),
                tasks.create_task(self._blocks(), name="blocks"),
                tasks.create_task(self._orders(tasks), name="orders"),
            ]
            await asyncio.sleep(self.plan.hours * 3_600)
            for driver in self.drivers:
                driver.stop_arriving()
            for task in trouble:
                task.cancel()
            await asyncio.gather(*trouble, return_exceptions=True)
            await self._calm()
            await asyncio.gather(*driving, return_exceptions=True)
            await self._drained()
            # What ended last is priced and billed.
            await asyncio.sleep(PRICED_WITHIN_S)
            await self._agreed()
            for charger in self.chargers:
                charger.stop()
        # All links end, which partners are told when the grace is over.
        await asyncio.sleep(OFFLINE_GRACE_S + PRICED_WITHIN_S)
        await self._settled_commands()
        self.check()
        self._count_agreed(await self._agreed())
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for node in self.nodes:
            assert node.failed is None, node.failed
            await node.kill()
        await asyncio.sleep(60)
        self.lived_s = asyncio.get_running_loop().time()
        left = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        assert not left, [task.get_name() for task in left]

    async def _calm(self) -> None:
        """The weather is fine from now on, and everybody is up."""
        self.store.come_back()
        self.store.deaf = False
        self.internet.calm()
        for letters in self.letters.values():
            letters.broken = False
        for node in self.nodes:
            assert node.failed is None, node.failed
            if not node.up:
                await node.start()

    async def _drained(self) -> None:
        waiting: Iterable[Charger] = self.chargers
        for _ in range(60):
            done = [await charger.drain(60.0, for_good=True) for charger in waiting]
            waiting = [c for c, ok in zip(waiting, done, strict=True) if not ok]
            if not waiting:
                return
        left = {
            c.profile.id: (
                c.profile.version,
                c.profile.faults,
                len(c.outbox),
                c.online,
                c.ledger.connections,
                c.ledger.connections_failed,
                c.ledger.last_failure,
                c.ledger.rejected,
                c.ledger.unanswered,
                c.ledger.unusable,
                [(e.number, e.car is not None, e.running) for e in c.evses],
            )
            for c in waiting
        }
        raise AssertionError(f"not everything was answered: {left}")

    # -- what goes wrong -----------------------------------------------------------------------

    async def _deaths(self) -> None:
        """Now and then a node is killed, and comes back after a while."""
        for _ in range(self.plan.deaths):
            await asyncio.sleep(self.plan.hours * 3_600 / (self.plan.deaths + 1))
            node = self.rng.choice(self.nodes)
            await node.kill()
            self.happened["node_killed"] += 1
            await asyncio.sleep(self.rng.choice((1.0, 8.0, 40.0)))
            await node.start()

    async def _broker(self) -> None:
        for _ in range(self.plan.broker_outages):
            await asyncio.sleep(self.plan.hours * 3_600 / (self.plan.broker_outages + 1))
            self.happened["broker_away"] += 1
            self.store.deaf = True
            for letters in self.letters.values():
                letters.broken = True
            await asyncio.sleep(60)
            self.store.deaf = False
            for letters in self.letters.values():
                letters.broken = False

    async def _partner_outages(self) -> None:
        """Now and then a partner is away for minutes."""
        for _ in range(self.plan.partner_outages):
            await asyncio.sleep(self.plan.hours * 3_600 / (self.plan.partner_outages + 1))
            host = self.internet.hosts[self.rng.choice(self.partners).home.host]
            host.away = self.rng.choice(AWAY)
            self.happened["partner_outage"] += 1
            await asyncio.sleep(self.rng.uniform(20, 300))
            host.away = None

    async def _store_outages(self) -> None:
        for _ in range(self.plan.store_outages):
            await asyncio.sleep(self.plan.hours * 3_600 / (self.plan.store_outages + 1))
            self.happened["store_away"] += 1
            self.store.go(loses=self.rng.random() < 0.5)
            await asyncio.sleep(self.rng.choice((3.0, 12.0, 40.0)))
            self.store.come_back()

    async def _blocks(self) -> None:
        """Partners block a card now and then, and change their mind."""
        for _ in range(self.plan.blocks):
            await asyncio.sleep(self.plan.hours * 3_600 / (self.plan.blocks + 1))
            partner = self.rng.choice(self.partners)
            if partner.uids:
                partner.block(self.rng.choice(partner.uids), self.rng.random() < 0.7)
                self.happened["token_blocked"] += 1

    async def _operator(self) -> None:
        """Asks for things, at either node."""
        wishes: list[tuple[Kind, dict[str, Any]]] = [
            (Kind.TRIGGER, {"message": "heartbeat"}),
            (Kind.CLEAR_CACHE, {}),
            (Kind.UNLOCK, {"evse": 1}),
            (Kind.STOP_CHARGING, {"evse": 1}),
        ]
        for number in range(self.plan.commands):
            await asyncio.sleep(self.plan.hours * 3_600 / (self.plan.commands + 1))
            node = self.rng.choice(self.nodes)
            if not node.up:
                continue
            kind, parameters = self.rng.choice(wishes)
            station = f"id {self.rng.choice(self.chargers).profile.id}"
            try:
                await node.commander.submit(
                    station, kind, parameters, "operator", idempotency_key=f"k{number}"
                )
                self.happened["command"] += 1
            except CsmsError as error:
                self.happened[f"command_{error.code}"] += 1

    def fingerprint(self) -> str:
        """Of all that happened: the same for the same plan, in every process."""
        found = 0
        for store in (self.store, *(one.store for one in self.partners)):
            found = zlib.crc32(repr(store.journal()).encode(), found)
        return f"{found:08x}"

    # -- what must hold ------------------------------------------------------------------------

    async def _settled_commands(self) -> None:
        """No command stays open."""
        for _ in range(100):
            rows = await self.store.reader.page(Command, limit=1_000)
            left = [c for c in rows if c.status in (Status.QUEUED, Status.SENT)]
            if not left:
                return
            await asyncio.sleep(15)
        raise AssertionError([(c.id, c.status, c.node, c.kind) for c in left])

    def rows(self, kind: type[Any]) -> list[Any]:
        async def read() -> list[Any]:
            found: list[Any] = []
            after: Any = None
            while True:
                page = await self.store.reader.page(kind, after=after, limit=500)
                found += page
                if len(page) < 500:
                    return found
                after = SHAPES[kind].key_of(page[-1])

        return at_once(read())

    def check(self) -> None:
        self._check_transactions()
        self._check_bills()
        self._check_journal()
        self._check_rest()
        assert not self.queues.over, self.queues.over[:20]
        assert self.holders.seen
        assert not self.holders.twice, self.holders.twice[:20]

    def _check_transactions(self) -> None:
        """One for each that a charger lived, with the energy of its meter."""
        stored: dict[str, list[Transaction]] = {}
        for row in self.rows(Transaction):
            stored.setdefault(row.station_id, []).append(row)
        for charger in self.chargers:
            lived = charger.ledger.transactions
            found = stored.get(f"id {charger.profile.id}", [])
            where = (charger.profile.id, charger.profile.version, charger.profile.faults)
            assert charger.ledger.given_up == 0, where
            assert len(found) == len(lived), (*where, len(found), len(lived), found, lived)
            ours = "#" if charger.profile.version == "1.6" else ""
            by_id = {row.wire_id: row for row in found}
            for record in lived:
                row = by_id[f"{ours}{record.central_id}"]
                assert not row.open, (*where, row)
                assert row.energy_wh == record.energy_wh, (*where, row, record)
                self.happened["transactions"] += 1
        self.happened["quarantined"] += len(self.rows(Quarantined))

    def _check_bills(self) -> None:
        """Each finished transaction is billed once, for what was charged; one that was refused and
        drew nothing is not billed."""
        bills: dict[int, list[Cdr]] = {}
        for cdr in self.rows(Cdr):
            bills.setdefault(cdr.transaction_id, []).append(cdr)
        for row in self.rows(Transaction):
            found = bills.get(row.id, [])
            # A bill that was corrected is credited: what counts is what is left.
            credited = {cdr.credit_of for cdr in found if cdr.credit_of}
            valid = [cdr for cdr in found if not cdr.credit_of and cdr.id not in credited]
            if billing.refused(row):
                assert not valid, (row.id, [(c.id, c.credit_of) for c in found])
                self.happened["refused"] += 1
                continue
            assert len(valid) == 1, (row.id, [(c.id, c.credit_of) for c in found])
            assert valid[0].energy_wh == row.energy_wh, (row, valid[0])
            price = (PRICE_OF_KWH * row.energy_wh / 1_000).quantize(CENT, ROUND_HALF_UP)
            assert Decimal(valid[0].before_taxes) == price, (row, valid[0])
            self.happened["billed_wh"] += row.energy_wh or 0

    def _check_journal(self) -> None:
        """In order for each station: links open one after the other, and none ends twice."""
        rows = self.store.journal()
        generations: dict[str, int] = {}
        ended: set[tuple[str, int]] = set()
        for _, kind, station_id, data in rows:
            if kind == "station_connected":
                generation = json.loads(data)["generation"]
                assert generation == generations.get(station_id, 0) + 1, (station_id, data)
                generations[station_id] = generation
            elif kind == "station_disconnected":
                end = (station_id, json.loads(data)["generation"])
                assert end not in ended, end
                ended.add(end)
        self.happened["events"] += len(rows)

    def _check_rest(self) -> None:
        """Nobody is connected any more. A status that a station lost with
        its connection is not told again by all of them; how many those are is counted."""
        for station in self.rows(Station):
            assert station.node is None, station
        for connector in self.rows(Connector):
            self.happened["stale_status"] += connector.status == "charging"


HABITS = Habits(gap_s=(60, 900), stay_s=(300, 2_400), linger_s=(5, 40))
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
