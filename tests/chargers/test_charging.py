"""What happens at the EVSEs, without any network."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from chargers.car import Car
from chargers.charging import Charging, Tap
from chargers.clock import ScaledClock
from chargers.configuration import Configuration
from chargers.evse import Authorization
from chargers.facts import Cause, Kind, Token, TransactionMessage
from chargers.ledger import Ledger
from chargers.profile import ChargerProfile


class Around:
    """A charger that is offline, lets everybody charge and keeps what it should send."""

    online = False

    def __init__(self) -> None:
        self.sent: list[TransactionMessage] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def authorize(self, token: Token) -> bool:
        return token.uid != "BAD"

    def send(self, message: TransactionMessage) -> None:
        self.sent.append(message)

    def carries(self, kind: Kind) -> bool:
        return True

    def later(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.append(task)
        return task

    def changed(self) -> None:
        return None

    def end(self) -> None:
        for task in self.tasks:
            task.cancel()


def charging(around: Around, **fields: Any) -> Charging:
    profile = ChargerProfile(id="CP", **fields)
    configuration = Configuration(profile)
    rng = random.Random(1)
    return Charging(profile, configuration, Ledger(), ScaledClock(100), rng, around)


async def test_plug_first_or_tap_first() -> None:
    around = Around()
    place = charging(around, evses=2)
    place.plug_in(1, Car())
    assert await place.tap(1, "T") is Tap.ACCEPTED
    assert await place.tap(2, "T") is Tap.ACCEPTED
    assert len(around.sent) == 1
    place.plug_in(2, Car())
    assert [message.cause for message in around.sent] == [Cause.AUTHORIZED, Cause.PLUGGED_IN]
    assert all(message.offline for message in around.sent)
    assert len({message.transaction for message in around.sent}) == 2
    around.end()


async def test_only_the_same_token_stops() -> None:
    around = Around()
    place = charging(around)
    place.plug_in(1, Car())
    await place.tap(1, "abc")
    assert await place.tap(1, "xyz") is Tap.IGNORED
    assert await place.tap(1, "ABC") is Tap.STOPPED
    assert [message.kind for message in around.sent] == [Kind.STARTED, Kind.STOPPED]
    assert [message.number for message in around.sent] == [0, 1]
    around.end()


async def test_a_refused_token_and_a_closed_charger() -> None:
    around = Around()
    place = charging(around)
    place.plug_in(1, Car())
    assert await place.tap(1, "BAD") is Tap.REFUSED
    place.closed = True
    assert await place.tap(1, "T") is Tap.IGNORED
    assert not around.sent


async def test_pulling_the_cable_ends_the_transaction() -> None:
    around = Around()
    place = charging(around)
    place.plug_in(1, Car())
    await place.tap(1, "T")
    place.unplug(1)
    place.unplug(1)
    assert around.sent[-1].cause is Cause.UNPLUGGED
    assert place.evses[1].car is None
    around.end()


async def test_a_remote_driver_is_called_to_the_plug() -> None:
    around = Around()
    place = charging(around)
    called: list[int] = []
    place.plug_wanted = called.append
    place.grant(place.evses[1], Authorization(Token("T"), 4, remote=True))
    assert called == [1]
    place.plug_in(1, Car())
    assert around.sent[0].cause is Cause.REMOTE_START
    assert around.sent[0].remote_start_id == 4
    around.end()


async def test_no_such_evse() -> None:
    place = charging(Around())
    with pytest.raises(KeyError):
        place.plug_in(2, Car())
