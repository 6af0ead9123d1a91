"""Metering: samples as stations send them, and the energy that follows from them.

Values stay decimal text; energy is integer Wh. A *reading* is one measured value, a *sample* all
readings of one moment. Samples are stored once, by the key (station, EVSE, transaction, time,
digest of the readings), so that a repeated message adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import blake2b
from typing import Any, NamedTuple, Required, TypedDict

import orjson

from csms.core.entities import entity
from csms.core.ids import Origin
from csms.core.ports import Tx
from csms.core.times import believed

REGISTER = "Energy.Active.Import.Register"

# A reading above this is a fault of the meter or the message: 10^12 Wh is a power station's year.
MAX_WH = 10**12
# Nothing on a road charges faster: megawatt charging ends at 3.75 MW.
MAX_POWER_W = 4_000_000
# Of a meter that has contradicted itself only what an ordinary outlet can do is believed: some
# label watt hours as kilowatt hours, and a thousand times 1 kW would pass for a megawatt.
SUSPECT_POWER_W = 500_000
# Room for the coarse times of stations when a jump of the register is judged.
JUMP_ALLOWANCE_WH = 20_000

# Stands in the key of a sample that came without a usable time: the time of receipt would make
# every repetition another sample.
UNTIMED = datetime(1970, 1, 1, tzinfo=UTC)

# A sample belongs to a transaction (which knows its EVSE, sometimes only later) or to an EVSE; the
# other half of its key is 0.
NO_TRANSACTION = 0
NO_EVSE = 0

# Ranks of register readings. What a station names as start or stop value goes before what its
# samples claim by their context, and that before ordinary readings.
METER_START, BEGIN_READING, ORDINARY, END_READING, METER_STOP = -1, 0, 1, 2, 3
_RANKS = {"Transaction.Begin": BEGIN_READING, "Transaction.End": END_READING}


# A register of the whole, rather than of so many phases.
TOTAL = 9


class Reading(TypedDict, total=False):
    """One measured value, as it is stored: `value` is decimal text in `unit`, `signed` is kept as
    it came, and what was not said is left out. A plain dictionary, because three of them come with
    every meter value; nobody changes one."""

    value: Required[str]
    measurand: Required[str]
    unit: str
    context: str
    location: str
    phase: str
    signed: Any


@dataclass(frozen=True, slots=True)
class Sample:
    """All readings of one moment; `at` None when the station gave no usable time."""

    at: datetime | None
    readings: tuple[Reading, ...]


@entity("meter_samples", key=("station_id", "evse", "transaction_id", "at", "digest"))
class MeterSample(NamedTuple):
    """A stored sample; `readings` is a JSON list of `Reading`."""

    station_id: str
    evse: int
    transaction_id: int
    at: datetime
    digest: str
    received_at: datetime
    readings: str


class Register(NamedTuple):
    """An energy register reading in Wh; the lowest is the first of a transaction, the highest the
    last. `rank` is one of the constants above; `phases` is how many it is the sum of."""

    rank: int
    at: datetime
    wh: int
    phases: int = TOTAL


def record(
    tx: Tx,
    origin: Origin,
    evse: int,
    transaction_id: int,
    samples: Iterable[Sample],
    newest: datetime | None = None,
) -> tuple[list[Sample], datetime | None]:
    """Store the samples that are new; those, and the latest time in a key stored so far. `newest`:
    that time before this call; anything later needs no look-up. None for a transaction: nothing is
    stored for it, so the first sample needs none either.

    The row keeps the station's time even where its clock cannot be believed, so that a repeated
    message is recognised (`UNTIMED` where it gave none); the samples returned carry the time that
    counts.
    """
    added = []
    first_of_transaction = newest is None and transaction_id != NO_TRANSACTION
    for sample in samples:
        at = sample.at or UNTIMED
        readings = orjson.dumps(sample.readings)
        digest = blake2b(readings, digest_size=8).hexdigest()
        certainly_new = first_of_transaction if newest is None else at > newest
        if certainly_new:
            # The same again in this report is not certain any more.
            newest = at
        else:
            key = (origin.station_id, evse, transaction_id, at, digest)
            if tx.get(MeterSample, *key) is not None:
                tx.mark("sample_deduplicated")
                continue
        tx.save(
            MeterSample(
                origin.station_id, evse, transaction_id, at, digest, origin.at, readings.decode()
            )
        )
        counts_at = believed(sample.at, origin.at)
        added.append(sample if counts_at is sample.at else Sample(counts_at, sample.readings))
    return added, newest


def watt_hours(value: str, unit: str | None) -> int | None:
    """A register value in integer Wh, None when it is no usable number."""
    if unit in (None, "Wh") and len(value) <= 12 and value.isascii() and value.isdigit():
        return int(value)
    try:
        number = Decimal(value)
        if unit == "kWh":
            number *= 1000
        elif unit not in (None, "Wh", ""):
            return None
        # Before rounding: 1E+999999 would otherwise become a million digits.
        if not -MAX_WH <= number <= MAX_WH:
            return None
        return int(number.to_integral_value(ROUND_HALF_EVEN))
    except (ArithmeticError, ValueError):
        return None


def register_wh(readings: Sequence[Reading]) -> tuple[int, str | None, int] | None:
    """The import register among the readings of one moment, its context, and how many phases it is
    the sum of.

    A reading without phase is the total; phases alone are added up, each once. Only what is
    measured at the outlet counts (the default location).
    """
    phases: dict[str, int] = {}
    context = None
    for reading in readings:
        if reading["measurand"] != REGISTER or reading.get("location", "Outlet") != "Outlet":
            continue
        wh = watt_hours(reading["value"], reading.get("unit"))
        if wh is None or wh < 0:
            continue
        if "phase" not in reading:
            return wh, reading.get("context"), TOTAL
        # L1 and L1-N are the same: stations name the phase either way (quirk 49).
        phases.setdefault(reading["phase"].partition("-")[0], wh)
        context = reading.get("context")
    return (sum(phases.values()), context, len(phases)) if phases else None


def registers(samples: Iterable[Sample]) -> list[Register]:
    """The register readings of the samples, in their order."""
    found = []
    for sample in samples:
        reading = register_wh(sample.readings)
        if reading is None or sample.at is None:
            continue
        wh, context, phases = reading
        rank = _RANKS.get(context or "", ORDINARY)
        found.append(Register(rank, sample.at, wh, phases))
    return found


def jumps(
    low: int, low_at: datetime, high: int, high_at: datetime, power_w: int = MAX_POWER_W
) -> bool:
    """True when no charger of that power could have moved a register from `low` to `high` in that
    time. Whichever came first by the station's clock: it may have been set back between them."""
    seconds = abs((high_at - low_at).total_seconds())
    return high - low > JUMP_ALLOWANCE_WH + int(seconds * power_w / 3600)
