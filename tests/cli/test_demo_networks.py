"""The two networks of the roaming demonstration."""

from __future__ import annotations

from datetime import date

import pytest

from csms.cli.demo_networks import EXAMPLE_TAXES, NORTH, SOUTH, DemoNetwork
from csms.core.pricing.tariff import parse
from csms.core.taxes import Place, table


@pytest.mark.parametrize("network", [NORTH, SOUTH], ids=lambda n: n.name)
def test_every_way_of_visiting_is_there_and_every_version(network: DemoNetwork) -> None:
    visited = [charger.visited for charger in network.chargers]
    assert sorted(visited) == ["blocked", "called", "card", "own"]
    assert {charger.version for charger in network.chargers} == {"1.6", "2.0.1", "2.1"}
    assert {c.place for c in network.chargers} == {str(p["id"]) for p in network.places}
    assert parse(network.tariff).currency == network.currency
    assert not {network.card, network.blocked} & set(network.own)


def test_the_taxes_of_the_south_say_that_they_are_made_up() -> None:
    found = table([("example.csv", EXAMPLE_TAXES)], {})
    for place in SOUTH.places:
        taxes = found.at(Place("US", place["state"], (place["city"],)), date(2026, 1, 1)).taxes
        assert taxes
        assert all("example" in tax.name for tax in taxes)
