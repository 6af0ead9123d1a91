"""What a node left behind that did not end in order: links that nobody holds, commands that nobody
follows. Its stations are shown as gone until they come back, to whichever node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog

from csms.core import nodes
from csms.core.commands import Command, Status
from csms.core.errors import CsmsError
from csms.core.nodes import LOST_LINK, RESTARTED, Node, NodeState
from csms.core.ports import Store
from csms.core.stations import Station

log = structlog.get_logger("flows.lost_nodes")

EVERY_S = 1.0
PAGE = 500
# A station that answers nothing loses its link long before.
UNSENT_S = 600.0
UNSENT_EVERY_S = 60.0
# Of what waits the oldest; as these are sent or failed, others get their turn.
MOST_WATCHED = 1_000


class LostNodes:
    """`settle_own` before anything can connect here; `run` is for one node at a time."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        # Id of a command that waits -> when this process first saw it, by a clock that only goes
        # forward: what the node that entered it wrote down is by a clock of its own.
        self._waits_since: dict[str, float] = {}

    async def settle_own(self, me: Node) -> int:
        """What earlier lives of this node left; how much it was. Also commands that no node is
        named for: those of versions that did not write it down."""
        return await self._settle(me.name, me.run, RESTARTED) + await self._commands(None)

    async def run(self) -> None:
        """Settle what nodes left that were declared lost, until cancelled."""
        loop = asyncio.get_running_loop()
        next_look = loop.time()
        while True:
            try:
                await self.settle_lost()
                if loop.time() >= next_look:
                    next_look = loop.time() + UNSENT_EVERY_S
                    await self.fail_unsent()
            except CsmsError as error:
                log.warning("lost_nodes_not_settled", why=error.detail or error.code)
            except Exception:
                # Nothing that goes wrong here may end the system.
                log.exception("lost_nodes_not_settled")
            await asyncio.sleep(EVERY_S)

    async def settle_lost(self) -> int:
        """Everything that is left now; how much it was. May be repeated and cut short."""
        settled = 0
        for node in await self._store.reader.page(
            Node, {"state": NodeState.LOST.value}, limit=PAGE
        ):
            count = await self._settle(node.name, node.run, LOST_LINK)
            await self._store.transact(nodes.leave, node.name, node.run, self._clock())
            log.warning("lost_node_settled", node=node.name, left_behind=count)
            settled += count
        return settled

    async def fail_unsent(self) -> int:
        """Commands that have waited far longer than any turn takes, since this process first saw
        them: the node that entered them was lost between the ledger and the node that holds the
        link. How many."""
        time = asyncio.get_running_loop().time()
        waiting = await self._store.reader.page(
            Command, {"status": Status.QUEUED.value}, limit=MOST_WATCHED
        )
        seen = self._waits_since
        self._waits_since = {command.id: seen.get(command.id, time) for command in waiting}
        return await self._together(
            [
                self._store.transact(nodes.fail_unsent, c, self._clock(), lane=c.station_id)
                for c in waiting
                if time - self._waits_since[c.id] > UNSENT_S
            ]
        )

    async def _settle(self, name: str, run: str, why: str) -> int:
        return await self._links(name, run, why) + await self._commands(name)

    async def _links(self, name: str, run: str, why: str) -> int:
        ended = 0
        after: tuple[str, ...] | None = None
        while True:
            page = await self._store.reader.page(Station, {"node": name}, after=after, limit=PAGE)
            now = self._clock()
            ended += await self._together(
                [
                    self._store.transact(nodes.end_link, station, run, now, why, lane=station.id)
                    for station in page
                ]
            )
            if len(page) < PAGE:
                return ended
            after = (page[-1].id,)

    async def _commands(self, name: str | None) -> int:
        settled = 0
        for status in (Status.QUEUED, Status.SENT):
            after: tuple[str, ...] | None = None
            while True:
                page = await self._store.reader.page(
                    Command, {"status": status.value}, after=after, limit=PAGE
                )
                now = self._clock()
                settled += await self._together(
                    [
                        self._store.transact(nodes.end_command, c, now, lane=c.station_id)
                        for c in page
                        if c.node == name
                    ]
                )
                if len(page) < PAGE:
                    break
                after = (page[-1].id,)
        return settled

    async def _together(self, calls: Sequence[Any]) -> int:
        return sum(await asyncio.gather(*calls))
