"""What an operator sees of a system that runs in a process of its own, and stations added there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from tests.support.ocpp_links import WITHIN_S, Socket, basic
from tests.support.system import System, csms

AT_ONCE = 20


class Operator:
    """Looks at a system from outside."""

    def __init__(self, system: System) -> None:
        self.system = system

    async def metric(self, name: str, **labels: str) -> float:
        """The value of a metric now; 0 for one that has not been counted yet."""
        async with httpx.AsyncClient(timeout=WITHIN_S) as client:
            text = (await client.get(f"{self.system.http_url}/metrics")).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def readyz(self) -> tuple[int, dict[str, Any]]:
        async with httpx.AsyncClient(timeout=WITHIN_S) as client:
            answer = await client.get(f"{self.system.http_url}/readyz")
        return answer.status_code, answer.json()

    async def cli(self, *words: str) -> Any:
        """What a command says, in a process of its own."""
        address = {"CSMS_URL": self.system.http_url, "CSMS_API_KEY": self.system.admin_key}
        code, out, err = await csms(*words, "--output", "json", environment=address)
        assert code == 0, err
        return json.loads(out)

    async def get(self, path: str) -> Any:
        async with self.system.client() as client:
            answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        async with self.system.client() as client:
            answer = await client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def add(self, *identities: str, cards: bool = True) -> dict[str, str]:
        """Stations, and a card of the same name for each; identity -> secret."""
        secrets: dict[str, str] = {}
        async with self.system.client() as client:

            async def one(identity: str) -> None:
                made = await client.post("/stations", json={"identity": identity})
                assert made.status_code == 201, made.text
                secrets[identity] = made.json()["token"]
                if cards:
                    made = await client.post("/tokens", json={"uid": identity})
                    assert made.status_code == 201, made.text

            for first in range(0, len(identities), AT_ONCE):
                await asyncio.gather(*map(one, identities[first : first + AT_ONCE]))
        return secrets

    # -- the process -------------------------------------------------------------------------------

    @property
    def _process(self) -> Path:
        assert self.system.process is not None
        return Path(f"/proc/{self.system.process.pid}")

    @property
    def files(self) -> int:
        """How many files and sockets it has open."""
        return len(list((self._process / "fd").iterdir()))

    @property
    def memory_kb(self) -> int:
        """What of it is in memory."""
        lines = (self._process / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    @property
    def log(self) -> str:
        return self.system.log.read_text()


@asynccontextmanager
async def station(
    url: str,
    identity: str,
    secret: str,
    subprotocols: Sequence[str] = ("ocpp1.6",),
    *,
    boot: bool = True,
    **options: Any,
) -> AsyncIterator[Socket]:
    """A station's link to `url`, the address without the identity; it has booted when the block
    begins. At the end it is dropped."""
    connection = await connect(
        f"{url}/{identity}",
        subprotocols=list(subprotocols),
        additional_headers={"Authorization": basic(identity, secret)},
        ping_interval=None,
        open_timeout=WITHIN_S,
        close_timeout=1,
        proxy=None,
        **options,
    )
    try:
        made = Socket(connection)
        if boot:
            about = {"chargePointVendor": "Test", "chargePointModel": "Fault"}
            answer = await made.calls("BootNotification", about)
            assert answer["status"] == "Accepted", answer
        yield made
    finally:
        if not connection.transport.is_closing():
            connection.transport.abort()
