"""Nothing acknowledged is lost, nothing counted twice: kill -9 in the middle of everything.

50 chargers of all versions charge; the central system is killed at random moments and started
again: six times in the full suite, 20 times by `make crash`, the first six being the same. At the
end every transaction and meter value that a charger was told is stored, is
stored exactly once, with the energy of the charger's own meter.
"""

from __future__ import annotations

import os
import random

from tests.support.fleet import onboard, running_fleet
from tests.support.system import System
from tests.support.truth import compare

CHARGERS = 50
ROUNDS = int(os.environ.get("CSMS_CRASH_ROUNDS", "6"))
SEED = 20_26
SPEED = 120.0


async def test_kill_9_at_random_moments_loses_and_doubles_nothing(system: System) -> None:
    rng = random.Random(SEED)
    await system.init()
    await system.start()
    profiles = await onboard(system, CHARGERS, meter_interval_s=20, message_timeout_s=30.0)
    async with running_fleet(system, profiles, SEED, SPEED) as fleet:
        for _ in range(ROUNDS):
            await fleet.until_messages(fleet.messages + rng.randint(50, 600))
            await system.kill()
            await system.start()
        await fleet.drain()
    assert sum(charger.ledger.given_up for charger in fleet.chargers) == 0
    assert await system.stop() == 0
    compared = compare(system, fleet.chargers)
    assert compared["transactions"] > CHARGERS, compared
    assert compared["readings"] > 10 * CHARGERS, compared
