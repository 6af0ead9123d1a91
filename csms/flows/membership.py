"""This node among those that share the store: it shows that it lives, and watches the others.

A node that has not been able to show it for a while stops doing what only one may do *before*
others may think it lost; one that finds itself declared lost begins a new life. Each watches the
others by its own clock, and only as long as its own beats arrive in time: while the store was away
nobody could beat, so nobody is lost for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import structlog

from csms.core import nodes
from csms.core.errors import AlreadyExists, CsmsError, StoreUnavailable
from csms.core.nodes import Node, NodeState
from csms.core.ports import FIRST, Store

log = structlog.get_logger("flows.membership")

R = TypeVar("R")
MOST_NODES = 1_000


@dataclass(frozen=True, slots=True)
class Pulse:
    """`beat_s`: between signs of life. `lost_after_s`: without one, by the clock of who watches,
    before a node counts as lost; it must be several beats."""

    beat_s: float = 1.0
    lost_after_s: float = 8.0

    @property
    def sure_s(self) -> float:
        """For how long after its last sign of life a node may be sure that nobody thinks it lost:
        with room for what is under way to be cancelled."""
        return self.lost_after_s * 0.6


@dataclass(slots=True)
class _Seen:
    node: Node
    since: float


class Membership:
    """`await join()`, then `run()` until cancelled, then `await leave()`.

    `alone`: no other process can have this store, so there is nothing to show and nobody to watch.
    `links()`: how many stations are connected here. `on_given_up`: awaited when others have
    declared this node lost, before its next life begins; its links are over. `on_change` is called
    when nodes came, went, or changed their state.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        *,
        address: str = "",
        version: str = "",
        pulse: Pulse | None = None,
        alone: bool = False,
        place: str | None = None,
        links: Callable[[], int] = lambda: 0,
        takes_stations: bool = True,
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._pulse = pulse or Pulse()
        self._links = links
        self._alone = alone
        now = clock()
        self.me = Node(
            name=name,
            run=new_id(),
            place=place_of_process() if place is None else place,
            state=NodeState.UP,
            beats=0,
            links=0,
            version=version,
            address=address,
            joined_at=now,
            beat_at=now,
            takes_stations=takes_stations,
        )
        self._shown_at = 0.0
        self._joined = False
        self._seen: dict[str, _Seen] = {}
        self.on_given_up: Callable[[], Awaitable[None]] = _nothing
        self.on_change: Callable[[], None] = lambda: None

    # -- what it knows -------------------------------------------------------------------------

    @property
    def sure(self) -> bool:
        """Whether this node may do what only one may do: nobody can think it lost by now."""
        if not self._joined or not self.me.alive:
            return False
        return self._alone or _time() - self._shown_at < self._pulse.sure_s

    @property
    def living(self) -> bool:
        """False from the moment that this node knows that others have thought it lost, until it has
        begun a new life."""
        return self._joined

    @property
    def draining(self) -> bool:
        return self.me.state == NodeState.DRAINING

    def others(self) -> list[Node]:
        """The others that live, as last seen."""
        return [seen.node for seen in self._seen.values() if seen.node.alive]

    def other(self, name: str) -> Node | None:
        """Another node that lives, as last seen."""
        seen = self._seen.get(name)
        return seen.node if seen is not None and seen.node.alive else None

    def workers(self) -> list[str]:
        """The names of those who do what only one may do; see `nodes.workers`."""
        return nodes.workers([self.me, *self.others()])

    # -- living --------------------------------------------------------------------------------

    async def join(self) -> None:
        """Begin to live. An earlier life under this name is waited for until it is sure that it is
        over; a process of this machine that is gone is not. Raises `AlreadyExists` when it is not
        over."""
        self._store.live_as(self.me.run)
        over = await self._store.reader.get(Node, self.me.name)
        other = over if over is not None and over.run != self.me.run else None
        if other is not None and other.alive and not self._alone and not _gone(other.place):
            log.info("node_name_in_use", node=other.name, wait_s=self._pulse.lost_after_s)
            await self._fence_silent([other])
        began = _time()
        try:
            self.me = await self._transact(nodes.join, self.me, over)
        except StoreUnavailable:
            # Perhaps held up by one that stands still, and nobody else is there to find it lost; or
            # stored, and only the answer did not come: then this life must show itself at once.
            if self._alone or await self._has_begun():
                raise
            if not await self._fence_silent(await self._rows()):
                raise
            began = await self._join_again(over)
        self._shown_at, self._joined = began, True
        await self._look()

    async def leave(self) -> None:
        """End in order. A store that is away finds out by itself."""
        self._joined = False
        try:
            await self._transact(nodes.leave, self.me.name, self.me.run, self._clock())
        except CsmsError as error:
            log.info("node_left_unsaid", why=error.code)

    async def run(self) -> None:
        """Beat and watch, until cancelled. Raises `AlreadyExists` when another process has taken
        the name: two cannot live under one."""
        if self._alone:
            await self._run_alone()
        while True:
            await asyncio.sleep(self._pulse.beat_s)
            try:
                await self.turn()
            except AlreadyExists:
                raise
            except CsmsError as error:
                log.warning("node_not_heard", why=error.detail or error.code)
            except Exception:
                log.exception("node_not_heard")

    async def _run_alone(self) -> None:
        """Only an operator's wish can change anything."""
        while True:
            await asyncio.sleep(self._pulse.beat_s)
            try:
                mine = await self._store.reader.get(Node, self.me.name)
            except CsmsError:
                continue
            if mine is not None and mine.state != self.me.state:
                self.me = mine
                self.on_change()

    async def turn(self) -> None:
        """One sign of life, and one look at the others."""
        began = _time()
        mine = await self._transact(
            nodes.beat, self.me.name, self.me.run, self._links(), self._clock()
        )
        if mine is None:
            await self._begin_again()
            return
        if began - self._shown_at > max(3 * self._pulse.beat_s, self._pulse.lost_after_s / 3):
            # Who could not beat in time could not watch either, and perhaps nobody could beat: the
            # watch over all others begins anew. They stay known, as those who live.
            for seen in self._seen.values():
                seen.since = _time()
        self._shown_at = began
        # That this life had begun was stored, and the answer lost.
        begun, self._joined = not self._joined, True
        changed, self.me = begun or mine.state != self.me.state, mine
        if await self._look() or changed:
            self.on_change()

    async def _begin_again(self) -> None:
        """This life is over: others have taken what it had. Repeated until the next has begun."""
        if self._joined:
            self._joined = False
            log.error("node_was_given_up", node=self.me.name, run=self.me.run)
            self._renew()
        self.on_change()
        await self.on_given_up()
        known = await self._store.reader.get(Node, self.me.name)
        mine = known is not None and known.run == self.me.run
        if known is not None and known.alive and not mine:
            raise AlreadyExists(
                f"another process lives under the name {self.me.name} (its API: {known.address}):"
                " give each a name of its own (node, CSMS_NODE)"
            )
        if known is not None and mine and not known.alive:
            # It had begun without an answer, and was over before this node knew of it.
            self._renew()
        await self.join()
        self.on_change()

    def _renew(self) -> None:
        """Another life of the same process: one that was being drained still is."""
        self.me = self.me._replace(run=self._new_id(), joined_at=self._clock())

    async def _look(self) -> bool:
        """See who lives; those without a new beat for too long are declared lost. Whether anything
        changed."""
        rows = await self._rows()
        now, changed = _time(), False
        found: dict[str, _Seen] = {}
        for node in rows:
            if node.name == self.me.name:
                continue
            before = self._seen.get(node.name)
            known = before.node if before is not None else None
            if known is None or (known.run, known.state) != (node.run, node.state):
                changed = changed or node.alive or known is not None
            stands_still = known is not None and (known.run, known.beats) == (node.run, node.beats)
            since = before.since if before is not None and stands_still else now
            silent = node.alive and now - since > self._pulse.lost_after_s
            if silent and await self._lose(node):
                log.error("node_lost", node=node.name, silent_s=round(now - since, 1))
                found[node.name] = _Seen(node._replace(state=NodeState.LOST), since)
                changed = True
            else:
                found[node.name] = _Seen(node, since)
        self._seen = found
        return changed

    async def _lose(self, node: Node) -> bool:
        """Declare it lost; False when it has shown life since. What it has under way is ended
        first: if it stands still, that may hold up everybody, and also this."""
        await self._fence(node)
        return await self._transact(nodes.lose, node, self._clock())

    async def _fence_silent(self, before: list[Node]) -> bool:
        """End what those of them have under way who show no life for as long as it takes to be sure
        of that; whether there are any."""
        others = [node for node in before if node.alive and node.run != self.me.run]
        if not others:
            return False
        await asyncio.sleep(self._pulse.lost_after_s)
        now = {node.name: node for node in await self._rows()}
        silent = [node for node in others if now.get(node.name) == node]
        for node in silent:
            await self._fence(node)
        return bool(silent)

    async def _fence(self, node: Node) -> None:
        try:
            await self._store.fence(node.run)
        except CsmsError as error:
            # It may hold up nobody.
            log.warning("node_not_fenced", node=node.name, why=error.detail or error.code)

    async def _join_again(self, over: Node | None) -> float:
        """Join as soon as the store writes, which it should in a moment; when that began."""
        until = _time() + self._pulse.lost_after_s
        while True:
            began = _time()
            try:
                self.me = await self._transact(nodes.join, self.me, over)
            except StoreUnavailable:
                if began >= until:
                    raise
                await asyncio.sleep(self._pulse.beat_s)
            else:
                return began

    async def _has_begun(self) -> bool:
        known = await self._store.reader.get(Node, self.me.name)
        return known is not None and known.run == self.me.run

    async def _rows(self) -> list[Node]:
        return await self._store.reader.page(Node, limit=MOST_NODES)

    def _transact(self, fn: Callable[..., R], *args: object) -> Awaitable[R]:
        """Before everything else that waits for the store: who is slow is not lost."""
        return self._store.transact(fn, *args, lane=FIRST)


async def _nothing() -> None:
    """Nobody has to be told."""


def _time() -> float:
    return asyncio.get_running_loop().time()


# -- which process of which machine --------------------------------------------------------------


def place_of_process() -> str:
    """This process, so that others on the machine can tell whether it still runs: `MACHINE/PID`.
    Processes of different containers are on different machines in this sense."""
    return f"{_machine()}/{os.getpid()}"


def _machine() -> str:
    facts = [socket.gethostname()]
    for file in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"):
        try:
            facts.append(Path(file).read_text("ascii").strip())
        except OSError:
            continue
    try:
        facts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        facts.append("")
    return hashlib.blake2b("\0".join(facts).encode(), digest_size=8).hexdigest()


def _gone(place: str) -> bool:
    """Whether it was a process of this machine that does not run any more."""
    machine, _, pid = place.rpartition("/")
    if machine != _machine() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
