"""MeterValues and the samples inside StopTransaction (OCPP 1.6 4.7, 7.31 to 7.38)."""

from __future__ import annotations

from csms.core import charging, transactions
from csms.core.charging import MeterReport
from csms.core.ids import MAX_INT32, Origin
from csms.core.metering import Reading, Sample
from csms.core.ports import Need, Reply, Tx
from csms.core.transactions import Transaction
from csms.ocpp import wire
from csms.ocpp.routing import SIGNED_TOO_LARGE, Answer, Payload, count_refusal

# An id beyond int32 was never ours; it must not be taken for "no id", which is what 0 means.
UNKNOWN_ID = MAX_INT32


def meter_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    transaction_id = _transaction_id(payload)
    if transaction_id is not None and transaction_id > 0:
        return (transactions.needs(transaction_id),)
    return (Need(Transaction, "open_of_station", (origin.station_id, True)),)


def meter_values(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    report = MeterReport(
        evse=max(0, wire.integer(payload, "connectorId") or 0),
        transaction_id=_transaction_id(payload),
        samples=samples(tx, origin, payload, "meterValue"),
    )
    charging.meter(tx, origin, report)
    return Reply({})


def _transaction_id(payload: Payload) -> int | None:
    if payload.get("transactionId") is None:
        return None
    transaction_id = wire.integer(payload, "transactionId")
    return UNKNOWN_ID if transaction_id is None else transaction_id


def samples(tx: Tx, origin: Origin, payload: Payload, name: str) -> tuple[Sample, ...]:
    """The samples of a list of MeterValue; what cannot be read is left out, and counted where it
    was signed."""
    found = []
    for value in wire.items(payload, name):
        readings = []
        for sampled in wire.items(value, "sampledValue"):
            reading = _reading(tx, origin, sampled)
            if reading is not None:
                readings.append(reading)
        if readings:
            found.append(Sample(wire.moment(value.get("timestamp")), tuple(readings)))
    return tuple(found)


def _reading(tx: Tx, origin: Origin, sampled: Payload) -> Reading | None:
    raw = sampled.get("value")
    if sampled.get("format") == "SignedData":
        if not isinstance(raw, str):
            return None
        if not wire.fits(raw):
            count_refusal(tx, origin, SIGNED_TOO_LARGE)
            return None
        # Kept byte for byte: the driver's proof of the reading.
        return wire.reading(sampled, "", sampled.get("unit"), raw)
    value = wire.number_text(raw)
    return None if value is None else wire.reading(sampled, value, sampled.get("unit"))
