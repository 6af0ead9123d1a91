"""Stations that follow a script, beside an operator who follows his: for the conformance cases.

A scripted station knows nothing of `csms`. It writes raw frames, holds everything that it sends and
everything that it gets against the schemas of the `ocpp` package, and gives a test the words of the
specification: boots, plugs in, authorizes, charges. The operator's part goes through the operator
API. Everything that waits has a deadline.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from ocpp.messages import MessageType, get_validator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from csms.app import Running, running
from csms.fresh import ensure_admin_key
from csms.settings import Settings
from tests.support.stores import prepared
from tests.support.waiting import until as until

WITHIN_S = 10.0
IDENTITY = "CP-1"
GROUP = "GROUP-1"
MASTER_GROUP = "MASTER"
# What the test system of the specification expects a central system to know (OCPP 2.0.1 part 6).
VALID, VALID_2, BLOCKED, EXPIRED = "0401A1", "0402A2", "0403B1", "0404E1"
MASTER, INVALID = "0405F1", "0499FF"
TOKENS: tuple[dict[str, Any], ...] = (
    {"uid": VALID, "group_id": GROUP},
    {"uid": VALID_2, "group_id": GROUP},
    {"uid": BLOCKED},
    {"uid": EXPIRED, "expires_at": "2020-01-01T00:00:00Z"},
    {"uid": MASTER, "group_id": MASTER_GROUP},
)

Payload = dict[str, Any]


def check(kind: MessageType, version: str, action: str, payload: Payload) -> None:
    """Hold a payload against the schema of the `ocpp` package; raises what it finds."""
    # The limits of charging schedules are multiples of 0.1, which only a decimal can be.
    exact = json.loads(json.dumps(payload), parse_float=Decimal)
    get_validator(kind, action, version, parse_float=Decimal).validate(exact)


class Refused(Exception):
    """The central system answered with a CALLERROR; `code` is its error code."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code


class Wire:
    """The station's end of a link: frames out and in, every payload checked."""

    def __init__(self, connection: ClientConnection, version: str) -> None:
        self.connection = connection
        self.version = version
        self.background: dict[str, Payload | None] = {}
        """Calls that are answered by themselves, None with a CALLERROR NotSupported: whatever a
        central system may ask of its own accord and is not what a case is about."""
        self._asked: dict[str, asyncio.Queue[tuple[str, Payload]]] = {}
        self._answers: dict[str, asyncio.Future[Payload]] = {}
        self._calls = 0
        self._reading = asyncio.create_task(self._read(), name="station reads")

    async def calls(self, action: str, payload: Payload | None = None, **fields: Any) -> Payload:
        """Send a call; the payload of its result. Raises `Refused` for a CALLERROR."""
        sent = {**(payload or {}), **fields}
        check(MessageType.Call, self.version, action, sent)
        self._calls += 1
        message_id = f"call {self._calls}"
        coming = asyncio.get_running_loop().create_future()
        self._answers[message_id] = coming
        async with asyncio.timeout(WITHIN_S):
            await self.connection.send(json.dumps([2, message_id, action, sent]))
            answer: Payload = await coming
        check(MessageType.CallResult, self.version, action, answer)
        return answer

    async def is_asked(
        self, action: str, expected: Payload, answer: Payload | None = None
    ) -> Payload:
        """Wait for a call of the central system, which says exactly that, and answer it (None:
        with a CALLERROR NotSupported). The payload that it had."""
        async with asyncio.timeout(WITHIN_S):
            message_id, payload = await self._queue(action).get()
        assert payload == expected, payload
        await self._answer(message_id, action, answer)
        return payload

    async def closed(self) -> int | None:
        """The code with which the central system ends the link."""
        async with asyncio.timeout(WITHIN_S):
            await asyncio.wait((self._reading,))
            await self.connection.wait_closed()
        return self.connection.close_code

    async def leave(self) -> None:
        """Drop the link, as when the power goes."""
        self._reading.cancel()
        await asyncio.wait((self._reading,))
        self.connection.transport.abort()
        await self.connection.wait_closed()

    def _queue(self, action: str) -> asyncio.Queue[tuple[str, Payload]]:
        return self._asked.setdefault(action, asyncio.Queue())

    async def _answer(self, message_id: str, action: str, answer: Payload | None) -> None:
        if answer is None:
            await self.connection.send(json.dumps([4, message_id, "NotSupported", "", {}]))
            return
        check(MessageType.CallResult, self.version, action, answer)
        await self.connection.send(json.dumps([3, message_id, answer]))

    async def _read(self) -> None:
        try:
            while True:
                await self._take(json.loads(await self.connection.recv()))
        except ConnectionClosed as error:
            for coming in self._answers.values():
                if not coming.done():
                    coming.set_exception(error)
                    coming.exception()

    async def _take(self, frame: list[Any]) -> None:
        kind, message_id, *rest = frame
        if kind == MessageType.Call:
            action, payload = rest
            check(MessageType.Call, self.version, action, payload)
            if action in self.background:
                await self._answer(message_id, action, self.background[action])
            else:
                self._queue(action).put_nowait((message_id, payload))
            return
        coming = self._answers.pop(message_id)
        if kind == MessageType.CallResult:
            coming.set_result(rest[0])
        else:
            coming.set_exception(Refused(rest[0], rest[1]))


class Clock:
    """The station's own time: two hours back at first, so that a charge of an hour fits before now;
    it moves on with every reading."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)

    def __call__(self, **delta: float) -> str:
        self.now += timedelta(**(delta or {"seconds": 1}))
        return f"{self.now:%Y-%m-%dT%H:%M:%SZ}"


# -- the operator ----------------------------------------------------------------------------------


class Wish:
    """Something asked of a station; `outcome` waits for what became of it."""

    def __init__(self, coming: asyncio.Task[httpx.Response]) -> None:
        self.coming = coming

    async def row(self) -> Payload:
        """What the API says of it in the end."""
        async with asyncio.timeout(WITHIN_S):
            answer = await self.coming
        found: Payload = answer.json()
        return found

    async def outcome(self) -> tuple[str, str | None]:
        """The state of the command and its reason."""
        row = await self.row()
        return row["status"], row["detail"]

    async def refusal(self) -> str:
        """Why it was not even tried."""
        row = await self.row()
        assert row["status"] >= 400, row
        return str(row["detail"])


class Operator:
    """A person at the operator API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._wishes: list[Wish] = []

    def asks(self, kind: str, **parameters: Any) -> Wish:
        """Ask something of the station; goes on while the station is scripted."""
        body = {"kind": kind, "parameters": parameters}
        return self._begin(f"/stations/{IDENTITY}/commands?wait={WITHIN_S}", body)

    def calls(self, action: str, payload: Payload) -> Wish:
        """Any OCPP call as it is."""
        return self._begin(f"/stations/{IDENTITY}/ocpp/{action}", payload)

    def _begin(self, path: str, body: Payload) -> Wish:
        wish = Wish(asyncio.create_task(self._client.post(path, json=body), name=path))
        self._wishes.append(wish)
        return wish

    async def sends(self, method: str, path: str, body: Payload | None = None) -> Payload:
        """One request; its answer, which is a success."""
        answer = await self._client.request(method, path, json=body)
        assert answer.is_success, answer.text
        found: Payload = answer.json()
        return found

    async def adds(self, **token: Any) -> None:
        await self.sends("POST", "/tokens", token)

    async def blocks(self, uid: str) -> None:
        (token,) = (await self.sends("GET", f"/tokens?uid={uid}"))["items"]
        path = f"/tokens/{token['party_id']}/{token['kind']}/{uid}"
        await self.sends("PATCH", path, {"blocked": True})

    async def registers(self, registration: str) -> None:
        await self.sends("PATCH", f"/stations/{IDENTITY}", {"registration": registration})

    async def station(self) -> Payload:
        return await self.sends("GET", f"/stations/{IDENTITY}")

    async def status(self, evse: int = 1, connector: int = 1) -> str:
        """The state of a connector."""
        return str((await self.connector(evse, connector))["status"])

    async def connector(self, evse: int = 1, connector: int = 1) -> Payload:
        """A connector as the operator sees it."""
        found: list[Payload] = (await self.station())["connectors"]
        return next(c for c in found if (c["evse"], c["connector"]) == (evse, connector))

    async def transactions(self) -> list[Payload]:
        """All transactions, oldest first."""
        found: list[Payload] = (await self.sends("GET", "/transactions"))["items"]
        return found[::-1]

    async def transaction(self) -> Payload:
        """The only transaction."""
        (only,) = await self.transactions()
        return only

    async def readings(self, transaction_id: int) -> list[Payload]:
        """What the meter said during a transaction, oldest first."""
        path = f"/transactions/{transaction_id}/meter-values"
        found = (await self.sends("GET", path))["items"]
        return [{"at": s["at"], **reading} for s in found for reading in s["readings"]]

    async def stop(self) -> None:
        """Nobody waits any more for what was asked."""
        for wish in self._wishes:
            wish.coming.cancel()
        await asyncio.gather(*(wish.coming for wish in self._wishes), return_exceptions=True)


# -- the network -----------------------------------------------------------------------------------


class Network:
    """The whole central system in this process, with the tokens and the one station that the test
    system of the specification expects."""

    def __init__(self, system: Running, operator: Operator) -> None:
        self.system = system
        self.operator = operator
        self.secret = ""

    async def connect(self, *subprotocols: str, secret: str | None = None) -> ClientConnection:
        """Open a link as the registered station."""
        told = base64.b64encode(f"{IDENTITY}:{secret or self.secret}".encode()).decode()
        return await connect(
            f"ws://127.0.0.1:{self.system.ocpp_port}/ocpp/{IDENTITY}",
            subprotocols=list(subprotocols),  # type: ignore[arg-type]
            additional_headers={"Authorization": f"Basic {told}"},
            open_timeout=WITHIN_S,
            close_timeout=1,
            proxy=None,
        )

    @asynccontextmanager
    async def link(self, subprotocol: str) -> AsyncIterator[Wire]:
        """A link of the registered station while the block runs; commands reach it."""
        before = list(self.system.registry)
        connection = await self.connect(subprotocol)
        wire = Wire(connection, subprotocol.removeprefix("ocpp"))
        try:
            await until(lambda: [k for k in self.system.registry if k not in before])
            yield wire
        finally:
            await wire.leave()


def settings(folder: Path, **more: Any) -> Settings:
    """A system on free ports with its files in that folder."""
    given: Mapping[str, Any] = {
        # Nothing is asked by itself: a case is about what is asked of the central system.
        "ocpp": {"port": 0, "host": "127.0.0.1", "settle_s": 3_600.0},
        "http": {"port": 0},
        "store": {"url": prepared(folder)},
        "security": {"keys": {"k": "0" * 64}, "current": "k"},
        **more,
    }
    return Settings.model_validate(given)


@asynccontextmanager
async def network(folder: Path, **more: Any) -> AsyncIterator[Network]:
    """A central system that runs while the block does."""
    async with running(settings(folder, **more)) as system:
        await ensure_admin_key(system.store, system.api.keyring, "first.secret")
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{system.http_port}/api/v1",
            headers={"Authorization": "Bearer first.secret"},
            timeout=WITHIN_S + 1,
            verify=False,
        ) as client:
            operator = Operator(client)
            found = Network(system, operator)
            for token in TOKENS:
                await operator.adds(**token)
            await operator.blocks(BLOCKED)
            new = {"identity": IDENTITY, "evses": 2}
            found.secret = (await operator.sends("POST", "/stations", new))["token"]
            try:
                yield found
            finally:
                await operator.stop()
