"""Nodes live by their beats and hold leases while they live; what a life left is settled once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.core import commands, nodes, stations
from csms.core.commands import Command, Kind
from csms.core.errors import AlreadyExists, NotFound, Refused
from csms.core.ids import Origin
from csms.core.nodes import Lease, Node, NodeState
from csms.core.stations import NewStation, Station
from csms.storage.open import open_inline
from csms.storage.store import InlineStore
from tests.support.ocpp import NOW, PARTY

LATER = NOW + timedelta(seconds=9)


def node(name: str = "a", run: str = "r1", **changes: object) -> Node:
    made = Node(name, run, "m/1", NodeState.UP, 0, 0, "1", "http://a:8000", NOW, NOW)
    return made._replace(**changes)


@pytest.fixture
def store() -> InlineStore:
    return open_inline()


def row(store: InlineStore, name: str = "a") -> Node:
    found = store.run(lambda tx: tx.get(Node, name))
    assert found is not None
    return found


def kinds(store: InlineStore) -> list[str]:
    rows = store._runner._database.fetch(
        "SELECT json_extract(data, '$.node') || ' ' || json_extract(data, '$.state') FROM journal"
        " WHERE kind = 'node_changed' ORDER BY seq",
        (),
    )
    return [text for (text,) in rows]


# -- living ----------------------------------------------------------------------------------------


def test_a_beat_counts_up_and_is_no_event(store: InlineStore) -> None:
    store.run(nodes.join, node())
    for beats in (1, 2):
        told = store.run(nodes.beat, "a", "r1", 7, LATER)
        assert told is not None
        assert (told.beats, told.links, told.beat_at) == (beats, 7, LATER)
    assert kinds(store) == ["a up"]


def test_a_name_that_lives_is_not_taken(store: InlineStore) -> None:
    store.run(nodes.join, node())
    seen = row(store)
    with pytest.raises(AlreadyExists, match="a node named a is running since"):
        store.run(nodes.join, node(run="r2"))
    store.run(nodes.beat, "a", "r1", 0, NOW)
    with pytest.raises(AlreadyExists):
        store.run(nodes.join, node(run="r2"), seen)
    assert row(store).run == "r1"


def test_a_name_that_showed_no_life_since_it_was_seen_is_taken(store: InlineStore) -> None:
    store.run(nodes.join, node())
    store.run(nodes.join, node(run="r2"), row(store))
    assert row(store).run == "r2"
    assert store.run(nodes.beat, "a", "r1", 0, NOW) is None


@pytest.mark.parametrize("state", [NodeState.LEFT, NodeState.LOST])
def test_a_life_that_is_over_stands_in_no_way(store: InlineStore, state: NodeState) -> None:
    store.run(lambda tx: tx.save(node(state=state)))
    store.run(nodes.join, node(run="r2"))
    assert (row(store).run, row(store).state) == ("r2", "up")


def test_a_life_that_begins_again_is_drained_as_it_was(store: InlineStore) -> None:
    store.run(nodes.join, node())
    store.run(nodes.lose, row(store), LATER)
    assert store.run(nodes.join, node(run="r2", state=NodeState.DRAINING)).state == "draining"
    assert kinds(store) == ["a up", "a lost", "a draining"]


def test_a_drain_outlives_that_its_node_joins_once_more(store: InlineStore) -> None:
    """It does when it was not answered."""
    store.run(nodes.join, node())
    store.run(nodes.drain, "a", NOW, True)
    assert store.run(nodes.join, node()).state == "draining"
    assert row(store).state == "draining"


def test_lost_is_who_shows_no_life(store: InlineStore) -> None:
    store.run(nodes.join, node())
    seen = row(store)
    store.run(nodes.beat, "a", "r1", 3, NOW)
    assert not store.run(nodes.lose, seen, LATER)
    assert store.run(nodes.lose, row(store), LATER)
    assert (row(store).state, row(store).links) == ("lost", 0)
    assert store.run(nodes.beat, "a", "r1", 3, LATER) is None
    assert not store.run(nodes.lose, row(store), LATER)
    assert kinds(store) == ["a up", "a lost"]


def test_an_end_in_order(store: InlineStore) -> None:
    store.run(nodes.join, node())
    store.run(nodes.leave, "a", "another", NOW)
    assert row(store).alive
    for _ in range(2):
        store.run(nodes.leave, "a", "r1", NOW)
    assert kinds(store) == ["a up", "a left"]


# -- draining ----------------------------------------------------------------------------------


def test_a_drain_needs_somebody_who_takes_the_stations(store: InlineStore) -> None:
    store.run(nodes.join, node())
    with pytest.raises(Refused, match="nowhere to go"):
        store.run(nodes.drain, "a", NOW)
    assert store.run(nodes.drain, "a", NOW, True).state == "draining"
    store.run(nodes.resume, "a", NOW)
    store.run(nodes.join, node("b", "r2"))
    assert store.run(nodes.drain, "a", NOW).state == "draining"
    assert store.run(nodes.drain, "a", NOW).state == "draining"
    with pytest.raises(Refused):
        store.run(nodes.drain, "b", NOW)
    assert store.run(nodes.beat, "a", "r1", 1, NOW).state == "draining"
    assert kinds(store) == ["a up", "a draining", "a up", "b up", "a draining"]


def test_stations_do_not_go_to_a_node_that_takes_none(store: InlineStore) -> None:
    store.run(nodes.join, node())
    store.run(nodes.join, node("d", "r2", takes_stations=False))
    with pytest.raises(Refused, match="nowhere to go"):
        store.run(nodes.drain, "a", NOW)
    # The work of that one can go to any.
    assert store.run(nodes.drain, "d", NOW).state == "draining"


@pytest.mark.parametrize("act", [nodes.drain, nodes.resume])
def test_who_does_not_live_is_not_drained(store: InlineStore, act: object) -> None:
    with pytest.raises(NotFound, match="csms node list"):
        store.run(act, "a", NOW)  # type: ignore[arg-type]
    store.run(nodes.join, node())
    store.run(nodes.leave, "a", "r1", NOW)
    with pytest.raises(Refused, match="a is left"):
        store.run(act, "a", NOW)  # type: ignore[arg-type]


# -- leases ------------------------------------------------------------------------------------


def lease(name: str, holder: str = "a", run: str = "r1") -> Lease:
    return Lease(name, holder, run, NOW)


def test_one_who_lives_has_a_lease(store: InlineStore) -> None:
    store.run(nodes.join, node())
    store.run(nodes.join, node("b", "r2"))
    both = [lease("x"), lease("y")]
    assert store.run(nodes.take, both) == ["x", "y"]
    assert store.run(nodes.take, both) == ["x", "y"]
    assert store.run(nodes.take, [lease("x", "b", "r2"), lease("z", "b", "r2")]) == ["z"]
    store.run(nodes.give, "x", "r2")
    assert store.run(nodes.take, [lease("x", "b", "r2")]) == []
    store.run(nodes.give, "x", "r1")
    assert store.run(nodes.take, [lease("x", "b", "r2")]) == ["x"]


def test_the_leases_of_a_life_end_with_it(store: InlineStore) -> None:
    store.run(nodes.join, node())
    store.run(nodes.join, node("b", "r2"))
    store.run(nodes.take, [lease("x")])
    store.run(nodes.lose, row(store), LATER)
    assert store.run(nodes.take, [lease("x")]) == []
    assert store.run(nodes.take, [lease("x", "b", "r2")]) == ["x"]
    store.run(nodes.join, node(run="r3"))
    assert store.run(nodes.take, [lease("x", "a", "r3")]) == []


@given(
    names=st.sets(st.text("abcdef", min_size=1), min_size=1, max_size=8),
    duties=st.lists(st.text(min_size=1), max_size=20),
)
def test_a_node_that_goes_moves_only_what_was_its_own(names: set[str], duties: list[str]) -> None:
    gone = min(names)
    for duty in duties:
        before = nodes.preferred(duty, names)
        assert before == nodes.preferred(duty, sorted(names))
        if before != gone:
            assert nodes.preferred(duty, names - {gone}) == before


def test_duties_are_spread() -> None:
    holders = [nodes.preferred(f"partner {n}", ["a", "b", "c"]) for n in range(300)]
    assert all(70 < holders.count(name) < 130 for name in "abc")
    assert nodes.preferred("x", []) is None


def test_what_only_one_may_do_is_for_nodes_without_stations_where_there_are_any() -> None:
    a, b, d = node("a"), node("b"), node("d", takes_stations=False)
    assert nodes.workers([a, b]) == ["a", "b"]
    assert nodes.workers([a, d, b]) == ["d"]
    e = node("e", takes_stations=False)
    assert nodes.workers([a, d, e]) == ["d", "e"]
    assert nodes.workers([a, d._replace(state=NodeState.LOST), b]) == ["a", "b"]
    assert nodes.workers([a, d._replace(state=NodeState.DRAINING)]) == ["a"]
    # Where all drain, somebody has to do it all the same.
    drained = [one._replace(state=NodeState.DRAINING) for one in (a, d)]
    assert nodes.workers([*drained, b._replace(state=NodeState.LEFT)]) == ["a", "d"]


# -- what is left ------------------------------------------------------------------------------


def connected(store: InlineStore, name: str = "a") -> Station:
    if store.run(lambda tx: tx.get(Station, "s1")) is None:
        store.run(stations.onboard, "s1", NewStation("CS 1", PARTY), NOW)
    origin = Origin("s1", "CS 1", "1.6", NOW)
    return store.run(stations.link_opened, origin, name, "192.0.2.1")


def station(store: InlineStore) -> Station:
    return store.run(stations.require, "s1")


def test_a_link_that_nobody_holds_is_ended(store: InlineStore) -> None:
    store.run(nodes.join, node())
    seen = connected(store)
    store.run(nodes.lose, row(store), LATER)
    assert store.run(nodes.end_link, seen, "r1", LATER, nodes.LOST_LINK)
    assert (station(store).node, station(store).last_seen_at) == (None, NOW)
    assert not store.run(nodes.end_link, seen, "r1", LATER, nodes.LOST_LINK)


def test_a_station_that_came_back_keeps_its_link(store: InlineStore) -> None:
    store.run(nodes.join, node())
    seen = connected(store)
    store.run(nodes.lose, row(store), LATER)
    connected(store, "b")
    assert not store.run(nodes.end_link, seen, "r1", LATER, nodes.LOST_LINK)
    assert station(store).node == "b"


def test_the_links_of_a_new_life_are_not_those_of_the_old(store: InlineStore) -> None:
    store.run(nodes.join, node())
    store.run(nodes.lose, row(store), LATER)
    store.run(nodes.join, node(run="r2"))
    seen = connected(store)
    assert not store.run(nodes.end_link, seen, "r1", LATER, nodes.LOST_LINK)
    assert station(store).node == "a"


def test_a_command_that_another_node_has_by_now_is_not_settled(store: InlineStore) -> None:
    connected(store)
    seen, _ = store.run(commands.submit, "c1", "s1", Kind.RESET, {}, "t", NOW, None, None, "a")
    store.run(commands.sent, "c1", "b", NOW)
    assert not store.run(nodes.end_command, seen, LATER)
    assert store.run(lambda tx: tx.get(Command, "c1")).status == "sent"
    with_b = store.run(lambda tx: tx.get(Command, "c1"))
    assert store.run(nodes.end_command, with_b, LATER)
    assert store.run(lambda tx: tx.get(Command, "c1")).status == "unknown"


def test_what_nobody_sent_is_failed_and_never_sent_after(store: InlineStore) -> None:
    connected(store)
    seen, _ = store.run(commands.submit, "c1", "s1", Kind.RESET, {}, "t", NOW, None, None, "a")
    assert store.run(nodes.fail_unsent, seen, LATER)
    with pytest.raises(Refused):
        store.run(commands.sent, "c1", "b", LATER)
    sent, _ = store.run(commands.submit, "c2", "s1", Kind.RESET, {}, "t", NOW, None, None, "a")
    store.run(commands.sent, "c2", "b", NOW)
    assert not store.run(nodes.fail_unsent, sent, LATER)
