"""What partners hold against what we hold, once nothing is on its way any more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from csms.core import billing
from csms.core.cdrs import Cdr
from csms.core.entities import SHAPES
from csms.core.exchanged import CdrDelivery, Delivery, ReceivedCdr
from csms.core.ids import folded
from csms.core.locations import Location
from csms.core.neighbours import NeighbourObject
from csms.core.partners import PUSH, Partner, PartnerModule
from csms.core.tariffs import Tariff
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from csms.flows.drivers import whose
from csms.ocpi import locations, sessions, tariffs, tokens
from csms.ocpi.network import CPO, Network
from csms.ocpi.wire import reading
from tests.simulation.partners import PartnerSim


class Agreement:
    """Ours and a partner's. `differences` says what is not the same; `counted` how much is."""

    def __init__(self, ours: Network, theirs: PartnerSim, partner: Partner) -> None:
        self.ours, self.theirs, self.partner = ours, theirs, partner
        self.counted: Counter[str] = Counter()
        self._found: list[str] = []

    async def differences(self) -> list[str]:
        """In words; nothing when all is the same."""
        self.counted.clear()
        self._found.clear()
        await self._places()
        await self._tariffs()
        await self._sessions()
        await self._records()
        await self._their_tokens()
        await self._our_tokens()
        await self._pushes()
        return self._found

    def _differs(self, what: str, ours: Any, theirs: Any) -> None:
        name = self.theirs.home.party
        self._found.append(f"{name} {what}: ours {ours}, theirs {theirs}")

    async def _held(self, module: str) -> dict[str, Any]:
        rows = await every(self.theirs.store, NeighbourObject, module=module)
        return {row.id: json.loads(row.body) for row in rows}

    async def _places(self) -> None:
        """Every EVSE with its status and when that changed; the place around it."""
        held = await self._held(locations.NAME)
        for place in await every(self.ours.store, Location):
            told = plain(await locations.tell(self.ours, place))
            there = held.pop(place.id, None)
            if there is None:
                self._differs(f"location {place.id}", "there", None)
                continue
            ours, theirs = by_uid(told), by_uid(there)
            for uid in {**ours, **theirs}:
                self.counted["evses_agreed"] += 1
                if ours.get(uid) != theirs.get(uid):
                    self._differs(f"EVSE {uid}", ours.get(uid), theirs.get(uid))
            if around(told) != around(there):
                self._differs(f"location {place.id}", around(told), around(there))
        self._nothing_more("locations", held)

    async def _tariffs(self) -> None:
        held = await self._held(tariffs.NAME)
        for row in await every(self.ours.store, Tariff, current=True):
            told, there = plain(tariffs.shown(row)), held.pop(row.id, None)
            if told != there:
                self._differs(f"tariff {row.id}", told, there)
        self._nothing_more("tariffs", held)

    async def _sessions(self) -> None:
        """Each charge of its drivers, and no other."""
        held = await self._held(sessions.NAME)
        for t in await every(self.ours.store, Transaction):
            if t.token_uid not in self.theirs.uids:
                continue
            owner = await whose(self.ours.store.reader, t)
            if owner is None or owner.driver.party_id != self.theirs.home.party:
                self._differs(f"owner of {t.id}", owner, t.token_uid)
                continue
            told, there = plain(await sessions.tell(self.ours, t, owner)), held.pop(str(t.id), None)
            self.counted["sessions_agreed"] += 1
            if told != there:
                self._differs(f"session {t.id}", told, there)
        self._nothing_more("sessions", held)

    async def _records(self) -> None:
        """Each record of a charge by its drivers once, and no other: one that stands for each
        charge, with the same energy and money."""
        rows = await every(self.theirs.store, ReceivedCdr)
        held = {row.id: row for row in rows}
        standing: Counter[int] = Counter()
        for cdr in await every(self.ours.store, Cdr):
            if cdr.token_uid not in self.theirs.uids:
                continue
            there = held.pop(cdr.id, None)
            if there is None:
                self._differs(f"CDR {cdr.id}", f"transaction {cdr.transaction_id}", None)
                continue
            energy = Decimal(there.energy_kwh) * 1_000
            ours = cdr.energy_wh, Decimal(cdr.before_taxes), cdr.token_party
            theirs = energy, Decimal(there.before_taxes), there.token_party
            if ours != theirs or cdr.credit_of != there.credit_of:
                self._differs(f"CDR {cdr.id}", cdr, there)
            if there.difference is not None and Decimal(there.difference) and not there.credit_of:
                self._differs(f"price of {cdr.id}", cdr.before_taxes, there.repriced)
            self.counted["records_repriced"] += there.repriced is not None
            self.counted["records_agreed"] += 1
            self.counted["credits_agreed"] += cdr.credit_of is not None
            standing[cdr.transaction_id] += -1 if cdr.credit_of else 1
            self.counted["billed_to_partners_wh"] += (
                -cdr.energy_wh if cdr.credit_of else cdr.energy_wh
            )
        for t in await every(self.ours.store, Transaction):
            expected = 0 if billing.refused(t) else 1
            if t.token_uid in self.theirs.uids and standing[t.id] != expected:
                self._differs(f"records of {t.id}", expected, standing[t.id])
        self._nothing_more("CDRs", held)

    async def _their_tokens(self) -> None:
        now = self.theirs.clock()
        for token in await every(self.theirs.store, Token):
            key = token.party_id, token.uid_key, "RFID" if token.kind == "rfid" else "APP_USER"
            known = await self.ours.store.reader.get(VisitorToken, *key)
            good = token.standing(now) == "accepted"
            if known is None or known.valid != good:
                self._differs(f"token {token.uid}", known, token)

    async def _our_tokens(self) -> None:
        """Only who charges others' drivers is told of ours."""
        held = {v.uid: dict(v.data) for v in await every(self.theirs.store, VisitorToken)}
        for token in await every(self.ours.store, Token):
            if CPO not in self.theirs.home.roles:
                break
            name = tokens.issuer(self.ours, token.party_id)
            told = plain(tokens.shown(token, name, self.ours.clock()))
            there = held.pop(token.uid, None)
            self.counted["tokens_agreed"] += 1
            if told != there:
                self._differs(f"token {token.uid}", told, there)
        if CPO in self.theirs.home.roles:
            self._nothing_more("tokens", held)

    async def _pushes(self) -> None:
        """Nothing waits to be told, and nothing was refused."""
        store = self.ours.store
        for row in await every(store, PartnerModule, partner_id=self.partner.id, direction=PUSH):
            if row.error or row.behind_s:
                self._differs(f"pushes of {row.module}", row.error, row.behind_s)
        for delivery in await every(store, CdrDelivery, partner_id=self.partner.id):
            self.counted["records_sent_again"] += delivery.attempts > 1
            if delivery.state != Delivery.CONFIRMED:
                self._differs(f"delivery of {delivery.cdr_id}", delivery.state, delivery.error)

    def _nothing_more(self, what: str, held: Mapping[str, Any]) -> None:
        if held:
            self._differs(what, "no others", sorted(held))


async def every(store: Any, kind: type[Any], **where: Any) -> list[Any]:
    """All of what is stored and matches."""
    found: list[Any] = []
    after: Any = None
    while True:
        page: Sequence[Any] = await store.reader.page(kind, where, after=after, limit=500)
        found += page
        if len(page) < 500:
            return found
        after = SHAPES[kind].key_of(page[-1])


def plain(told: Any) -> Any:
    """What was told as it is kept: JSON, numbers as they are read."""
    return None if told is None else json.loads(reading.dump(told))


def by_uid(place: Mapping[str, Any]) -> dict[str, Any]:
    """The EVSEs of a location. When a plug was updated follows its EVSE, which is told alone."""
    return {
        folded(evse["uid"]): {
            **evse,
            "connectors": [{**c, "last_updated": None} for c in evse["connectors"]],
        }
        for evse in place["evses"]
    }


def around(place: Mapping[str, Any]) -> dict[str, Any]:
    """A location without what changes inside it."""
    return {n: v for n, v in place.items() if n not in ("evses", "last_updated")}
