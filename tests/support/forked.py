"""`csms` in a process of its own that begins as a copy of one which has loaded it already.

To load the program takes as much time as many a test. What runs is the same; how it is started from
a shell is for the tests of the command line.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_WITH = multiprocessing.get_context("forkserver")
_WITH.set_forkserver_preload(["csms.app", "csms.cli.main", "csms.cli.local", "uvloop"])


class Forked:
    """The process: the parts of `asyncio.subprocess.Process` that tests use."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], out: Path, err: Path
    ) -> None:
        """What it says is added to these files."""
        what = (list(arguments), dict(environment), str(out), str(err), str(Path.cwd()))
        self._process = _WITH.Process(target=_run, args=what, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    async def wait(self) -> int:
        """Its exit code, below 0 for a signal."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        assert self.returncode is not None
        return self.returncode


def _run(
    arguments: list[str], environment: dict[str, str], out: str, err: str, folder: str
) -> None:
    """What a process that has just been started with these would do."""
    os.setsid()
    for descriptor, name in ((1, out), (2, err)):
        with Path(name).open("ab") as file:
            os.dup2(file.fileno(), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # All copies would draw the same numbers.
    random.seed()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    sys.argv = ["csms", *arguments]
    from csms.cli.main import app

    app(arguments)
