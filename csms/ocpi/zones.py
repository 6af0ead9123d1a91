"""Time zones of places that do not say theirs.

A charge detail record names no zone (mod_cdrs, CdrLocation). Where the place is not known either,
its country may have only one: then that is it. Anything else would be a guess about a price.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from csms.core.countries import alpha_2


def only_zone(country: str) -> ZoneInfo | None:
    """The zone of a country (two or three letters) that has only one; None: it has several, or
    there is no such country."""
    zones = _by_country().get(alpha_2(country) or country.upper(), ())
    return ZoneInfo(zones[0]) if len(zones) == 1 else None


@cache
def _by_country() -> Mapping[str, tuple[str, ...]]:
    """Country -> its zones, as the time zone database has them (zone.tab)."""
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    table = files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            found[country] += (zone,)
    return found
