"""Drivers come, charge and leave."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from chargers.charger import Charger
from chargers.driver import Driver, Habits

Make = Callable[..., Charger]


async def test_drivers_come_again_and_again(central: Any, make_charger: Make) -> None:
    habits = Habits(gap_s=(1, 2), stay_s=(20, 40), linger_s=(1, 2))
    async with make_charger("1.6", speed=300) as charger, asyncio.TaskGroup() as tasks:
        driver = Driver(charger, ["A", "B"], random.Random(1), habits)
        await charger.booted()
        tasks.create_task(driver.run())
        await charger.until(lambda: len(charger.ledger.finished) >= 4)
        driver.stop_arriving()
        assert await charger.drain(for_good=True)
    causes = {record.stop_cause for record in charger.ledger.transactions}
    assert causes <= {"local stop", "unplugged"}


async def test_somebody_plugs_in_after_a_remote_start(central: Any, make_charger: Make) -> None:
    habits = Habits(gap_s=(80_000, 80_000), stay_s=(20, 40), linger_s=(1, 2))
    async with make_charger("1.6", speed=300) as charger, asyncio.TaskGroup() as tasks:
        driver = Driver(charger, ["A"], random.Random(1), habits)
        await charger.booted()
        tasks.create_task(driver.run())
        await asyncio.sleep(0)
        await central.call("RemoteStartTransaction", id_tag="REMOTE")
        await charger.until(lambda: len(charger.ledger.finished) == 1)
        driver.stop_arriving()
    assert charger.ledger.transactions[0].token == "REMOTE"


async def test_where_nobody_comes_a_car_comes_when_it_is_called(
    central: Any, make_charger: Make
) -> None:
    habits = Habits(gap_s=(1, 2), stay_s=(20, 40), linger_s=(1, 2))
    async with make_charger("2.0.1", speed=300) as charger, asyncio.TaskGroup() as tasks:
        driver = Driver(charger, [], random.Random(1), habits)
        await charger.booted()
        tasks.create_task(driver.run())
        await charger.clock.sleep(100)
        assert charger.evses[0].car is None
        await central.call(
            "RequestStartTransaction",
            id_token={"id_token": "REMOTE", "type": "Central"},
            remote_start_id=1,
        )
        await charger.until(lambda: len(charger.ledger.finished) == 1)
        driver.stop_arriving()


async def test_a_refused_driver_takes_the_car_away(central: Any, make_charger: Make) -> None:
    central.token_statuses["BAD"] = "Blocked"
    habits = Habits(gap_s=(1, 2), stay_s=(20, 40), linger_s=(1, 2))
    async with make_charger("2.1", speed=300) as charger, asyncio.TaskGroup() as tasks:
        driver = Driver(charger, ["BAD"], random.Random(1), habits)
        await charger.booted()
        tasks.create_task(driver.run())
        await charger.until(lambda: len(charger.ledger.tokens_refused) >= 3)
        driver.stop_arriving()
    assert not charger.ledger.transactions


async def test_a_refused_driver_leaves_a_charge_alone_that_began_from_afar(
    central: Any, make_charger: Make
) -> None:
    central.token_statuses["BAD"] = "Blocked"
    habits = Habits(gap_s=(1, 2), stay_s=(300, 300), linger_s=(90, 90), unplug_share=0.0)
    async with make_charger("1.6", speed=300) as charger, asyncio.TaskGroup() as tasks:
        driver = Driver(charger, ["BAD"], random.Random(1), habits)
        await charger.booted()
        tasks.create_task(driver.run())
        await charger.until(lambda: charger.evses[0].car is not None)
        await central.call("RemoteStartTransaction", id_tag="REMOTE", connector_id=1)
        await charger.until(lambda: len(charger.ledger.finished) == 1)
        driver.stop_arriving()
    assert charger.ledger.transactions[0].stop_cause == "local stop"
