"""Neighbours: what other networks tell us of their places and prices, kept as they said it.

An object is known by module, party and id; it belongs to the party, and the connection that speaks
for the party may change it. The text is kept as it came, with every digit and unknown field.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from csms.core.entities import entity
from csms.core.forgetting import still_forgotten
from csms.core.ids import folded
from csms.core.partners import check_teller
from csms.core.ports import Tx
from csms.core.visitors import VisitorToken

TARIFFS = "tariffs"


@entity(
    "neighbour_objects",
    key=("module", "party_id", "id_key"),
    finders={"cell": ("module", "cell")},
)
class NeighbourObject(NamedTuple):
    """One object of another network; `body` is its JSON text. `cell`: where a location is
    (`geography.cell`). `missing_since`: when its owner's list was first read in full without it; it
    is suspect, not gone."""

    module: str
    party_id: str
    id_key: str
    id: str
    partner_id: str
    last_updated: datetime
    received_at: datetime
    body: str
    cell: str | None = None
    missing_since: datetime | None = None


@entity(
    "neighbour_past_tariffs",
    key=("party_id", "id_key", "until"),
    finders={"tariff": ("party_id", "id_key")},
)
class PastTariff(NamedTuple):
    """What a tariff of another network was: held from `since`, and `until` another took its place
    or it was withdrawn. A charge is priced by what was shown when it began."""

    party_id: str
    id_key: str
    until: datetime
    since: datetime
    last_updated: datetime
    body: str


def put(tx: Tx, given: NeighbourObject) -> bool:
    """Keep an object as it is now. True when it is new. Something older than what is known from the
    same connection changes nothing (pushes overtake each other). Raises `Refused` when another
    connection speaks for the party."""
    check_teller(tx, given.partner_id, given.party_id, "CPO")
    given = given._replace(id_key=folded(given.id))
    before = tx.get(NeighbourObject, given.module, given.party_id, given.id_key)
    same = before is not None and before.partner_id == given.partner_id
    if before is not None and same and given.last_updated < before.last_updated:
        tx.mark("neighbour_object_outdated")
        return False
    if before is not None and same:
        given = given._replace(body=still_forgotten(before.body, given.body))
    if before is None or before != given._replace(
        last_updated=before.last_updated, received_at=before.received_at
    ):
        if before is not None and before.body != given.body:
            _keep_past(tx, before, given.received_at)
        tx.save(given)
    return before is None


def missed(
    tx: Tx,
    kind: type[NeighbourObject | VisitorToken],
    keys: Sequence[tuple[Any, ...]],
    now: datetime,
) -> None:
    """These objects were not in the list of their owner, which was read in full. Being told of one
    again ends that."""
    for key in keys:
        found = tx.get(kind, *key)
        if found is not None and found.missing_since is None:
            tx.save(found._replace(missing_since=now))


def forget(tx: Tx, module: str, party_id: str, object_id: str, now: datetime) -> bool:
    """Drop an object that its owner has withdrawn; whether there was one."""
    key = module, party_id, folded(object_id)
    before = tx.get(NeighbourObject, *key)
    if before is None:
        return False
    _keep_past(tx, before, now)
    tx.delete(NeighbourObject, *key)
    return True


def _keep_past(tx: Tx, before: NeighbourObject, until: datetime) -> None:
    if before.module != TARIFFS:
        return
    row = PastTariff(
        before.party_id, before.id_key, until, before.received_at, before.last_updated, before.body
    )
    if tx.get(PastTariff, *row[:3]) is None:
        tx.save(row)
