"""What is done about a live link of this node from outside: end it, apply what an operator has set,
tell when it was last heard. Nothing happens for a station that has none here."""

from __future__ import annotations

import asyncio
from datetime import datetime

import structlog

from csms.ocpp.link import GOING_AWAY, POLICY, Link
from csms.ocpp.registry import Registry
from csms.ocpp.treatment import Treatments

log = structlog.get_logger("ocpp.upkeep")


class Upkeep:
    """Begins what takes time as tasks of the group."""

    def __init__(
        self, registry: Registry, treatments: Treatments, tasks: asyncio.TaskGroup
    ) -> None:
        self._registry = registry
        self._treatments = treatments
        self._tasks = tasks

    def seen(self, station_id: str) -> datetime | None:
        """When its link last said something."""
        link = self._registry.get(station_id)
        return link.last_seen_at if link else None

    def drop(self, station_id: str) -> None:
        """End the link, so that a new secret has to be shown."""
        link = self._registry.get(station_id)
        if link is not None:
            ending = self._end(link, GOING_AWAY, "the token was changed")
            self._tasks.create_task(ending, name=f"drop {link.identity}")

    def replaced(self, station_id: str, generation: int) -> None:
        """The station has a link of that generation elsewhere: end ours if it is older."""
        link = self._registry.get(station_id)
        if link is not None and link.generation < generation:
            ending = self._end(link, POLICY, "replaced by a newer connection")
            self._tasks.create_task(ending, name=f"end {link.identity}")

    def treat(self, station_id: str) -> None:
        """Its switches were changed: they hold for the live link as far as they can."""
        link = self._registry.get(station_id)
        if link is not None:
            self._tasks.create_task(self._treat(link), name=f"treat {link.identity}")

    async def _end(self, link: Link, code: int, reason: str) -> None:
        """Nothing that goes wrong with one link may end the system."""
        try:
            await link.close(code, reason)
        except Exception:
            log.exception("link_not_ended", station=link.identity)

    async def _treat(self, link: Link) -> None:
        try:
            switches = await self._treatments.now(link.station_id)
            if switches is not None:
                link.treat(switches)
        except Exception:
            log.exception("switches_not_applied", station=link.identity)
