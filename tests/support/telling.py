"""A double of the links that stations are told by how to log in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from csms.core.inquiries import Answer, Inquiry, NoAnswer
from csms.flows.logins import Logins


class Telling(Logins):
    """`asked`: what stations were asked; `says`: what they answer. Who is connected is known to
    `holds`."""

    def __init__(
        self, store: Any, holds: Callable[[str], bool], clock: Callable[[], datetime]
    ) -> None:
        super().__init__(store, self, clock)
        self.holds = holds
        self.asked: list[Inquiry] = []
        self.says: Answer = NoAnswer("timed_out")

    async def reaches(self, station_id: str) -> bool:
        return self.holds(station_id)

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer:
        self.asked.append(inquiry)
        return self.says
