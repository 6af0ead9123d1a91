"""Reports: everything that a station says of its variables when it is asked, part by part.

Parts come in any order, twice, without the flag that more follow, or only in part (OCPP 2.0.1 B07,
B08; stations send 32 kB each); every variable is learnt all the same, and the report says whether
it is complete. The *inventory* is the full report that the system asks for by itself on first
contact and after a change of firmware (B07.FR.14).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from csms.core import device_model, events
from csms.core.device_model import DeviceModel
from csms.core.entities import entity
from csms.core.ids import Origin
from csms.core.inquiries import Found, Scope
from csms.core.ports import Need, Tx
from csms.core.stations import Station
from csms.core.transactions import add_seen, each_seen

SYSTEM = "system"
# Reports of one station that are remembered; raw parts that are kept of one.
MAX_REPORTS = 5
MAX_PARTS = 200
# A report that has not grown for so long is not going to.
PART_WITHIN = timedelta(minutes=2)
MAX_INVENTORIES = 2


class Progress(StrEnum):
    """Where a report stands. `refused`: not now, in the station's words; `unsupported`: never."""

    REQUESTED = "requested"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"
    UNANSWERED = "unanswered"


@entity("reports", key=("station_id", "request_id"), finders={"station": ("station_id",)})
class Report(NamedTuple):
    """One report that was asked for. `seen`: the parts that came, as ranges; `last`: the number of
    the last one, None until it came; `kept`: an operator asked, so the parts are kept as they
    came."""

    station_id: str
    request_id: int
    scope: str
    by: str
    requested_at: datetime
    state: str
    kept: bool
    received_at: datetime | None = None
    seen: str = ""
    last: int | None = None
    variables: int = 0
    detail: str | None = None


@entity("report_parts", key=("station_id", "request_id", "seq"))
class ReportPart(NamedTuple):
    """One part of a report, as it came but for secrets."""

    station_id: str
    request_id: int
    seq: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """What one message brings. `request_id` None: it does not say which report it is of; `more`:
    the station says that others follow; `raw`: without secrets."""

    request_id: int | None
    seq: int
    more: bool
    found: tuple[Found, ...]
    raw: Mapping[str, Any]


def needs(station_id: str, request_id: int) -> tuple[Need, ...]:
    """Declares the read of a report."""
    return (Need(Report, None, (station_id, request_id)),)


def begin(tx: Tx, station_id: str, scope: Scope, by: str, now: datetime) -> Report:
    """A report is about to be asked for, by the system (`SYSTEM`) or an operator; the oldest of the
    station makes room."""
    present = sorted(tx.find(Report, "station", station_id), key=lambda r: r.requested_at)
    for old in present[: max(0, len(present) - MAX_REPORTS + 1)]:
        _forget(tx, old)
    number = tx.next_number("report")
    report = Report(station_id, number, scope.value, by, now, Progress.REQUESTED, kept=by != SYSTEM)
    tx.save(report)
    if scope is Scope.FULL:
        known = device_model.model(tx, station_id)
        tx.save(
            known._replace(
                inventory=Progress.REQUESTED, request_id=number, attempts=known.attempts + 1
            )
        )
    return report


def _forget(tx: Tx, report: Report) -> None:
    if report.kept:
        for seq in each_seen(report.seen, MAX_PARTS):
            tx.delete(ReportPart, report.station_id, report.request_id, seq)
    tx.delete(Report, report.station_id, report.request_id)


def receive(tx: Tx, origin: Origin, part: Part) -> bool:
    """Learn from a part; one that nobody asked for is as true as any other, but that of a guest is
    left out: anybody could fill the store. False when the station has more variables than are
    stored."""
    if part.request_id is None or tx.get(Report, origin.station_id, part.request_id) is None:
        station = tx.get(Station, origin.station_id)
        if station is not None and station.guest:
            tx.mark("report_of_guest_left_out")
            return True
    learnt = device_model.learn(tx, origin.station_id, part.found, origin.at, part.request_id)
    _count(tx, origin, part)
    return learnt == len(part.found)


def _count(tx: Tx, origin: Origin, part: Part) -> None:
    """Note which part of the report has come."""
    report = None
    if part.request_id is not None:
        report = tx.get(Report, origin.station_id, part.request_id)
    if report is None:
        tx.mark("report_not_asked_for")
        return
    seen = add_seen(report.seen, part.seq)
    if seen == report.seen:
        tx.mark("report_part_repeated")
        return
    kept = report.kept and len(each_seen(seen, MAX_PARTS + 1)) <= MAX_PARTS
    if kept and tx.get(ReportPart, origin.station_id, report.request_id, part.seq) is None:
        tx.save(ReportPart(origin.station_id, report.request_id, part.seq, part.raw))
    last = report.last if part.more else max(part.seq, report.last or 0)
    report = report._replace(
        seen=seen,
        last=last,
        received_at=origin.at,
        variables=report.variables + len(part.found),
    )
    tx.save(report)
    if last is not None and seen == (f"0-{last}" if last else "0"):
        finish(tx, report, Progress.COMPLETE, origin.at)


def filled(
    tx: Tx,
    station_id: str,
    request_id: int,
    found: tuple[Found, ...],
    raw: tuple[Mapping[str, Any], ...],
    now: datetime,
) -> None:
    """The answer to the asking held the whole report."""
    device_model.learn(tx, station_id, found, now, request_id)
    report = tx.get(Report, station_id, request_id)
    if report is None:
        return
    for seq, data in enumerate(raw[:MAX_PARTS]):
        report = report._replace(seen=add_seen(report.seen, seq))
        if report.kept:
            tx.save(ReportPart(station_id, request_id, seq, data))
    report = report._replace(received_at=now, variables=len(found))
    tx.save(report)
    finish(tx, report, Progress.COMPLETE, now)


def finish(
    tx: Tx, report: Report, state: Progress, now: datetime, detail: str | None = None
) -> None:
    """The outcome of a report; of the inventory as well, if it is that."""
    if report.state == state and report.detail == detail:
        return
    tx.save(report._replace(state=state.value, detail=detail))
    known = device_model.model(tx, report.station_id)
    if known.request_id == report.request_id and known.inventory != state:
        at = now if state is Progress.COMPLETE else known.inventory_at
        tx.save(known._replace(inventory=state.value, inventory_at=at))
    tx.record(
        events.ReportReceived(
            at=now,
            station_id=report.station_id,
            request_id=report.request_id,
            scope=report.scope,
            state=state.value,
            variables=report.variables,
        )
    )


def fail(
    tx: Tx, station_id: str, request_id: int, state: Progress, now: datetime, detail: str
) -> None:
    """The station would not make the report, or did not say anything."""
    report = tx.get(Report, station_id, request_id)
    if report is not None and report.state == Progress.REQUESTED and not report.seen:
        finish(tx, report, state, now, detail)


def inventory_due(tx: Tx, known: DeviceModel, now: datetime) -> bool:
    """Whether the inventory has to be asked for, the first time or once again because it came in
    part only; gives up what stopped growing."""
    if known.inventory == Progress.REQUESTED and known.request_id is not None:
        report = tx.get(Report, known.station_id, known.request_id)
        if report is None:
            return known.attempts < MAX_INVENTORIES
        if now - (report.received_at or report.requested_at) < PART_WITHIN:
            return False
        state = Progress.INCOMPLETE if report.seen else Progress.UNANSWERED
        finish(tx, report, state, now, "not all of its parts came" if report.seen else None)
        return known.attempts < MAX_INVENTORIES
    again = known.inventory in (Progress.INCOMPLETE, Progress.UNANSWERED, Progress.REFUSED)
    return known.inventory == "none" or (again and known.attempts < MAX_INVENTORIES)
