"""The two networks of the roaming demonstration, as data: who they are, their places, their prices.

In each network four chargers stand at two places: one where a visitor shows the card of the other
network, one where a visitor starts by its own network (nobody comes by itself), one where a visitor
shows a card whose contract is blocked, and one for the network's own drivers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Made up, and said to be so where it is shown: rates and their applicability are an operator's to
# fill in (docs/prices.md).
EXAMPLE_TAXES = """\
# Examples, made up for the demonstration: no rates of any authority, and no tax advice.
country,region,locality,tax,percentage,valid_from,valid_to,base,source
US,NY,,State tax (example),2.00,2020-01-01,,price,made up for the demonstration
US,NY,New York,City tax (example),1.50,2020-01-01,,price,made up for the demonstration
US,CA,,State tax (example),3.25,2020-01-01,,price,made up for the demonstration
"""
PLUG = {
    "standard": "IEC_62196_T2",
    "format": "CABLE",
    "power_type": "AC_3_PHASE",
    "max_voltage": 230,
    "max_amperage": 32,
}


@dataclass(frozen=True, slots=True)
class Charger:
    """`visited`: by whom. `card`: a visitor's card; `called`: by visitors from afar; `blocked`: a
    visitor's card that is blocked; `own`: the network's drivers."""

    id: str
    version: str
    place: str
    visited: str


@dataclass(frozen=True, slots=True)
class DemoNetwork:
    """One network. `places` and `tariff` as the API takes them; `about` for people."""

    name: str
    party: str
    currency: str
    about: str
    card: str
    blocked: str
    places: tuple[dict[str, Any], ...]
    tariff: dict[str, Any]
    chargers: tuple[Charger, ...]

    @property
    def own(self) -> list[str]:
        """The cards of its drivers who stay at home."""
        return [f"{self.name.upper()}-{number}" for number in range(1, 5)]


def _place(
    place_id: str, name: str, address: str, city: str, state: str, country: str, **where: str
) -> dict[str, Any]:
    return {
        "id": place_id,
        "name": name,
        "address": address,
        "city": city,
        "state": state,
        "country": country,
        "coordinates": {"latitude": where["latitude"], "longitude": where["longitude"]},
        "time_zone": where["zone"],
    }


def _tariff(tariff_id: str, currency: str, **prices: float) -> dict[str, Any]:
    parts = [{"type": kind, "price": price, "step_size": 1} for kind, price in prices.items()]
    return {
        "id": tariff_id,
        "currency": currency,
        "tax_included": "NO",
        "elements": [{"price_components": parts}],
    }


NORTH = DemoNetwork(
    name="North",
    party="CA*NTH",
    currency="CAD",
    about="Quebec and Ontario",
    card="NORTH-CARD",
    blocked="NORTH-BLOCKED",
    places=(
        _place(
            "MONTREAL",
            "Old Port",
            "1 Rue de la Commune",
            "Montréal",
            "QC",
            "CAN",
            latitude="45.504700",
            longitude="-73.552300",
            zone="America/Toronto",
        ),
        _place(
            "TORONTO",
            "Harbourfront",
            "1 Queens Quay",
            "Toronto",
            "ON",
            "CAN",
            latitude="43.639600",
            longitude="-79.382200",
            zone="America/Toronto",
        ),
    ),
    tariff=_tariff("NORTH-DAY", "CAD", FLAT=0.5, ENERGY=0.45, PARKING_TIME=6),
    chargers=(
        Charger("N-1", "1.6", "MONTREAL", "card"),
        Charger("N-2", "2.0.1", "TORONTO", "called"),
        Charger("N-3", "2.1", "MONTREAL", "blocked"),
        Charger("N-4", "2.0.1", "TORONTO", "own"),
    ),
)
SOUTH = DemoNetwork(
    name="South",
    party="US*STH",
    currency="USD",
    about="New York and California",
    card="SOUTH-CARD",
    blocked="SOUTH-BLOCKED",
    places=(
        _place(
            "NEW-YORK",
            "Battery Park",
            "1 State Street",
            "New York",
            "NY",
            "USA",
            latitude="40.703300",
            longitude="-74.017000",
            zone="America/New_York",
        ),
        _place(
            "OAKLAND",
            "Jack London Square",
            "1 Broadway",
            "Oakland",
            "CA",
            "USA",
            latitude="37.794600",
            longitude="-122.276400",
            zone="America/Los_Angeles",
        ),
    ),
    tariff=_tariff("SOUTH-DAY", "USD", ENERGY=0.35, TIME=0.6),
    chargers=(
        Charger("S-1", "2.0.1", "NEW-YORK", "card"),
        Charger("S-2", "1.6", "OAKLAND", "called"),
        Charger("S-3", "1.6", "NEW-YORK", "blocked"),
        Charger("S-4", "2.1", "OAKLAND", "own"),
    ),
)
