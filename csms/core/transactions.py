"""Transactions: the record of one charge, and the fold that reports go through.

The fold is commutative and idempotent: every field in which reports may contradict each other has
a rule for which report decides it (the lowest or highest *order*, the earliest or latest register),
so that any order, duplication or late arrival of a station's reports ends in the same transaction
(OCPP 2.0.1 E01 to E06; stations retry, replay offline queues, and repeat a seqNo with other
content). What a station says once (EVSE, remote start, reservation) keeps its first value. Energy
is a difference of two registers that were reported, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from csms.core.entities import entity
from csms.core.flags import (
    CLOCK_SUSPECT,
    CONTRADICTED,
    END_BELOW_READING,
    REGISTER_SUSPECT,
    once_reported,
    with_flag,
    without,
)
from csms.core.metering import (
    MAX_POWER_W,
    METER_START,
    METER_STOP,
    ORDINARY,
    SUSPECT_POWER_W,
    Register,
    Sample,
    jumps,
)
from csms.core.ports import Need
from csms.core.tokens import Shown

STARTED = "started"
UPDATED = "updated"
ENDED = "ended"
_RANK = {STARTED: 0, UPDATED: 1, ENDED: 2}

# How the end is known: the station said so, a later start on the same connector implies it, or an
# operator decided, or the station says that it is over and has nothing more to tell. What the
# station reports takes the place of all others.
REPORTED = "reported"
SUPERSEDED = "superseded"
CLOSED = "closed"
LOST = "lost"


# What a station says beyond what a charge depends on: name -> [order of the report, JSON value].
Details = Mapping[str, Sequence[Any]]


@entity(
    "transactions",
    key=("id",),
    finders={
        "wire": ("station_id", "wire_id"),
        "start_key": ("start_key",),
        "open_of_station": ("station_id", "open"),
        "open_by_token": ("token_key", "open"),
    },
    unique=("wire", "start_key"),
    often=True,
)
class Transaction(NamedTuple):
    """One charging transaction.

    `id`: positive int32 from one sequence, on OCPP 1.6 also the id on the wire; `wire_id`: the id
    that the station uses. `evse` 0: the station has not said yet. `outcome`: of the authorization
    at its start. Energies are Wh; `energy_wh` is what counts. The `*_order` fields say which report
    decided a field; `details` is what else the station said, each beside the order of the report
    that said it last; `heard_at` is when we last heard of it, `peak_wh` the highest ordinary
    reading; `phases` is how many the registers of its samples are the sum of; `seen` holds the
    sequence numbers that arrived, as ranges ("0-4,6").
    """

    id: int
    station_id: str
    party_id: str
    wire_id: str
    evse: int
    connector: int | None
    open: bool
    started_at: datetime
    received_at: datetime
    outcome: str
    start_key: str | None = None
    token_uid: str | None = None
    token_key: str | None = None
    token_kind: str | None = None
    group_id: str | None = None
    charging_state: str | None = None
    energy_wh: int = 0
    first_wh: int | None = None
    first_at: datetime | None = None
    first_rank: int | None = None
    plain_wh: int | None = None
    plain_at: datetime | None = None
    last_wh: int | None = None
    last_at: datetime | None = None
    last_rank: int | None = None
    peak_wh: int | None = None
    newest_sample_at: datetime | None = None
    heard_at: datetime | None = None
    ended_at: datetime | None = None
    end_received_at: datetime | None = None
    end_kind: str | None = None
    stop_reason: str | None = None
    stop_token_uid: str | None = None
    command_id: str | None = None
    remote_start_id: int | None = None
    reservation_id: int | None = None
    offline: bool = False
    flags: tuple[str, ...] = ()
    seen: str = ""
    start_order: str | None = None
    token_order: str | None = None
    state_order: str | None = None
    end_order: str | None = None
    phases: int | None = None
    details: Details | None = None


@dataclass(frozen=True, slots=True)
class TransactionReport:
    """One report of a station about a transaction, version-neutral (OCPP 2.x TransactionEvent).

    `at` is believed already; `clock_suspect` says that it is our time of receipt instead.
    `details`: JSON values by name that nothing here depends on (why it reports, the limit, tariff,
    mode of operation and cost as the station has them).
    """

    wire_id: str
    event: str
    seq: int
    at: datetime
    evse: int | None = None
    connector: int | None = None
    token: Shown | None = None
    charging_state: str | None = None
    stop_reason: str | None = None
    remote_start_id: int | None = None
    reservation_id: int | None = None
    offline: bool = False
    clock_suspect: bool = False
    samples: tuple[Sample, ...] = ()
    details: Mapping[str, Any] | None = None

    @property
    def order(self) -> str:
        """Sorts as the station meant it: by sequence number, then time, then kind; as text, so
        that it can be stored. Stations whose sequence number sticks at 0 are ordered by time."""
        return f"{self.seq:010d} {self.at.isoformat()} {_RANK[self.event]}"


def needs(transaction_id: int) -> Need:
    """Declares the read of one transaction row by its id."""
    return Need(Transaction, None, (transaction_id,))


def needs_wire(station_id: str, wire_id: str) -> Need:
    """Declares the read of one transaction row by the station's id for it."""
    return Need(Transaction, "wire", (station_id, wire_id))


def heard(t: Transaction, at: datetime) -> datetime:
    """When a transaction was last heard of, now that it is again. Never earlier than before: clocks
    of nodes differ by seconds, and partners take what is older than what they know for outdated."""
    return max(at, t.received_at, t.heard_at or at, t.end_received_at or at)


# -- the fold ------------------------------------------------------------------------------------


def fold(
    t: Transaction,
    report: TransactionReport,
    received_at: datetime,
    found: Sequence[Register] = (),
    newest: datetime | None = None,
) -> Transaction:
    """The transaction with one more report and the register readings that came with it; `newest`:
    the latest time of its stored samples."""
    changes = _said_once(t, report)
    order = report.order
    if report.event == STARTED:
        if t.start_order is None or order < t.start_order:
            changes["started_at"], changes["start_order"] = report.at, order
    elif t.start_order is None and report.at < t.started_at:
        changes["started_at"] = report.at
    if report.token is not None and report.event != ENDED:
        _fold_token(t, report.token, order, changes)
    if report.charging_state is not None and (
        # Equal orders (a number repeated in one second) need a rule too: the content decides.
        t.state_order is None
        or (order, report.charging_state) > (t.state_order, t.charging_state or "")
    ):
        changes["charging_state"], changes["state_order"] = report.charging_state, order
    if report.details is not None:
        _fold_details(t, report.details, order, changes)
    if report.event == ENDED and (t.end_order is None or _end_of(report) < _end_of_row(t)):
        changes |= {
            "open": False,
            "ended_at": report.at,
            "end_received_at": received_at,
            "end_kind": REPORTED,
            "end_order": order,
            "stop_reason": report.stop_reason or "Local",
            "stop_token_uid": report.token.uid if report.token else None,
            "flags": once_reported(changes.get("flags", t.flags)),
        }
    _measure(t, found, newest, changes)
    if not changes:
        return t
    return _ended_after_start(t._replace(heard_at=heard(t, received_at), **changes))


def _ended_after_start(t: Transaction) -> Transaction:
    """A clock that was set back in a charge would end it before it began. The time that the station
    said stays in `end_order`: the start may become known later, and be another."""
    if t.end_order is None:
        return t
    said = datetime.fromisoformat(t.end_order.split(" ")[1])
    return t._replace(ended_at=max(said, t.started_at))


def measure(
    t: Transaction,
    found: Sequence[Register],
    newest: datetime | None = None,
    received_at: datetime | None = None,
) -> Transaction:
    """The transaction with more register readings: earliest, latest, and the energy between;
    `newest`: the latest time of its stored samples; `received_at`: when we heard."""
    changes: dict[str, Any] = {}
    _measure(t, found, newest, changes)
    if changes and received_at is not None:
        changes["heard_at"] = heard(t, received_at)
    return t._replace(**changes) if changes else t


def ends_otherwise(t: Transaction, report: TransactionReport) -> bool:
    """True for an `ended` report that is not the one which decided the end. (A worthless clock
    cannot differ: its time is that of receipt.)"""
    said, stored = _end_of(report), _end_of_row(t)
    if report.clock_suspect and CLOCK_SUSPECT in t.flags:
        said, stored = (said[0][:10], *said[1:]), (stored[0][:10], *stored[1:])
    return said != stored


def _end_of(report: TransactionReport) -> tuple[str, str, str]:
    return report.order, report.stop_reason or "Local", report.token.uid if report.token else ""


def _end_of_row(t: Transaction) -> tuple[str, str, str]:
    return t.end_order or "", t.stop_reason or "", t.stop_token_uid or ""


def _said_once(t: Transaction, report: TransactionReport) -> dict[str, Any]:
    """Fields that a station says once (OCPP 2.0.1 E01.FR.16). One that says two things is marked,
    and the smaller number counts, so that it does not matter which came first."""
    changes: dict[str, Any] = {}
    seen = add_seen(t.seen, report.seq)
    if seen != t.seen:
        changes["seen"] = seen
    flags = with_flag(t.flags, CLOCK_SUSPECT) if report.clock_suspect else t.flags
    if report.offline and not t.offline:
        changes["offline"] = True
    for name in ("evse", "connector", "remote_start_id", "reservation_id"):
        said, known = getattr(report, name), getattr(t, name)
        if said is None or said == known or (name == "evse" and not said):
            continue
        if known is None or (name == "evse" and not known):
            changes[name] = said
        else:
            flags = with_flag(flags, CONTRADICTED)
            changes |= {name: said} if said < known else {}
    return changes if flags == t.flags else {**changes, "flags": flags}


def _fold_token(t: Transaction, token: Shown, order: str, changes: dict[str, Any]) -> None:
    """The driver is the token of the earliest report that shows one before the end."""
    if t.token_order is None or (order, token.uid) < (t.token_order, t.token_uid or ""):
        changes |= {
            "token_uid": token.uid,
            "token_key": token.key,
            "token_kind": token.kind,
            "token_order": order,
        }


def _fold_details(
    t: Transaction, details: Mapping[str, Any], order: str, changes: dict[str, Any]
) -> None:
    """Each detail is what the latest report to say it said; of equal orders the content decides."""
    known = t.details or {}
    newer = {
        name: [order, value]
        for name, value in details.items()
        if name not in known or _said_later(known[name], order, value)
    }
    if newer:
        changes["details"] = {**known, **newer}


def _said_later(known: Sequence[Any], order: str, value: Any) -> bool:
    if known[0] != order:
        return bool(known[0] < order)
    sort = orjson.OPT_SORT_KEYS
    return orjson.dumps(known[1], option=sort) < orjson.dumps(value, option=sort)


def _measure(
    t: Transaction,
    found: Sequence[Register],
    newest: datetime | None,
    changes: dict[str, Any],
) -> None:
    if newest is not None and newest != t.newest_sample_at:
        changes["newest_sample_at"] = newest
    flags = changes.get("flags", t.flags)
    if not found and flags == t.flags:
        return
    first = _register(t.first_rank, t.first_at, t.first_wh)
    last = _register(t.last_rank, t.last_at, t.last_wh)
    plain = _register(ORDINARY, t.plain_at, t.plain_wh)
    peak = t.peak_wh
    was_first, was_last, was_plain = first, last, plain
    found, phases = _of_most_phases(found, t.phases)
    if phases != t.phases:
        changes["phases"] = phases
        if t.phases is not None:
            # Sums of fewer phases than now cannot be compared with what comes: only what the
            # station named as start and stop stays.
            first = first if first is not None and first.rank == METER_START else None
            last = last if last is not None and last.rank == METER_STOP else None
            plain = peak = changes["peak_wh"] = None
            changes["plain_at"] = changes["plain_wh"] = None
            if first is None:
                changes["first_rank"] = changes["first_at"] = changes["first_wh"] = None
            if last is None:
                changes["last_rank"] = changes["last_at"] = changes["last_wh"] = None
    for register in found:
        # An end reading is never the first one, and a begin reading never the last.
        if register.rank <= ORDINARY and (first is None or register < first):
            first = register
        if register.rank >= ORDINARY and (last is None or register > last):
            last = register
        if register.rank == ORDINARY:
            if plain is None or register < plain:
                plain = register
            if peak is None or register.wh > peak:
                peak = changes["peak_wh"] = register.wh
    if first is not was_first and first is not None:
        changes["first_rank"], changes["first_at"], changes["first_wh"] = first[:3]
    if last is not was_last and last is not None:
        changes["last_rank"], changes["last_at"], changes["last_wh"] = last[:3]
    if plain is not was_plain and plain is not None:
        _, changes["plain_at"], changes["plain_wh"] = plain[:3]
    energy, suspect = _energy(first, plain, last, timed=CLOCK_SUSPECT not in flags)
    if energy != t.energy_wh:
        changes["energy_wh"] = energy
    below = last is not None and last.rank > ORDINARY and peak is not None and last.wh < peak
    judged = (with_flag if suspect else without)(flags, REGISTER_SUSPECT)
    judged = (with_flag if below else without)(judged, END_BELOW_READING)
    if judged != t.flags:
        changes["flags"] = judged


def _of_most_phases(
    found: Sequence[Register], phases: int | None
) -> tuple[Sequence[Register], int | None]:
    """What counts of the registers: of samples only those of the most phases seen, because a sum of
    one phase and one of three are two meters (quirk 49). And how many phases that is."""
    for register in found:
        if METER_START < register.rank < METER_STOP:
            phases = max(phases or 0, register.phases)
    counting = [r for r in found if r.rank in (METER_START, METER_STOP) or r.phases == phases]
    return counting, phases


def _register(rank: int | None, at: datetime | None, wh: int | None) -> Register | None:
    return None if rank is None or at is None or wh is None else Register(rank, at, wh)


def _energy(
    first: Register | None, plain: Register | None, last: Register | None, *, timed: bool
) -> tuple[int, bool]:
    """Energy in Wh and whether the registers contradict each other.

    The base is the first register, unless no charger could have moved from it to the next or the
    last one in that time (a begin of 0 before a lifetime register would bill the charger's whole
    life, a corrupt one anything); then the first ordinary one; then none, and no energy. A register
    that ran backwards gives 0: less than was charged perhaps, never more. `timed`: the station's
    times can be used to judge.
    """
    if first is None or last is None:
        return 0, False
    if last.wh < first.wh:
        # Some meters count each charge from 0 in their samples, and for life in start and stop
        # (quirk 63): until the stop comes, the samples among themselves tell.
        counts = last.rank == ORDINARY and plain is not None and plain.wh <= last.wh
        if counts and plain is not None and not _leaps(plain, last, timed, SUSPECT_POWER_W):
            return last.wh - plain.wh, True
        return 0, True
    named = first.rank == METER_START and last.rank == METER_STOP
    if named and plain is not None and plain.wh > last.wh and not _leaps(first, last, timed):
        # Samples beyond the stop speak of another unit or meter; start and stop agree.
        return last.wh - first.wh, _leaps(first, plain, timed)
    for base, power_w in ((first, MAX_POWER_W), (plain, SUSPECT_POWER_W)):
        if base is None or last.wh < base.wh or _leaps(base, last, timed, power_w):
            continue
        if base is first and plain is not None and _leaps(first, plain, timed):
            continue
        return last.wh - base.wh, base is not first
    return 0, True


def _leaps(low: Register, high: Register, timed: bool, power_w: int = MAX_POWER_W) -> bool:
    """Whether a register moved further than any charge moves it."""
    if timed:
        return jumps(low.wh, low.at, high.wh, high.at, power_w)
    return high.wh - low.wh > MAX_UNTIMED_WH


# -- small pieces --------------------------------------------------------------------------------


# No car takes more in one charge; for stations whose clock cannot be used to judge.
MAX_UNTIMED_WH = 1_000_000

MAX_SEEN_TEXT = 2_000


def add_seen(seen: str, seq: int) -> str:
    """Add a sequence number to ranges such as "0-4,6". A station that leaves so many gaps that the
    text would outgrow `MAX_SEEN_TEXT` is no longer followed: the text stays as it is."""
    if seq < 0:
        return seen
    if seen:
        # The ordinary case: the number after the last, in the last range.
        head, _, tail = seen.rpartition(",")
        start, _, end = tail.partition("-")
        if int(end or start) + 1 == seq:
            return f"{head}{',' if head else ''}{start}-{seq}"
    ranges = [_range(part) for part in seen.split(",")] if seen else []
    if any(low <= seq <= high for low, high in ranges):
        return seen
    merged: list[tuple[int, int]] = []
    for low, high in sorted([*ranges, (seq, seq)]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    text = ",".join(f"{low}-{high}" if high > low else f"{low}" for low, high in merged)
    return text if len(text) <= MAX_SEEN_TEXT else seen


def each_seen(seen: str, limit: int) -> list[int]:
    """The numbers in ranges, in order, at most `limit`."""
    found: list[int] = []
    for low, high in (_range(part) for part in seen.split(",") if part):
        found += range(low, min(high, low + limit - len(found) - 1) + 1)
    return found


def has_seen(seen: str, seq: int) -> bool:
    """Whether a sequence number is among those that arrived."""
    return any(low <= seq <= high for low, high in map(_range, seen.split(","))) if seen else False


def missing(seen: str) -> int:
    """How many sequence numbers are missing between the first and the last that arrived."""
    if not seen:
        return 0
    ranges = [_range(part) for part in seen.split(",")]
    return ranges[-1][1] - ranges[0][0] + 1 - sum(high - low + 1 for low, high in ranges)


def lacking(t: Transaction) -> int:
    """How many reports of a transaction are known to be missing: by number, and the first one of a
    transaction of OCPP 2.x that has ended and was never said to have started."""
    unstarted = t.end_order is not None and t.start_order is None
    return missing(t.seen) or int(unstarted)


def _range(part: str) -> tuple[int, int]:
    low, _, high = part.partition("-")
    return int(low), int(high or low)
