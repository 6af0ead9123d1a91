"""Commands: from a wish to its outcome.

A ledger row first, then the node that holds the socket sends it, then the outcome goes into the
row. Never sent again by itself: what was sent when the process died is `unknown`. The row decides:
a node sends only what is `queued`, so that a command which was given to another node and is taken
back, because that one did not answer, is sent by one of them or by none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog

from csms.core import commands
from csms.core.audit import Actor
from csms.core.commands import Command, Kind, Status
from csms.core.errors import CsmsError, NodeUnreachable, StationOffline, StoreUnavailable
from csms.core.ports import Store
from csms.flows.post import Asked

log = structlog.get_logger("flows.commands")
# How often the row of a command that another follows is looked at, for who waits.
LOOK_EVERY_S = 0.25
OFFLINE = "the station is not connected"
# A wish that outlives the link.
KEPT = "the station is not connected; it is told when it comes back"


@dataclass(frozen=True, slots=True)
class Performed:
    """What became of a command on the wire."""

    status: Status
    result: Mapping[str, Any] | None = None
    detail: str | None = None


class Links(Protocol):
    """Whoever can reach stations; see `flows.reach.Reach`."""

    def holds(self, station_id: str) -> bool: ...

    async def perform(
        self, command: Command, timeout_s: float, sending: Callable[[], Awaitable[object]]
    ) -> Performed:
        """Send a command, `sending()` right before it goes out, and what became of it."""
        ...

    async def elsewhere(self, station_id: str) -> str | None: ...

    async def hand_over(self, node: str, command: Command) -> Asked: ...


class Commander:
    """Submits commands and follows them, each in a task of its own until `stop`."""

    def __init__(
        self,
        store: Store,
        links: Links,
        node: str,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        call_timeout_s: float = 30.0,
        retry_s: float = 1.0,
    ) -> None:
        self._store = store
        self._links = links
        self._node = node
        self._clock = clock
        self._new_id = new_id
        self._call_timeout_s = call_timeout_s
        self._retry_s = retry_s
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    @property
    def under_way(self) -> int:
        """Commands that are being sent, or whose answer is awaited."""
        return len(self._running)

    async def submit(
        self,
        station_id: str,
        kind: Kind,
        parameters: Mapping[str, Any],
        requested_by: str,
        *,
        wait_s: float = 0.0,
        idempotency_key: str | None = None,
        actor: Actor | None = None,
    ) -> Command:
        """Enter a wish and send it; the ledger row as it is after at most `wait_s` seconds.

        Raises what `commands.submit` raises, `StationOffline`, and `NodeUnreachable` where another
        node holds the link and cannot be asked (with both the row then says `failed`).
        """
        command, is_new = await self._store.transact(
            commands.submit,
            self._new_id(),
            station_id,
            kind,
            parameters,
            requested_by,
            self._clock(),
            idempotency_key,
            actor,
            self._node,
            lane=station_id,
        )
        if is_new:
            # The row decides: a link here may be one that the station has left for another node.
            node = await self._links.elsewhere(station_id)
            if node is None and self._links.holds(station_id):
                self._begin(command)
            else:
                command = await self._hand_over(command, node, wait_s)
        elif command.status == Status.FAILED and command.detail in (OFFLINE, KEPT):
            # The same wish again gets the same answer.
            raise StationOffline(command.detail, command_id=command.id)
        if wait_s > 0:
            return await self._settled(command, wait_s)
        found = await self._store.reader.get(Command, command.id)
        return found or command

    def _begin(self, command: Command) -> asyncio.Task[None]:
        task = asyncio.create_task(self._follow(command), name=f"command {command.id}")
        self._running[command.id] = task
        task.add_done_callback(lambda _: self._running.pop(command.id, None))
        return task

    async def follow(self, command: Command) -> None:
        """Send a command that another node was asked for, and see it to its end."""
        await asyncio.shield(self._begin(command))

    async def _hand_over(self, command: Command, node: str | None, wait_s: float) -> Command:
        """Give it to the node that holds the link, and wait there for the outcome. Raises
        `StationOffline` and `NodeUnreachable`: then it has failed, and was not sent."""
        if node is None:
            why = KEPT if command.kind == Kind.SET_AVAILABILITY else OFFLINE
            await self._finish(command.id, Performed(Status.FAILED, detail=why))
            raise StationOffline(why, command_id=command.id)
        try:
            asked = await self._links.hand_over(node, command)
        except NodeUnreachable as error:
            now = self._clock()
            left = await self._store.transact(commands.take_back, command.id, error.detail, now)
            if left.status == Status.FAILED:
                raise NodeUnreachable(error.detail, command_id=command.id) from error
            return left
        if wait_s > 0:
            try:
                await asked.answer(wait_s)
            except NodeUnreachable:
                # The row tells how far it came.
                pass
            found = await self._store.reader.get(Command, command.id)
            if found is not None and found.detail == OFFLINE:
                # It went away in this moment.
                raise StationOffline(OFFLINE, command_id=command.id)
        return command

    async def _settled(self, command: Command, wait_s: float) -> Command:
        """The row after at most so long, sooner when it has an outcome, whoever follows it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            running = self._running.get(command.id)
            if running is not None:
                await asyncio.wait((running,), timeout=max(0.0, until - loop.time()))
            found = await self._store.reader.get(Command, command.id) or command
            over = found.status not in (Status.QUEUED, Status.SENT) or self._stopping
            if over or loop.time() >= until:
                return found
            await asyncio.sleep(min(LOOK_EVERY_S, max(0.0, until - loop.time())))

    async def _follow(self, command: Command) -> None:
        """Send one command and note what becomes of it."""

        async def sending() -> None:
            await self._store.transact(
                commands.sent, command.id, self._node, self._clock(), lane=command.station_id
            )

        try:
            try:
                performed = await self._links.perform(command, self._call_timeout_s, sending)
            except CsmsError as error:
                performed = Performed(Status.FAILED, detail=error.detail or error.code)
            except Exception:
                log.exception("command_failed", command=command.id)
                performed = Performed(Status.UNKNOWN, detail="an internal error; see the log")
            await self._finish_at_last(command.id, performed)
        except Exception:
            log.exception("command_failed", command=command.id)

    async def _finish_at_last(self, command_id: str, performed: Performed) -> None:
        """Store the outcome as soon as the store can; a process that ends before leaves the row to
        its next start."""
        while True:
            try:
                await self._finish(command_id, performed)
                return
            except StoreUnavailable as error:
                log.warning("command_outcome_not_stored", command=command_id, why=error.detail)
                await asyncio.sleep(self._retry_s)

    async def _finish(self, command_id: str, performed: Performed) -> None:
        await self._store.transact(
            commands.finish,
            command_id,
            performed.status,
            self._clock(),
            performed.result,
            performed.detail,
        )

    async def note_late(self, command_id: str, performed: Performed) -> None:
        """A result came after its time; the row learns it all the same."""
        try:
            await self._finish(command_id, performed)
        except CsmsError as error:
            log.warning("late_result_not_stored", command=command_id, why=error.code)
        except Exception:
            log.exception("late_result_not_stored", command=command_id)

    async def stop(self) -> None:
        """Wait for nothing: what is running is abandoned and settled by the next start."""
        self._stopping = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
