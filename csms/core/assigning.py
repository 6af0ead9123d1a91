"""Assigning: an operator says which transaction a kept report belongs to.

What was reported then counts as if it had found its place: a stop ends the transaction, meter
values become its samples. The transaction is flagged `assigned`, and a report is assigned once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from csms.core import billing, charge_events, charging, ends, metering
from csms.core.charging import StopReport
from csms.core.errors import CsmsError, NotFound, Refused
from csms.core.flags import ASSIGNED, with_flag
from csms.core.ids import Origin
from csms.core.metering import NO_EVSE, MeterSample, Sample
from csms.core.ports import Tx
from csms.core.quarantine import Quarantined
from csms.core.times import believed
from csms.core.tokens import Shown
from csms.core.transactions import REPORTED, Transaction, measure

ENDS = ("stop", "ended")
METER_VALUES = "meter_values"
# Samples of one assignment; what is beyond stays with its EVSE.
MAX_SAMPLES = 500


@dataclass(frozen=True, slots=True)
class Assigned:
    """What an assignment did: the transaction before and after it, and its new samples."""

    before: Transaction
    after: Transaction
    samples: int


class Rehearsed(CsmsError):
    """Raised with the result of a rehearsal, so that nothing of it is stored."""

    code = "rehearsed"

    def __init__(self, result: Assigned) -> None:
        super().__init__("nothing was changed")
        self.result = result


def assign(
    tx: Tx,
    quarantine_id: str,
    transaction_id: int,
    actor: str,
    now: datetime,
    found: Sequence[MeterSample] = (),
) -> Assigned:
    """Place a kept report at a transaction of its station. `found`: for meter values the samples
    that its EVSE reported without a transaction meanwhile. Raises `NotFound`, and `Refused` for
    what is assigned already, is of another station, has no content that could be placed, or would
    change an end that the station reported."""
    kept = tx.get(Quarantined, quarantine_id)
    if kept is None:
        raise NotFound(f"nothing in quarantine has the id {quarantine_id}")
    before = tx.get(Transaction, transaction_id)
    if before is None or before.station_id != kept.station_id:
        raise Refused(f"the station of this report has no transaction {transaction_id}")
    if kept.assigned_to is not None:
        raise Refused(f"this report is assigned to transaction {kept.assigned_to} already")
    # As when it came: its own time was judged by that of its receipt.
    origin = Origin(kept.station_id, "", "", kept.received_at)
    flagged = before._replace(flags=with_flag(before.flags, ASSIGNED))
    if kept.kind in ENDS and "at" in kept.payload:
        if before.end_kind == REPORTED:
            raise Refused(f"transaction {transaction_id} has an end that its station reported")
        report = _stop(kept.payload)
        at = max(believed(report.at, origin.at), before.started_at)
        after, samples = charging.end(tx, origin, flagged, report, at, now)
    elif kept.kind == METER_VALUES:
        after, samples = _add_samples(tx, origin, flagged, found, now)
    else:
        raise Refused(f"a report of the kind {kept.kind} has nothing that could be placed")
    done = kept._replace(assigned_to=transaction_id, assigned_at=now, assigned_by=actor)
    tx.save(done)
    return Assigned(before, after, samples)


def rehearse(tx: Tx, *args: Any) -> None:
    """`assign` without its effects. Raises `Rehearsed`."""
    raise Rehearsed(assign(tx, *args))


def _add_samples(
    tx: Tx, origin: Origin, t: Transaction, found: Sequence[MeterSample], now: datetime
) -> tuple[Transaction, int]:
    if not found:
        raise Refused("its EVSE reported no meter values while the transaction ran")
    samples = [Sample(row.at, tuple(orjson.loads(row.readings))) for row in found[:MAX_SAMPLES]]
    added, newest = metering.record(tx, origin, NO_EVSE, t.id, samples, t.newest_sample_at)
    # An end that the station reported is what the bill is made of.
    registers = [] if t.end_kind == REPORTED else metering.registers(added)
    after = ends.until_last_reading(measure(t, registers, newest))
    tx.save(after)
    charge_events.updated(tx, now, after, len(added))
    if not after.open:
        billing.due(tx, after.id)
    return after, len(added)


def _stop(payload: Mapping[str, Any]) -> StopReport:
    """The report as it was kept (`dataclasses.asdict`, written as JSON)."""
    token = payload.get("token")
    samples = tuple(
        Sample(_moment(sample.get("at")), tuple(sample.get("readings") or ()))
        for sample in payload.get("samples") or ()
    )
    return StopReport(
        transaction_id=0,
        at=_moment(payload.get("at")),
        meter_wh=payload.get("meter_wh"),
        token=Shown(token["uid"], token["kind"]) if token else None,
        reason=payload.get("reason") or payload.get("stop_reason"),
        samples=samples,
    )


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
