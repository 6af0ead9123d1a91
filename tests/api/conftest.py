"""The API over a real store in memory; stations are a double that answers commands."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import pytest

from csms.api.server import create
from csms.api.system import System
from csms.bus.local import LocalBus
from csms.core import security
from csms.core.commands import Command, Status
from csms.core.ids import Origin
from csms.core.inquiries import Answer, Inquiry, NoAnswer
from csms.core.security import ApiKey, Keyring, Role
from csms.flows.commands import Commander, Performed
from csms.flows.configuration import Configuration
from csms.flows.contact import Contact, ContactLimits
from csms.observability import Metrics
from csms.storage.open import open_inline
from csms.storage.store import InlineStore
from tests.support.nodes import OneNode
from tests.support.telling import Telling

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEYRING = Keyring({"k": b"\0" * 32}, "k")
SECRETS = {Role.ADMIN: "adm.in", Role.OPERATOR: "ope.rator", Role.VIEWER: "vie.wer"}


@dataclass
class Stations(OneNode):
    """What is connected, and what it answers to the next command."""

    connected: set[str] = field(default_factory=set)
    answer: Performed = field(
        default_factory=lambda: Performed(Status.ACCEPTED, {"status": "Accepted"})
    )
    performed: list[Command] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[Inquiry] = field(default_factory=list)
    says: dict[type[Any], Any] = field(default_factory=dict)

    def holds(self, station_id: str) -> bool:
        return station_id in self.connected

    async def perform(
        self, command: Command, timeout_s: float, sending: Callable[[], Awaitable[object]]
    ) -> Performed:
        await sending()
        self.performed.append(command)
        await self.answers.wait()
        return self.answer

    def may_contact(self, station_id: str) -> bool:
        return self.holds(station_id)

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer:
        if not self.holds(station_id):
            return NoAnswer("offline")
        self.asked.append(inquiry)
        answer = self.says.get(type(inquiry), NoAnswer("timed_out"))
        return answer(inquiry) if callable(answer) else answer


class Api:
    """Requests as one key or another, and the store behind them."""

    def __init__(self, app: Any, store: InlineStore, stations: Stations, bus: LocalBus) -> None:
        self.app = app
        self.store = store
        self.stations = stations
        self.bus = bus
        self.warnings: list[str] = []
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://api"
        )

    async def __call__(
        self, method: str, path: str, role: Role | None = Role.ADMIN, **more: Any
    ) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        if role is not None:
            headers["Authorization"] = f"Bearer {SECRETS[role]}"
        prefix = "" if path.startswith(("/healthz", "/readyz", "/metrics")) else "/api/v1"
        return await self._client.request(method, prefix + path, headers=headers, **more)

    @property
    def telling(self) -> Telling:
        """What stations are told of how to log in."""
        found: Telling = self.app.state.system.logins
        return found

    async def add_station(self, identity: str = "CP-1", **fields: Any) -> dict[str, Any]:
        """A station, connected."""
        answer = await self("POST", "/stations", json={"identity": identity, **fields})
        assert answer.status_code == 201, answer.text
        added: dict[str, Any] = answer.json()
        self.stations.connected.add(added["id"])
        return added

    async def audits(self) -> list[dict[str, Any]]:
        """What the journal says of who changed what, oldest first."""
        rows = await self.store.reader.journal(0, 1_000)
        return [json.loads(row.data) for row in rows if row.kind == "audit_recorded"]

    def origin(self, station_id: str) -> Origin:
        return Origin(station_id, "CP-1", "1.6", NOW)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as made:
        yield made


@asynccontextmanager
async def serving() -> AsyncIterator[Api]:
    """A system of its own, always with the same keys."""
    store, stations, bus = open_inline(), Stations(), LocalBus()
    warnings: list[str] = []
    stations.answers.set()
    ids = count(1)

    def new_id() -> str:
        return f"id-{next(ids):06}"

    def clock() -> datetime:
        return NOW

    for role, presented in SECRETS.items():
        key_id, _, secret = presented.partition(".")
        hashing, hashed = KEYRING.hash(secret.encode())
        key = ApiKey(key_id, role.value, role.value, hashing, hashed, NOW)
        store.run(security.add_key, key)
    commander = Commander(store, stations, "node", clock, new_id)
    configuration = Configuration(store, stations, clock)
    contact = Contact(store, stations, configuration, clock, ContactLimits())
    described = System(
        store=store,
        commander=commander,
        configuration=configuration,
        contact=contact,
        bus=bus,
        metrics=Metrics(),
        keyring=KEYRING,
        logins=Telling(store, stations.holds, clock),
        clock=clock,
        new_id=new_id,
        new_secret=lambda: secrets.token_hex(20),
        seen=lambda station_id: None,
        drop_link=stations.dropped.append,
        stopping=lambda: False,
        party="CA*NTH",
        station_url="ws://host:9000/ocpp",
        node="node",
        event_streams=2,
        warnings=lambda: warnings,
        max_body_bytes=10_000,
    )
    try:
        made = Api(create(described, "0"), store, stations, bus)
        made.warnings = warnings
        yield made
    finally:
        await commander.stop()
