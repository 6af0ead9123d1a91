"""`csms serve --workers N`: one process that starts the others, starts again those that die, and
ends them in order.

A worker is a node of its own, named after the machine and its number. They share the ports of the
configuration; each has a port for its own API and metrics beside. One more takes no stations and
does what only one may do, so that partners, prices and bills never wait behind stations. Who starts
them does nothing else, and they end when it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

from csms.settings import SQLITE, Settings

# A worker that ends by itself sooner than that after the first start cannot run at all.
SETTLED_S = 10.0
AGAIN_S = 1.0
SELDOM_S = 30.0
# For links to be closed and what has queued to be stored.
STOP_S = 30.0
USAGE = 2


def unsuitable(settings: Settings, workers: int) -> str | None:
    """Why so many processes cannot serve together, and what to do; None when they can."""
    if 0 in (settings.ocpp.port, settings.http.port):
        return f"--workers {workers} share their ports: ocpp.port and http.port must not be 0"
    missing = []
    if settings.store.url.startswith(SQLITE):
        missing.append('a PostgreSQL server (store.url = "postgresql://USER@HOST/DATABASE")')
    if settings.bus.url is None:
        missing.append('an MQTT broker (bus.url = "mqtt://HOST")')
    if not missing:
        return None
    return f"--workers {workers} needs {' and '.join(missing)}: one process does without"


class Supervisor:
    """`run` it until `stop` is set; the exit code. `command(number)`: what starts a worker, whose
    standard input tells it by its end that we are gone."""

    def __init__(
        self, count: int, command: Callable[[int], Sequence[str]], say: Callable[[str], None]
    ) -> None:
        self._count = count
        self._command = command
        self._say = say
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._failed: int | None = None

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on to every worker."""
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def run(self, stop: asyncio.Event) -> int:
        self._stop = stop
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, self._count + 1):
                tasks.create_task(self._keep(number), name=f"worker {number}")
        return self._failed or 0

    async def _keep(self, number: int) -> None:
        """One worker, again and again until we are to stop."""
        loop = asyncio.get_running_loop()
        wait_s, first = AGAIN_S, True
        while not self._stop.is_set():
            began = loop.time()
            code = await self._once(number)
            if self._stop.is_set():
                self._failed = self._failed or (code if code > 0 else None)
                return
            lived_s = loop.time() - began
            if code == USAGE or (first and code >= 0 and lived_s < SETTLED_S):
                # What it has said on stderr is the reason; the others would say the same.
                self._failed = code if code > 0 else 1
                self._stop.set()
                return
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._say(f"worker {number} ended ({how}); it is started again in {wait_s:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stop.wait()
            wait_s = AGAIN_S if lived_s > SELDOM_S else min(wait_s * 2, SELDOM_S)
            first = False

    async def _once(self, number: int) -> int:
        """Start a worker and wait for its end; its exit code."""
        process = await asyncio.create_subprocess_exec(
            *self._command(number),
            stdin=asyncio.subprocess.PIPE,
            # Ctrl-C on a terminal is for us to pass on, once.
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._running[number] = process
        ended = asyncio.create_task(process.wait(), name=f"worker {number} ends")
        stopping = asyncio.create_task(self._stop.wait(), name=f"worker {number} must end")
        try:
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await asyncio.wait((ended,), timeout=STOP_S)
            if not ended.done():
                self._say(f"worker {number} did not end in {STOP_S:g} s and is killed")
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            return await ended
        finally:
            stopping.cancel()
            del self._running[number]


def worker_command(config: str, count: int, number: int) -> list[str]:
    """How this program starts one of its workers, of which `count` take stations."""
    program = [sys.executable, "-m", "csms", "serve", "--config", config]
    return [*program, "--workers", str(count), "--worker", str(number)]


def until_orphaned(stop: Callable[[], None]) -> None:
    """Have `stop` called when who started this worker is gone: its end of our standard input closes
    with it."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        if not os.read(descriptor, 4_096):
            loop.remove_reader(descriptor)
            stop()

    loop.add_reader(descriptor, readable)
