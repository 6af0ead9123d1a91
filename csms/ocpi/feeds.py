"""Feeds: one for each module that is exchanged without being asked, as a table.

A feed says which rows of the journal hint at a change of what, how the present state of one thing
is sent, and how the partner's list is taken in. How often, how many at once and what happens when
it fails is the pumps' business (`publisher`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from csms.core import partners
from csms.core.locations import Location
from csms.core.neighbours import NeighbourObject
from csms.core.partners import Partner
from csms.core.ports import Tx
from csms.core.tariffs import Tariff
from csms.core.tokens import Token
from csms.core.visitors import VisitorToken
from csms.ocpi import cdrs, locations, sessions, tariffs, tokens
from csms.ocpi.headers import Routing
from csms.ocpi.lists import Pulled
from csms.ocpi.network import CPO, EMSP, Network

Thing = tuple[str, ...]
Whole = Callable[[Network, Partner], AsyncIterator[Thing]]


@dataclass(frozen=True, slots=True)
class Feed:
    """One module as a pump handles it. `things`: the journal kinds that hint at a change, and what
    changed; `push` sends the present state of one thing and says what was refused, None where there
    was nothing to send; `ways`: in which their list is asked for, and `pull` takes it in.
    `settle`: send what waits in an outbox, and say what is in the way. `kept`: as what is kept of
    what a full list holds all of. `look`: the present state of some things at once, which `push`
    takes as `seen`; those that are not in it, `push` looks at by itself. `whole`: everything that a
    partner has to be told of who is further behind than the journal goes; `owed`: also one who has
    just been registered, for whom else what was there before is to be pulled."""

    name: str
    things: dict[str, Callable[[dict[str, Any]], Thing | None]]
    push: Callable[..., Awaitable[list[str] | None]]
    ways: Callable[[Network, Partner], list[Routing]]
    pull: Callable[[Network, Partner, datetime | None, Sequence[Routing]], Awaitable[Pulled]]
    settle: Callable[[Network, Partner], Awaitable[str | None]] | None = None
    kept: type[NeighbourObject | VisitorToken] | None = None
    look: Callable[[Network, Sequence[Thing]], Awaitable[Mapping[Thing, Any]]] | None = None
    whole: Whole | None = None
    owed: bool = False


def _place(event: dict[str, Any]) -> Thing:
    """The EVSE whose status changed, or the whole location for anything else."""
    alone = event["evse_uid"] if event["status"] is not None else None
    return (event["party_id"], event["location_id"], alone or "")


def _whole(event: dict[str, Any]) -> Thing:
    """A session that began or ended."""
    return (sessions.NAME, str(event["transaction_id"]), "")


def _grown(event: dict[str, Any]) -> Thing:
    """A session that goes on; it goes as a whole where that goes anyway."""
    return (sessions.NAME, str(event["transaction_id"]), "grown")


def _every(kind: type[Any], role: str, name: str, *rest: str) -> Whole:
    """All of what our parties in that role have of a kind, by its owner and the field that names
    it."""

    async def whole(network: Network, _: Partner) -> AsyncIterator[Thing]:
        for party in network.parties(role):
            rows = await network.every_key(kind, {"party_id": party}, name)
            for named in dict.fromkeys(str(row[0]) for row in rows):
                yield (party, named, *rest)

    return whole


def collapsed(things: Iterable[Thing]) -> list[Thing]:
    """Each thing once; an EVSE goes with its location where that goes as a whole, so that no two
    requests are under way for one object."""
    found = dict.fromkeys(things)
    whole = {thing[:2] for thing in found if len(thing) == 3 and not thing[2]}
    return [t for t in found if len(t) < 3 or not t[2] or t[:2] not in whole]


FEEDS = (
    Feed(
        tokens.NAME,
        {"token_changed": lambda event: (event["party_id"], event["uid"])},
        tokens.push,
        tokens.ways_to_read,
        tokens.pull,
        kept=VisitorToken,
        whole=_every(Token, EMSP, "uid"),
    ),
    Feed(
        locations.NAME,
        {"location_changed": _place},
        locations.push,
        locations.ways_to_read,
        locations.pull,
        kept=NeighbourObject,
        look=locations.look,
        whole=_every(Location, CPO, "id", ""),
    ),
    Feed(
        tariffs.NAME,
        {"tariff_changed": lambda event: (event["party_id"], event["tariff_id"])},
        tariffs.push,
        tariffs.ways_to_read,
        tariffs.pull,
        kept=NeighbourObject,
        whole=_every(Tariff, CPO, "id"),
    ),
    Feed(
        sessions.NAME,
        {
            "transaction_started": _whole,
            "transaction_updated": _grown,
            "transaction_ended": _whole,
            "transaction_priced": _whole,
        },
        sessions.push,
        sessions.ways_to_read,
        sessions.pull,
        whole=sessions.running,
    ),
    Feed(
        cdrs.NAME,
        {"cdr_sealed": lambda event: (event["party_id"], event["cdr_id"])},
        cdrs.push,
        cdrs.ways_to_read,
        cdrs.pull,
        cdrs.deliver,
        whole=cdrs.owed,
        owed=True,
    ),
)


async def note(
    network: Network,
    partner: Partner,
    feed: Feed,
    direction: str,
    error: str | None = None,
    **changes: Any,
) -> None:
    """Keep what became of a turn, for people and for the next one (`partners.note`)."""
    now = network.clock()

    def kept(tx: Tx) -> None:
        partners.note(tx, partner.id, feed.name, direction, now, error, **changes)

    await network.store.transact(kept)
