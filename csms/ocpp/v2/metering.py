"""MeterValues and the samples inside TransactionEvent (OCPP 2.0.1 J01, J02)."""

from __future__ import annotations

from csms.core import charging
from csms.core.charging import MeterReport
from csms.core.ids import Origin
from csms.core.metering import Reading, Sample
from csms.core.ports import Need, Reply, Tx
from csms.core.transactions import Transaction
from csms.ocpp import wire
from csms.ocpp.routing import SIGNED_TOO_LARGE, Answer, Payload, count_refusal


def meter_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    return (Need(Transaction, "open_of_station", (origin.station_id, True)),)


def meter_values(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    report = MeterReport(
        evse=max(0, wire.integer(payload, "evseId") or 0), samples=samples(tx, origin, payload)
    )
    charging.meter(tx, origin, report)
    return Reply({})


def samples(tx: Tx, origin: Origin, payload: Payload) -> tuple[Sample, ...]:
    """The samples of a `meterValue` list; what cannot be read is left out, and counted where it was
    signed."""
    found = []
    for value in wire.items(payload, "meterValue"):
        readings = []
        for sampled in wire.items(value, "sampledValue"):
            reading = _reading(tx, origin, sampled)
            if reading is not None:
                readings.append(reading)
        if readings:
            found.append(Sample(wire.moment(value.get("timestamp")), tuple(readings)))
    return tuple(found)


def _reading(tx: Tx, origin: Origin, sampled: Payload) -> Reading | None:
    unit = sampled.get("unitOfMeasure")
    multiplier = 0
    name = None
    if isinstance(unit, dict):
        multiplier = wire.integer(unit, "multiplier") or 0
        name = unit.get("unit")
    value = wire.number_text(sampled.get("value"), multiplier)
    if value is None:
        return None
    signed = sampled.get("signedMeterValue")
    if signed is not None and not wire.fits(signed):
        count_refusal(tx, origin, SIGNED_TOO_LARGE)
        signed = None
    return wire.reading(sampled, value, name, signed)
