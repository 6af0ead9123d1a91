"""What a node left that did not end in order is settled, and nothing else is touched."""

from __future__ import annotations

from datetime import timedelta

import pytest

from csms.core import commands, nodes, stations
from csms.core.commands import Command, Kind, Status
from csms.core.ids import Origin
from csms.core.nodes import Node, NodeState
from csms.core.stations import NewStation, Station
from csms.flows.lost_nodes import MOST_WATCHED, UNSENT_EVERY_S, UNSENT_S, LostNodes
from csms.storage.open import open_inline
from csms.storage.store import InlineStore
from tests.flows.test_membership import virtual
from tests.support.ocpp import NOW, PARTY
from tests.support.virtual import passing


def living(name: str, run: str) -> Node:
    return Node(name, run, "m/1", NodeState.UP, 0, 0, "1", "", NOW, NOW)


class Place:
    """Two nodes, `a` and `b`, and six stations: three at each."""

    def __init__(self) -> None:
        self.store: InlineStore = open_inline()
        self.now = NOW
        self.lost_nodes = LostNodes(self.store, lambda: self.now)
        for name in "ab":
            self.store.run(nodes.join, living(name, f"run-{name}"))
        for n in range(6):
            self.store.run(stations.onboard, f"s{n}", NewStation(f"CS {n}", PARTY), NOW)
            origin = Origin(f"s{n}", f"CS {n}", "1.6", NOW)
            self.store.run(stations.link_opened, origin, "ab"[n % 2], "192.0.2.1")

    def lose(self, name: str) -> None:
        seen = self.store.run(nodes.require, name)
        assert self.store.run(nodes.lose, seen, self.now)

    def command(self, command_id: str, node: str | None, *, sent: bool = False) -> None:
        self.store.run(
            commands.submit, command_id, "s1", Kind.RESET, {}, "test", NOW, None, None, node
        )
        if sent:
            assert node is not None
            self.store.run(commands.sent, command_id, node, NOW)

    async def held(self) -> list[str | None]:
        return [row.node for row in await self.store.reader.page(Station)]

    async def status(self, command_id: str) -> str:
        row = await self.store.reader.get(Command, command_id)
        assert row is not None
        return row.status


@pytest.fixture
def place() -> Place:
    return Place()


async def test_the_stations_of_a_lost_node_are_gone_until_they_come_back(place: Place) -> None:
    place.lose("a")
    assert await place.lost_nodes.settle_lost() == 3
    assert await place.held() == [None, "b", None, "b", None, "b"]
    assert place.store.run(nodes.require, "a").state == "left"
    assert await place.lost_nodes.settle_lost() == 0


async def test_its_commands_are_unknown_or_never_sent(place: Place) -> None:
    for n in range(600):
        place.command(f"a{n:03}", "a", sent=bool(n % 2))
    place.command("b1", "b", sent=True)
    place.lose("a")
    await place.lost_nodes.settle_lost()
    assert await place.status("a000") == "failed"
    row = await place.store.reader.get(Command, "a001")
    assert row is not None
    assert (row.status, row.detail) == ("unknown", "the server stopped before the answer came")
    assert await place.store.reader.count(Command, {"status": Status.SENT.value}) == 1
    assert await place.status("b1") == "sent"
    # A late answer still counts.
    place.store.run(commands.finish, "a001", Status.ACCEPTED, NOW)
    assert await place.status("a001") == "accepted"


async def test_a_node_settles_what_its_earlier_life_left_before_it_serves(place: Place) -> None:
    place.command("a1", "a", sent=True)
    place.command("old", None)
    place.command("b1", "b")
    place.store.run(nodes.join, living("a", "run-c"), place.store.run(nodes.require, "a"))
    assert await place.lost_nodes.settle_own(living("a", "run-c")) == 5
    assert await place.held() == [None, "b", None, "b", None, "b"]
    statuses = [await place.status(c) for c in ("a1", "old", "b1")]
    assert statuses == ["unknown", "failed", "queued"]
    assert await place.lost_nodes.settle_own(living("a", "run-c")) == 0


@virtual
async def test_a_command_that_nobody_sends_does_not_wait_for_ever(place: Place) -> None:
    """However late it is by anybody's clock: it has been seen waiting for long enough."""
    place.command("c1", "b")
    assert await place.lost_nodes.fail_unsent() == 0
    await passing(UNSENT_S - 1)
    place.command("c2", "b")
    place.command("c3", "b", sent=True)
    assert await place.lost_nodes.fail_unsent() == 0
    await passing(2)
    assert await place.lost_nodes.fail_unsent() == 1
    row = await place.store.reader.get(Command, "c1")
    assert row is not None
    assert (row.status, row.detail) == ("failed", "nobody sent it in time")
    assert [await place.status(c) for c in ("c2", "c3")] == ["queued", "sent"]
    await passing(UNSENT_S)
    assert await place.lost_nodes.fail_unsent() == 1


@pytest.mark.parametrize("ahead", [timedelta(days=1), -timedelta(days=1)])
@virtual
async def test_a_clock_that_is_wrong_fails_no_command(place: Place, ahead: timedelta) -> None:
    """What another node entered has the time of that one."""
    place.command("c1", "b")
    place.now = NOW + ahead
    for _ in range(9):
        assert await place.lost_nodes.fail_unsent() == 0
        await passing(UNSENT_EVERY_S)
    assert await place.status("c1") == "queued"
    await passing(2 * UNSENT_EVERY_S)
    assert await place.lost_nodes.fail_unsent() == 1


@virtual
async def test_more_than_is_watched_at_once_gets_its_turn(place: Place) -> None:
    """The oldest are watched, and make room."""
    for n in range(MOST_WATCHED + 10):
        place.command(f"c{n:05}", "b")
    assert await place.lost_nodes.fail_unsent() == 0
    await passing(UNSENT_S + 1)
    assert await place.lost_nodes.fail_unsent() == MOST_WATCHED
    assert await place.lost_nodes.fail_unsent() == 0
    await passing(UNSENT_S + 1)
    assert await place.lost_nodes.fail_unsent() == 10
