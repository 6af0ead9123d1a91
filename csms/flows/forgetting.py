"""Forgetting drivers: one loop that waits until partners have been told, then takes a token out of
every table and of the journal, a little at a time.

Rows are found by reading along the key, as `flows.retention` does, and rewritten in small
transactions that say how far they are; it may be interrupted anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog

from csms.core import forgetting, identity
from csms.core.billing import State as PriceState
from csms.core.billing import TransactionPrice
from csms.core.cdrs import Cdr
from csms.core.disclosures import Disclosure, Module
from csms.core.entities import SHAPES
from csms.core.errands import OPEN as ERRAND_OPEN
from csms.core.errands import Errand
from csms.core.errors import CsmsError, Refused
from csms.core.exchanged import OPEN, CdrDelivery
from csms.core.forgetting import Forgetting, Stage
from csms.core.identity import JOURNAL, PLACES, SAMPLE, Place
from csms.core.messages import Message
from csms.core.metering import NO_EVSE, MeterSample
from csms.core.neighbours import NeighbourObject
from csms.core.orders import Order
from csms.core.orders import State as OrderState
from csms.core.partners import Partner, PartnerModule
from csms.core.partners import State as PartnerState
from csms.core.ports import Need, Reader, Store
from csms.core.tokens import uid_key
from csms.core.transactions import Transaction
from csms.flows.drivers import present

log = structlog.get_logger("flows.forgetting")

EVERY_S = 1.0
PAGE = 1_000
# At most so many rows are rewritten at once.
CHUNK = 200
# How often a page of the journal is read again.
MAX_AGAIN = 5
# How many pages without a find are gone through before it is said how far that is.
PAGES_UNSAID = 20
# What was said on a link is written into the message log within so long.
LOG_SETTLES = timedelta(seconds=3)
# A price or a session elsewhere that has not come to its end by then never will.
GIVEN_UP_AFTER = timedelta(days=1)
LOOK_EVERY = timedelta(minutes=1)
_HOLDING = (PartnerState.REGISTERED, PartnerState.SUSPENDED)


async def hindrance(reader: Reader, party: str, uid: str, now: datetime) -> str | None:
    """Why a token cannot be forgotten yet, beside an open charge (`forgetting.begin` sees that):
    what it did is not billed, or not settled with the network that has to pay."""
    key = uid_key(uid)
    async for price in _every(reader, TransactionPrice, state=(PriceState.DUE, PriceState.PRICED)):
        t = await reader.get(Transaction, price.transaction_id)
        if t is not None and t.token_key == key and _lately(t, now):
            return f"transaction {t.id} is not billed yet; try again in a minute"
    async for order in _every(reader, Order, state=OrderState.OPEN):
        if (order.party_id, order.uid_key) == (party, key):
            return "its network has just ordered a charge; try again in a minute"
    async for errand in _every(reader, Errand, status=ERRAND_OPEN):
        if errand.token_party == party and uid_key(errand.token_uid or "") == key:
            return f"{errand.party_id} is asked to start a charge; try again in a minute"
    async for partner in _every(reader, Partner, state=_HOLDING):
        if partner.endpoint("cdrs", "RECEIVER") is None:
            # They read our list, where the record stays.
            continue
        async for row in _every(reader, CdrDelivery, partner_id=partner.id, state=OPEN):
            token = forgetting.token_of(row.body)
            if token is not None and (token.party_id, uid_key(token.uid)) == (party, key):
                return (
                    f"record {row.cdr_id} for {partner.name} is {row.state}, not settled; "
                    "csms roaming deliveries shows why"
                )
    return await _not_on_its_way(reader, party, key, now)


async def _not_on_its_way(reader: Reader, party: str, key: str, now: datetime) -> str | None:
    """A record that was just sealed, and that the pump has not put into the outbox of the driver's
    network yet."""
    latest = await reader.page(Transaction, {"token_key": key}, limit=PAGE, newest_first=True)
    lately = tuple(t.id for t in latest if _lately(t, now))
    async for cdr in _every(reader, Cdr, transaction_id=lately):
        if cdr.token_party != party:
            continue
        partner = await present(reader, cdr.partner_id, party)
        if partner is None or partner.endpoint("cdrs", "RECEIVER") is None:
            continue
        where = {"party_id": cdr.party_id, "id_key": cdr.id_key}
        if not await reader.page(CdrDelivery, where, limit=1):
            return f"record {cdr.id} is not on its way to {partner.name} yet; try again in a minute"
    return None


def _lately(t: Transaction, now: datetime) -> bool:
    return now - (t.end_received_at or t.received_at) < GIVEN_UP_AFTER


async def _every(reader: Reader, kind: type[Any], **where: Any) -> Any:
    """Every row that matches, a page at a time."""
    after = None
    while True:
        page = await reader.page(kind, where, after=after, limit=PAGE)
        for row in page:
            yield row
        if len(page) < PAGE:
            return
        after = SHAPES[kind].key_of(page[-1])


class Forgetter:
    """Carries out what `core.forgetting` has begun. `patience`: how long a partner that cannot be
    told is waited for."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        patience: timedelta,
        log_settles: timedelta = LOG_SETTLES,
    ) -> None:
        self._store = store
        self._clock = clock
        self._patience = patience
        self._log_settles = log_settles
        self._looked: dict[str, datetime] = {}

    async def run(self) -> None:
        """Go on with everything that has begun, again and again, until cancelled."""
        while True:
            try:
                await self.go_on()
            except CsmsError as error:
                log.warning("forgetting_interrupted", why=error.detail or error.code)
            except Exception:
                # Nothing that goes wrong with it may end the system.
                log.exception("forgetting_interrupted")
            await asyncio.sleep(EVERY_S)

    async def go_on(self) -> None:
        """Take everything that has begun as far as it goes now. Raises what the store raises."""
        for state in (Stage.REWRITING, Stage.TELLING):
            rows = await self._store.reader.page(Forgetting, {"state": state}, limit=PAGE)
            for row in rows:
                if state == Stage.TELLING and not self._look(row):
                    continue
                try:
                    await self._forget(row)
                except CsmsError:
                    raise
                except Exception:
                    # One that cannot be gone on with must not keep the others.
                    log.exception("forgetting_interrupted", forgetting=row.id)

    def _look(self, row: Forgetting) -> bool:
        """Whether to look now at what it waits for: in the first minute always, later less often,
        because it may take days and costs a look through what is open."""
        now = self._clock()
        looked = self._looked.get(row.id)
        soon = now - row.requested_at < LOOK_EVERY
        if looked is not None and not soon and now - looked < LOOK_EVERY:
            return False
        self._looked[row.id] = now
        return True

    async def _forget(self, row: Forgetting) -> None:
        if row.state == Stage.TELLING:
            row = await self._announced(row)
            why = await self._in_the_way(row)
            if why is None:
                try:
                    first = SHAPES[PLACES[0].kind].table
                    row = await self._transact(forgetting.take_out, row, first, self._clock())
                except Refused as error:
                    why = error.detail
            if why is not None:
                await self._transact(forgetting.waiting, row, why)
                return
        if row.state == Stage.REWRITING:
            await self._rewrite(row)

    async def _transact(self, fn: Callable[..., Any], row: Forgetting, *args: Any) -> Forgetting:
        needs = (Need(Forgetting, None, (row.id,)),)
        after: Forgetting | None = await self._store.transact(fn, row.id, *args, needs=needs)
        assert after is not None, "rows of it are never deleted"
        return after

    # -- telling -----------------------------------------------------------------------------------

    async def _announced(self, row: Forgetting) -> Forgetting:
        """The row, once it knows which journal row tells partners that its token is blocked."""
        if row.told_seq is not None:
            return row
        if not row.ours:
            # It is their own: nobody is told.
            return await self._transact(forgetting.announced, row, 0)
        reader = self._store.reader
        after = await reader.journal_end()
        await self._store.transact(forgetting.announce, row.id, self._clock())
        while True:
            rows = await reader.journal(after, PAGE)
            for entry in rows:
                if entry.kind == "token_changed" and _is_about(entry.data, row):
                    return await self._transact(forgetting.announced, row, entry.seq)
            assert rows, "what was committed can be read"
            after = rows[-1].seq

    async def _in_the_way(self, row: Forgetting) -> str | None:
        """What is waited for, in words."""
        reader, now = self._store.reader, self._clock()
        why = await hindrance(reader, row.party_id, row.uid, now)
        if why is not None or now - row.requested_at >= self._patience:
            return why
        if row.ours:
            async for partner in _every(reader, Partner, state=_HOLDING):
                if await self._holds(partner, row):
                    until = (row.requested_at + self._patience).date()
                    return f"{partner.name} was not told yet; it is waited for until {until}"
            async for session in _every(reader, NeighbourObject, module="sessions"):
                if self._goes_on(session, row, now):
                    return f"session {session.id} at {session.party_id} goes on"
        return None

    def _goes_on(self, session: NeighbourObject, row: Forgetting, now: datetime) -> bool:
        token = forgetting.token_of(session.body)
        if token is None or (token.party_id, uid_key(token.uid)) != (row.party_id, row.uid_key):
            return False
        status = orjson.loads(session.body).get("status")
        return status in ("ACTIVE", "PENDING") and now - session.received_at < GIVEN_UP_AFTER

    async def _holds(self, partner: Partner, row: Forgetting) -> bool:
        """Whether a partner may take the token for valid."""
        reader = self._store.reader
        if partner.endpoint("tokens", "RECEIVER") is not None:
            pushed = await reader.get(PartnerModule, partner.id, "tokens", "push")
            return pushed is None or pushed.cursor < (row.told_seq or 0)
        # It reads our list: what it has read last is noted.
        where = {"partner_id": partner.id, "party_id": row.party_id, "uid_key": row.uid_key}
        read = await reader.page(Disclosure, {**where, "module": Module.LIST})
        return any(seen.facts.get("valid", [False])[-1] for seen in read)

    # -- rewriting ---------------------------------------------------------------------------------

    async def _rewrite(self, row: Forgetting) -> None:
        tables = [SHAPES[place.kind].table for place in PLACES]
        reached = tables.index(row.place) if row.place in tables else len(tables)
        for place in PLACES[reached:]:
            table = SHAPES[place.kind].table
            if row.place != table:
                row = await self._transact(identity.next_place, row, table)
            if place.kind is Message and not self._log_is_written(row):
                return
            row = await self._table(row, place)
        if row.place != JOURNAL:
            row = await self._transact(identity.next_place, row, JOURNAL)
        row = await self._journal(row)
        await self._transact(forgetting.finish, row, self._clock())
        self._looked.pop(row.id, None)
        log.info("token_forgotten", forgetting=row.id, rows=row.rewritten)

    def _log_is_written(self, row: Forgetting) -> bool:
        return row.since is None or self._clock() - row.since >= self._log_settles

    async def _table(self, row: Forgetting, place: Place) -> Forgetting:
        key_of, redactor = SHAPES[place.kind].key_of, row.redactor
        after, unsaid = identity.read_key(row.after), 0
        while True:
            page = await self._store.reader.page(place.kind, after=after, limit=PAGE)
            named = [r for r in page if place.without(r, redactor, row.party_id) != r]
            if page:
                after = key_of(page[-1])
            for found in named:
                if place.kind is Transaction:
                    # Before the transaction, by which they are found.
                    await self._samples(row, found)
            unsaid += 1
            if named or unsaid >= PAGES_UNSAID:
                unsaid = 0
                for n in range(0, max(1, len(named)), CHUNK):
                    chunk = [key_of(found) for found in named[n : n + CHUNK]]
                    last = n + CHUNK >= len(named)
                    row = await self._rewritten(row, place, chunk, after if last else None)
            if len(page) < PAGE:
                return row
            await asyncio.sleep(0)

    async def _rewritten(
        self, row: Forgetting, place: Place, keys: list[Any], after: Any
    ) -> Forgetting:
        needs = [Need(place.kind, None, key) for key in keys]
        found: Forgetting | None = await self._store.transact(
            identity.rewrite, row.id, place, keys, after, needs=needs
        )
        assert found is not None, "rows of it are never deleted"
        return found

    async def _samples(self, row: Forgetting, t: Transaction) -> None:
        """The samples of a transaction: signed readings may name the token."""
        where = {"station_id": t.station_id, "evse": NO_EVSE, "transaction_id": t.id}
        key_of, redactor, after = SHAPES[MeterSample].key_of, row.redactor, None
        while True:
            page = await self._store.reader.page(MeterSample, where, after=after, limit=PAGE)
            named = [r for r in page if SAMPLE.without(r, redactor, row.party_id) != r]
            for n in range(0, len(named), CHUNK):
                keys = [key_of(found) for found in named[n : n + CHUNK]]
                await self._rewritten(row, SAMPLE, keys, None)
            if len(page) < PAGE:
                return
            after = key_of(page[-1])

    async def _journal(self, row: Forgetting) -> Forgetting:
        reader, redactor = self._store.reader, row.redactor
        after, unsaid, again = int(row.after[0]) if row.after else 0, 0, 0
        while True:
            entries = await reader.journal(after, PAGE)
            changes = [
                (entry.seq, entry.data, made)
                for entry in entries
                if (made := redactor.json(entry.data)) != entry.data
            ]
            unsaid += 1
            for n in range(0, len(changes), CHUNK):
                chunk = changes[n : n + CHUNK]
                row = await self._transact(identity.rewrite_journal, row, chunk, chunk[0][0] - 1)
            again += bool(changes)
            if changes and again <= MAX_AGAIN:
                # Read again: a row that somebody else has rewritten meanwhile says something else.
                continue
            after, again = (entries[-1].seq if entries else after), 0
            if unsaid >= PAGES_UNSAID:
                unsaid = 0
                row = await self._transact(identity.rewrite_journal, row, [], after)
            if len(entries) < PAGE:
                return row
            await asyncio.sleep(0)


def _is_about(data: str, row: Forgetting) -> bool:
    event = orjson.loads(data)
    return event["party_id"] == row.party_id and uid_key(event["uid"]) == row.uid_key
