"""The final cost in the answer to a TransactionEvent (OCPP 2.0.1 I03)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import billing, locations, tariffs
from csms.core.billing import Computed, PriceAsked
from csms.core.ports import Ask, Reply
from csms.core.taxes import NO_TAXES
from csms.flows.exchange import Answerers, Nobody, exchange
from csms.flows.prices import Pricer
from csms.ocpp.v2.transactions import COST_DEADLINE_S
from tests.core.test_locations import EVSE, HERE
from tests.core.test_tariffs import FIRST
from tests.support.ocpp import NOW, Inbound, event, rfid

ENERGY = {"type": "ENERGY", "price": 0.3, "vat": 10, "step_size": 1}


def tariff(component: dict[str, Any]) -> dict[str, Any]:
    return {"currency": "CAD", "elements": [{"price_components": [component]}]}


@pytest.fixture
def station(station2: Inbound) -> Inbound:
    """A station at a place where a tariff applies."""
    station2.adds_token("04A2")
    run = station2.store.run
    run(locations.put, HERE, [EVSE], NOW)
    run(tariffs.put, FIRST._replace(data=tariff(ENERGY)), NOW)
    run(tariffs.assign, "CA*NTH", "DAY", "LOC-1", None, NOW)
    return station2


def tell(station: Inbound, *events: dict[str, Any]) -> Any:
    """What the last of these events is answered, before anything was asked outside."""
    answer = None
    for one in events:
        answer = station.calls("TransactionEvent", one)
    return answer


def ending(evse: int = 1) -> tuple[dict[str, Any], ...]:
    return (
        event("Started", 0, wh=1_000, idToken=rfid("04A2"), evse={"id": evse}),
        event("Updated", 1, wh=11_000, info={"chargingState": "Charging"}),
        event("Ended", 2, wh=21_000),
    )


async def answered(station: Inbound, ask: Any, outside: Any = None) -> Any:
    assert isinstance(ask, Ask)
    assert ask.deadline_s == COST_DEADLINE_S
    pricer = Pricer(station.store, NO_TAXES, lambda: NOW)
    reply = await exchange(station.store, outside or Answerers({PriceAsked: pricer}), ask)
    return reply.value


async def test_the_end_is_answered_with_the_cost_after_taxes(station: Inbound) -> None:
    """I03.FR.02; the end itself is stored before the cost is asked for."""
    ask = tell(station, *ending())
    assert station.transaction.open is False
    assert await answered(station, ask) == {"totalCost": 6.6}
    row = station.store.run(billing.owed, station.transaction.id)
    assert (row.state, row.after_taxes) == ("priced", "6.60")


async def test_free_is_0_and_not_absent(station: Inbound) -> None:
    station.store.run(tariffs.put, FIRST._replace(data=tariff(ENERGY | {"price": 0})), NOW)
    assert await answered(station, tell(station, *ending())) == {"totalCost": 0.0}


async def test_a_repeated_end_is_answered_with_the_same_cost(station: Inbound) -> None:
    first = await answered(station, tell(station, *ending()))
    again = tell(station, ending()[-1])
    assert isinstance(again, Reply)
    assert again.value == first


async def test_a_cost_that_does_not_come_in_time_is_left_out(station: Inbound) -> None:
    """The station is answered all the same, and the price is settled later."""
    ask = tell(station, *ending())
    assert await answered(station, ask, Nobody()) == {}
    assert station.store.run(billing.owed, station.transaction.id).state == "due"


async def test_what_was_settled_meanwhile_is_told(station: Inbound) -> None:
    ask = tell(station, *ending())
    found = Computed(1, ("1.00", "1.10"), {}, NOW)
    assert station.store.run(billing.settle, station.transaction.id, found)
    assert await answered(station, ask) == {"totalCost": 1.1}


def test_where_no_tariff_applies_nothing_is_asked_and_no_cost_told(station: Inbound) -> None:
    answer = tell(station, *ending(evse=2))
    assert isinstance(answer, Reply)
    assert answer.value == {}


def test_running_costs_are_not_told(station: Inbound) -> None:
    answer = tell(station, *ending()[:2])
    assert isinstance(answer, Reply)
    assert "totalCost" not in answer.value
