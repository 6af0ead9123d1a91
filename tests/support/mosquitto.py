"""A real MQTT broker (Mosquitto) on a free port of loopback, in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt

from tests.support.system import free_port
from tests.support.waiting import until

START_WITHIN_S = 10.0
MISSING = (
    "Mosquitto is not installed, so what concerns it was LEFT OUT; "
    "as root: make test-deps (or apt-get install mosquitto)"
)


def binary() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Mosquitto:
    """One broker that can be killed and started again on its port. `password`: of the user `csms`,
    without whom nobody gets in; None: everybody does."""

    def __init__(self, folder: Path, password: str | None = None) -> None:
        self.port = free_port()
        self._folder = folder
        self._password = password
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        user = f"csms:{self._password}@" if self._password else ""
        return f"mqtt://{user}127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Returns when it takes connections."""
        found = binary()
        assert found is not None, MISSING
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence false",
            "user root",
            "set_tcp_nodelay true",
        ]
        lines.append(f"allow_anonymous {'false' if self._password else 'true'}")
        if self._password is not None:
            lines.append(f"password_file {await self._passwords()}")
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                found, "-c", str(config), stdout=log, stderr=log
            )
        await until(self._takes_connections, START_WITHIN_S)

    def _takes_connections(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, self.log()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    async def _passwords(self) -> Path:
        file = self._folder / "passwords"
        assert self._password is not None
        made = await asyncio.create_subprocess_exec(
            "mosquitto_passwd", "-b", "-c", str(file), "csms", self._password
        )
        assert await made.wait() == 0
        return file

    def log(self) -> str:
        return (self._folder / "mosquitto.log").read_text()

    def hang(self) -> None:
        """It stands still, with its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


@asynccontextmanager
async def mosquitto(folder: Path, password: str | None = None) -> AsyncIterator[Mosquitto]:
    """A broker that runs while the block does."""
    broker = Mosquitto(folder, password)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.kill()


class Subscriber:
    """Whoever listens: topics and events in the order of their arrival."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def hears(self, count: int, within_s: float = 20.0) -> list[tuple[str, dict[str, Any]]]:
        """The first so many that came, waiting for them."""
        async with asyncio.timeout(within_s):
            while len(self.heard) < count:
                message = await anext(aiter(self._client.messages))
                assert isinstance(message.payload, bytes)
                self.heard.append((str(message.topic), json.loads(message.payload)))
        return self.heard[:count]

    async def hears_up_to(self, event_id: str, within_s: float = 20.0) -> list[dict[str, Any]]:
        """Everything that came until that event."""
        async with asyncio.timeout(within_s):
            while not any(event["id"] == event_id for _, event in self.heard):
                await self.hears(len(self.heard) + 1, within_s)
        return [event for _, event in self.heard]


@asynccontextmanager
async def subscribed(broker: Mosquitto, topic: str = "csms/events/#") -> AsyncIterator[Subscriber]:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe(topic, qos=1)
        yield Subscriber(client)
