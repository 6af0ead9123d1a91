"""Connecting, again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chargers.charger import Charger
from chargers.profile import ChargerProfile

Make = Callable[..., Charger]


async def test_a_central_system_that_is_not_there_is_tried_again() -> None:
    profile = ChargerProfile(id="CP-1", reconnect_min_s=0.01, reconnect_max_s=0.02)
    async with Charger(profile, "ws://127.0.0.1:1") as charger:
        await charger.until(lambda: charger.ledger.connections_failed >= 3)
    assert charger.ledger.last_failure is not None


async def test_a_charger_may_come_back_without_a_boot(central: Any, make_charger: Make) -> None:
    async with make_charger("1.6", boot_on_reconnect=False) as charger:
        await charger.booted()
        for connection in (2, 3):
            charger.drop_link()
            await charger.until(lambda: not charger.online)
            await charger.booted()
            assert charger.ledger.connections == connection
    assert charger.ledger.boots == ["Accepted"]


async def test_one_that_was_never_accepted_boots_again(central: Any, make_charger: Make) -> None:
    central.boot_verdicts = ["Pending", "Accepted"]
    async with make_charger("2.0.1", speed=50, boot_on_reconnect=False) as charger:
        await charger.until(lambda: charger.ledger.connections == 1 and bool(central.seen))
        charger.drop_link()
        await charger.booted()
        assert len(charger.ledger.boots) >= 1


async def test_a_refused_boot_is_tried_again(central: Any, make_charger: Make) -> None:
    central.refuse = lambda action, fields: len(central.seen) < 3
    async with make_charger("2.1", speed=3000) as charger:
        await charger.booted()
    assert charger.ledger.rejected == 2


async def test_heartbeats_come_at_the_interval_of_the_boot_answer(
    central: Any, make_charger: Make
) -> None:
    async with make_charger("2.1", speed=6000) as charger:
        await charger.booted()
        await central.until(lambda: len(central.of("Heartbeat")) >= 3)
