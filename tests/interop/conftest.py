"""The foreign network in a process and an environment of its own, and ours beside it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from csms.app import Running, running
from tests.e2e.test_roaming import operator, settings
from tests.support.system import free_port
from tests.support.waiting import until

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv-interop" / "bin" / "python"
SERVER = Path(__file__).parent / "foreign_network.py"
THEIRS, OURS = "US*EWO", "CA*NTH"
NAME = "Foreign"


@dataclass(frozen=True)
class Foreign:
    """The other network: its addresses, and what can be asked of it by hand."""

    base: str
    client: httpx.AsyncClient

    invitation = "their-invitation-0123"

    @property
    def versions_url(self) -> str:
        return f"{self.base}/ocpi/versions"

    async def hand(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.client.request(method, f"{self.base}/hand{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def kept(self, role: str, module: str) -> list[Any]:
        found: list[Any] = await self.hand("GET", f"/kept/{role}/{module}")
        return found

    async def push(self, north: Running, module: str, object_id: str) -> Any:
        """The library pushes an object of its own to us; our answer."""
        token = (await self.hand("GET", "/partner"))["credentials"]["token"]
        details = f"http://127.0.0.1:{north.http_port}/ocpi/2.2.1"
        receivers = [{"endpoints_url": details, "auth_token": token}]
        body = {"module_id": module, "object_id": object_id, "receivers": receivers}
        # Its own token in Base64, by which the library lets itself be told to push.
        headers = {"Authorization": "Token dGhlaXItdG9rZW4tMDEyMzQ1Njc4OQ=="}
        answer = await self.client.post(f"{self.base}/push/2.2.1", json=body, headers=headers)
        (told,) = answer.json()["receiver_responses"]
        assert told["status_code"] in (200, 201), told
        return told["response"]


@pytest.fixture
async def foreign(tmp_path: Path) -> AsyncIterator[Foreign]:
    """The foreign network, up and connected to nobody."""
    if not PYTHON.exists():
        pytest.fail("there is no .venv-interop: make interop sets it up and runs these tests")
    port = free_port()
    country, _, party_id = THEIRS.partition("*")
    environment = {
        **os.environ,
        "OCPI_HOST": f"127.0.0.1:{port}",
        "PROTOCOL": "http",
        "COUNTRY_CODE": country,
        "PARTY_ID": party_id,
        "PROJECT_NAME": NAME,
    }
    with (tmp_path / "foreign.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PYTHON, SERVER, str(port), env=environment, cwd=tmp_path, stdout=log, stderr=log
        )
    try:
        async with httpx.AsyncClient(timeout=30) as client:
            made = Foreign(f"http://127.0.0.1:{port}", client)

            async def up() -> bool:
                assert process.returncode is None, (tmp_path / "foreign.log").read_text()
                try:
                    await made.hand("GET", "/asked")
                except httpx.TransportError:
                    return False
                return True

            await until(up)
            yield made
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@dataclass(frozen=True)
class North:
    """Our network, with its operator's API."""

    running: Running
    client: httpx.AsyncClient

    async def do(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        answer = await self.client.request(method, path, json=body, params=params)
        assert answer.is_success, answer.text
        return answer.json()

    async def partner(self) -> Any:
        return await self.do("GET", f"/partners/{NAME}")

    async def register(self, foreign: Foreign) -> Any:
        """We complete their invitation, and have read their lists once."""
        body = {"name": NAME, "url": foreign.versions_url, "token": foreign.invitation}
        registered = await self.do("POST", "/partners/register", body)

        async def read() -> bool:
            done = {(m["module"], m["direction"]) for m in (await self.partner())["modules"]}
            return {("cdrs", "push"), ("cdrs", "pull")} <= done

        await until(read)
        return registered


@pytest.fixture
async def north(tmp_path: Path) -> AsyncIterator[North]:
    """Our network, up and connected to nobody."""
    async with running(settings(tmp_path / "north", OURS)) as system, await operator(system) as api:
        yield North(system, api)
