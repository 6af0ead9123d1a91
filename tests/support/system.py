"""A real system in a process of its own, as an operator runs it: `csms init`, `csms serve`."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import random
import signal
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import psycopg

from csms.cli.main import app
from csms.storage.server import ADAPTERS
from tests.support.forked import Forked

READY_WITHIN_S = 90.0


# Below those that connections are given, which would take them before a server does.
PORTS = range(15_000, 32_000)
# A system of several workers uses the numbers behind that of its operators as well.
IN_A_ROW = 4


def free_port() -> int:
    """A port that nobody listens on now, nor on the few behind it."""
    while True:
        port = random.choice(PORTS)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for number in range(port, port + IN_A_ROW):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return port


# These start nothing and wait for no signal, so they need no process, which takes seconds to begin.
IN_PROCESS = ("init", "check", "db")


async def csms(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run the command line to its end: exit code, stdout, stderr."""
    if arguments[0] in IN_PROCESS:
        return await asyncio.to_thread(_here, arguments, environment or {})
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = Forked(arguments, {**os.environ, **(environment or {})}, out, err)
        try:
            code = await process.wait()
        finally:
            process.kill()
        return code, out.read_text(), err.read_text()


def _here(arguments: Sequence[str], environment: dict[str, str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = 0
            try:
                app(list(arguments))
            except SystemExit as end:
                code = int(end.code or 0)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return code, out.getvalue(), err.getvalue()


class System:
    """One configured system that can be started, killed and started again on the same ports."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "csms.toml"
        self.database = folder / "csms.db"
        self.admin_key = ""
        self.ocpp_port, self.http_port = free_port(), free_port()
        self.environment = {
            "CSMS_OCPP__HOST": "127.0.0.1",
            "CSMS_OCPP__PORT": str(self.ocpp_port),
            "CSMS_HTTP__PORT": str(self.http_port),
            "CSMS_LOG_LEVEL": "warning",
        }
        # Another program that is to be run; None: `csms` itself, without loading it again.
        self.program: tuple[str, ...] | None = None
        self.how_to_serve: tuple[str, ...] = ()
        self.process: Forked | asyncio.subprocess.Process | None = None
        self.log = folder / "server.log"

    @property
    def station_url(self) -> str:
        return f"ws://127.0.0.1:{self.ocpp_port}/ocpp"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def client(self) -> httpx.AsyncClient:
        """The operator API with the admin key."""
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        return httpx.AsyncClient(base_url=f"{self.http_url}/api/v1", headers=headers, timeout=30)

    async def init(self, *arguments: str, **environment: str) -> None:
        """`csms init`; further settings go into the environment of every start."""
        self.environment |= environment
        how = ("--config", str(self.config), "--output", "json", *arguments)
        code, out, err = await csms("init", *how)
        assert code == 0, err
        self.admin_key = json.loads(out)["admin_key"]

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers, in the order of their numbers."""
        assert self.process is not None
        pid = self.process.pid
        found = {}
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            # One that begins or ends at this moment is not what it will be or was.
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
                if "--worker" in words:
                    found[int(words[words.index("--worker") + 1])] = int(child)
        return [found[number] for number in sorted(found)]

    async def start(self) -> None:
        """`csms serve`; returns when it is ready."""
        assert self.process is None
        serve = ("serve", "--config", str(self.config), *self.how_to_serve)
        environment = {**os.environ, **self.environment}
        if self.program is None:
            self.process = Forked(serve, environment, self.log, self.log)
        else:
            with self.log.open("ab") as log:
                command = (sys.executable, *self.program, *serve)
                self.process = await asyncio.create_subprocess_exec(
                    *command, stdout=log, stderr=log, env=environment
                )
        await self.ready()

    async def ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Wait for `/readyz`."""
        async with asyncio.timeout(within_s), httpx.AsyncClient() as client:
            while True:
                assert self.process is not None
                assert self.process.returncode is None, self.log.read_text()
                try:
                    answer = await client.get(f"{self.http_url}/readyz")
                    if answer.status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()
        self.process = None

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        code = await self.process.wait()
        self.process = None
        return code

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows straight from the database file."""
        with sqlite3.connect(self.database) as connection:
            return connection.execute(sql, parameters).fetchall()


class SystemOnServer(System):
    """The same with its state on a PostgreSQL server. `beside` gives further nodes of it."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.url = url

    async def init(self, *arguments: str, **environment: str) -> None:
        await super().init("--store", self.url, *arguments, **environment)

    def beside(self, name: str) -> SystemOnServer:
        """Another node with the same configuration, on ports of its own, not started."""
        made = SystemOnServer(self.config.parent, self.url)
        made.admin_key = self.admin_key
        made.log = self.config.parent / f"{name}.log"
        ports = {"CSMS_OCPP__PORT": made.ocpp_port, "CSMS_HTTP__PORT": made.http_port}
        made.environment = {
            **self.environment,
            **{key: str(port) for key, port in ports.items()},
            "CSMS_NODE": name,
        }
        return made

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows straight from the database; times as text."""
        with psycopg.connect(self.url, context=ADAPTERS) as connection:
            return connection.execute(sql.replace("?", "%s"), parameters).fetchall()
