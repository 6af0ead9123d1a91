"""Charge detail records: every priced charge is billed by one, as soon as its price is known; that
of a driver who was refused by none (`billing.refused`).

What a record says is put together outside any transaction (samples, place, tariff, token) and
sealed only if nothing changed meanwhile; what changes later is credited and sealed anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
import structlog

from csms.core import billing, cdrs
from csms.core.billing import State, TransactionPrice
from csms.core.cdrs import Cdr, Charge, Driver
from csms.core.errors import CsmsError
from csms.core.forgetting import is_pseudonym
from csms.core.ids import folded
from csms.core.metering import NO_EVSE, MeterSample
from csms.core.ports import Store
from csms.core.tariffs import Tariff
from csms.core.transactions import Transaction
from csms.flows.drivers import whose
from csms.flows.prices import Pricer

log = structlog.get_logger("flows.records")

EVERY_S = 1.0
AT_ONCE = 100
PAGE = 1_000
MAX_FAILED = 10_000
MAX_SIGNED = 100
_NATURES = {"Transaction.Begin": "Start", "Transaction.End": "End"}


class Biller:
    """Seals records. `run` bills what is priced until cancelled."""

    def __init__(
        self,
        store: Store,
        pricer: Pricer,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._pricer = pricer
        self._clock = clock
        self._new_id = new_id
        self._failed: set[tuple[int, int]] = set()

    async def run(self) -> None:
        """Bill what is priced, every second, until cancelled. A store that is away keeps it."""
        while True:
            try:
                await self.bill_priced()
            except CsmsError as error:
                log.warning("charges_not_billed", error=error.detail)
            except Exception:
                # Nothing that goes wrong with records may end the system.
                log.exception("charges_not_billed")
            await asyncio.sleep(EVERY_S)

    async def bill_priced(self) -> int:
        """Bill everything that is priced now; how many charges were billed."""
        billed = 0
        after: tuple[int] | None = None
        while True:
            rows = await self._store.reader.page(
                TransactionPrice, {"state": State.PRICED}, after=after, limit=AT_ONCE
            )
            for row in rows:
                billed += await self._bill(row)
            if len(rows) < AT_ONCE:
                return billed
            after = (rows[-1].transaction_id,)

    async def _bill(self, row: TransactionPrice) -> bool:
        tried = (row.transaction_id, row.revision)
        if tried in self._failed:
            return False
        try:
            charge = await self._charge(row)
        except CsmsError:
            raise
        except Exception:
            # One charge that cannot be billed must not keep the others. It stays priced, and is
            # tried again when something about it changes, or by the next process.
            log.exception("charge_not_billed", transaction=row.transaction_id)
            if len(self._failed) < MAX_FAILED:
                self._failed.add(tried)
            return False
        if charge is None:
            return False
        sealed = await self._store.transact(
            cdrs.seal,
            self._new_id(),
            charge,
            self._clock(),
            needs=(billing.needs(row.transaction_id), cdrs.needs(row.transaction_id)),
        )
        return sealed is not None

    async def _charge(self, row: TransactionPrice) -> Charge | None:
        """Everything that the record of a charge is made from."""
        reader = self._store.reader
        t = await reader.get(Transaction, row.transaction_id)
        found = await self._pricer.price(row.transaction_id)
        tariff = await reader.get(Tariff, row.party_id, folded(row.tariff_id), row.tariff_version)
        if t is None or found is None or tariff is None:
            return None
        if found.row.revision != row.revision or t.open:
            return None
        owner = await whose(reader, t)
        charge = Charge(
            transaction=t,
            price=found.row,
            tariff=tariff,
            cost=found.cost,
            periods=found.periods,
            signed=await self._signed(t),
            vat=found.vat,
        )
        if owner is None:
            driver, partner_id = await self._billed_to(t)
            return replace(charge, driver=driver, partner_id=partner_id)
        return replace(
            charge,
            driver=owner.driver,
            partner_id=owner.partner_id,
            auth_method=owner.auth_method,
            authorization_reference=owner.reference,
            contract=owner.contract,
        )

    async def _billed_to(self, t: Transaction) -> tuple[Driver | None, str | None]:
        """Whom the charge of a driver who is forgotten was billed to, and over which connection:
        whoever it was, under its pseudonym."""
        if not is_pseudonym(t.token_uid):
            return None, None
        for cdr in await self._store.reader.page(Cdr, {"transaction_id": t.id}, limit=1):
            token = cdr.data.get("cdr_token")
            if token is not None and cdr.token_party is not None:
                named = token.get("contract_id")
                return Driver(cdr.token_party, token["uid"], token["type"], named), cdr.partner_id
        return None, None

    async def _signed(self, t: Transaction) -> Mapping[str, Any] | None:
        """The signed readings of a charge, as they came (OCPI 2.2.1 mod_cdrs, SignedData); None
        when there are none."""
        where = {"station_id": t.station_id, "evse": NO_EVSE, "transaction_id": t.id}
        values: list[dict[str, Any]] = []
        method: str | None = None
        after: tuple[Any, ...] | None = None
        while True:
            rows = await self._store.reader.page(MeterSample, where, after=after, limit=PAGE)
            for row in rows:
                if '"signed"' not in row.readings:
                    continue
                for reading in orjson.loads(row.readings):
                    if reading.get("signed") is not None:
                        signed, named = _signed_value(reading)
                        values.append(signed)
                        method = method or named
            values = _most_telling(values)
            if len(rows) < PAGE:
                break
            after = rows[-1][:5]
        if not values:
            return None
        return {"encoding_method": method or "unknown", "signed_values": values}


def _most_telling(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of more values than a record has room for: those of start and end, then the earliest and the
    last. A long charge must not lose the reading that it ends with."""
    if len(values) <= MAX_SIGNED:
        return values
    ends = [v for v in values if v["nature"] != "Intermediate"]
    kept = ends[:1] + ends[max(1, len(ends) - MAX_SIGNED + 1) :]
    between = [v for v in values if v["nature"] == "Intermediate"]
    room = MAX_SIGNED - len(kept)
    chosen = {id(v) for v in (*kept, *(between[: room - 1] + between[-1:] if room > 0 else ()))}
    return [v for v in values if id(v) in chosen]


def _signed_value(reading: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """One signed reading, and how it is encoded. OCPP 2.x says so beside the data, 1.6 sends the
    data alone, in which OCMF names itself."""
    signed = reading["signed"]
    nature = _NATURES.get(reading.get("context", ""), "Intermediate")
    if isinstance(signed, dict):
        data = str(signed.get("signedMeterData", ""))
        method = signed.get("encodingMethod")
    else:
        data, method = str(signed), None
    if method is None and data.startswith("OCMF|"):
        method = "OCMF"
    value = {"nature": nature, "plain_data": str(reading.get("value", "")), "signed_data": data}
    return value, method
