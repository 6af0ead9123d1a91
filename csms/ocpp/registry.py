"""This node's live links, and how commands reach them.

The newest connection of a station wins: its generation, given by the store, decides, so that the
end of an old socket cannot touch the new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import structlog

from csms.core.commands import Command, Kind, Status
from csms.core.errors import Invalid, Refused, StationOffline
from csms.core.inquiries import Answer, Inquiry, NoAnswer
from csms.flows.commands import Performed
from csms.observability import Metrics
from csms.ocpp import asking
from csms.ocpp.asking import Heard, Silence
from csms.ocpp.commands import outcome as meaning
from csms.ocpp.link import POLICY, Link, Lost
from csms.ocpp.rpc import CallOutstanding, Failure, Result

log = structlog.get_logger("ocpp.registry")

# How many links are told to close at the same time.
CLOSE_AT_ONCE = 500
# Message ids of inquiries begin so: nobody waits for a late answer to one.
INQUIRY = "~"


class Registry:
    """Station id -> link. `on_attached`, `on_detached` and `on_boot` are told of links that came
    up, went down, and on which a boot has been answered; `on_reachable` of both the first and the
    last: a station that may have forgotten what it was told."""

    def __init__(self, metrics: Metrics) -> None:
        self._links: dict[str, Link] = {}
        self._metrics = metrics
        self._closing: set[asyncio.Task[None]] = set()
        self.on_late: Callable[[str, Performed], None] = lambda command_id, performed: None
        self.on_attached: Callable[[str], None] = lambda station_id: None
        self.on_detached: Callable[[str], None] = lambda station_id: None
        self.on_boot: Callable[[str], None] = lambda station_id: None
        self.on_reachable: Callable[[str], None] = lambda station_id: None
        self._inquiries = 0

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    def __len__(self) -> int:
        return len(self._links)

    def get(self, station_id: str) -> Link | None:
        """The live link of a station on this node."""
        return self._links.get(station_id)

    def holds(self, station_id: str) -> bool:
        """Whether a command can reach the station from here."""
        return station_id in self._links

    def attach(self, link: Link) -> bool:
        """Enter a new link; the older one is told to close. False when this one is the older."""
        current = self._links.get(link.station_id)
        if current is not None and current.generation > link.generation:
            return False
        self._links[link.station_id] = link
        self._metrics.links.set(len(self._links))
        if current is not None:
            log.info("link_replaced", station=link.identity)
            closing = asyncio.create_task(
                current.close(POLICY, "replaced by a newer connection"),
                name=f"close {link.identity} {current.generation}",
            )
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        link.on_boot = self._booted
        self.on_attached(link.station_id)
        self.on_reachable(link.station_id)
        return True

    def _booted(self, station_id: str) -> None:
        self.on_boot(station_id)
        self.on_reachable(station_id)

    def detach(self, link: Link) -> None:
        """The link ended; nothing happens when a newer one has its place."""
        if self._links.get(link.station_id) is link:
            del self._links[link.station_id]
            self._metrics.links.set(len(self._links))
            self.on_detached(link.station_id)

    async def close_all(self, code: int, reason: str) -> None:
        """End every link, some hundreds at a time."""
        links = list(self)
        for start in range(0, len(links), CLOSE_AT_ONCE):
            part = links[start : start + CLOSE_AT_ONCE]
            await asyncio.gather(*(link.close(code, reason) for link in part))

    # -- commands --------------------------------------------------------------------------------

    async def perform(
        self, command: Command, timeout_s: float, sending: Callable[[], Awaitable[object]]
    ) -> Performed:
        """Send a command as the station's version says it, and what became of it; `sending` is
        awaited when its turn has come. Raises `StationOffline`, `CallOutstanding` when too many
        wait for the station, and what `sending` raises (then nothing was sent)."""
        link = self._links.get(command.station_id)
        if link is None:
            raise StationOffline("the station is not connected")
        try:
            action, payload = link.version.encode(command, link.switches)
        except (Invalid, Refused) as error:
            return Performed(Status.REJECTED, detail=error.detail)
        outcome = await link.call(command.id, action, payload, timeout_s, sending)
        if isinstance(outcome, Lost):
            if not outcome.sent:
                raise StationOffline("the link ended before it was sent")
            if outcome.reason == "timed_out":
                detail = f"no answer in {timeout_s:g} s"
                return Performed(Status.TIMED_OUT, detail=detail)
            return Performed(Status.UNKNOWN, detail="the link ended before the answer")
        return understand(Kind(command.kind), outcome)

    def late(self, link: Link, command_id: str, outcome: Result | Failure) -> None:
        """An answer to a command that had timed out."""
        if command_id.startswith(INQUIRY):
            return
        # Which kind it was is in the ledger; an answer as such is all that is passed on.
        self.on_late(command_id, understand(None, outcome))

    # -- inquiries -------------------------------------------------------------------------------

    def may_contact(self, station_id: str) -> bool:
        """Whether the station is here and takes it well to be asked (switch `contact`)."""
        link = self._links.get(station_id)
        return link is not None and link.switches.contact

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer:
        """Ask something of a station, as its version says it, in as many calls as it takes, each
        at most `timeout_s`; no answer never raises, and never costs the station its link."""
        link = self._links.get(station_id)
        if link is None:
            return NoAnswer("offline")
        exchange = link.version.ask(inquiry, link.switches)
        said: Heard | None = None
        while True:
            try:
                action, payload = next(exchange) if said is None else exchange.send(said)
            except StopIteration as end:
                answer: Answer = end.value
                return answer
            said = asking.unsendable((action, payload), link.version.dialect.schemas)
            if said is None:
                said = await self._hear(link, action, payload, timeout_s)

    async def _hear(
        self, link: Link, action: str, payload: dict[str, object], timeout_s: float
    ) -> Heard:
        self._inquiries += 1
        message_id = f"{INQUIRY}{link.generation}-{self._inquiries}"
        try:
            outcome = await link.call(message_id, action, payload, timeout_s, lenient=True)
        except CallOutstanding:
            # As many of an operator's commands wait for this station as may: they go first.
            return Silence("busy")
        return Silence(outcome.reason) if isinstance(outcome, Lost) else asking.heard(outcome)


def understand(kind: Kind | None, answer: Result | Failure) -> Performed:
    """What an answer means for a command; `kind` None: judged by its `status` if it has one."""
    if isinstance(answer, Failure):
        words = f"{answer.wire_code or answer.code}: {answer.description}".rstrip(": ")
        facts = {"error_code": answer.wire_code or answer.code, "error": answer.description}
        return Performed(Status.FAILED, facts, f"the station answered {words}")
    judged = kind or (Kind.RESET if "status" in answer.payload else Kind.CALL)
    status, detail = meaning(judged, answer.payload)
    return Performed(status, answer.payload, detail)
