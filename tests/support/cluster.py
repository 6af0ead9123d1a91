"""Several nodes of one system in this process: PostgreSQL, a broker, and a way to kill one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from csms.app import Running, running
from csms.fresh import ensure_admin_key
from csms.settings import Settings
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.postgres import database
from tests.support.waiting import until

ADMIN = "first.secret"


class NodeHere:
    """A node that serves until `stop`. `api`: the operator API of this one, as an admin."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._stop = asyncio.Event()
        self._up: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._serve(), name=name)

    async def _serve(self) -> None:
        try:
            async with running(self._settings) as system:
                self._up.set_result(system)
                await self._stop.wait()
        except BaseException as error:
            if not self._up.done():
                self._up.set_exception(error)
            raise

    async def up(self) -> Running:
        return await self._up

    @property
    def system(self) -> Running:
        return self._up.result()

    @property
    def station_url(self) -> str:
        return f"ws://127.0.0.1:{self.system.ocpp_port}/ocpp"

    def client(self) -> httpx.AsyncClient:
        base = f"http://127.0.0.1:{self.system.http_port}/api/v1"
        headers = {"Authorization": f"Bearer {ADMIN}"}
        return httpx.AsyncClient(base_url=base, headers=headers, timeout=30)

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """The status and body of `/readyz`."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{self.system.http_port}/readyz")
            return answer.status_code, answer.json()

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(self._task, return_exceptions=True)


def settings(name: str, store_url: str, broker_url: str | None, **more: Any) -> Settings:
    given: dict[str, Any] = {
        "node": name,
        "ocpp": {"port": 0, "host": "127.0.0.1", "settle_s": 600.0},
        "http": {"port": 0},
        "store": {"url": store_url, "lanes": 2},
        "bus": {"url": broker_url},
        "nodes": {"beat_s": 0.2, "lost_after_s": 2.0},
        "security": {"keys": {"k": "0" * 64}, "current": "k"},
        **more,
    }
    return Settings.model_validate(given)


class Cluster:
    """Nodes by name, all of one store."""

    def __init__(self, store_url: str, broker: Mosquitto | None) -> None:
        self.store_url = store_url
        self.broker = broker
        self.nodes: dict[str, NodeHere] = {}

    async def start(self, *names: str, **more: Any) -> list[NodeHere]:
        """Nodes that see each other, and reach each other where there is a broker."""
        url = self.broker.url if self.broker is not None else None
        for name in names:
            self.nodes[name] = NodeHere(name, settings(name, self.store_url, url, **more))
        for name in names:
            system = await self.nodes[name].up()
            await ensure_admin_key(system.store, system.api.keyring, ADMIN)
        await until(self._know_each_other)
        return [self.nodes[name] for name in names]

    async def _know_each_other(self) -> bool:
        for node in self.nodes.values():
            async with httpx.AsyncClient() as client:
                base = f"http://127.0.0.1:{node.system.http_port}"
                text = (await client.get(f"{base}/metrics")).text
            lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
            if float(lines["csms_nodes_alive"]) != len(self.nodes):
                return False
            if float(lines["csms_node_bus_trouble"]):
                return False
        return True


@asynccontextmanager
async def cluster(folder: Path, *, broker: bool = True) -> AsyncIterator[Cluster]:
    """A store and a broker; every node that was started is stopped at the end."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(database())
        met = await stack.enter_async_context(mosquitto(folder)) if broker else None
        made = Cluster(url, met)
        try:
            yield made
        finally:
            await asyncio.gather(*(node.stop() for node in made.nodes.values()))
