"""Reading the list of a partner (transport_and_format, GET): every object that can be used is taken
in, what is wrong with the others is told.

A partner may speak for several parties and keep them apart (transport_and_format, message routing):
the list is asked for once of each. One party that does not answer well does not keep the others
from being read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from csms.core.errors import Invalid, PartnerRefused, Refused
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
    not, by owner and folded id."""

    newest: datetime | None = None
    faults: list[str] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    held: set[tuple[str, str]] = field(default_factory=set)

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
    these ways (`Network.ways`). Raises `PartnerUnreachable`, `PartnerRefused`; what came before
    stays."""
    url, result = partner.endpoint(module, SENDER), Pulled()
    if url is None:
        return result
    refused: list[str] = []
    for way in ways:
        access = network.access(partner, way)
        async for heard in network.client.pages(paging.address(url, date_from), access):
            if not heard.ok:
                refused.append(f"their {module}: {heard.why}")
            elif not isinstance(heard.data, list):
                refused.append(f"their {module}: data is no list")
            else:
                await _take_all(heard.data, take, result)
    if refused:
        raise PartnerRefused(refused[0])
    return result


async def _take_all(page: list[Any], take: Take, result: Pulled) -> None:
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
        result.seen(read.value.last_updated)
