"""Chargers with every fault that they can have: their transactions come out right all the same.

One charger for each fault and version, and one of each version with nearly all of them. What each
charger's own meter counted must be what is recorded, once, and nothing may be left unsent.
"""

from __future__ import annotations

from chargers.charger import Charger
from chargers.faults import FAULTS
from tests.support.fleet import VERSIONS, onboard, running_fleet
from tests.support.system import System
from tests.support.truth import Recorded

SEED = 5
SPEED = 120.0
# What makes all of a charger's times or readings doubtful is flagged for people, rightly.
RIGHTLY_FLAGGED = {"", "clock_suspect"}
# And a sequence number that never moves.
STUCK = {"sequence_repeated", "clock_suspect sequence_repeated"}
# Together with a clock that was never set, a repeated start is told from a new one by its content.
TOGETHER = tuple(name for name in FAULTS if name not in ("clock-1970", "lost-answers"))


def check(system: System, charger: Charger) -> int:
    """Assert that the charger's transactions are recorded right; how many there are."""
    recorded = Recorded(system, charger.profile.id)
    lived = charger.ledger.transactions
    where = (charger.profile.id, charger.profile.version, charger.profile.faults)
    assert charger.ledger.given_up == 0, where
    by_id = {row["wire_id"].removeprefix("#"): row for row in recorded.transactions}
    assert len(by_id) == len(recorded.transactions) == len(lived), (where, recorded.transactions)
    for record in lived:
        assert record.central_id is not None, (where, record)
        row = by_id[record.central_id]
        assert not row["open"], (where, row)
        assert row["end_kind"] == "reported", (where, row)
        assert row["energy_wh"] == record.energy_wh, (where, row, record)
        stuck = STUCK if "stuck-seqno" in where[2] else set()
        assert row["flags"] in RIGHTLY_FLAGGED | stuck, (where, row)
    return len(lived)


async def test_faulty_chargers_charge_and_nothing_is_lost_or_doubled(system: System) -> None:
    await system.init()
    await system.start()
    given = [(fault,) for fault in FAULTS] + [TOGETHER]
    profiles = await onboard(
        system,
        len(given) * len(VERSIONS),
        of=lambda n: {"faults": given[n // len(VERSIONS)]},
        meter_interval_s=20,
        message_timeout_s=5.0,
        retry_interval_s=5,
        attempts=10,
    )
    async with running_fleet(system, profiles, SEED, SPEED) as fleet:
        await fleet.until_messages(40 * len(profiles))
        await fleet.drain()
    assert await system.stop() == 0
    counted = [check(system, charger) for charger in fleet.chargers]
    assert all(counted), dict(zip([p.faults for p in profiles], counted, strict=True))
