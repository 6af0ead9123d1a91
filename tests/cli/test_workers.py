"""Workers are started, started again, and ended; here each is a small program of the test's."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from csms.cli import workers
from csms.cli.workers import Supervisor, unsuitable, worker_command
from csms.settings import Settings
from tests.support.waiting import until

POSTGRES = {"url": "postgresql://csms@db.example.com/csms"}
BROKER = {"url": "mqtt://broker.example.com"}
# Writes its process id, ends when it is told to or when nobody holds its standard input any more.
PROGRAM = """
import os, pathlib, signal, sys
file = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGHUP, lambda *_: file.with_suffix(".hup").touch())
with file.open("a") as log:
    log.write(f"{os.getpid()}\\n")
sys.exit(int(sys.argv[2])) if sys.argv[2:] else None
while sys.stdin.buffer.read(1):
    pass
"""


class Crew:
    """A supervisor of programs that note their process ids."""

    def __init__(self, folder: Path, count: int, *arguments: str) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.stop = asyncio.Event()
        self.supervisor = Supervisor(count, self._command, self.said.append)
        self._arguments = arguments

    def _command(self, number: int) -> list[str]:
        return [sys.executable, "-c", PROGRAM, str(self.folder / str(number)), *self._arguments]

    def started(self, number: int) -> list[int]:
        """Process ids of all that were worker `number`, oldest first."""
        file = self.folder / str(number)
        return [int(line) for line in file.read_text().split()] if file.exists() else []


@asynccontextmanager
async def working(folder: Path, count: int = 2) -> AsyncIterator[tuple[Crew, asyncio.Task[int]]]:
    crew = Crew(folder, count)
    task = asyncio.create_task(crew.supervisor.run(crew.stop))
    try:
        await until(lambda: all(crew.started(n + 1) for n in range(count)))
        yield crew, task
    finally:
        crew.stop.set()
        await asyncio.wait_for(task, 20)


def gone(pid: int) -> Callable[[], bool]:
    return lambda: not Path(f"/proc/{pid}").exists()


async def test_all_are_started_and_ended(tmp_path: Path) -> None:
    async with working(tmp_path, 3) as (crew, task):
        pids = [crew.started(n)[0] for n in (1, 2, 3)]
        assert len(set(pids)) == 3
    # They ended because they were told to.
    assert task.result() == 0
    assert all(gone(pid)() for pid in pids)
    assert crew.said == []


async def test_one_that_dies_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also soon after its start: who is killed has not said that it cannot run."""
    monkeypatch.setattr(workers, "AGAIN_S", 0.01)
    async with working(tmp_path) as (crew, _):
        os.kill(crew.started(2)[0], signal.SIGKILL)
        await until(lambda: len(crew.started(2)) == 2)
        assert len(crew.started(1)) == 1
        assert crew.said == ["worker 2 ended (signal 9); it is started again in 0.01 s"]


async def test_one_that_cannot_start_ends_all_with_its_code(tmp_path: Path) -> None:
    crew = Crew(tmp_path, 2, "7")
    assert await asyncio.wait_for(crew.supervisor.run(crew.stop), 20) == 7


async def test_signals_are_passed_on(tmp_path: Path) -> None:
    async with working(tmp_path) as (crew, _):
        crew.supervisor.signal(signal.SIGHUP)
        await until(lambda: all((tmp_path / f"{n}.hup").exists() for n in (1, 2)))


async def test_they_end_with_who_started_them(tmp_path: Path) -> None:
    """Their standard input closes."""
    async with working(tmp_path, 1) as (crew, _):
        process = crew.supervisor._running[1]
        assert process.stdin is not None
        process.stdin.close()
        await until(gone(crew.started(1)[0]))


@pytest.mark.parametrize(
    ("more", "missing"),
    [
        ({}, "a PostgreSQL server (store.url"),
        ({"store": POSTGRES}, "an MQTT broker (bus.url"),
        ({"bus": BROKER}, "a PostgreSQL server (store.url"),
        ({"store": POSTGRES, "bus": BROKER, "http": {"port": 0}}, "must not be 0"),
    ],
)
def test_what_several_processes_need_is_said(more: dict[str, object], missing: str) -> None:
    why = unsuitable(Settings.model_validate(more), 2)
    assert why is not None
    assert missing in why
    assert "--workers 2" in why


def test_with_all_of_it_they_can() -> None:
    assert unsuitable(Settings.model_validate({"store": POSTGRES, "bus": BROKER}), 2) is None


def test_a_worker_is_this_program_with_its_number() -> None:
    command = worker_command("/etc/csms.toml", 4, 2)
    assert command[0] == sys.executable
    assert command[2:] == [
        "csms",
        "serve",
        "--config",
        "/etc/csms.toml",
        "--workers",
        "4",
        "--worker",
        "2",
    ]
