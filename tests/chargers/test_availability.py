"""In and out of service."""

from __future__ import annotations

from chargers.availability import Availability
from chargers.facts import Target, Verdict

STATION, EVSE, CONNECTOR, OTHER = Target(), Target(1), Target(1, 1), Target(2, 1)


def idle(_: Target) -> bool:
    return False


def busy(_: Target) -> bool:
    return True


def test_a_part_is_out_when_what_it_belongs_to_is() -> None:
    for out in (STATION, EVSE, CONNECTOR):
        availability = Availability()
        assert availability.change(out, operative=False, busy=idle) is Verdict.ACCEPTED
        assert not availability.operative(CONNECTOR)
        assert availability.operative(OTHER) is (out is not STATION)
        availability.change(out, operative=True, busy=idle)
        assert availability.operative(CONNECTOR)


def test_a_transaction_delays_the_change() -> None:
    availability = Availability()
    assert availability.change(EVSE, operative=False, busy=busy) is Verdict.SCHEDULED
    assert availability.operative(EVSE)
    availability.transaction_ended(busy)
    assert availability.operative(EVSE)
    availability.transaction_ended(idle)
    assert not availability.operative(EVSE)


def test_a_new_wish_replaces_the_scheduled_one() -> None:
    availability = Availability()
    availability.change(EVSE, operative=False, busy=busy)
    assert availability.change(EVSE, operative=True, busy=busy) is Verdict.ACCEPTED
    availability.transaction_ended(idle)
    assert availability.operative(EVSE)
