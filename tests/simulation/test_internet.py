"""What is between networks in the simulation: what is lost is lost, and what arrived is done."""

from __future__ import annotations

import random
from collections import Counter

import httpx
import pytest

from tests.simulation.internet import CALM, Internet, Odds, Way
from tests.support.virtual import passing, run_virtually


def between(odds: Odds, away: str | None = None) -> tuple[Counter[str], list[str]]:
    """What 100 requests came to, and what arrived, also after nobody waits any more."""
    came, arrived = Counter[str](), list[str]()

    async def answers(request: httpx.Request) -> httpx.Response:
        arrived.append(request.url.path)
        return httpx.Response(200, json={})

    async def main() -> None:
        internet = Internet(odds, random.Random(1), lambda what: None)
        internet.join("a.example.com", answers)
        internet.hosts["a.example.com"].away = away
        way, (address,) = Way(internet), await internet.look_up("a.example.com", 443)
        for n in range(100):
            request = httpx.Request("GET", f"https://{address}/{n}")
            try:
                response = await way.handle_async_request(request)
            except httpx.TransportError as error:
                came[type(error).__name__] += 1
            else:
                came[str(response.status_code)] += 1
        await passing(60)

    run_virtually(main())
    return came, arrived


@pytest.mark.parametrize(
    ("odds", "came", "arrived"),
    [
        (CALM, {"200": 100}, 100),
        (Odds(1, 1, 0, 0, 0), {"ConnectError": 100}, 0),
        (Odds(1, 0, 1, 0, 0), {"ReadError": 100}, 100),
    ],
)
def test_what_becomes_of_a_request(odds: Odds, came: dict[str, int], arrived: int) -> None:
    found, there = between(odds)
    assert (found, len(there)) == (came, arrived)


def test_a_server_of_its_own_errors_is_not_reached() -> None:
    found, there = between(Odds(1, 0, 0, 1, 0))
    assert set(found) == {"500", "502", "503"}
    assert there == []


@pytest.mark.parametrize(
    ("away", "came"), [("refuses", "ConnectError"), ("503", "503"), ("3000", "200")]
)
def test_one_that_is_away_does_nothing(away: str, came: str) -> None:
    assert between(CALM, away) == ({came: 100}, [])
