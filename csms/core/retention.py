"""Retention: which rows have been kept long enough, table by table (rule 13).

Every table is named here: with the rule by which its rows end, or with the reason why it does not
grow. A rule looks at rows in the order of their key and says of each whether it may go, stays, or
how far nothing else can be old enough; what is not settled always stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from csms.core.aliases import TokenAlias
from csms.core.audit import AuditEntry
from csms.core.availability import Connector
from csms.core.billing import ChargingState, TransactionPrice
from csms.core.cdrs import Cdr
from csms.core.commands import FINAL, Command, Status
from csms.core.cursors import Cursor
from csms.core.desired_availability import DesiredAvailability
from csms.core.device_model import Desired, DeviceModel, Variable
from csms.core.disclosures import Disclosure
from csms.core.doubts import Doubt
from csms.core.entities import SHAPES
from csms.core.errands import Errand
from csms.core.exchanged import OPEN, CdrDelivery, ReceivedCdr
from csms.core.forgetting import Forgetting
from csms.core.ids import MAX_INT32
from csms.core.locations import Location, LocationEvse
from csms.core.messages import Message
from csms.core.metering import NO_TRANSACTION, MeterSample
from csms.core.neighbours import NeighbourObject, PastTariff
from csms.core.nodes import Lease, Node
from csms.core.orders import Order
from csms.core.partners import Partner, PartnerModule, PartnerParty, PartnerToken
from csms.core.policies import Policy
from csms.core.ports import Need, Tx
from csms.core.quarantine import Quarantined
from csms.core.reports import Report, ReportPart
from csms.core.security import ApiKey, Credential
from csms.core.stations import Station, UnknownStation
from csms.core.tariffs import Assignment, Tariff
from csms.core.templates import Template
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from csms.core.visits import Visit
from csms.core.writes import RememberedWrite

LATEST = datetime(9999, 12, 31, tzinfo=UTC)
BEYOND = "\U0010ffff"

Key = tuple[Any, ...]
# A row goes (True), stays (False), stays and so does all up to a key, or ends the search (None).
Verdict = bool | Key | None
Judge = Callable[[Any, datetime, Any], Verdict]


@dataclass(frozen=True, slots=True)
class Rule:
    """How rows of a table end. `setting` names what is kept in which unit (`audit_days`); `judge`
    is given a row, the moment before which rows are old, and what `beside` names of the row: the
    key of another entity that it depends on."""

    kind: type[Any]
    setting: str
    judge: Judge
    beside: Callable[[Any], tuple[type[Any], Key] | None] = lambda row: None


def _in_order(moment: str) -> Judge:
    """Rows whose key grows with time: after the first that is not old none is."""
    return lambda row, cutoff, beside: getattr(row, moment) < cutoff or None


def _by(moment: str) -> Judge:
    """Rows in no order of time."""
    return lambda row, cutoff, beside: getattr(row, moment) < cutoff


def _quarantined(row: Quarantined, cutoff: datetime, beside: Any) -> Verdict:
    return (row.assigned_at or row.received_at) < cutoff


def _command(row: Command, cutoff: datetime, beside: Any) -> Verdict:
    """Their ids sort by time. What is under way stays."""
    if row.created_at >= cutoff:
        return None
    over = row.status in FINAL or row.status in (Status.TIMED_OUT, Status.UNKNOWN)
    return over and row.finished_at is not None and row.finished_at < cutoff


def _errand(row: Errand, cutoff: datetime, beside: Any) -> Verdict:
    """Their ids sort by time, as those of commands."""
    if row.created_at >= cutoff:
        return None
    return row.finished_at is not None and row.finished_at < cutoff


def _message(row: Message, cutoff: datetime, beside: Any) -> Verdict:
    return True if row.at < cutoff else (row.station_id, LATEST, MAX_INT32)


def _sample(row: MeterSample, cutoff: datetime, beside: Transaction | None) -> Verdict:
    """Samples go with the end of their transaction, all of them; others by their own time."""
    if row.transaction_id == NO_TRANSACTION or beside is None:
        if row.received_at < cutoff:
            return True
        return row.station_id, row.evse, row.transaction_id, LATEST, BEYOND
    if not beside.open and (beside.end_received_at or beside.received_at) < cutoff:
        return True
    # Numbers grow: after one that began lately no other is old.
    last = row.transaction_id if beside.received_at < cutoff else MAX_INT32
    return row.station_id, row.evse, last, LATEST, BEYOND


def _transaction(row: Transaction, cutoff: datetime, beside: Any) -> Verdict:
    if row.received_at >= cutoff:
        return None
    return not row.open and (row.end_received_at or row.received_at) < cutoff


def _delivery(row: CdrDelivery, cutoff: datetime, beside: Any) -> Verdict:
    """What a partner has not taken or refused yet stays, however old it is."""
    return row.state not in OPEN and (row.settled_at or row.created_at) < cutoff


def _node(row: Node, cutoff: datetime, beside: Any) -> Verdict:
    """Whose names are made anew with every start (containers) would pile up."""
    return not row.alive and row.beat_at < cutoff


def _neighbour(row: NeighbourObject, cutoff: datetime, beside: Any) -> Verdict:
    return row.module == "sessions" and row.received_at < cutoff


RULES: Sequence[Rule] = (
    Rule(Message, "messages_hours", _message),
    Rule(RememberedWrite, "remembered_writes_hours", _by("at")),
    Rule(
        MeterSample,
        "samples_days",
        _sample,
        lambda row: (Transaction, (row.transaction_id,)) if row.transaction_id else None,
    ),
    Rule(Command, "commands_days", _command),
    Rule(Quarantined, "quarantine_days", _quarantined),
    Rule(UnknownStation, "unknown_stations_days", _by("last_seen_at")),
    Rule(CdrDelivery, "cdrs_days", _delivery),
    Rule(ReceivedCdr, "cdrs_days", _by("received_at")),
    Rule(Cdr, "cdrs_days", _by("created_at")),
    # What a charge is billed by comes from the order that it began with.
    Rule(Order, "transactions_days", _by("received_at")),
    Rule(Errand, "commands_days", _errand),
    # Of their places and prices there is one each; sessions go on coming.
    Rule(NeighbourObject, "transactions_days", _neighbour),
    # The bills of charges that began under it have come long ago.
    Rule(PastTariff, "transactions_days", _by("until")),
    Rule(TokenAlias, "aliases_days", _by("used_at")),
    Rule(Disclosure, "disclosures_days", _by("last_at")),
    Rule(Node, "nodes_days", _node),
    Rule(AuditEntry, "audit_days", _in_order("at")),
    Rule(Transaction, "transactions_days", _transaction),
    # With their transactions, never before.
    Rule(
        TransactionPrice,
        "transactions_days",
        lambda row, cutoff, beside: beside is None,
        lambda row: (Transaction, (row.transaction_id,)),
    ),
    Rule(
        Visit,
        "transactions_days",
        lambda row, cutoff, beside: beside is None,
        lambda row: (Transaction, (row.transaction_id,)),
    ),
    Rule(
        ChargingState,
        "transactions_days",
        lambda row, cutoff, beside: beside is None,
        lambda row: (Transaction, (row.transaction_id,)),
    ),
)
"""In this order: what depends on something goes before it, or after it is gone."""

JOURNAL_SETTING = "journal_days"

# What has as many rows as there are things in the network.
NOT_GROWING: Mapping[type[Any], str] = {
    ApiKey: "made by people, and kept for the names in the audit trail",
    Assignment: "one per tariff and place",
    Connector: "bounded for each station",
    Cursor: "one per feed",
    Lease: "one for each thing that only one node may do",
    Desired: "bounded for each station",
    DesiredAvailability: "at most one per connector",
    DeviceModel: "one per station",
    Doubt: "one per open transaction, and ends with it",
    Report: "a few for each station",
    ReportPart: "bounded for each report",
    Template: "made by people",
    Variable: "bounded for each station",
    Credential: "a few for each station",
    Forgetting: "made by people; each is about one token",
    Location: "one per location",
    LocationEvse: "one per EVSE",
    Partner: "one per connection that people made",
    PartnerModule: "a few for each partner",
    PartnerParty: "one per party that a partner speaks for",
    PartnerToken: "a few for each partner; those that are over make room for new ones",
    Policy: "one per station",
    VisitorToken: "one per token that a partner tells of",
    Station: "one per station",
    Tariff: "one per version that people made; charges refer to them",
    Token: "one per token",
}


def purge(tx: Tx, rows: Sequence[Any]) -> int:
    """Delete rows that were found to be old, and nothing that has changed since; how many."""
    gone = 0
    for row in rows:
        kind = type(row)
        key = SHAPES[kind].key_of(row)
        if tx.get(kind, *key) == row:
            tx.delete(kind, *key)
            gone += 1
    return gone


def needs(rows: Sequence[Any]) -> tuple[Need, ...]:
    """What `purge` will read."""
    return tuple(Need(type(row), None, SHAPES[type(row)].key_of(row)) for row in rows)


def trim(tx: Tx, through_seq: int, limit: int) -> None:
    """End the journal's oldest events up to that number, at most `limit` of them."""
    tx.trim_journal(through_seq, limit)
