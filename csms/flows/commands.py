"""Commands: from a wish to its outcome.

A ledger row first, then the node that holds the socket sends it, then the outcome goes into the
row. Never sent again by itself: what was sent when the process died is `unknown`.
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
from csms.core.errors import CsmsError, StationOffline, StoreUnavailable
from csms.core.ports import Store

log = structlog.get_logger("flows.commands")
RECOVERY_PAGE = 200
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
    """Whoever can reach stations."""

    def holds(self, station_id: str) -> bool: ...

    async def perform(
        self, command: Command, timeout_s: float, sending: Callable[[], Awaitable[object]]
    ) -> Performed:
        """Send a command, `sending()` right before it goes out, and what became of it."""
        ...


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

        Raises what `commands.submit` raises, and `StationOffline` (the row then says `failed`).
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
            lane=station_id,
        )
        if is_new:
            if not self._links.holds(station_id):
                why = KEPT if kind is Kind.SET_AVAILABILITY else OFFLINE
                await self._finish(command.id, Performed(Status.FAILED, detail=why))
                raise StationOffline(why, command_id=command.id)
            task = asyncio.create_task(self._follow(command), name=f"command {command.id}")
            self._running[command.id] = task
            task.add_done_callback(lambda _: self._running.pop(command.id, None))
        elif command.status == Status.FAILED and command.detail in (OFFLINE, KEPT):
            # The same wish again gets the same answer.
            raise StationOffline(command.detail, command_id=command.id)
        running = self._running.get(command.id)
        if running is not None and wait_s > 0:
            await asyncio.wait((running,), timeout=wait_s)
        found = await self._store.reader.get(Command, command.id)
        return found or command

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

    async def recover(self) -> int:
        """Settle what a crash of this node left open; how many. Call once, before any submit."""
        settled = 0
        for status in (Status.QUEUED, Status.SENT):
            after: tuple[str, ...] | None = None
            while True:
                page = await self._store.reader.page(
                    Command, {"status": status.value}, after=after, limit=RECOVERY_PAGE
                )
                for command in page:
                    if command.node in (None, self._node):
                        await self._store.transact(commands.node_died, command.id, self._clock())
                        settled += 1
                if len(page) < RECOVERY_PAGE:
                    break
                after = (page[-1].id,)
        return settled

    async def stop(self) -> None:
        """Wait for nothing: what is running is abandoned and settled by the next start."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
