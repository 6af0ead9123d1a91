"""A small central system for the three versions, made with the `ocpp` package's server side.

It records every call it gets, answers sensibly, and can be told to answer otherwise. Nothing of
`csms` is in it: these tests are about the chargers alone.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest
from ocpp.exceptions import InternalError
from websockets.asyncio.server import ServerConnection, serve

from chargers.charger import Charger
from chargers.clock import ScaledClock
from chargers.profile import ChargerProfile

PACKAGES = {"ocpp1.6": "ocpp.v16", "ocpp2.0.1": "ocpp.v201", "ocpp2.1": "ocpp.v21"}
NOW = "2024-01-01T00:00:00.000Z"


@dataclass
class Seen:
    """One call of a charger: the action, its fields in snake case, and its message id."""

    action: str
    fields: dict[str, Any]
    message_id: str


@dataclass
class Central:
    """`seen` is everything that came in; `refuse(action, fields)` true answers a CALLERROR."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    links: list[Any] = field(default_factory=list)
    passwords: list[bytes | None] = field(default_factory=list)
    identities: list[str] = field(default_factory=list)
    refuse: Callable[[str, dict[str, Any]], bool] = lambda action, fields: False
    boot_verdicts: list[str] = field(default_factory=list)
    token_statuses: dict[str, str] = field(default_factory=dict)
    next_transaction: int = 100
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, *actions: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.action in actions]

    def note(self, seen: Seen) -> None:
        self.seen.append(seen)
        happened, self._changed = self._changed, asyncio.Event()
        happened.set()

    async def until(self, condition: Callable[[], bool], within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                await self._changed.wait()

    async def call(self, action: str, **fields: Any) -> Any:
        """Call the charger that connected last; its answer, or raises its CALLERROR."""
        link = self.links[-1]
        payload = getattr(link._call, action)(**fields)
        return await link.call(payload, suppress=False)

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.identities.append(unquote(connection.request.path.rsplit("/", 1)[1]))
        header = connection.request.headers.get("Authorization")
        credentials = base64.b64decode(header.split()[1]) if header else None
        self.passwords.append(credentials and credentials.split(b":", 1)[1])
        package = PACKAGES[str(connection.subprotocol)]
        link = importlib.import_module(package).ChargePoint("charger", connection, 5)
        results = importlib.import_module(f"{package}.call_result")
        for action in (
            "Authorize",
            "BootNotification",
            "Heartbeat",
            "MeterValues",
            "NotifyReport",
            "StartTransaction",
            "StatusNotification",
            "StopTransaction",
            "TransactionEvent",
        ):
            if hasattr(results, action):
                link.route_map[action] = {"_on_action": self._handler(action, results)}
        self.links.append(link)
        async for text in connection:
            await link.route_message(text)

    def _handler(self, action: str, results: Any) -> Callable[..., Any]:
        def answer(call_unique_id: str, **fields: Any) -> Any:
            self.note(Seen(action, fields, call_unique_id))
            if self.refuse(action, fields):
                raise InternalError
            result = getattr(results, action)
            return result(**self._answer(action, fields))

        return answer

    def _answer(self, action: str, fields: dict[str, Any]) -> dict[str, Any]:
        if action == "BootNotification":
            verdict = self.boot_verdicts.pop(0) if self.boot_verdicts else "Accepted"
            return {"current_time": NOW, "interval": 300, "status": verdict}
        if action == "Heartbeat":
            return {"current_time": NOW}
        if action == "Authorize" and "id_tag" in fields:
            return {"id_tag_info": {"status": self._status(fields["id_tag"])}}
        if action == "StartTransaction":
            self.next_transaction += 1
            info = {"status": self._status(fields["id_tag"])}
            return {"transaction_id": self.next_transaction, "id_tag_info": info}
        if action in ("Authorize", "TransactionEvent") and fields.get("id_token"):
            return {"id_token_info": {"status": self._status(fields["id_token"]["id_token"])}}
        return {}

    def _status(self, token: str) -> str:
        return self.token_statuses.get(token, "Accepted")


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    central = Central()
    server = await serve(central.handle, "127.0.0.1", 0, subprotocols=list(PACKAGES))
    port = server.sockets[0].getsockname()[1]
    central.url = f"ws://127.0.0.1:{port}/ocpp"
    yield central
    server.close()
    await server.wait_closed()


@pytest.fixture(params=["1.6", "2.0.1", "2.1"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_charger(central: Central) -> Callable[..., Charger]:
    """A charger for the test's central system: two virtual minutes pass in a wall second."""

    def make(version: str, speed: float = 120.0, **fields: Any) -> Charger:
        settings: dict[str, Any] = {
            "id": "CP 1",
            "version": version,
            "token": "secret-of-cp-1",
            "meter_interval_s": 10,
            "retry_interval_s": 2,
            "message_timeout_s": 2,
            "heartbeat_interval_s": 3600,
        }
        profile = ChargerProfile(**(settings | fields))
        clock = ScaledClock(speed)
        return Charger(profile, central.url, clock=clock, rng=random.Random(7))

    return make
