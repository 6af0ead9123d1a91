"""What doubles of links need where there is one node only."""

from __future__ import annotations

from csms.core.commands import Command
from csms.flows.post import Asked


class OneNode:
    """No station is anywhere but here."""

    def holds(self, station_id: str) -> bool:
        raise NotImplementedError

    async def reaches(self, station_id: str) -> bool:
        return self.holds(station_id)

    async def elsewhere(self, station_id: str) -> str | None:
        return None

    async def hand_over(self, node: str, command: Command) -> Asked:
        raise AssertionError("there is no other node")
