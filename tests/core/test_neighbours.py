"""What other networks tell of their places is kept as they said it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.core import neighbours
from csms.core.errors import Refused
from csms.core.neighbours import NeighbourObject, PastTariff
from csms.core.partners import PartnerParty
from csms.storage.open import open_inline

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = NeighbourObject("locations", "NL*EXA", "", "Loc1", "p1", NOW, NOW, '{"price": 0.10}')


@pytest.fixture
def run() -> Callable[..., Any]:
    return open_inline().run


def kept(run: Callable[..., Any]) -> Any:
    return run(lambda tx: tx.get(NeighbourObject, "locations", "NL*EXA", "loc1"))


def test_an_object_is_kept_as_it_came_and_known_without_case(run: Callable[..., Any]) -> None:
    assert run(neighbours.put, PLACE)
    assert kept(run) == PLACE._replace(id_key="loc1")
    newer = PLACE._replace(id="LOC1", body="{}", last_updated=NOW + timedelta(seconds=1))
    assert not run(neighbours.put, newer)
    assert kept(run).body == "{}"


def test_what_is_older_changes_nothing(run: Callable[..., Any]) -> None:
    run(neighbours.put, PLACE)
    assert not run(neighbours.put, PLACE._replace(body="", last_updated=NOW - timedelta(1)))
    assert kept(run).body == PLACE.body


def test_only_the_connection_of_a_party_tells_of_its_places(run: Callable[..., Any]) -> None:
    late = NOW + timedelta(days=365)
    run(neighbours.put, PLACE._replace(partner_id="hub", last_updated=late))
    run(lambda tx: tx.save(PartnerParty("NL*EXA", "CPO", "p1", "x")))
    run(neighbours.put, PLACE)
    with pytest.raises(Refused, match="another connection"):
        run(neighbours.put, PLACE._replace(partner_id="hub", last_updated=late, body="{}"))
    assert (kept(run).partner_id, kept(run).body) == ("p1", PLACE.body)


def test_what_its_owner_withdraws_is_forgotten(run: Callable[..., Any]) -> None:
    run(neighbours.put, PLACE)
    assert run(neighbours.forget, "locations", "NL*EXA", "LOC1", NOW)
    assert kept(run) is None
    assert not run(neighbours.forget, "locations", "NL*EXA", "LOC1", NOW)


def test_what_a_tariff_was_is_kept_and_of_nothing_else(run: Callable[..., Any]) -> None:
    def past() -> list[Any]:
        found = run(lambda tx: tx.find(PastTariff, "tariff", "NL*EXA", "t1"))
        return [(row.since, row.until, row.body) for row in found]

    first = PLACE._replace(module="tariffs", id="T1", body="1")
    second, third = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    run(neighbours.put, first)
    run(neighbours.put, first._replace(received_at=second))
    assert past() == [], "the same again is no other"
    run(neighbours.put, first._replace(body="2", received_at=second, last_updated=second))
    assert past() == [(NOW, second, "1")]
    run(neighbours.forget, "tariffs", "NL*EXA", "T1", third)
    assert past() == [(NOW, second, "1"), (second, third, "2")]
