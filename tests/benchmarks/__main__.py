"""`python -m tests.benchmarks`: choose runs, make them, report.

Exit codes: 0 done, 1 something that was acknowledged is lost or a run broke, 2 usage, or a machine
that cannot do it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from tests.benchmarks import profiles, report
from tests.benchmarks.processes import ROOT, CannotRun, cores, pin
from tests.benchmarks.runs import RUNS, Options, Outcome, run

MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")
REPORTS = ROOT / "docs" / "benchmarks"
PROFILED = ("system.meter", "system.transactions")
THREADS = {"loop": "event loop thread", "store": "store thread"}


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="per figure (10)")
    parser.add_argument("--connections", type=int, default=200, help="under load (200)")
    parser.add_argument("--idle", type=int, default=5_000, help="idle links (5000)")
    parser.add_argument("--evses", type=int, default=33_000, help="of the network read (33000)")
    parser.add_argument("--crowd", type=int, default=16_000, help="connected meanwhile (16000)")
    parser.add_argument("--storm", type=int, default=33_000, help="stations at once (33000)")
    parser.add_argument("--only", default="", help=f"of {', '.join(RUNS)}; or a server or a load")
    parser.add_argument("--profile", action="store_true", help="profile this system instead")
    parser.add_argument("--folder", type=Path, help="where databases go: on a disk")
    parser.add_argument(
        "--output", type=Path, help="where the report goes (docs/benchmarks; with --only: nowhere)"
    )
    chosen = parser.parse_args(argv)
    counts = (chosen.connections, chosen.idle, chosen.evses, chosen.crowd, chosen.storm)
    if chosen.seconds <= 0 or min(counts) < 1:
        parser.error("--seconds and all that is counted must be positive")
    chosen.runs = select(chosen.only, PROFILED if chosen.profile else RUNS)
    if not chosen.runs:
        parser.error(f"--only: nothing of {', '.join(RUNS)} is called {chosen.only}")
    return chosen


def select(only: str, runs: Sequence[str]) -> list[str]:
    """The runs that `only` names: by their name, server or load; all when it is empty."""
    words = {word.strip() for word in only.split(",") if word.strip()}
    return [name for name in runs if not words or words & {name, *name.split(".")}]


def disk(folder: Path | None) -> Path:
    """A folder on a disk: the one asked for, else the first of the usual ones that is no memory."""
    if folder is not None:
        if not folder.is_dir():
            raise CannotRun(f"--folder: {folder} is no folder")
        return folder
    for usual in (Path(tempfile.gettempdir()), Path("/var/tmp"), ROOT):
        writable = usual.is_dir() and os.access(usual, os.W_OK)
        if writable and report.filesystem(usual) not in MEMORY_FILE_SYSTEMS:
            return usual
    raise CannotRun("no folder on a disk was found for the database: say one with --folder")


def _profile(options: Options, names: Sequence[str], output: Path) -> Outcome:
    """Run under the profiler, once for each thread, and write what it found."""
    texts: list[str] = []
    outcomes = []
    for name, thread in itertools.product(names, THREADS):
        heading = f"{name}: {THREADS[thread]}"

        def keep(folder: Path, outcome: Outcome, heading: str = heading) -> None:
            file = folder / "server.pstats"
            if outcome.figures and file.is_file():
                texts.append(profiles.text(file, heading, outcome.figures[0]))

        print(f"{heading} ...", file=sys.stderr, flush=True)
        outcomes.append(uvloop.run(run(name, replace(options, profile=thread), keep)))
    output.mkdir(parents=True, exist_ok=True)
    (output / "profile.txt").write_text("\n".join(texts))
    print(f"wrote {output / 'profile.txt'}", file=sys.stderr)
    return report.merged(outcomes)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code."""
    chosen = arguments(argv)
    console = report.console()
    try:
        folder = disk(chosen.folder)
        server_core, own_core = cores()
        pin(own_core)
        options = Options(
            chosen.seconds,
            chosen.connections,
            chosen.idle,
            chosen.evses,
            chosen.crowd,
            chosen.storm,
            folder,
            server_core,
        )
        if chosen.profile:
            outcome = _profile(options, chosen.runs, chosen.output or REPORTS)
        else:
            outcomes = []
            for name in chosen.runs:
                print(f"{name} ...", file=sys.stderr, flush=True)
                outcomes.append(uvloop.run(run(name, options)))
            outcome = report.merged(outcomes)
    except CannotRun as error:
        print(f"cannot run: {error}", file=sys.stderr)
        return 2
    if server_core is None:
        outcome.notes.insert(0, "server and generator share their cores: the figures mean little")
    found = report.results(report.machine(folder, server_core is not None), options, outcome)
    report.show(found, console)
    if chosen.output is None and chosen.only:
        print("not written: a part must not take the place of the whole", file=sys.stderr)
    elif not chosen.profile:
        report.write(found, chosen.output or REPORTS)
        if chosen.output is None:
            readme = ROOT / "README.md"
            readme.write_text(report.with_figures(readme.read_text(), found))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
