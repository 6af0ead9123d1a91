"""Moving stations away from this node, for a restart: their links are closed a few at a time, those
first on which nothing is going on, and they connect again wherever they are led to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from csms.ocpp.link import Link
from csms.ocpp.registry import Registry

log = structlog.get_logger("ocpp.draining")

# WebSocket close code of a server that is to be started again (RFC 6455, IANA registry).
SERVICE_RESTART = 1012
DRAINED = "this node is being restarted, connect again"
GIVEN_UP = "this node was thought lost, connect again"
EVERY_S = 0.2


class Draining:
    """`run` it; while `draining()` at most `per_s` links are closed each second."""

    def __init__(
        self, registry: Registry, draining: Callable[[], bool], per_s: float = 50.0
    ) -> None:
        self._registry = registry
        self._draining = draining
        self._per_s = per_s
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """For as long as the process lives."""
        room, before = 0.0, False
        while True:
            now = self._draining()
            if now and len(self._registry):
                room = min(room + self._per_s * EVERY_S, max(1.0, self._per_s))
                room -= self.close_some(int(room))
            if now != before:
                log.info("draining" if now else "drain_ended", links=len(self._registry))
                before = now
            await asyncio.sleep(EVERY_S)

    def close_some(self, most: int) -> int:
        """Begin to close so many links; how many it were."""
        quiet = sorted(self._registry, key=lambda link: link.waiting)[:most]
        for link in quiet:
            self._registry.detach(link)
            closing = asyncio.create_task(_close(link), name=f"drain {link.identity}")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        return len(quiet)


async def _close(link: Link) -> None:
    """Nothing that goes wrong with one link may keep the others."""
    try:
        await link.close(SERVICE_RESTART, DRAINED)
    except Exception:
        log.exception("link_not_drained", station=link.identity)
