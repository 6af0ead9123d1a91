"""Reading the list of a partner (transport_and_format, GET): every object that can be used is taken
in, what is wrong with the others is told.

A partner may speak for several parties and keep them apart (transport_and_format, message routing):
the list is asked for once of each. One party that does not answer well does not keep the others
from being read, and what became of each is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from csms.core.errors import Invalid, PartnerRefused, PartnerUnreachable, Refused
from csms.core.ids import folded
from csms.core.partners import Partner
from csms.ocpi import paging
from csms.ocpi.headers import Routing
from csms.ocpi.network import SENDER, Network
from csms.ocpi.wire.reading import Read

# Takes in one object of a list. Raises `Invalid` and `Refused` for one that cannot be used.
Take = Callable[[Any], Awaitable[Read[Any]]]


@dataclass
class Pulled:
    """What reading a partner's list has brought: the newest `last_updated` seen, the faults of
    objects that could not be used, and what had to be forgiven. `held`: what was in it, usable or
    not, by owner and folded id. `failed`: the ways in which it could not be read to its end, and
    why; what is newest is that of the others."""

    newest: datetime | None = None
    faults: list[str] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    held: set[tuple[str, str]] = field(default_factory=set)
    failed: dict[Routing, str] = field(default_factory=dict)

    def seen(self, last_updated: datetime) -> None:
        self.newest = max(self.newest or last_updated, last_updated)


async def pull(
    network: Network,
    partner: Partner,
    module: str,
    ways: Iterable[Routing],
    date_from: datetime | None,
    take: Take,
) -> Pulled:
    """Take in what a partner lists in a module, from a time on or everything, asking in each of
    these ways (`Network.ways`). What came before a failure stays."""
    url, result = partner.endpoint(module, SENDER), Pulled()
    if url is None:
        return result
    # A partner may answer with all that it has where no limit is named.
    first = paging.address(url, date_from, network.limits.page)
    for way in ways:
        try:
            newest = await _read(network, partner, module, first, way, take, result)
        except (PartnerRefused, PartnerUnreachable, Invalid) as error:
            result.failed[way] = error.detail
        else:
            if newest is not None:
                result.seen(newest)
    return result


async def _read(
    network: Network,
    partner: Partner,
    module: str,
    first: str,
    way: Routing,
    take: Take,
    result: Pulled,
) -> datetime | None:
    """Take in every page, in one way; the newest `last_updated`. Raises `PartnerRefused`,
    `PartnerUnreachable`, `Invalid`."""
    refused, newest = "", None
    async for heard in network.client.pages(first, network.access(partner, way)):
        if not heard.ok:
            refused = refused or f"their {module}: {heard.why}"
        elif not isinstance(heard.data, list):
            refused = refused or f"their {module}: data is no list"
        else:
            seen = await _take_all(heard.data, take, result)
            newest = max((at for at in (newest, seen) if at is not None), default=None)
    if refused:
        raise PartnerRefused(refused)
    return newest


async def _take_all(page: list[Any], take: Take, result: Pulled) -> datetime | None:
    newest: datetime | None = None
    for body in page:
        if isinstance(body, Mapping):
            owner = f"{body.get('country_code')}*{body.get('party_id')}".upper()
            result.held.add((owner, folded(str(body.get("uid", body.get("id"))))))
        try:
            read = await take(body)
        except (Invalid, Refused) as error:
            result.faults.append(error.detail)
            continue
        result.deviations += read.deviations
        at: datetime = read.value.last_updated
        newest = at if newest is None else max(newest, at)
    return newest
