"""What waits, and how much of it may: looked at all the while, and asserted at the end.

A bound that is never come near proves little, so the most that was seen is told as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from csms.flows.contact import ContactLimits
from csms.ocpp.link import LinkLimits
from tests.simulation.internet import Way
from tests.simulation.partners import PACE

LOOK_EVERY_S = 0.5


class Queues:
    """`await watch(nodes, ways)` until cancelled. `most`: of each queue the most that was in it, of
    all nodes and links; `over`: what was more than it may be."""

    def __init__(self) -> None:
        self.limits = {
            "calls of a link": LinkLimits().waiting_commands,
            "stations being asked": ContactLimits().at_once,
            "changes under way to a partner": PACE.at_once,
        }
        self.most = dict.fromkeys(self.limits, 0)
        self.over: list[str] = []

    async def watch(self, nodes: Iterable[Any], ways: Callable[[], Iterable[Way]]) -> None:
        while True:
            for node in nodes:
                if node.up:
                    self._see(node.name, self._of(node))
            for way in ways():
                self._see("a partner", [("changes under way to a partner", way.most)])
            await asyncio.sleep(LOOK_EVERY_S)

    def _of(self, node: Any) -> Iterator[tuple[str, int]]:
        for link in node.registry:
            yield "calls of a link", link.waiting
        yield "stations being asked", node.contact.under_way

    def _see(self, where: str, found: Iterable[tuple[str, int]]) -> None:
        for name, number in found:
            self.most[name] = max(self.most[name], number)
            if number > self.limits[name]:
                self.over.append(f"{where}: {name}: {number} of {self.limits[name]}")
