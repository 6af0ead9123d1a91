"""Charging: what happens when a station reports a start, a reading or an end.

The station is always answered and its report always kept (OCPP 1.6 4.8, 4.10): as a transaction, as
evidence, or in quarantine. Every function may be repeated with the same report and then changes
nothing; a retry gets the answer of the first time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from csms.core import (
    billing,
    charge_events,
    commands,
    doubts,
    ends,
    events,
    metering,
    quarantine,
    visitors,
    visits,
)
from csms.core.authorization import Authorization, Outcome, authorize, authorize_start, settled
from csms.core.flags import (
    CLOCK_SUSPECT,
    STOP_BELOW_START,
    once_reported,
    with_flag,
)
from csms.core.ids import Origin
from csms.core.metering import METER_START, METER_STOP, NO_EVSE, NO_TRANSACTION, Register, Sample
from csms.core.ports import Need, Tx
from csms.core.stations import Registration, count_violations, require
from csms.core.times import believed, plausible
from csms.core.tokens import Shown
from csms.core.transactions import (
    ENDED,
    REPORTED,
    STARTED,
    Transaction,
    TransactionReport,
    ends_otherwise,
    fold,
    heard,
    measure,
)
from csms.core.visitors import HomeAnswer, HomeAsked

# A start whose clock is implausible is a retry only within this time of the first (see DESIGN rule
# on idempotency: the station's own time cannot tell two starts apart then).
START_RETRY_WINDOW = timedelta(minutes=10)

PLACED_WITHOUT_ID = "placed_without_id"
ID_USED_AGAIN = "transaction_id_used_again"


@dataclass(frozen=True, slots=True)
class StartReport:
    """OCPP 1.6 StartTransaction. `at` and `meter_wh` None: not usable as sent."""

    evse: int
    token: Shown
    at: datetime | None
    meter_wh: int | None
    reservation_id: int | None = None


@dataclass(frozen=True, slots=True)
class StopReport:
    """OCPP 1.6 StopTransaction. `transaction_id` as the station sent it, 0 when unusable."""

    transaction_id: int
    at: datetime | None
    meter_wh: int | None
    token: Shown | None = None
    reason: str | None = None
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class MeterReport:
    """Samples that come by themselves (MeterValues). `transaction_id` as sent, None: none."""

    evse: int
    samples: tuple[Sample, ...]
    transaction_id: int | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """Answer to a start: the id for the wire and what the token is worth."""

    transaction_id: int
    authorization: Authorization


# -- OCPP 1.6: start, stop -----------------------------------------------------------------------


def start(tx: Tx, origin: Origin, report: StartReport) -> Started:
    """Open a transaction, whatever the token is worth: the station may have started offline."""
    key = _start_key(origin, report)
    earlier = _earlier_start(tx, origin, report, key)
    if earlier is not None:
        tx.mark("start_deduplicated")
        found = _may_start(tx, origin, report.token, earlier.id, report.evse)
        return Started(earlier.id, found)
    station = require(tx, origin.station_id)
    # First what this start implies: the driver's own transaction here is not a concurrent one.
    ends.supersede(tx, origin, report.evse)
    found = _may_start(tx, origin, report.token, evse=report.evse)
    number = tx.next_number("transaction")
    at = believed(report.at, origin.at)
    opened = Transaction(
        id=number,
        station_id=origin.station_id,
        party_id=station.party_id,
        # Not the bare number: a station may be upgraded to 2.x, where it makes up ids of its own.
        wire_id=f"#{number}",
        evse=report.evse,
        connector=1,
        open=True,
        started_at=at,
        received_at=origin.at,
        outcome=found.outcome,
        start_key=key,
        token_uid=report.token.uid,
        token_key=report.token.key,
        token_kind=report.token.kind,
        group_id=found.group_id,
        reservation_id=report.reservation_id,
        flags=() if key else (CLOCK_SUSPECT,),
    )
    if report.meter_wh is not None:
        opened = measure(opened, [Register(METER_START, at, report.meter_wh)])
    opened = commands.match_start(tx, opened, origin.at)
    tx.save(opened)
    visits.begin(tx, opened, origin.at)
    billing.fix(tx, opened, origin.at)
    charge_events.started(tx, origin.at, opened)
    return Started(number, found)


def settle(
    tx: Tx,
    origin: Origin,
    transaction_id: int,
    token: Shown,
    asked: HomeAsked,
    answer: HomeAnswer | None,
) -> Authorization:
    """The home network of the driver was asked after the start had been recorded: what it said
    counts for the transaction, and is what the station is told."""
    said = visitors.answered(tx, asked, answer, origin.at)
    visits.answered(tx, transaction_id, asked, answer)
    found = settled(_may_start(tx, origin, token, transaction_id, anew=True), asked, said)
    t = tx.get(Transaction, transaction_id)
    if t is None or t.token_key != token.key:
        # Shown to stop what another token has begun: it decides nothing about that.
        return found
    if t.open and (t.outcome, t.group_id) != (found.outcome, found.group_id):
        t = t._replace(outcome=found.outcome, group_id=found.group_id)
        tx.save(t)
        # Only now its home network may be told of it.
        charge_events.updated(tx, origin.at, t, 0)
    return found


def settle_event(
    tx: Tx,
    origin: Origin,
    report: TransactionReport,
    asked: HomeAsked,
    answer: HomeAnswer | None,
) -> Authorization:
    """As `settle`, for an event of OCPP 2.x that showed a token."""
    assert report.token is not None, "only a token is asked about"
    found = tx.find(Transaction, "wire", origin.station_id, report.wire_id)
    number = found[0].id if found else 0
    return settle(tx, origin, number, report.token, asked, answer)


def _may_start(
    tx: Tx,
    origin: Origin,
    token: Shown,
    transaction_id: int | None = None,
    evse: int | None = None,
    *,
    anew: bool = False,
) -> Authorization:
    """The worth of a token for a start here: none at a station that is held back."""
    if require(tx, origin.station_id).registration in (Registration.PENDING, Registration.REJECTED):
        return Authorization(Outcome.INVALID)
    here = origin.station_id, evse
    return authorize_start(tx, token, origin.at, transaction_id, *here, anew=anew)


def needs_start(origin: Origin, report: StartReport) -> tuple[Need, ...]:
    """Declares the read by which `start` knows a repetition."""
    key = _start_key(origin, report)
    return () if key is None else (Need(Transaction, "start_key", (key,)),)


def _start_key(origin: Origin, report: StartReport) -> str | None:
    """The idempotency key of a start, None where the station's clock makes it worthless."""
    if not plausible(report.at, origin.at) or report.at is None:
        return None
    parts = (report.evse, report.token.key, report.at.isoformat(), report.meter_wh)
    return f"{origin.station_id}|{'|'.join(map(str, parts))}"


def _earlier_start(
    tx: Tx, origin: Origin, report: StartReport, key: str | None
) -> Transaction | None:
    if key is not None:
        found = tx.find(Transaction, "start_key", key)
        if found:
            return found[0]
    # Also with a key: a time just too far ahead for the first try is plausible for the second.
    for t in tx.find(Transaction, "open_of_station", origin.station_id, True):
        same = (t.evse, t.token_key, t.first_wh) == (report.evse, report.token.key, report.meter_wh)
        if same and t.start_key is None and origin.at - t.received_at <= START_RETRY_WINDOW:
            return t
    return None


def stop(tx: Tx, origin: Origin, report: StopReport) -> Authorization | None:
    """Close a transaction; the worth of the token that stopped it, None when none was shown."""
    here = origin.station_id, None, report.transaction_id
    found = authorize(tx, report.token, origin.at, *here) if report.token else None
    without_id = report.transaction_id < 1
    if without_id and quarantine.holds(tx, origin, "stop", PLACED_WITHOUT_ID, asdict(report)):
        tx.mark("stop_deduplicated")
        return found
    t = _for_stop(tx, origin, report.transaction_id)
    if t is None:
        quarantine.put(tx, origin, "stop", "unknown_transaction", asdict(report))
        return found
    at = max(believed(report.at, origin.at), t.started_at)
    if t.end_kind == REPORTED:
        _record_late(tx, origin, t, report.samples)
        if _same_stop(t, report, at, origin):
            tx.mark("stop_deduplicated")
        else:
            quarantine.put(tx, origin, "stop", "differs_from_first_stop", asdict(report))
        return found
    if without_id and report.at is not None:
        # Known again by its content when it is repeated; and an operator sees the guess.
        quarantine.put(tx, origin, "stop", PLACED_WITHOUT_ID, asdict(report))
    end(tx, origin, t, report, at, origin.at)
    return found


def end(
    tx: Tx, origin: Origin, t: Transaction, report: StopReport, at: datetime, now: datetime
) -> tuple[Transaction, int]:
    """End a transaction at that time as its station reported it, in a message or in one that was
    kept until somebody placed it; the transaction, and how many samples are new."""
    added, newest = metering.record(tx, origin, NO_EVSE, t.id, report.samples, t.newest_sample_at)
    found_registers = metering.registers(added)
    t = _with_stop_register(t, report, believed(report.at, origin.at), found_registers)
    if not plausible(report.at, origin.at):
        # Before the registers are judged: whether time can judge them depends on it.
        t = t._replace(flags=with_flag(t.flags, CLOCK_SUSPECT))
    t = measure(t, found_registers, newest)
    t = t._replace(
        open=False,
        ended_at=at,
        end_received_at=origin.at,
        heard_at=heard(t, origin.at),
        end_kind=REPORTED,
        stop_reason=report.reason or "Local",
        stop_token_uid=report.token.uid if report.token else None,
        flags=once_reported(t.flags),
    )
    tx.save(t)
    charge_events.ended(tx, now, t)
    return t, len(added)


def _with_stop_register(
    t: Transaction, report: StopReport, at: datetime, found: list[Register]
) -> Transaction:
    """Add the register of a stop to those found. One below the start is no register of this charge
    where samples went on from the start (quirk 62): the samples count then."""
    if report.meter_wh is None:
        return t
    if t.first_wh is not None and report.meter_wh < t.first_wh:
        readings = [r.wh for r in found] + ([] if t.peak_wh is None else [t.peak_wh])
        if readings and max(readings) >= t.first_wh:
            return t._replace(flags=with_flag(t.flags, STOP_BELOW_START))
    found.append(Register(METER_STOP, at, report.meter_wh))
    return t


def _for_stop(tx: Tx, origin: Origin, transaction_id: int) -> Transaction | None:
    """The transaction that a stop is about. Ids below 1 are what stations send when the answer to
    their start never came (OCPP 1.6 errata 3.18): then the only open transaction is meant."""
    if transaction_id > 0:
        t = tx.get(Transaction, transaction_id)
        return t if t is not None and t.station_id == origin.station_id else None
    running = tx.find(Transaction, "open_of_station", origin.station_id, True)
    if len(running) != 1:
        return None
    tx.mark("stop_without_id_placed")
    return running[0]


def _same_stop(t: Transaction, report: StopReport, at: datetime, origin: Origin) -> bool:
    """Whether a further stop says what the first one said; a worthless clock cannot differ."""
    first_wh = t.last_wh if t.last_rank == METER_STOP else None
    if STOP_BELOW_START in t.flags and report.meter_wh is not None:
        # What the first one said was no register and is not kept; this is no better.
        first_wh = report.meter_wh if report.meter_wh < (t.first_wh or 0) else None
    return report.meter_wh == first_wh and (at == t.ended_at or not plausible(report.at, origin.at))


# -- OCPP 2.x: events ----------------------------------------------------------------------------


def event(tx: Tx, origin: Origin, report: TransactionReport) -> Authorization | None:
    """One TransactionEvent, in whatever order it comes (OCPP 2.0.1 E01 to E06); the worth of its
    token, None when it shows none."""
    before = _known(tx, origin, report)
    if before is None:
        if report.evse and report.event != ENDED and not report.offline:
            ends.supersede(tx, origin, report.evse, report.at)
        t = _blank(tx, origin, report)
    else:
        t = before
    added, newest = metering.record(tx, origin, NO_EVSE, t.id, report.samples, t.newest_sample_at)
    t = fold(t, report, origin.at, metering.registers(added), newest)
    t = doubts.judge_repeated(before, t, report.seq, len(added))
    t = doubts.judge_gap(tx, t, origin.at)
    if before is None or t.evse != before.evse:
        doubts.judge_overtaken(tx, t, origin.at)
    authorization = _event_authorization(tx, origin, report, t)
    new_token = before is None or _token(before) != _token(t)
    if authorization is not None and new_token and report.event != ENDED:
        t = t._replace(outcome=authorization.outcome, group_id=authorization.group_id)
    if t.command_id is None and (new_token or report.remote_start_id is not None):
        t = commands.match_start(tx, t, origin.at)
    if t == before and not added:
        tx.mark("event_deduplicated")
        return authorization
    tx.save(t)
    if before is None or new_token or t.command_id != before.command_id:
        visits.begin(tx, t, origin.at)
    if before is None:
        charge_events.started(tx, origin.at, t)
    if before is None or (t.evse and not before.evse):
        billing.fix(tx, t, origin.at)
    if _says_state(before, report):
        billing.state_changed(tx, t.id, report.at, report.charging_state or "")
    if not t.open and (before is None or before.end_order != t.end_order):
        charge_events.ended(tx, origin.at, t)
    elif before is not None:
        trigger = (report.details or {}).get("trigger")
        charge_events.updated(tx, origin.at, t, len(added), trigger)
        if not t.open:
            billing.due(tx, t.id)
    if report.event == ENDED:
        if ends_otherwise(t, report):
            quarantine.put(tx, origin, "ended", "differs_from_first_end", asdict(report))
        elif before is not None and before.end_order and ends_otherwise(before, report):
            # This end comes first by the station's own order; the one in its place is evidence.
            quarantine.put(tx, origin, "ended", "replaced_by_earlier_end", _end_facts(before))
    return authorization


def _known(tx: Tx, origin: Origin, report: TransactionReport) -> Transaction | None:
    """The transaction that an event is about, None for a new one. A station that has lost its count
    (new hardware, a factory reset) uses ids again that must be unique (OCPP 2.0.1 E01.FR.08): a
    start after the end that it reported begins another charge, of another driver perhaps. The
    earlier one keeps its record, and loses the station's name for it."""
    found = tx.find(Transaction, "wire", origin.station_id, report.wire_id)
    if not found or not _begins_another(found[0], report):
        return found[0] if found else None
    earlier = found[0]
    tx.save(earlier._replace(wire_id=f"{earlier.wire_id}~{earlier.id}"))
    count_violations(tx, origin.station_id, (ID_USED_AGAIN,))
    tx.mark(ID_USED_AGAIN)
    return None


def _begins_another(t: Transaction, report: TransactionReport) -> bool:
    """Whether a start is none of this transaction: it is later than its end. One that is repeated
    has the time of the first; a clock that cannot be believed tells nothing."""
    return (
        report.event == STARTED
        and not report.clock_suspect
        and t.end_kind == REPORTED
        and t.start_order is not None
        and t.ended_at is not None
        and report.at > t.ended_at
    )


def _says_state(before: Transaction | None, report: TransactionReport) -> bool:
    """Whether a report may say a change of the charging state: also one that comes late, whose
    state is not the present one."""
    if report.charging_state is None:
        return False
    return (
        before is None
        or before.charging_state != report.charging_state
        or report.order < (before.state_order or "")
    )


def _token(t: Transaction) -> tuple[str | None, str | None]:
    return t.token_order, t.token_uid


def _end_facts(t: Transaction) -> dict[str, object]:
    fields = ("id", "wire_id", "ended_at", "stop_reason", "stop_token_uid", "end_order")
    return {f: getattr(t, f) for f in fields}


def _event_authorization(
    tx: Tx, origin: Origin, report: TransactionReport, t: Transaction
) -> Authorization | None:
    """Every event that shows a token is answered (OCPP 2.0.1 E01.FR.11, C12.FR.03)."""
    if report.token is None:
        return None
    # The token that the charge is for, whichever event shows it; later ones only end it.
    if report.event != ENDED and t.token_order == report.order:
        return _may_start(tx, origin, report.token, t.id, t.evse)
    if (
        report.event != ENDED
        and t.outcome == Outcome.CONCURRENT
        and report.token.key == t.token_key
    ):
        # Said again by the next event: a station may only look at the newest answer.
        return authorize_start(tx, report.token, origin.at, t.id)
    return authorize(tx, report.token, origin.at, origin.station_id, t.evse, t.id)


def _blank(tx: Tx, origin: Origin, report: TransactionReport) -> Transaction:
    """A transaction is created by its first event to arrive, of any type (Updated and Ended come
    first after a migration or a loss)."""
    return Transaction(
        id=tx.next_number("transaction"),
        station_id=origin.station_id,
        party_id=require(tx, origin.station_id).party_id,
        wire_id=report.wire_id,
        evse=report.evse or 0,
        connector=report.connector,
        open=True,
        started_at=report.at,
        received_at=origin.at,
        outcome=Outcome.ACCEPTED,
    )


# -- meter values by themselves ------------------------------------------------------------------


def meter(tx: Tx, origin: Origin, report: MeterReport) -> None:
    """Samples outside start and stop. They count for the transaction they name, or for the one
    that is open on their EVSE; otherwise they are kept with the EVSE."""
    t = _for_samples(tx, origin, report)
    if t is None:
        added, _ = metering.record(tx, origin, report.evse, NO_TRANSACTION, report.samples)
        if added:
            tx.record(
                events.SamplesRecorded(
                    at=origin.at,
                    station_id=origin.station_id,
                    evse=report.evse,
                    samples=len(added),
                )
            )
        return
    if t.end_kind == REPORTED:
        _record_late(tx, origin, t, report.samples)
        return
    added, newest = metering.record(tx, origin, NO_EVSE, t.id, report.samples, t.newest_sample_at)
    if not added:
        return
    t = ends.until_last_reading(measure(t, metering.registers(added), newest, origin.at))
    tx.save(t)
    charge_events.updated(tx, origin.at, t, len(added))
    if not t.open:
        billing.due(tx, t.id)


def _for_samples(tx: Tx, origin: Origin, report: MeterReport) -> Transaction | None:
    named = report.transaction_id
    if named is not None and named > 0:
        t = tx.get(Transaction, named)
        if t is not None and t.station_id == origin.station_id:
            return t
        facts = {"transaction_id": named, "evse": report.evse}
        quarantine.put(tx, origin, "meter_values", "unknown_transaction", facts)
        return None
    if report.evse == 0:
        return None
    running = tx.find(Transaction, "open_of_station", origin.station_id, True)
    here = [t for t in running if t.evse == report.evse]
    # What was measured before it began is not its own, even when it arrives after the start.
    early = here and any(believed(s.at, origin.at) < here[-1].started_at for s in report.samples)
    return here[-1] if here and not early else None


# -- shared --------------------------------------------------------------------------------------


def _record_late(tx: Tx, origin: Origin, t: Transaction, samples: tuple[Sample, ...]) -> None:
    """Samples after the end are kept; the bill is made of what the end said (registers go on
    counting)."""
    added, newest = metering.record(tx, origin, NO_EVSE, t.id, samples, t.newest_sample_at)
    if added:
        tx.mark("samples_after_end")
        tx.save(measure(t, (), newest))
        charge_events.updated(tx, origin.at, t, len(added))
        billing.due(tx, t.id)
