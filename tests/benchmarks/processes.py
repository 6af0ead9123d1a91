"""Server processes: starting one on its core, watching what it uses, ending it.

What is read of a process comes from /proc; elsewhere than on Linux those values are None.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START_S = 120.0
STOP_S = 60.0
TAIL_CHARS = 2_000


class CannotRun(Exception):
    """The benchmark cannot be made on this machine as asked; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time used so far: of the main thread (the event loop), and of all others; bytes written
    to the disk. All since the start of the process."""

    loop_s: float
    others_s: float
    written: int


class Server:
    """One server process. Use as a context manager; leaving it kills what still runs."""

    def __init__(self, name: str, folder: Path, core: int | None, **plan: Any) -> None:
        self.port = self.http_port = 0
        self.database = folder / "bench.db"
        self._folder = folder
        self._errors = folder / "server.log"
        whole: dict[str, Any] = {
            "server": name,
            "core": core,
            "stations": [],
            "tokens": [],
            "profile": "",
        }
        file = folder / "plan.json"
        file.write_text(json.dumps({**whole, "database": str(self.database), **plan}))
        file.chmod(0o600)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CSMS_")}
        environment["PYTHONPATH"] = str(ROOT)
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.servers", str(file)],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    @property
    def errors(self) -> str:
        """The end of what the server wrote to its error output."""
        return self._errors.read_text(errors="replace")[-TAIL_CHARS:].strip()

    def wait_ready(self) -> int:
        """The port it listens on. Raises `CannotRun` when it does not start."""
        output = self._process.stdout
        assert output is not None
        # Not `select.select`: with thousands of links open the descriptor may be too high for it.
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            line = output.readline() if selector.select(START_S) else b""
        if not line:
            raise CannotRun(f"the server did not start:\n{self.errors}")
        said = json.loads(line)
        self.port, self.http_port = int(said["port"]), int(said.get("http_port", 0))
        return self.port

    def kill(self) -> None:
        """End it as a crash would: nothing is flushed, nothing is closed."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired as error:
            raise CannotRun(f"the server did not stop in {STOP_S:g} s:\n{self.errors}") from error

    # -- what it uses ----------------------------------------------------------------------------

    def usage(self) -> Usage | None:
        """CPU time by thread, and bytes written."""
        pid = self._process.pid
        try:
            tasks = {
                task.name: int((task / "schedstat").read_text().split()[0]) / 1e9
                for task in Path(f"/proc/{pid}/task").iterdir()
            }
            io = Path(f"/proc/{pid}/io").read_text()
        except (OSError, ValueError, IndexError):
            return None
        written = next(
            int(line.split()[1]) for line in io.splitlines() if line.startswith("write_bytes")
        )
        loop = tasks.pop(str(pid), 0.0)
        return Usage(loop, sum(tasks.values()), written)

    def rss(self) -> int | None:
        """Resident memory in bytes."""
        try:
            status = Path(f"/proc/{self._process.pid}/statm").read_text().split()
        except OSError:
            return None
        return int(status[1]) * os.sysconf("SC_PAGE_SIZE")

    def settled_rss(self, within_s: float = 3.0) -> int | None:
        """Resident memory once it has stopped to change by more than 0.1 %."""
        before, deadline = self.rss(), time.monotonic() + within_s
        while before is not None and time.monotonic() < deadline:
            time.sleep(0.5)
            after = self.rss()
            if after is None or abs(after - before) <= before // 1000:
                return after
            before = after
        return before


# -- the machine -----------------------------------------------------------------------------------


_GIVEN = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()


def cores() -> tuple[int | None, int | None]:
    """The cores of server and generator; (None, None) where they cannot have one each."""
    if not hasattr(os, "sched_setaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[-1], usable[0]) if len(usable) > 1 else (None, None)


def pin(core: int | None) -> None:
    """Keep this process, and what it starts from now on, on one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


@contextmanager
def on_all_cores() -> Iterator[None]:
    """What is started in the block may use every core that this process was given: several servers
    that share the machine, as they would anywhere."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    kept = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _GIVEN)
    try:
        yield
    finally:
        os.sched_setaffinity(0, kept)


def allow_files(count: int) -> None:
    """Make room for so many open files here and in the servers started from now on. Raises
    `CannotRun` when the system does not let us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY:
        hard = max(hard, count)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    except (ValueError, OSError) as error:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        raise CannotRun(
            f"{count} open files are needed and {hard} are allowed: raise the limit "
            f"(ulimit -Hn {count}, or LimitNOFILE), or ask for fewer links (--idle, --connections)"
        ) from error
