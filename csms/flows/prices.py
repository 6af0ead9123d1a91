"""Prices of transactions: computed when asked, and settled once they have ended.

The computation reads all samples of a transaction, which no function of a batch may do, so it is
done here, outside any transaction; what it finds is written only if nothing changed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import structlog

from csms.core import billing
from csms.core.billing import ChargingState, Computed, PriceAsked, State, TransactionPrice
from csms.core.contracts import Contract
from csms.core.entities import SHAPES
from csms.core.errors import CsmsError
from csms.core.flags import MEANING, SEQUENCE_REPEATED
from csms.core.ids import folded
from csms.core.metering import NO_EVSE, MeterSample, Sample
from csms.core.ports import Store
from csms.core.pricing.breakdown import breakdown
from csms.core.pricing.cost import Cost, Policy, price
from csms.core.pricing.metered import StateChange, metered, periods
from csms.core.pricing.money import Treatment
from csms.core.pricing.periods import Period
from csms.core.pricing.tariff import TaxIncluded, Terms, read
from csms.core.tariffs import Tariff
from csms.core.taxes import Place, TaxTable
from csms.core.transactions import Transaction
from csms.flows.drivers import whose

log = structlog.get_logger("flows.prices")

EVERY_S = 1.0
PAGE = 1_000
# A reading each second for more than a day; what comes after is not needed to know the price.
MAX_PAGES = 100
AT_ONCE = 100
MAX_FAILED = 10_000


@dataclass(frozen=True, slots=True)
class Priced:
    """A cost, the periods it is made of, and the row that fixed its tariff. `vat`: the percentage
    that was added where the tariff names none, if it is a single one."""

    row: TransactionPrice
    cost: Cost
    periods: tuple[Period, ...]
    vat: Decimal | None = None

    @property
    def details(self) -> dict[str, Any]:
        """The breakdown as it is shown and kept."""
        return breakdown(self.cost, self.periods)


class Pricer:
    """Computes prices. `run` settles what is due until cancelled."""

    def __init__(self, store: Store, taxes: TaxTable, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._taxes = taxes
        self._clock = clock
        self._failed: set[tuple[int, int]] = set()

    async def price(self, transaction_id: int) -> Priced | None:
        """What a transaction costs by what is known now; None when it has no price."""
        reader = self._store.reader
        row = await reader.get(TransactionPrice, transaction_id)
        t = await reader.get(Transaction, transaction_id)
        if row is None or t is None:
            return None
        key = (row.party_id, folded(row.tariff_id), row.tariff_version)
        tariff = await reader.get(Tariff, *key)
        if tariff is None:
            return None
        terms, faults = read(tariff.data)
        samples, all_samples = await self._samples(t)
        changes, all_changes = await self._states(t)
        if not (all_samples and all_changes):
            faults = (*faults, "it lasted so long that not all that was reported of it was read")
        where = (str(row.place.get("city", "")), str(row.place.get("postal_code", "")))
        place = Place(row.country, row.region, where)
        owner = await whose(reader, t)
        contract = owner.contract if owner else Contract()
        return await asyncio.to_thread(
            self._compute, row, t, terms, faults, samples, changes, place, contract
        )

    def _compute(
        self,
        row: TransactionPrice,
        t: Transaction,
        terms: Terms,
        faults: tuple[str, ...],
        samples: list[Sample],
        changes: list[StateChange],
        place: Place,
        contract: Contract,
    ) -> Priced:
        refused = billing.refused(t)
        if refused:
            # Nowhere is told what looks like a debt.
            terms = replace(terms, elements=(), min_price=None)
        zone = ZoneInfo(row.time_zone)
        session = metered(t, samples, changes, self._clock())
        cut = periods(session, terms, zone)
        # Taxes are those of the day on which the price becomes due.
        found = self._taxes.at(place, session.end.astimezone(zone).date())
        policy = Policy(found.taxes, contract.taxes, contract.rounding)
        cost = price(terms, cut, zone, policy)
        if refused:
            cost = replace(cost, notes=(*cost.notes, f"nothing is charged: {billing.WHY_REFUSED}"))
        doubts = [*faults, *cost.warnings]
        if not refused and not any(c.vat is not None for e in terms.elements for c in e.components):
            doubts += found.doubts
        doubts += [f"{flag}: {MEANING[flag]}" for flag in t.flags if flag != SEQUENCE_REPEATED]
        if not t.open and t.first_wh is None and t.last_wh is None:
            doubts.append("the station reported no meter reading: the energy is not known")
        taxed = contract.taxes is Treatment.TAXED
        taxed = taxed and terms.included is not TaxIncluded.NOT_APPLICABLE
        vat = found.single if taxed else None
        return Priced(row, replace(cost, warnings=tuple(dict.fromkeys(doubts))), tuple(cut), vat)

    async def _samples(self, t: Transaction) -> tuple[list[Sample], bool]:
        where = {"station_id": t.station_id, "evse": NO_EVSE, "transaction_id": t.id}
        rows, whole = await self._all(MeterSample, where, t)
        return [Sample(row.at, tuple(orjson.loads(row.readings))) for row in rows], whole

    async def _states(self, t: Transaction) -> tuple[list[StateChange], bool]:
        rows, whole = await self._all(ChargingState, {"transaction_id": t.id}, t)
        return [StateChange(row.at, row.state) for row in rows], whole

    async def _all(
        self, kind: type[Any], where: dict[str, Any], t: Transaction
    ) -> tuple[list[Any], bool]:
        """What is stored of a transaction, oldest first; and whether that is all of it."""
        key_of = SHAPES[kind].key_of
        found: list[Any] = []
        for _ in range(MAX_PAGES):
            after = key_of(found[-1]) if found else None
            rows = await self._store.reader.page(kind, where, after=after, limit=PAGE)
            found += rows
            if len(rows) < PAGE:
                return found, True
        log.warning("price_rows_left_out", transaction=t.id, table=SHAPES[kind].table)
        return found, False

    async def ask(self, request: object) -> Computed | None:
        """The answer to a `billing.PriceAsked`, for a station that waits for the cost of what has
        ended."""
        assert isinstance(request, PriceAsked)
        found = await self.price(request.transaction_id)
        return None if found is None else self._computed(found)

    def _computed(self, found: Priced) -> Computed:
        total = found.cost.total
        amounts = (str(total.before_taxes), str(total.after_taxes))
        return Computed(found.row.revision, amounts, found.details, self._clock())

    # -- settling ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Settle what is due, every second, until cancelled. A store that is away keeps it due."""
        while True:
            try:
                await self.settle_due()
            except CsmsError as error:
                log.warning("prices_not_settled", error=error.detail)
            except Exception:
                # Nothing that goes wrong with prices may end the system.
                log.exception("prices_not_settled")
            await asyncio.sleep(EVERY_S)

    async def settle_due(self) -> int:
        """Settle everything that is due now; how many prices were settled."""
        settled = 0
        after: tuple[int] | None = None
        while True:
            rows = await self._store.reader.page(
                TransactionPrice, {"state": State.DUE}, after=after, limit=AT_ONCE
            )
            for row in rows:
                settled += await self._settle(row)
            if len(rows) < AT_ONCE:
                return settled
            after = (rows[-1].transaction_id,)

    async def _settle(self, row: TransactionPrice) -> bool:
        tried = (row.transaction_id, row.revision)
        if tried in self._failed:
            return False
        try:
            found = await self.price(row.transaction_id)
        except CsmsError:
            raise
        except Exception:
            # One price that cannot be computed must not keep those of others. It stays due, and is
            # tried again when something about it changes, or by the next process.
            log.exception("price_not_computed", transaction=row.transaction_id)
            if len(self._failed) < MAX_FAILED:
                self._failed.add(tried)
            return False
        if found is None or found.row.revision != row.revision:
            return False
        return await self._store.transact(
            billing.settle,
            row.transaction_id,
            self._computed(found),
            needs=(billing.needs(row.transaction_id),),
        )
