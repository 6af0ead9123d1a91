"""Stations of this node are asked directly, those of others through the post."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import pytest

from csms.core import nodes, stations
from csms.core.commands import Command, Kind, Status
from csms.core.errors import NodeUnreachable, StationOffline
from csms.core.ids import Origin
from csms.core.inquiries import Answer, Found, Inquiry, NoAnswer, ReadVariables, Variables
from csms.core.nodes import Node, NodeState
from csms.core.stations import NewStation
from csms.flows import reach
from csms.flows.commands import OFFLINE, Commander, Performed
from csms.flows.post import Handler
from csms.flows.reach import Reach
from csms.storage.open import open_inline
from tests.support.ocpp import NOW, PARTY
from tests.support.waiting import until

ASKED = ReadVariables(("HeartbeatInterval",))
SAID = Variables((Found("HeartbeatInterval", "300"),))


class Links:
    """The links of one node: what is connected, and what it does."""

    def __init__(self) -> None:
        self.connected: set[str] = set()
        self.performed: list[Command] = []
        self.outcome: asyncio.Future[Performed] | None = None

    def holds(self, station_id: str) -> bool:
        return station_id in self.connected

    def may_contact(self, station_id: str) -> bool:
        return self.holds(station_id)

    async def perform(
        self, command: Command, timeout_s: float, sending: Callable[[], Awaitable[object]]
    ) -> Performed:
        if not self.holds(command.station_id):
            raise StationOffline(OFFLINE)
        await sending()
        self.performed.append(command)
        if self.outcome is not None:
            return await self.outcome
        return Performed(Status.ACCEPTED, {"status": "Accepted"})

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer:
        return SAID if self.holds(station_id) and inquiry == ASKED else NoAnswer("offline")


class Wire:
    """The post of one node: it carries JSON to the others. `cut`: why nothing arrives; `deaf`:
    those who take a question and never answer."""

    def __init__(self, everybody: dict[str, Wire]) -> None:
        self.handlers: dict[str, Handler] = {}
        self.trouble = None
        self.asked = self.under_way = self.at_once = 0
        self.everybody = everybody
        self.cut: str | None = None
        self.deaf: set[str] = set()

    async def ask(self, node: str, what: str, body: Mapping[str, Any]) -> Carried:
        if self.cut is not None:
            raise NodeUnreachable(self.cut)
        there = self.everybody[node].handlers[what]
        carried = orjson.loads(orjson.dumps(body))
        if node in self.deaf:
            return Carried(asyncio.get_running_loop().create_future())
        return Carried(asyncio.ensure_future(there(carried)))


class Carried:
    def __init__(self, answer: asyncio.Future[Any]) -> None:
        self._answer = answer

    async def answer(self, within_s: float) -> Any:
        try:
            async with asyncio.timeout(within_s):
                return orjson.loads(orjson.dumps(await asyncio.shield(self._answer)))
        except TimeoutError:
            raise NodeUnreachable("no answer") from None


class Side:
    """A node."""

    def __init__(self, store: Any, name: str, wires: dict[str, Wire]) -> None:
        self.links = Links()
        self.wire = wires[name] = Wire(wires)
        self.reach = Reach(store, self.links, self.wire, name)
        ids = iter(f"{name}{n}" for n in range(100))
        self.commander = Commander(store, self.reach, name, lambda: NOW, lambda: next(ids))
        self.told: list[tuple[Any, ...]] = []
        self.reach.serve(
            self.commander.follow,
            {reach.DROP: lambda station_id: self.told.append(("drop", station_id))},
            lambda station_id, generation: self.told.append(("moved", station_id, generation)),
        )


class Two:
    """Two nodes, and a station that is at the second."""

    def __init__(self) -> None:
        self.store = open_inline()
        wires: dict[str, Wire] = {}
        self.a, self.b = Side(self.store, "a", wires), Side(self.store, "b", wires)
        for name in "ab":
            row = Node(name, f"run-{name}", "", NodeState.UP, 0, 0, "1", "", NOW, NOW)
            self.store.run(nodes.join, row)
        self.store.run(stations.onboard, "s1", NewStation("CS 1", PARTY), NOW)
        self.connects(self.b, "b")

    def connects(self, side: Side, name: str) -> None:
        origin = Origin("s1", "CS 1", "1.6", NOW)
        self.store.run(stations.link_opened, origin, name, "192.0.2.1")
        side.links.connected.add("s1")

    async def row(self, command_id: str = "a0") -> Command:
        found = await self.store.reader.get(Command, command_id)
        assert found is not None
        return found


@pytest.fixture
async def two() -> Two:
    return Two()


# -- commands --------------------------------------------------------------------------------------


async def test_a_command_goes_to_the_node_that_holds_the_link(two: Two) -> None:
    row = await two.a.commander.submit("s1", Kind.RESET, {}, "test", wait_s=5)
    assert (row.id, row.status, row.node) == ("a0", "accepted", "b")
    assert [command.id for command in two.b.links.performed] == ["a0"]


async def test_secrets_of_a_command_arrive_though_the_ledger_has_none(two: Two) -> None:
    parameters = {"action": "DataTransfer", "payload": {"vendorId": "v", "password": "secret"}}
    await two.a.commander.submit("s1", Kind.CALL, parameters, "test", wait_s=5)
    assert two.b.links.performed[0].parameters["payload"]["password"] == "secret"
    assert "secret" not in str((await two.row()).parameters)


async def test_a_node_that_cannot_be_reached_fails_it_at_once(two: Two) -> None:
    two.a.wire.cut = "b cannot be reached: the broker is away"
    with pytest.raises(NodeUnreachable, match="the broker is away") as caught:
        await two.a.commander.submit("s1", Kind.RESET, {}, "test", wait_s=5)
    assert caught.value.facts == {"command_id": "a0"}
    row = await two.row()
    assert (row.status, row.detail) == ("failed", "b cannot be reached: the broker is away")
    # Should it have arrived all the same, it is not sent any more.
    await two.b.commander.follow(row._replace(status="queued"))
    assert two.b.links.performed == []
    assert (await two.row()).status == "failed"


async def test_one_that_was_sent_before_it_could_be_taken_back_stands(two: Two) -> None:
    class Late(Wire):
        async def ask(self, node: str, what: str, body: Mapping[str, Any]) -> Carried:
            await (await super().ask(node, what, body)).answer(5)
            raise NodeUnreachable("what it said was lost")

    two.a.wire.__class__ = Late
    row = await two.a.commander.submit("s1", Kind.RESET, {}, "test", wait_s=5)
    assert row.status == "accepted"
    assert len(two.b.links.performed) == 1


async def test_who_waits_is_told_how_far_it_is(two: Two) -> None:
    two.b.links.outcome = asyncio.get_running_loop().create_future()
    row = await two.a.commander.submit("s1", Kind.RESET, {}, "test", wait_s=0.05)
    assert row.status == "sent"
    again = asyncio.create_task(
        two.a.commander.submit("s1", Kind.RESET, {}, "test", wait_s=5, idempotency_key="k")
    )
    await asyncio.sleep(0)
    two.b.links.outcome.set_result(Performed(Status.REJECTED))
    assert (await again).status == "rejected"


async def test_the_same_key_at_another_node_waits_for_the_same_command(two: Two) -> None:
    two.b.links.outcome = asyncio.get_running_loop().create_future()
    first = await two.a.commander.submit("s1", Kind.RESET, {}, "test", idempotency_key="k")
    waiting = asyncio.create_task(
        two.b.commander.submit("s1", Kind.RESET, {}, "test", idempotency_key="k", wait_s=5)
    )
    await asyncio.sleep(0)
    two.b.links.outcome.set_result(Performed(Status.ACCEPTED))
    found = await waiting
    assert (found.id, found.status) == (first.id, "accepted")
    assert len(two.b.links.performed) == 1


async def test_a_link_that_the_station_has_left_is_not_used(two: Two) -> None:
    """It is at b; a still has the link before, and does not know that it is dead."""
    two.a.links.connected.add("s1")
    row = await two.a.commander.submit("s1", Kind.RESET, {}, "test", wait_s=5)
    assert row.node == "b"
    assert two.a.links.performed == []


async def test_one_that_goes_away_meanwhile_is_offline(two: Two) -> None:
    two.b.links.connected.clear()
    with pytest.raises(StationOffline):
        await two.a.commander.submit("s1", Kind.RESET, {}, "test", wait_s=5)
    assert (await two.row()).status == "failed"


# -- inquiries ---------------------------------------------------------------------------------


async def test_a_question_is_answered_from_there(two: Two) -> None:
    assert await two.a.reach.ask("s1", ASKED, 1.0) == SAID
    assert await two.b.reach.ask("s1", ASKED, 1.0) == SAID
    assert await two.a.reach.reaches("s1")


async def test_no_answer_says_why(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await two.a.reach.ask("s2", ASKED, 1.0) == NoAnswer("offline")
    two.a.wire.cut = "away"
    assert await two.a.reach.ask("s1", ASKED, 1.0) == NoAnswer("unreachable")
    two.a.wire.cut, two.a.wire.deaf = None, {"b"}
    monkeypatch.setattr(reach, "BESIDE_S", 0.0)
    assert await two.a.reach.ask("s1", ASKED, 0.05) == NoAnswer("timed_out")


# -- about links -------------------------------------------------------------------------------


async def test_something_is_done_about_a_link_where_it_is(two: Two) -> None:
    here: list[str] = []
    await two.a.reach.tell("s1", reach.DROP, here.append)
    await two.b.reach.tell("s1", reach.DROP, here.append)
    await two.a.reach.tell("s2", reach.DROP, here.append)
    await until(lambda: two.b.told)
    assert (here, two.b.told) == (["s1"], [("drop", "s1")])
    two.a.wire.cut = "away"
    await two.a.reach.tell("s1", reach.DROP, here.append)
    assert here == ["s1"]


async def test_the_node_before_is_told_of_the_newer_link(two: Two) -> None:
    await two.a.reach.moved("s1", 7, "b")
    await until(lambda: two.b.told == [("moved", "s1", 7)])
    two.a.wire.cut = "away"
    await two.a.reach.moved("s1", 8, "b")
