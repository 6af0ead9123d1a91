"""Nodes: the processes that share a store, who of them lives, and which of them does what.

A node shows that it lives by counting up its *beats*. Others watch the count by their own clocks,
so that it does not matter how far clocks are apart: whoever has seen no new beat for long enough
declares the node lost. A *lease* says which node does what only one may do at a time; it is good
for as long as the life (`run`) of its holder, and needs no renewal of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from csms.core import commands, events, stations
from csms.core.commands import Command
from csms.core.entities import entity
from csms.core.errors import AlreadyExists, NotFound, Refused
from csms.core.ports import Need, Tx
from csms.core.stations import Station

LOST_LINK = "the node was lost"
RESTARTED = "the node was restarted"


class NodeState(StrEnum):
    """`draining`: it gives its stations and its work to others; `left`: it ended in order; `lost`:
    others found that it no longer lives."""

    UP = "up"
    DRAINING = "draining"
    LEFT = "left"
    LOST = "lost"


ALIVE = frozenset({NodeState.UP, NodeState.DRAINING})


@entity("nodes", key=("name",), finders={"state": ("state",)})
class Node(NamedTuple):
    """One process. `run`: this life of it; `place`: which process of which machine it is, as far as
    that can be told; `links`: stations connected to it; `address`: of its operator API. `beat_at`
    is by its own clock, for people. `takes_stations`: whether any connect to it; one to which none
    do does what only one may do, so that it never waits for them."""

    name: str
    run: str
    place: str
    state: str
    beats: int
    links: int
    version: str
    address: str
    joined_at: datetime
    beat_at: datetime
    takes_stations: bool = True

    @property
    def alive(self) -> bool:
        return self.state in ALIVE


@entity("leases", key=("name",))
class Lease(NamedTuple):
    """Who does what only one may do: good while `node` lives its life `run`."""

    name: str
    node: str
    run: str
    taken_at: datetime


def needs(name: str) -> Need:
    """Declares the read of one node."""
    return Need(Node, None, (name,))


def needs_lease(name: str) -> Need:
    """Declares the read of one lease."""
    return Need(Lease, None, (name,))


# -- living ----------------------------------------------------------------------------------------


def join(tx: Tx, node: Node, over: Node | None = None) -> Node:
    """A process begins to live under a name: up, or draining when its life before was drained.
    `over`: the earlier life that it takes the name from, as the caller saw it. Raises
    `AlreadyExists` when that one has shown life since, or another has come. May be repeated; what
    an operator has wished of this life meanwhile holds."""
    known = tx.get(Node, node.name)
    lives = known is not None and known.alive and known.run != node.run
    if lives and (over is None or _life(known) != _life(over)):
        assert known is not None
        raise AlreadyExists(
            f"a node named {node.name} is running since {known.joined_at:%F %T} UTC"
            f" (its API: {known.address}): give this one a name of its own (node, CSMS_NODE)"
        )
    if known is not None and known.alive and known.run == node.run:
        node = node._replace(state=known.state)
    return _become(tx, node, node.joined_at)


def beat(tx: Tx, name: str, run: str, links: int, now: datetime) -> Node | None:
    """One more sign of life; the row as it is then. None, and nothing changes, for a life that is
    over: the node was declared lost, or another has its name."""
    known = tx.get(Node, name)
    if known is None or known.run != run or not known.alive:
        tx.mark("beat_of_a_lost_node")
        return None
    known = known._replace(beats=known.beats + 1, links=links, beat_at=now)
    tx.save(known)
    return known


def lose(tx: Tx, seen: Node, now: datetime) -> bool:
    """Declare a node lost that has shown no life since it was seen like this; False when it has."""
    known = tx.get(Node, seen.name)
    if known is None or not known.alive or _life(known) != _life(seen):
        return False
    _become(tx, known._replace(state=NodeState.LOST.value, links=0), now)
    return True


def leave(tx: Tx, name: str, run: str, now: datetime) -> None:
    """A node ends in order, or what a lost one left has been settled. May be repeated."""
    known = tx.get(Node, name)
    if known is not None and known.run == run and known.state != NodeState.LEFT:
        _become(tx, known._replace(state=NodeState.LEFT.value, links=0), now)


def drain(tx: Tx, name: str, now: datetime, alone: bool = False) -> Node:
    """Move a node's stations and work to others; the node goes on living. Raises `NotFound`, and
    `Refused` when no other could take them (unless `alone`: an operator insists). May be
    repeated."""
    node = require(tx, name)
    if node.state == NodeState.DRAINING:
        return node
    if not node.alive:
        raise Refused(f"{name} is {node.state}: there is nothing to move")
    others = [one for one in tx.find(Node, "state", NodeState.UP.value) if one.name != name]
    if not alone and not any(one.takes_stations or not node.takes_stations for one in others):
        raise Refused(f"no other node is up, so the stations of {name} would have nowhere to go")
    return _become(tx, node._replace(state=NodeState.DRAINING.value), now)


def resume(tx: Tx, name: str, now: datetime) -> Node:
    """End a drain: the node takes stations and work again. Raises `NotFound` and `Refused`."""
    node = require(tx, name)
    if not node.alive:
        raise Refused(f"{name} is {node.state}: start it again")
    return (
        node
        if node.state == NodeState.UP
        else _become(tx, node._replace(state=NodeState.UP.value), now)
    )


def require(tx: Tx, name: str) -> Node:
    """The node, or `NotFound`."""
    node = tx.get(Node, name)
    if node is None:
        raise NotFound(f"there is no node {name}; csms node list")
    return node


def _life(node: Node | None) -> tuple[str, int] | None:
    return None if node is None else (node.run, node.beats)


def _become(tx: Tx, node: Node, now: datetime) -> Node:
    tx.save(node)
    tx.record(events.NodeChanged(at=now, node=node.name, state=node.state))
    return node


# -- what only one may do --------------------------------------------------------------------------


def workers(known: Sequence[Node]) -> list[str]:
    """The names of those who do what only one may do: of all that are up those to which no stations
    connect, where there are any; where none is up, all that live."""
    up = [node for node in known if node.state == NodeState.UP]
    free = [node for node in up if not node.takes_stations]
    return [node.name for node in free or up or known if node.alive]


def preferred(duty: str, names: Collection[str]) -> str | None:
    """Which of the nodes should do it: the same answer on every node, and a node that comes or goes
    moves only what is its own (rendezvous hashing)."""
    return max(
        names,
        key=lambda name: blake2b(f"{duty}\0{name}".encode(), digest_size=8).digest(),
        default=None,
    )


def take(tx: Tx, leases: Sequence[Lease]) -> list[str]:
    """Take leases; the names of those that nobody else who lives has. May be repeated."""
    return [lease.name for lease in leases if _take(tx, lease)]


def _take(tx: Tx, lease: Lease) -> bool:
    holder = tx.get(Node, lease.node)
    if holder is None or holder.run != lease.run or not holder.alive:
        return False
    known = tx.get(Lease, lease.name)
    if known is not None and (known.node, known.run) != (lease.node, lease.run):
        other = tx.get(Node, known.node)
        if other is not None and other.alive and other.run == known.run:
            return False
    if known is None or known.run != lease.run:
        tx.save(lease)
    return True


def give(tx: Tx, name: str, run: str) -> None:
    """Give a lease back; nothing happens when another life has it. May be repeated."""
    known = tx.get(Lease, name)
    if known is not None and known.run == run:
        tx.delete(Lease, name)


# -- what a life left behind -----------------------------------------------------------------------


def end_link(tx: Tx, seen: Station, run: str, now: datetime, why: str) -> bool:
    """Write down the end of a link that an earlier life of its node held. `run`: the life by which
    the node is known since: lost, or new and without links so far. False when that is no longer so,
    or the station has come back, to whichever node. May be repeated."""
    node = None if seen.node is None else tx.get(Node, seen.node)
    if node is None or node.run != run:
        return False
    heard = max(filter(None, (seen.last_seen_at, seen.connected_at)), default=now)
    return stations.link_closed(tx, seen.id, seen.generation, heard, now, why)


def end_command(tx: Tx, seen: Command, now: datetime) -> bool:
    """Settle a command that a node which is over had in hand; False when another has it by now. May
    be repeated."""
    command = tx.get(Command, seen.id)
    if command is None or command.node != seen.node:
        return False
    commands.node_died(tx, seen.id, now)
    return True


def fail_unsent(tx: Tx, seen: Command, now: datetime) -> bool:
    """Settle a command that nobody will send; False when somebody has. May be repeated."""
    return commands.take_back(tx, seen.id, "nobody sent it in time", now).finished_at == now
