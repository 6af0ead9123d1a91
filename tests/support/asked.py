"""Stations that are asked: a double at the seam between flows and links."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from csms.core import stations
from csms.core.ids import Origin
from csms.core.inquiries import Answer, Inquiry, NoAnswer
from csms.core.stations import BootReport, NewStation
from tests.support.nodes import OneNode
from tests.support.ocpp import NOW, PARTY


@dataclass
class Asked(OneNode):
    """`says`: kind of inquiry -> answer, or a function of the inquiry; without one there is no
    answer in time. `asked` is everything that was, by station. While `hold` is clear nobody
    answers."""

    connected: set[str] = field(default_factory=lambda: {"s1"})
    shy: set[str] = field(default_factory=set)
    says: dict[type[Any], Any] = field(default_factory=dict)
    asked: list[tuple[str, Inquiry]] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.hold.set()

    def holds(self, station_id: str) -> bool:
        return station_id in self.connected

    def may_contact(self, station_id: str) -> bool:
        return self.holds(station_id) and station_id not in self.shy

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer:
        if not self.holds(station_id):
            return NoAnswer("offline")
        self.asked.append((station_id, inquiry))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.hold.wait()
            # A turn of the loop, as a network takes.
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        answer = self.says.get(type(inquiry), NoAnswer("timed_out"))
        made: Answer = answer(inquiry) if callable(answer) else answer
        return made

    @property
    def words(self) -> list[str]:
        return [type(inquiry).__name__ for _, inquiry in self.asked]


def accepted(store: Any, station_id: str = "s1", identity: str = "CP-1", evses: int = 1) -> None:
    """A station that has booted and is connected."""
    store.run(stations.onboard, station_id, NewStation(identity, PARTY, evses), NOW)
    origin = Origin(station_id, identity, "2.0.1", NOW)
    store.run(stations.link_opened, origin, "node", "192.0.2.1")
    store.run(stations.boot, origin, BootReport("V", "M", firmware="1"))
