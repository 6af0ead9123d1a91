"""A station that charges, for tests of the core: an inline store with stations and cards, and short
ways to say what a station reports."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from csms.core import charging, stations, tokens
from csms.core.authorization import Authorization
from csms.core.billing import State, TransactionPrice
from csms.core.charging import MeterReport, Started, StartReport, StopReport
from csms.core.ids import Origin
from csms.core.metering import REGISTER, MeterSample, Reading, Sample
from csms.core.quarantine import Quarantined
from csms.core.tokens import Shown, Token
from csms.core.transactions import Transaction, TransactionReport
from csms.storage.open import open_inline

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
PARTY = "CA*NTH"


def at(seconds: float) -> datetime:
    """A moment relative to `NOW`."""
    return NOW + timedelta(seconds=seconds)


def origin(seconds: float = 0, station: str = "s1", protocol: str = "ocpp1.6") -> Origin:
    """A message of that station, received then."""
    return Origin(station, f"CS-{station}", protocol, at(seconds))


def wh(value: object, seconds: float, context: str | None = None, **fields: Any) -> Sample:
    """A sample of the energy register."""
    reading: Reading = {"value": str(value), "measurand": REGISTER, **fields}
    if context is not None:
        reading["context"] = context
    return Sample(at(seconds), (reading,))


class Site:
    """A network in memory: stations `s1` and `s2` with two EVSEs each, the card `CARD`."""

    def __init__(self) -> None:
        self.store = open_inline()
        for station_id in ("s1", "s2"):
            new = stations.NewStation(f"CS-{station_id}", PARTY, evses=2)
            self.store.run(stations.onboard, station_id, new, NOW)
        self.card("CARD")

    def run(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return self.store.run(lambda tx: fn(tx, *args, **kwargs))

    def card(self, uid: str, **changes: Any) -> Token:
        row = Token(PARTY, "", "rfid", uid, NOW)._replace(**changes)
        return self.run(tokens.add, row, NOW)

    # -- OCPP 1.6 ----------------------------------------------------------------------------

    def start(
        self,
        seconds: float = 0,
        meter_wh: int | None = 1_000,
        *,
        evse: int = 1,
        card: str = "CARD",
        clock: datetime | str | None = "right",
        station: str = "s1",
        received: float | None = None,
    ) -> Started:
        """A StartTransaction of that time; `clock` is the station's own time if it is not right."""
        when = at(seconds) if clock == "right" else clock
        report = StartReport(evse, Shown(card), when, meter_wh)  # type: ignore[arg-type]
        got = origin(seconds if received is None else received, station)
        return self.run(charging.start, got, report)

    def stop(
        self,
        transaction_id: int,
        seconds: float = 3_600,
        meter_wh: int | None = 11_000,
        *,
        card: str | None = None,
        reason: str | None = None,
        samples: Iterable[Sample] = (),
        clock: datetime | str | None = "right",
        station: str = "s1",
        received: float | None = None,
    ) -> Authorization | None:
        """A StopTransaction of that time."""
        when = at(seconds) if clock == "right" else clock
        shown = Shown(card) if card else None
        report = StopReport(transaction_id, when, meter_wh, shown, reason, tuple(samples))  # type: ignore[arg-type]
        got = origin(seconds if received is None else received, station)
        return self.run(charging.stop, got, report)

    def meter(
        self,
        samples: Iterable[Sample],
        transaction_id: int | None = None,
        *,
        evse: int = 1,
        seconds: float = 60,
        station: str = "s1",
    ) -> None:
        """A MeterValues, received then."""
        report = MeterReport(evse, tuple(samples), transaction_id)
        self.run(charging.meter, origin(seconds, station), report)

    # -- OCPP 2.x ----------------------------------------------------------------------------

    def event(
        self, report: TransactionReport, seconds: float | None = None, station: str = "s1"
    ) -> Authorization | None:
        """A TransactionEvent, received then (by default when it happened)."""
        received = (report.at - NOW).total_seconds() if seconds is None else seconds
        return self.run(charging.event, origin(received, station, "ocpp2.0.1"), report)

    def price(self, transaction_id: int) -> TransactionPrice:
        """The price of a transaction, fixed and computed."""
        fixed = "DAY", 1, "CAD", "LOC-1", "E-1", "UTC", "CA", None, NOW, State.PRICED
        row = TransactionPrice(transaction_id, PARTY, *fixed)
        self.store.run(lambda tx: tx.save(row))
        return row

    # -- what there is -----------------------------------------------------------------------

    def get(self, kind: type[Any], *key: Any) -> Any:
        return self.store.run(lambda tx: tx.get(kind, *key))

    def transaction(self, transaction_id: int) -> Transaction:
        found = self.get(Transaction, transaction_id)
        assert found is not None
        return found

    def wire(self, wire_id: str, station: str = "s1") -> Transaction:
        (found,) = self.store.run(lambda tx: tx.find(Transaction, "wire", station, wire_id))
        return found

    def rows(self, kind: type[Any]) -> list[Any]:
        """All rows of a table, in key order."""
        said = self.store.reader._statements.of[kind]  # type: ignore[attr-defined]
        columns = ", ".join(said.shape.fields)
        sql = f"SELECT {columns} FROM {said.shape.table} ORDER BY {', '.join(said.shape.key)}"
        database = self.store.reader._database  # type: ignore[attr-defined]
        return [said.decode(row) for row in database.fetch(sql, ())]

    def samples(self) -> list[tuple[float, int]]:
        """The stored samples of the register: seconds after `NOW`, and Wh."""
        return sorted(
            ((row.at - NOW).total_seconds(), int(json.loads(row.readings)[0]["value"]))
            for row in self.rows(MeterSample)
        )

    def journal(self) -> list[str]:
        """The kinds of all events, in order."""
        database = self.store.reader._database  # type: ignore[attr-defined]
        return [kind for (kind,) in database.fetch("SELECT kind FROM journal ORDER BY seq", ())]

    def facts(self, kind: str) -> list[dict[str, Any]]:
        """The data of all events of a kind, in order."""
        database = self.store.reader._database  # type: ignore[attr-defined]
        rows = database.fetch("SELECT data FROM journal WHERE kind = ? ORDER BY seq", (kind,))
        return [json.loads(data) for (data,) in rows]

    def reasons(self) -> list[str]:
        """Why there is something in quarantine."""
        return sorted(row.reason for row in self.rows(Quarantined))

    def state(self) -> tuple[Any, ...]:
        """Everything that there is, to show that something changed nothing."""
        kinds = (Transaction, MeterSample, Quarantined)
        return *(self.rows(kind) for kind in kinds), self.journal()

    def marks(self) -> list[str]:
        """The marks since the last call."""
        taken, self.store.marks = self.store.marks, []
        return taken
