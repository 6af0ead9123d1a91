"""`make fuzz`: examples until the time is up, or until one fails; how to replay it is printed.

make fuzz ARGS="--seconds 600 --seed 7"
make fuzz ARGS="--replay .fuzz/failed-7-12.json"
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.campaign import Example, examples, play

EXAMPLES_PER_ROUND = 100
FOLDER = Path(".fuzz")

Play = Callable[[Example], None]


def fuzz(
    seconds: float,
    first_seed: int,
    play_one: Play,
    folder: Path = FOLDER,
    phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink),
) -> int:
    """Rounds of examples, each with a seed of its own, at least one; the exit code."""
    until = time.monotonic() + seconds
    number = first_seed
    while True:
        began = time.monotonic()
        try:
            failed = _round(number, play_one, phases)
        except KeyboardInterrupt:
            return 130
        if failed is not None:
            _report(*failed, number, folder)
            return 1
        taken = time.monotonic() - began
        print(f"seed {number}: {EXAMPLES_PER_ROUND} examples in {taken:.0f} s", flush=True)
        number += 1
        if time.monotonic() >= until:
            print(f"nothing found; the next seed is {number}")
            return 0


def _round(
    number: int, play_one: Play, phases: tuple[Phase, ...]
) -> tuple[Example, BaseException] | None:
    """Examples of one seed; the smallest that fails with its error, None when all pass."""
    failed: list[tuple[Example, BaseException]] = []

    @seed(number)
    @settings(
        max_examples=EXAMPLES_PER_ROUND,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    @given(examples())
    def holds(example: Example) -> None:
        try:
            play_one(example)
        except Exception as error:
            # The last to fail is the smallest that hypothesis finds.
            failed[:] = [(example, error)]
            raise

    try:
        holds()
    except Exception:
        if not failed:
            raise
    return failed[0] if failed else None


def _report(example: Example, error: BaseException, number: int, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    record = folder / f"failed-{number}.json"
    record.write_text(example.record())
    print(f"\nFailed with seed {number}: OCPP {example.version}, station {example.registration}")
    for place, frame in enumerate(example.sent):
        if place in example.asks:
            print("  (we call the station)")
        print(f"  > {frame[:1_000]!r}")
    for line in _words(error):
        print(line)
    print(f'\nReplay it:      make fuzz ARGS="--replay {record}"')
    print(f'Find it again:  make fuzz ARGS="--seed {number} --seconds 0"')


def _words(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [line for inner in error.exceptions for line in _words(inner)]
    return [f"{type(error).__name__}: {str(error)[:2_000]}"]


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code: 0 nothing found, 1 something found."""
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=...", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first round")
    parser.add_argument("--replay", type=Path, help="play one recorded example instead")
    given_here = parser.parse_args(arguments)
    with asyncio.Runner() as runner:
        if given_here.replay is not None:
            example = Example.of(given_here.replay.read_text())
            play(example, runner)
            print("it passes now")
            return 0
        return fuzz(given_here.seconds, given_here.seed, lambda one: play(one, runner))


if __name__ == "__main__":
    sys.exit(main())
