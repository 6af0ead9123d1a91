"""`csms` on a machine whose clock can be set, as a process of its own: what `python -m csms` does,
with the time of day moved by as many seconds as a file says. Everything else is as it is.

    python -m tests.support.wrong_clock FILE serve --config csms.toml
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from csms import fresh

ROOT = Path(__file__).parents[2]


class WrongClock:
    """For a test: the file, and how to start a system by it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.program = ("-m", "tests.support.wrong_clock", str(file))
        self.environment = {"PYTHONPATH": str(ROOT)}
        self.set(0)

    def set(self, hours: float) -> None:
        """At once: the file is never seen half written."""
        beside = self._file.with_suffix(".new")
        beside.write_text(str(hours * 3_600))
        beside.replace(self._file)


def main() -> None:
    file = Path(sys.argv.pop(1))
    true_now, true_time, true_ns = fresh.now, time.time, time.time_ns

    def wrong_s() -> float:
        return float(file.read_text())

    # Before anything else of ours is loaded, which takes them by name.
    fresh.now = lambda: true_now() + timedelta(seconds=wrong_s())
    time.time = lambda: true_time() + wrong_s()
    time.time_ns = lambda: true_ns() + int(wrong_s() * 1e9)
    from csms.cli.main import main as csms

    assert "csms.app" not in sys.modules, os.environ
    csms()


if __name__ == "__main__":
    main()
