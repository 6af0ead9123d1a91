"""Reach: stations wherever their links are, on this node or on another.

The station's row says which node holds its link. What is asked of a station goes there; what that
node does is the same as if it had been asked itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog

from csms.core.commands import Command
from csms.core.errors import CsmsError, NodeUnreachable
from csms.core.inquiries import Answer, Inquiry, NoAnswer
from csms.core.ports import Store
from csms.core.stations import Station
from csms.flows.commands import Performed
from csms.flows.post import Asked, Post, packed, packed_command, unpacked, unpacked_command

log = structlog.get_logger("flows.reach")

# Beyond what the station may take: the way there and back, and the wait for its turn.
BESIDE_S = 30.0
INQUIRE, FOLLOW, MOVED = "inquire", "follow", "moved"
DROP, TREAT, LOOK_AT = "drop_link", "treat", "look_at"


class Links(Protocol):
    """The links of this node; see `ocpp.registry.Registry`."""

    def holds(self, station_id: str) -> bool: ...

    def may_contact(self, station_id: str) -> bool: ...

    async def perform(
        self, command: Command, timeout_s: float, sending: Callable[[], Awaitable[object]]
    ) -> Performed: ...

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer: ...


class Reach:
    """The links of this node, and through `post` those of others. What others ask of ours is
    answered once `serve` has been called."""

    def __init__(self, store: Store, links: Links, post: Post, node: str) -> None:
        self._store = store
        self._links = links
        self._post = post
        self._node = node

    def holds(self, station_id: str) -> bool:
        """Whether this node holds its link."""
        return self._links.holds(station_id)

    def may_contact(self, station_id: str) -> bool:
        """Whether it is this node that contacts the station by itself, and may."""
        return self._links.may_contact(station_id)

    async def perform(
        self, command: Command, timeout_s: float, sending: Callable[[], Awaitable[object]]
    ) -> Performed:
        """Send a command over a link of this node."""
        return await self._links.perform(command, timeout_s, sending)

    async def elsewhere(self, station_id: str) -> str | None:
        """The other node that holds the station's link; None where none does."""
        station = await self._store.reader.get(Station, station_id)
        if station is None or station.node in (None, self._node):
            return None
        return station.node

    async def reaches(self, station_id: str) -> bool:
        """Whether some node holds its link."""
        return self.holds(station_id) or await self.elsewhere(station_id) is not None

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer:
        """Ask something of a station; no answer is one too, and why. A question that reached
        another node and got no answer back counts as not answered in time."""
        if self.holds(station_id):
            return await self._links.ask(station_id, inquiry, timeout_s)
        node = await self.elsewhere(station_id)
        if node is None:
            return NoAnswer("offline")
        body = {"station": station_id, "inquiry": packed(inquiry), "timeout_s": timeout_s}
        try:
            asked = await self._post.ask(node, INQUIRE, body)
        except NodeUnreachable as error:
            log.warning("station_not_asked", station=station_id, why=error.detail)
            return NoAnswer("unreachable")
        try:
            answer: Answer = unpacked(await asked.answer(timeout_s + BESIDE_S))
        except (NodeUnreachable, KeyError, ValueError) as error:
            log.warning("station_answer_lost", station=station_id, why=str(error))
            return NoAnswer("timed_out")
        return answer

    async def moved(self, station_id: str, generation: int, node: str) -> None:
        """Tell the node that held the link before that there is a newer one, so that it ends its
        own. Where it cannot be told, its pings find out."""
        try:
            body = {"station": station_id, "generation": generation}
            await self._post.ask(node, MOVED, body)
        except CsmsError as error:
            log.info("old_link_left", station=station_id, node=node, why=error.detail)

    async def hand_over(self, node: str, command: Command) -> Asked:
        """Give a command to the node that holds the link; it follows it to its end in the ledger.
        Raises `NodeUnreachable`."""
        return await self._post.ask(node, FOLLOW, packed_command(command))

    async def tell(self, station_id: str, what: str, here: Callable[[str], object]) -> None:
        """Have something done about a link (`DROP`, `TREAT`, `LOOK_AT`) where it is; nothing
        happens where there is none, and what does not arrive is logged."""
        if self.holds(station_id):
            here(station_id)
            return
        try:
            node = await self.elsewhere(station_id)
            if node is not None:
                await self._post.ask(node, what, {"station": station_id})
        except CsmsError as error:
            log.warning("node_not_told", what=what, station=station_id, why=error.detail)

    def serve(
        self,
        follow: Callable[[Command], Awaitable[None]],
        told: Mapping[str, Callable[[str], object]],
        moved: Callable[[str, int], object],
    ) -> None:
        """Answer what other nodes ask. `follow(command)`: send it and see it to its end; `told`:
        what is done about a link of ours, by what `tell` was asked; `moved(station, generation)`:
        another node has a link that is newer than ours if that is below the generation."""

        async def inquire(body: Mapping[str, Any]) -> Any:
            inquiry: Inquiry = unpacked(body["inquiry"])
            timeout_s = float(body["timeout_s"])
            return packed(await self._links.ask(str(body["station"]), inquiry, timeout_s))

        async def followed(body: Mapping[str, Any]) -> Any:
            await follow(unpacked_command(body))

        def doing(act: Callable[[str], object]) -> Callable[[Mapping[str, Any]], Awaitable[Any]]:
            async def done(body: Mapping[str, Any]) -> Any:
                act(str(body["station"]))

            return done

        async def gone(body: Mapping[str, Any]) -> Any:
            moved(str(body["station"]), int(body["generation"]))

        self._post.handlers[MOVED] = gone
        self._post.handlers[INQUIRE] = inquire
        self._post.handlers[FOLLOW] = followed
        for what, act in told.items():
            self._post.handlers[what] = doing(act)
