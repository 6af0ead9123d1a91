"""A short part of the fuzzing in each test run, with a fixed seed; `make fuzz` goes on longer."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, seed, settings

from csms.core.ids import Origin
from csms.core.ports import Tx
from csms.ocpp.routing import Answer, Payload, Route
from csms.ocpp.versions import PROTOCOLS
from tests.fuzz.campaign import Example, examples, play

EXAMPLES = 100
SEED = 1


def test_whatever_an_offender_sends_others_are_served_and_nothing_breaks() -> None:
    with asyncio.Runner() as runner:

        @seed(SEED)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @given(examples())
        def holds(example: Example) -> None:
            play(example, runner)

        holds()


def test_an_example_is_replayed_from_its_record() -> None:
    sent = (b'[2,"m1","Heartbeat",{}]', b"\xff\x00", b'[3,"ours-1",[]]')
    example = Example("2.1", "pending", sent, (2,))
    assert Example.of(example.record()) == example
    with asyncio.Runner() as runner:
        play(example, runner)


def test_a_failure_of_the_system_is_noticed() -> None:
    """The check itself: where a handler fails, the example fails."""

    def fails(tx: Tx, origin: Origin, payload: Payload) -> Answer:
        raise ZeroDivisionError

    sound = PROTOCOLS["ocpp1.6"]
    routes = {**sound.dialect.routes, "Heartbeat": Route(fails)}
    broken = replace(sound, dialect=replace(sound.dialect, routes=routes))
    example = Example("1.6", "accepted", (b'[2,"m1","Heartbeat",{}]',))
    with asyncio.Runner() as runner, pytest.raises(ExceptionGroup) as raised:
        play(example, runner, {**PROTOCOLS, "ocpp1.6": broken})
    assert "the system failed on it" in str(raised.value.exceptions[0])
