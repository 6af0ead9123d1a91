"""`python -m tests.simulation --seeds 200 --hours 2`: live worlds one after the other.

A seed that fails is named with the command that lives it again; exit code 1.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from collections import Counter

from tests.simulation.world import Plan, World
from tests.support.virtual import run_virtually


def lived(plan: Plan) -> World:
    """Live one world; it knows what happened in it. Raises what did not hold."""
    made: list[World] = []

    async def live() -> None:
        made.append(World(plan))
        await made[0].run()

    run_virtually(live())
    return made[0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many (20)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--hours", type=float, default=1.0, help="of virtual time, each (1)")
    parser.add_argument("--chargers", type=int, default=50)
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    total: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lived_s = 0.0
    failed = []
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        began = time.monotonic()
        try:
            found = lived(Plan(seed, chosen.hours, chosen.chargers))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            traceback.print_exc()
            one = f"--first {seed} --chargers {chosen.chargers}"
            print(
                f'seed {seed} failed; again: make sim SEEDS=1 HOURS={chosen.hours:g} ARGS="{one}"'
            )
            failed.append(seed)
            continue
        total += found.happened
        most |= Counter(found.queues.most)
        lived_s += found.lived_s
        took = time.monotonic() - began
        happened = dict(sorted(found.happened.items()))
        print(f"seed {seed}: {took:.1f} s, world {found.fingerprint()}, {happened}", flush=True)
    print(f"{chosen.seeds} seeds, {lived_s / 86_400:.2f} virtual days, failed: {failed or 'none'}")
    print(dict(sorted(total.items())))
    print(f"most in a queue at once: {dict(most)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
