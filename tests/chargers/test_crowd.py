"""A crowd of raw links against a small server of the test's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from chargers import crowd as module
from chargers.crowd import Crowd, Meet, Member, Say, Script, Settled, Tally, Wait
from tests.support.waiting import until


class Central:
    """Answers every call; may refuse connections, and ask."""

    def __init__(self) -> None:
        self.refuse = 0
        self.retry_after: str | None = None
        self.heard: list[tuple[str, str]] = []
        self.answers: list[Any] = []
        self.connections: list[ServerConnection] = []
        self.silent = False

    async def handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        assert connection.request is not None
        identity = connection.request.path.rpartition("/")[2]
        async for text in connection:
            message = json.loads(text)
            if message[0] != 2:
                self.answers.append(message)
                continue
            self.heard.append((identity, message[2]))
            if self.silent:
                continue
            if message[2] == "Refused":
                await connection.send(json.dumps([4, message[1], "NotSupported", "", {}]))
            else:
                await connection.send(json.dumps([3, message[1], {"n": len(self.heard)}]))

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuse > 0:
            self.refuse -= 1
            response = connection.respond(503, "later\n")
            if self.retry_after is not None:
                response.headers["Retry-After"] = self.retry_after
            return response
        return None


@asynccontextmanager
async def crowded(central: Central, **how: Any) -> AsyncIterator[Crowd]:
    server = await serve(
        central.handle,
        "127.0.0.1",
        0,
        process_request=central.admit,
        subprotocols=["ocpp1.6"],  # type: ignore[list-item]
    )
    port = next(iter(server.sockets)).getsockname()[1]
    made = Crowd("127.0.0.1", port, "/ocpp", **how)
    try:
        yield made
    finally:
        made.stop()
        server.close()
        await server.wait_closed()


def join(crowd: Crowd, script: Callable[[Member], Script], count: int = 1) -> None:
    for number in range(count):
        crowd.join(f"CP-{number}", "token", script).start()


def greeting(member: Member) -> Script:
    member.state["said"] = yield Say("Hello", {"é": "x" * 200})
    yield Settled()
    yield Wait(60)


async def test_a_script_is_played_with_the_answers() -> None:
    central = Central()
    async with crowded(central) as crowd:
        join(crowd, greeting, 20)
        await until(lambda: crowd.settled == 20)
        assert crowd.connected == 20
        assert sorted(m.state["said"]["n"] for m in crowd.members) == list(range(1, 21))
        assert crowd.tally.counts == {"connected": 20, "answered": 20}
        assert crowd.tally.latency_ms(0.99) is not None


async def test_an_error_is_counted_and_the_script_goes_on() -> None:
    def script(member: Member) -> Script:
        yield Say("Refused", {})
        yield Settled()

    async with crowded(Central()) as crowd:
        join(crowd, script)
        await until(lambda: crowd.settled == 1)
        assert crowd.tally.counts["errors"] == 1


async def test_what_it_is_asked_is_answered() -> None:
    central = Central()
    async with crowded(central) as crowd:
        join(crowd, greeting)
        await until(lambda: crowd.settled == 1)
        await central.connections[0].send(json.dumps([2, "q", "Reset", {}]))
        await until(lambda: central.answers)
        assert central.answers[0][:3] == [4, "q", "NotSupported"]


async def test_one_that_is_turned_away_comes_again_when_it_is_told_to() -> None:
    central = Central()
    central.refuse, central.retry_after = 3, "0"
    async with crowded(central) as crowd:
        join(crowd, greeting, 3)
        await until(lambda: crowd.settled == 3)
        assert crowd.tally.counts["refused_503"] == 3


async def test_a_lost_link_is_made_again_and_its_script_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    central = Central()
    async with crowded(central) as crowd:
        join(crowd, greeting)
        await until(lambda: crowd.settled == 1)
        central.connections[0].transport.abort()
        await until(lambda: len(central.heard) == 2)
        assert (crowd.settled, crowd.connected) == (1, 1)
        assert crowd.tally.counts["links_lost"] == 1


async def test_a_call_that_is_never_answered_costs_the_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    central = Central()
    central.silent = True
    async with crowded(central) as crowd:
        join(crowd, greeting)
        await until(lambda: crowd.tally.counts["answered_too_late"] >= 1)
        central.silent = False
        await until(lambda: crowd.settled == 1)
        assert crowd.tally.counts["unanswered"] >= 1


async def test_those_who_meet_go_on_together() -> None:
    def script(member: Member) -> Script:
        yield Meet()
        yield Say("Now", {})
        yield Settled()

    central = Central()
    async with crowded(central) as crowd:
        join(crowd, script, 4)
        await until(lambda: crowd.met == 4)
        assert central.heard == []
        crowd.meeting.set()
        await until(lambda: crowd.settled == 4)


async def test_nobody_there_is_counted() -> None:
    async with crowded(Central()) as crowd:
        crowd.port = 1
        join(crowd, greeting)
        await until(lambda: crowd.tally.counts["not_connected"] == 1)


def test_tallies_add_up_and_survive_the_way_between_processes() -> None:
    one, two = Tally(), Tally()
    for ms in range(1, 101):
        one.took(ms / 1_000)
    one.counts["answered"] = 100
    two.add(Tally.of(json.loads(json.dumps(one.as_json()))))
    two.add(one)
    assert two.counts["answered"] == 200
    assert two.latency_ms(0.5) == pytest.approx(50, rel=0.11)
    assert two.latency_ms(0.99) == pytest.approx(99, rel=0.11)
    assert Tally().latency_ms(0.5) is None
    two.took(1e9)
    assert two.latency_ms(1.0) is not None


async def test_a_wait_of_the_loop_is_all_it_takes_to_stop() -> None:
    central = Central()
    async with crowded(central) as crowd:
        join(crowd, greeting, 3)
        await until(lambda: crowd.settled == 3)
        crowd.stop()
        await until(lambda: crowd.connected == 0)
        assert len(asyncio.all_tasks()) < 30


async def test_an_upgrade_that_takes_too_long_is_given_up_and_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With one connection: the one that was given up is closed first."""
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.2)
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    ended: list[bytes] = []

    def patient() -> Script:
        yield Wait(60)

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            ended.append(await reader.read())
        except ConnectionError:
            ended.append(b"")
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        crowd = Crowd("127.0.0.1", server.sockets[0].getsockname()[1], "/ocpp")
        crowd.join("CS-1", "secret", lambda member: patient()).start()
        await until(lambda: len(ended) >= 2)
        crowd.stop()
    assert crowd.tally.counts["not_connected"] >= 2
