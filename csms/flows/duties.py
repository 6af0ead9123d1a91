"""Duties: work that only one node may do at a time, and which node does it.

Every duty has a node that should do it, the same in everybody's eyes (`nodes.preferred`), and a
lease that makes sure that nobody else does. A node that is not sure to be counted among the living
stops its duties at once; what it did not finish the next holder finds in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from datetime import datetime
from typing import Any, Protocol

import structlog

from csms.core import nodes
from csms.core.errors import CsmsError
from csms.core.nodes import Lease, Node
from csms.core.ports import FIRST, Store

log = structlog.get_logger("flows.duties")

CHECK_EVERY_S = 0.5
LOOK_AGAIN_S = 2.0
# How long at most others wait for work that was told to end.
ENDS_WITHIN_S = 5.0
AT_ONCE = 200


class Among(Protocol):
    """What is known of the nodes; see `flows.membership.Membership`."""

    me: Node

    @property
    def sure(self) -> bool: ...

    def workers(self) -> list[str]: ...


class Duties:
    """`add` what is to be done, then `run` until cancelled.

    Duties that come and go (one per partner) are given by `also`: `wanted()` tells their names, and
    `dropped(name)` is called when one is no longer this node's: it tells what does it to end, waits
    for nothing, and returns what has still to end. Whoever does them asks `holds`.
    """

    def __init__(self, store: Store, among: Among, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._among = among
        self._clock = clock
        self._work: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        self._wanted: Callable[[], Awaitable[Collection[str]]] | None = None
        self._dropped: Callable[[str], Collection[asyncio.Task[None]]] = lambda name: ()
        self._held: set[str] = set()
        # Not held here, and perhaps ours in the store: being taken, or not given back yet. As long
        # as that is so nobody else can have them.
        self._owed: set[str] = set()
        self._run = ""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # Told to end, and perhaps still at it: until they have ended nobody begins it again.
        self._ending: dict[str, set[asyncio.Task[None]]] = {}
        self._look = asyncio.Event()

    def add(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`work()` runs for as long as this node holds the duty, and is cancelled when it does not
        any more. It has to look by itself at what there is to do."""
        self._work[name] = work

    def also(
        self,
        wanted: Callable[[], Awaitable[Collection[str]]],
        dropped: Callable[[str], Collection[asyncio.Task[None]]],
    ) -> None:
        """Duties whose names are known only later."""
        self._wanted, self._dropped = wanted, dropped

    def holds(self, name: str) -> bool:
        """Whether it is this node that does it, now."""
        return name in self._held and self._good()

    @property
    def held(self) -> list[str]:
        """What this node does, by name."""
        return sorted(self._held) if self._good() else []

    def look(self) -> None:
        """Nodes came or went, or there is more to do: look now."""
        self._look.set()

    def _good(self) -> bool:
        """Leases are those of one life."""
        return self._among.sure and self._run == self._among.me.run

    async def run(self) -> None:
        """Take up and lay down duties until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._lay_down(), name="lay down duties")
                while True:
                    self._look.clear()
                    await self._turn()
                    try:
                        async with asyncio.timeout(LOOK_AGAIN_S):
                            await self._look.wait()
                    except TimeoutError:
                        continue
        finally:
            self._drop(tuple(self._held))

    async def _lay_down(self) -> None:
        """Stop everything as soon as this node is not sure to be among the living. By itself, and
        waiting for nothing but time: a store that hangs must not keep it from that."""
        while True:
            if not self._good() and self._held:
                log.warning("duties_laid_down", why="not sure to be among the living")
                # Still ours if this life goes on.
                self._owed |= self._held
                self._drop(tuple(self._held))
            await asyncio.sleep(CHECK_EVERY_S)

    async def _turn(self) -> None:
        """Nothing that goes wrong here ends the system; it is tried again."""
        try:
            await self.settle()
        except CsmsError as error:
            log.warning("duties_not_looked_at", why=error.detail or error.code)
        except Exception:
            log.exception("duties_not_looked_at")

    async def settle(self) -> None:
        """Hold what this node should hold and nobody else has, and nothing else."""
        if not self._among.sure:
            return
        if self._run != self._among.me.run:
            self._drop(tuple(self._held))
            self._owed.clear()
            self._run = self._among.me.run
        wanted = set(self._work)
        if self._wanted is not None:
            wanted |= set(await self._wanted())
        workers = self._among.workers()
        mine = {name for name in wanted if nodes.preferred(name, workers) == self._among.me.name}
        for name in sorted((self._held | self._owed) - mine):
            await self._hand_over(name)
        now, me = self._clock(), self._among.me
        free = sorted(name for name in mine - self._held if not self._still_ending(name))
        wanting = [Lease(name, me.name, me.run, now) for name in free]
        for n in range(0, len(wanting), AT_ONCE):
            some = wanting[n : n + AT_ONCE]
            self._owed.update(lease.name for lease in some)
            taken = await self._store.transact(nodes.take, some, lane=FIRST)
            self._owed.difference_update(lease.name for lease in some)
            if not self._good():
                # Answered too late to be begun; still ours if this life goes on.
                self._owed.update(taken)
                return
            if taken:
                self._held.update(taken)
                log.info("duties_taken", duties=taken)
        for name in sorted(self._held & set(self._work)):
            if name not in self._tasks:
                self._begin(name)

    def _begin(self, name: str) -> None:
        task = asyncio.create_task(self._do(name), name=name)
        self._tasks[name] = task

    async def _do(self, name: str) -> None:
        try:
            await self._work[name]()
        except Exception:
            # It is begun again by the next turn.
            log.exception("duty_failed", duty=name)
        finally:
            if self._tasks.get(name) is asyncio.current_task():
                del self._tasks[name]

    async def _hand_over(self, name: str) -> None:
        """The work has ended before its lease is given back. Where it does not end in time the
        lease stays, until a later turn finds that it has."""
        self._owed.add(name)
        self._drop((name,))
        if ending := self._still_ending(name):
            await asyncio.wait(ending, timeout=ENDS_WITHIN_S)
        if self._still_ending(name):
            log.error("duty_does_not_end", duty=name)
            return
        await self._store.transact(nodes.give, name, self._run, lane=FIRST)
        self._owed.discard(name)
        log.info("duty_handed_over", duty=name)

    def _still_ending(self, name: str) -> set[asyncio.Task[None]]:
        left = {task for task in self._ending.pop(name, ()) if not task.done()}
        if left:
            self._ending[name] = left
        return left

    def _drop(self, names: Collection[str]) -> None:
        for name in sorted(names):
            self._held.discard(name)
            ending = set(self._dropped(name)) if name not in self._work else set()
            if task := self._tasks.pop(name, None):
                task.cancel()
                ending.add(task)
            if ending:
                self._ending.setdefault(name, set()).update(ending)
