"""Calls that end well, badly, or with the link."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from ocpp.v16 import call, call_result
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Response

from chargers.ledger import Ledger
from chargers.wire import (
    ConnectFailed,
    LinkLost,
    Refused,
    Unanswered,
    Unusable,
    Wire,
    open_connection,
)

Answer = Callable[[ServerConnection, str], Any]


@asynccontextmanager
async def connected(answer: Answer, timeout_s: float = 5) -> AsyncIterator[tuple[Wire, Ledger]]:
    """A wire to a server whose `answer(connection, message id)` reacts to each message."""

    async def handle(connection: ServerConnection) -> None:
        async for text in connection:
            await answer(connection, json.loads(text)[1])

    ledger = Ledger()
    async with serve(handle, "127.0.0.1", 0, subprotocols=["ocpp1.6"]) as server:  # type: ignore[list-item]
        port = server.sockets[0].getsockname()[1]
        connection = await open_connection(f"ws://127.0.0.1:{port}", "CP", "ocpp1.6", None)
        routes = {"ClearCache": lambda **_: call_result.ClearCache("Accepted")}
        wire = Wire(connection, "ocpp.v16", "CP", routes, ledger, timeout_s)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wire.serve())
            yield wire, ledger
            await wire.close()


async def silence(connection: ServerConnection, message_id: str) -> None:
    return None


async def test_a_result() -> None:
    async def answer(connection: ServerConnection, message_id: str) -> None:
        await connection.send(json.dumps([3, message_id, {"currentTime": "2024-01-01T00:00:00Z"}]))

    async with connected(answer) as (wire, ledger):
        result = await wire.call(call.Heartbeat())
        assert result.current_time == "2024-01-01T00:00:00Z"
    assert (ledger.messages, ledger.sent["Heartbeat"]) == (1, 1)


async def test_an_error_whatever_its_code() -> None:
    async def answer(connection: ServerConnection, message_id: str) -> None:
        await connection.send(json.dumps([4, message_id, "NoSuchCode", "no", {}]))

    async with connected(answer) as (wire, ledger):
        with pytest.raises(Refused, match="NoSuchCode"):
            await wire.call(call.Heartbeat())
    assert (ledger.messages, ledger.rejected) == (1, 1)


async def test_a_result_that_does_not_fit() -> None:
    async def answer(connection: ServerConnection, message_id: str) -> None:
        await connection.send(json.dumps([3, message_id, {"time": 12}]))

    async with connected(answer) as (wire, ledger):
        with pytest.raises(Unusable):
            await wire.call(call.Heartbeat())
    assert (ledger.rejected, ledger.unusable) == (0, 1)


async def test_no_answer() -> None:
    async with connected(silence, timeout_s=0.02) as (wire, ledger):
        with pytest.raises(Unanswered):
            await wire.call(call.Heartbeat())
    assert (ledger.messages, ledger.unanswered) == (0, 1)


async def test_the_end_of_the_link_ends_the_waiting_at_once() -> None:
    async def answer(connection: ServerConnection, message_id: str) -> None:
        connection.transport.abort()

    async with connected(answer, timeout_s=60) as (wire, ledger):
        began = time.monotonic()
        with pytest.raises(LinkLost):
            await wire.call(call.Heartbeat())
        assert time.monotonic() - began < 5
        with pytest.raises(LinkLost):
            await wire.call(call.Heartbeat())
    assert (ledger.unanswered, ledger.sent["Heartbeat"]) == (0, 1)


async def test_a_charger_outlives_what_it_is_sent() -> None:
    async def answer(connection: ServerConnection, message_id: str) -> None:
        for text in ("{", "[]", "[2]", '[2,"1",["x"],{}]', '[2,"1","ClearCache",[]]', "[9,1]"):
            await connection.send(text)
        await connection.send(json.dumps([3, message_id, {"currentTime": "2024-01-01T00:00:00Z"}]))

    async with connected(answer) as (wire, _):
        await wire.call(call.Heartbeat())
        assert wire.up


async def test_why_a_connection_fails() -> None:
    with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:1/CP"):
        await open_connection("ws://127.0.0.1:1", "CP", "ocpp1.6", None)

    async def handle(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed, match=r"does not speak ocpp1\.6"):
            await open_connection(f"ws://127.0.0.1:{port}", "CP", "ocpp1.6", None)


@pytest.mark.parametrize(
    ("status", "why"), [(401, "do not belong together"), (404, "nobody has added"), (503, "503$")]
)
async def test_why_a_central_system_refuses(status: int, why: str) -> None:
    async def handle(connection: ServerConnection) -> None:
        await connection.wait_closed()

    def refuse(connection: ServerConnection, request: object) -> Response:
        return connection.respond(HTTPStatus(status), "")

    async with serve(handle, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed, match=why):
            await open_connection(f"ws://127.0.0.1:{port}", "CP", "ocpp1.6", None)
