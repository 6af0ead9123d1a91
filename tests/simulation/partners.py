"""Partners of the simulated network: networks of our own code, whose drivers charge here.

A partner has a store, a server and pumps of its own, and a clock that is a little wrong. Its tokens
are of one kind: believed as told, asked for while it can be reached, or asked for always. Ours is
reached through a balancer, at whichever node is up.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
from starlette.types import ASGIApp

from csms.bus.local import LocalBus
from csms.core import errands, partners, tokens
from csms.core.errands import Errand
from csms.core.errors import CsmsError
from csms.core.neighbours import NeighbourObject
from csms.core.partners import Partner, State, TokenKind
from csms.core.security import Keyring
from csms.core.taxes import table
from csms.core.tokens import Token
from csms.core.visitors import VisitorToken
from csms.flows.prices import Pricer
from csms.ocpi import cdrs, exchange, locations, sessions, tariffs
from csms.ocpi import tokens as tokens_module
from csms.ocpi.asking import Homes
from csms.ocpi.client import Client, ClientLimits
from csms.ocpi.commands import Orders
from csms.ocpi.errands import Errands
from csms.ocpi.exchange import Progress
from csms.ocpi.network import CPO, EMSP, Network, OwnRole
from csms.ocpi.publisher import Pace, Publisher
from csms.ocpi.server import Server
from csms.vault import Vault
from tests.simulation.internet import POLICY, Internet, Way, asked

MODULES = (
    *tokens_module.MODULES,
    *locations.MODULES,
    *tariffs.MODULES,
    *sessions.MODULES,
    *cdrs.MODULES,
)
HOME = "north.example.com"
# Woken by the journal; looked at by itself only now and then, which costs time for nothing.
PACE = Pace(idle_s=15.0, turn_s=2.0)
ORDER_WITHIN_S = 35.0
JOINED_WITHIN_S = 3_600.0
AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Home:
    """A partner as it is planned: its party and roles; the kind of its tokens, and whether they
    end, which is what others make their whitelist of."""

    party: str
    roles: tuple[str, ...] = (EMSP,)
    kind: str = "rfid"
    ends: bool = False

    @property
    def host(self) -> str:
        return f"{self.party[3:].lower()}.example.com"


HOMES = (
    Home("US*STH"),
    Home("DE*EST", ends=True),
    Home("FR*WST", (CPO, EMSP), "app"),
)


def network(
    party: str,
    roles: Sequence[str],
    host: str,
    store: Any,
    keyring: Keyring,
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
    rng: random.Random,
    way: Way,
) -> Network:
    """A network of this party, reached at a host; it reaches others on its `way`."""
    made = Network(
        store=store,
        keyring=keyring,
        vault=Vault(keyring.keys, keyring.current),
        client=Client(POLICY, new_id, ClientLimits(), look_up=way.internet.look_up, transport=way),
        roles=tuple(OwnRole(role, party, f"Network {party}") for role in roles),
        clock=clock,
        new_id=new_id,
        new_secret=lambda: f"{rng.getrandbits(160):040x}",
        price=Pricer(store, table([], {}), clock).price,
    )
    made.reachable_at(f"https://{host}/ocpi")
    return made


def server(network: Network, *more: Any) -> Server:
    """What others call, by the time of the loop."""
    return Server(network, (*MODULES, *more), asyncio.get_running_loop().time)


class Roaming:
    """What a node does with partners; see `csms.app`."""

    def __init__(self, node: Any, party: str, rng: random.Random, internet: Internet) -> None:
        self.way = Way(internet)
        self.network = network(
            party,
            (CPO, EMSP),
            HOME,
            node.store,
            node.keyring,
            node.clock,
            node.new_id,
            rng,
            self.way,
        )
        duties = node.duties
        self.publisher = Publisher(
            self.network, node.bus, PACE, mine=lambda one: bool(duties.holds(f"partner {one}"))
        )
        self.orders = Orders(self.network, node.commander, ORDER_WITHIN_S)
        self.homes = Homes(lambda: self.network)
        self.app: ASGIApp = server(self.network, self.orders.module)
        duties.add("tell partners of their orders", self.orders.run)
        duties.also(self._wanted, lambda name: self.publisher.drop(name.removeprefix("partner ")))

    async def _wanted(self) -> list[str]:
        return [f"partner {one}" for one in await self.publisher.registered()]


class PartnerSim:
    """One partner. `uids`: the tokens of its drivers."""

    def __init__(
        self,
        home: Home,
        store: Any,
        clock: Callable[[], datetime],
        rng: random.Random,
        internet: Internet,
    ) -> None:
        self.home, self.store, self.clock, self.rng = home, store, clock, rng
        self.uids: list[str] = []
        self._ids = 0
        self.way = Way(internet)
        keyring = Keyring({"k1": home.party.encode().ljust(16, b".")}, "k1")
        self.network = network(
            home.party,
            home.roles,
            home.host,
            store,
            keyring,
            clock,
            self._new_id,
            rng,
            self.way,
        )
        self.bus = LocalBus()
        store.buses.append(self.bus)
        self.publisher = Publisher(self.network, self.bus, PACE)
        self.errands = Errands(self.network, self.bus, ORDER_WITHIN_S)
        internet.join(home.host, self._answer)
        self._app: ASGIApp | None = None

    def _new_id(self) -> str:
        # Ids of one network never look like those of another.
        self._ids += 1
        return f"{self.home.party[3:].lower()}-{self._ids:08}"

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if self._app is None:
            self._app = server(self.network, self.errands.module)
        return await asked(self._app, request)

    def issue(self, uid: str) -> None:
        """A driver gets a token."""
        now = self.clock()
        ends = now + timedelta(days=365) if self.home.ends else None
        made = Token(self.home.party, "", self.home.kind, uid, now, expires_at=ends)
        self.store.run(tokens.add, made, now)
        self.uids.append(uid)

    def block(self, uid: str, blocked: bool) -> None:
        """A driver may charge no longer, or again."""
        args = self.home.party, uid, self.home.kind, blocked, self.clock()
        self.store.run(tokens.set_blocked, *args)

    async def register(self, token: str) -> None:
        """Exchange credentials with the network that gave this token, however often it takes."""
        url = f"https://{HOME}/ocpi/versions"
        while True:
            try:
                await exchange.register(self.network, "North", url, token, Progress())
            except CsmsError:
                await asyncio.sleep(AGAIN_S)
            else:
                return

    async def order(self, party: str) -> Errand | None:
        """A driver starts a charge of that network from afar, where something is free: what became
        of it at once. None where nothing is."""
        free = await self._free(party)
        if not free or not self.uids:
            return None
        place, evse = self.rng.choice(free)
        token = self.home.party, self.rng.choice(self.uids), self.home.kind
        try:
            planned = await self.errands.start("driver", party, place, token, evse)
            await self.store.transact(errands.enter, planned.errand, planned.kind)
            return await self.errands.send(planned)
        except CsmsError:
            return None

    async def _free(self, party: str) -> list[tuple[str, str]]:
        """Location and EVSE of all that is free, as far as this partner knows."""
        where = {"module": locations.NAME, "party_id": party}
        places = [
            json.loads(row.body)
            for row in await self.store.reader.page(NeighbourObject, where, limit=1_000)
        ]
        return [
            (place["id"], evse["uid"])
            for place in places
            for evse in place["evses"]
            if evse["status"] == "AVAILABLE"
        ]

    async def run(self) -> None:
        """Its pumps, and what it gives up, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.publisher.run(), name=f"pumps of {self.home.party}")
            tasks.create_task(self.errands.run(), name=f"errands of {self.home.party}")


async def connect(ours: Network, store: Any, those: Sequence[PartnerSim]) -> None:
    """Connect everybody: invited by us, until their tokens are known here."""
    async with asyncio.TaskGroup() as tasks:
        for one in those:
            secret = ours.new_secret()
            row = ours.token_row(secret, "", TokenKind.INVITATION)
            store.run(partners.invite, ours.new_id(), one.home.party, row, ours.clock())
            tasks.create_task(one.register(secret), name=f"register {one.home.party}")


async def known(store: Any, those: Sequence[PartnerSim]) -> None:
    """Wait until the tokens of all partners are known here."""
    wanted = sum(len(one.uids) for one in those)
    async with asyncio.timeout(JOINED_WITHIN_S):
        while await _count(store, VisitorToken) < wanted or await _registered(store) < len(those):
            await asyncio.sleep(AGAIN_S)


async def _count(store: Any, kind: type[Any]) -> int:
    return len(await store.reader.page(kind, limit=1_000))


async def _registered(store: Any) -> int:
    return len(await store.reader.page(Partner, {"state": State.REGISTERED}, limit=100))
