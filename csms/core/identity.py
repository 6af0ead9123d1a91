"""Identity: where the names of a driver stand, table by table, and the rows without them.

Every table is named here: with what of its rows may name a driver, or with the reason why nothing
does; a table that is in neither fails a test. Where a row says whose token it names, the token of
another party with the same uid stays as it is; a line of a log cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from csms.core.aliases import TokenAlias
from csms.core.audit import AuditEntry
from csms.core.availability import Connector
from csms.core.billing import ChargingState, TransactionPrice
from csms.core.cdrs import Cdr
from csms.core.commands import Command
from csms.core.cursors import Cursor
from csms.core.desired_availability import DesiredAvailability
from csms.core.device_model import Desired, DeviceModel, Variable
from csms.core.disclosures import Disclosure
from csms.core.doubts import Doubt
from csms.core.entities import SHAPES
from csms.core.errands import Errand
from csms.core.exchanged import CdrDelivery, ReceivedCdr
from csms.core.forgetting import CONTRACT_FIELDS, Forgetting, Stage, token_of
from csms.core.locations import Location, LocationEvse
from csms.core.messages import Message
from csms.core.metering import MeterSample
from csms.core.neighbours import NeighbourObject, PastTariff
from csms.core.nodes import Lease, Node
from csms.core.orders import Order
from csms.core.partners import Partner, PartnerModule, PartnerParty, PartnerToken
from csms.core.policies import Policy
from csms.core.ports import Tx
from csms.core.quarantine import Quarantined
from csms.core.redaction import Redactor
from csms.core.reports import Report, ReportPart
from csms.core.security import ApiKey, Credential
from csms.core.stations import Station, UnknownStation
from csms.core.tariffs import Assignment, Tariff
from csms.core.templates import Template
from csms.core.tokens import Token, uid_key
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from csms.core.visits import Visit
from csms.core.writes import RememberedWrite

Key = tuple[Any, ...]
JOURNAL = "journal"
# What a place has in it to say who may charge there (OCPI 2.2.1 mod_locations).
ALLOWED_TO = "publish_allowed_to"


@dataclass(frozen=True, slots=True)
class Place:
    """One table. `without(row, redactor, party)`: the row without the names (itself where there are
    none), None where it has to go. `born`: the field that says since when a row is there, where
    rows that came after the token was taken out are another appearance of it and work with it."""

    kind: type[Any]
    without: Callable[[Any, Redactor, str], Any]
    born: str | None = None


def _texts(*fields: str) -> Callable[[Any, Redactor, str], Any]:
    """Texts of any kind."""

    def without(row: Any, r: Redactor, party: str) -> Any:
        return _changed(row, {f: r.text(v, f) for f in fields if (v := getattr(row, f))})

    return without


def _changed(row: Any, fields: Mapping[str, Any]) -> Any:
    """The row with those of the fields that differ; itself when none does."""
    differ = {name: value for name, value in fields.items() if value != getattr(row, name)}
    return row._replace(**differ) if differ else row


# -- what is about money: exactly the charges of this driver --------------------------------------


def _transaction(row: Transaction, r: Redactor, party: str) -> Any:
    fields: dict[str, Any] = {}
    if row.token_key is not None and r.is_uid(row.token_key):
        fields |= {"token_uid": r.pseudonym, "token_key": uid_key(r.pseudonym)}
        if row.start_key is not None:
            # It holds the token between two bars (`charging._start_key`).
            fields["start_key"] = row.start_key.replace(f"|{row.token_key}|", f"|{r.pseudonym}|", 1)
    if r.is_uid(row.stop_token_uid):
        fields["stop_token_uid"] = r.pseudonym
    if row.details:
        fields["details"] = r.value(row.details)
    return _changed(row, fields)


def is_of(tx: Tx, row: Transaction, party: str) -> bool:
    """Whether a transaction may be of a driver of that party: what it was billed by says."""
    billed = [cdr.token_party for cdr in tx.find(Cdr, "transaction", row.id) if cdr.token_party]
    return not billed or party in billed


def _sample(row: MeterSample, r: Redactor, party: str) -> Any:
    """Signed readings may name the token (OCMF); without it they can be verified no more."""
    return _changed(row, {"readings": r.json(row.readings)})


def _cdr(row: Cdr, r: Redactor, party: str) -> Any:
    if row.token_party != party or not r.is_uid(row.token_uid):
        return row
    r = r.also(row.data.get("cdr_token", {}).get("contract_id"))
    return _changed(row, {"token_uid": r.pseudonym, "data": r.value(row.data)})


def _delivery(row: CdrDelivery, r: Redactor, party: str) -> Any:
    fields = {"error": r.text(row.error)} if row.error else {}
    return _changed(row, {**fields, "body": _without_token(row.body, r, party)})


def _received(row: ReceivedCdr, r: Redactor, party: str) -> Any:
    if row.token_party != party or not r.is_uid(row.token_uid):
        return row
    body = _without_token(row.body, r, party)
    return _changed(row, {"token_uid": r.pseudonym, "body": body})


def _neighbour(row: NeighbourObject, r: Redactor, party: str) -> Any:
    """Their sessions with our drivers; their places and prices name nobody whom we know."""
    if row.module != "sessions":
        return row
    return _changed(row, {"body": _without_token(row.body, r, party)})


def _without_token(body: str, r: Redactor, party: str) -> str:
    """A session or a record without its token, if that is the one; its contract may have been
    another one at the time."""
    token = token_of(body)
    if token is None or token.party_id != party or not r.is_uid(token.uid):
        return body
    return r.also(token.contract_id).json(body)


def _order(row: Order, r: Redactor, party: str) -> Any:
    fields = {"message": r.text(row.message)} if row.message else {}
    if row.party_id == party and r.is_uid(row.uid_key):
        fields["uid_key"] = uid_key(r.pseudonym)
    return _changed(row, fields)


def _errand(row: Errand, r: Redactor, party: str) -> Any:
    fields = {"detail": r.text(row.detail)} if row.detail else {}
    if row.token_party == party and r.is_uid(row.token_uid):
        fields["token_uid"] = r.pseudonym
    return _changed(row, fields)


def _visit(row: Visit, r: Redactor, party: str) -> Any:
    if row.party_id != party or not r.is_uid(row.uid_key):
        return row
    key = uid_key(r.pseudonym)
    return row._replace(uid=r.pseudonym, uid_key=key, contract_id=r.pseudonym)


# -- what people read ------------------------------------------------------------------------------


def _command(row: Command, r: Redactor, party: str) -> Any:
    texts = {f: r.text(v) for f in ("detail", "idempotency_key") if (v := getattr(row, f))}
    values = {f: r.value(v) for f in ("parameters", "result") if (v := getattr(row, f))}
    return _changed(row, texts | values)


def _audit(row: AuditEntry, r: Redactor, party: str) -> Any:
    return _changed(row, {"target": r.text(row.target), "facts": r.value(row.facts)})


def _quarantined(row: Quarantined, r: Redactor, party: str) -> Any:
    return _changed(row, {"payload": r.value(row.payload), "reason": r.text(row.reason)})


def _write(row: RememberedWrite, r: Redactor, party: str) -> Any:
    """A key that was made of the uid cannot be kept without being another key."""
    if r.text(row.key) != row.key:
        return None
    return _changed(row, {"answer": r.value(row.answer)})


def _message(row: Message, r: Redactor, party: str) -> Any:
    return _changed(row, {"text": r.json(row.text)})


def _alias(row: TokenAlias, r: Redactor, party: str) -> Any:
    return None if r.is_uid(row.uid) else row


def _disclosure(row: Disclosure, r: Redactor, party: str) -> Any:
    if row.party_id != party or not r.is_uid(row.uid_key):
        return row
    key = uid_key(r.pseudonym)
    for name in CONTRACT_FIELDS:
        r = r.also(*row.facts.get(name, ()))
    return row._replace(uid=r.pseudonym, uid_key=key, facts=r.value(row.facts))


def _location(row: Location, r: Redactor, party: str) -> Any:
    allowed = row.data.get(ALLOWED_TO)
    return _changed(row, {"data": {**row.data, ALLOWED_TO: r.value(allowed)}}) if allowed else row


def rewrite(
    tx: Tx, forgetting_id: str, place: Place, keys: Sequence[Key], after: Key | None
) -> Forgetting | None:
    """Take the names out of these rows as they are now, and note that the table is gone through up
    to `after` (None: nothing is noted). Repeating it changes nothing."""
    found = tx.get(Forgetting, forgetting_id)
    if found is None or found.state != Stage.REWRITING:
        return found
    shape, redactor, rewritten = SHAPES[place.kind], found.redactor, 0
    for key in keys:
        row = tx.get(place.kind, *key)
        if row is None or not _concerned(tx, place, row, found):
            continue
        made = place.without(row, redactor, found.party_id)
        if made == row:
            continue
        rewritten += 1
        other = shape.key_of(made) if made is not None else None
        if other != key:
            tx.delete(place.kind, *key)
        if made is not None and (other == key or tx.get(place.kind, *shape.key_of(made)) is None):
            tx.save(made)
    found = found._replace(rewritten=found.rewritten + rewritten)
    if after is not None:
        found = found._replace(place=shape.table, after=said_key(after))
    tx.save(found)
    return found


def _concerned(tx: Tx, place: Place, row: Any, found: Forgetting) -> bool:
    """Whether a row may be one of this driver, from before the token was taken out."""
    if place.born and found.since is not None and getattr(row, place.born) > found.since:
        return False
    if isinstance(row, MeterSample | Visit):
        row = tx.get(Transaction, row.transaction_id)
        if row is not None and found.since is not None and row.received_at > found.since:
            return False
    return not isinstance(row, Transaction) or is_of(tx, row, found.party_id)


def rewrite_journal(
    tx: Tx, forgetting_id: str, changes: Sequence[tuple[int, str, str]], through_seq: int
) -> Forgetting | None:
    """Take the names out of journal rows: number, data before, data after; the journal is gone
    through up to `through_seq`."""
    found = tx.get(Forgetting, forgetting_id)
    if found is None or found.state != Stage.REWRITING:
        return found
    for seq, before, after in changes:
        tx.rewrite_journal(seq, before, after)
    found = found._replace(
        place=JOURNAL, after=[through_seq], rewritten=found.rewritten + len(changes)
    )
    tx.save(found)
    return found


def next_place(tx: Tx, forgetting_id: str, place: str) -> Forgetting | None:
    """The table before is done: go on with this one."""
    found = tx.get(Forgetting, forgetting_id)
    if found is not None and found.state == Stage.REWRITING and found.place != place:
        found = found._replace(place=place, after=None)
        tx.save(found)
    return found


def said_key(key: Key) -> list[Any]:
    """A key as JSON; a time stands in a list of its own."""
    return [[part.isoformat()] if isinstance(part, datetime) else part for part in key]


def read_key(said: Sequence[Any] | None) -> Key | None:
    """The key again."""
    if said is None:
        return None
    return tuple(datetime.fromisoformat(p[0]) if isinstance(p, list) else p for p in said)


# -- the tables ------------------------------------------------------------------------------------

PLACES: Sequence[Place] = (
    Place(Transaction, _transaction, born="received_at"),
    Place(Visit, _visit),
    Place(Cdr, _cdr),
    Place(CdrDelivery, _delivery),
    Place(ReceivedCdr, _received),
    Place(NeighbourObject, _neighbour),
    Place(Order, _order, born="received_at"),
    Place(Errand, _errand, born="created_at"),
    Place(Command, _command, born="created_at"),
    Place(AuditEntry, _audit),
    Place(Quarantined, _quarantined),
    Place(RememberedWrite, _write),
    Place(TokenAlias, _alias),
    Place(Location, _location),
    Place(Connector, _texts("info", "vendor_error")),
    Place(PartnerModule, _texts("error", "fault")),
    # Last, because they may be written a moment after what they are about.
    Place(Message, _message),
    Place(Disclosure, _disclosure),
)
"""In this order; after them the journal."""

ELSEWHERE: Mapping[type[Any], str] = {
    Token: "gone before the others",
    VisitorToken: "gone before the others",
    MeterSample: "with the transactions that they belong to",
    Forgetting: "names whom it forgets until it is done",
}
SAMPLE = Place(MeterSample, _sample)

# What names no driver.
NAMELESS: Mapping[type[Any], str] = {
    ApiKey: "people who work here",
    Assignment: "tariffs and places",
    ChargingState: "states and times",
    Credential: "stations",
    Cursor: "numbers of events",
    Lease: "names of work and nodes",
    Node: "names of processes and machines",
    Desired: "what a station is set to",
    DesiredAvailability: "what of a station may be used",
    DeviceModel: "how stations are known",
    Doubt: "transactions by number",
    LocationEvse: "what can be plugged in where",
    Partner: "networks",
    PastTariff: "prices",
    PartnerParty: "networks",
    PartnerToken: "how networks log in",
    Policy: "how stations are treated",
    Report: "what a station is set to",
    ReportPart: "what a station is set to",
    Station: "stations",
    Tariff: "prices",
    Template: "what stations are set to",
    TransactionPrice: "prices by number of the transaction",
    UnknownStation: "stations",
    Variable: "what a station is set to",
}
