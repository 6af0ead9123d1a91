"""Contact: what the central system does by itself after a station's link came up.

A station is left alone until it has settled; then it is asked what has to be asked, one call at a
time, so that commands of operators go in between, and at most `at_once` stations at a time. A
station that does not answer is let be for a while, longer each time, and is not asked the same
again on that link: some go away when they are asked too much.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from csms.core import contact, reconciliation, reports
from csms.core.contact import Todo
from csms.core.errors import CsmsError, NotFound
from csms.core.inquiries import (
    Answer,
    Inquiry,
    NoAnswer,
    Scope,
    TransactionState,
    TransactionStatus,
    TriggerReadings,
    TriggerStatus,
    Unsupported,
    word_of,
)
from csms.core.ports import Store
from csms.core.reconciliation import Question
from csms.flows.configuration import Configuration, Stations

log = structlog.get_logger("flows.contact")


@dataclass(frozen=True, slots=True)
class ContactLimits:
    """`settle_s`: how long a station is left alone after its link came up or its boot was answered.
    `again_s`: until it is asked again about something that was not clear, doubling up to
    `seldom_s`."""

    settle_s: float = 10.0
    at_once: int = 10
    again_s: float = 60.0
    seldom_s: float = 3_600.0


class _LetBe(Exception):
    """The station did not answer: nothing more is asked for now."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Contact:
    """Tell it of links (`link_up`, `booted`, `link_down`) and `run` it."""

    def __init__(
        self,
        store: Store,
        stations: Stations,
        configuration: Configuration,
        clock: Callable[[], datetime],
        limits: ContactLimits,
    ) -> None:
        self._store = store
        self._stations = stations
        self._configuration = configuration
        self._clock = clock
        self._limits = limits
        self._planned: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._busy: set[str] = set()
        self._times: dict[str, int] = {}
        self._silent: dict[str, set[str]] = {}
        self._changed = asyncio.Event()

    @property
    def under_way(self) -> int:
        """Stations that are being asked."""
        return len(self._busy)

    @property
    def planned(self) -> int:
        """Stations that are to be asked at some time."""
        return len(self._planned)

    # -- what happens on links -------------------------------------------------------------------

    def link_up(self, station_id: str) -> None:
        """A link came up: everything begins anew."""
        self._forget(station_id)
        self.plan(station_id, self._limits.settle_s)

    def booted(self, station_id: str) -> None:
        """A boot has been answered."""
        self._times.pop(station_id, None)
        self.plan(station_id, self._limits.settle_s)

    def link_down(self, station_id: str) -> None:
        """The link is gone; its next one begins anew."""
        self._forget(station_id)
        self._planned.pop(station_id, None)

    def _forget(self, station_id: str) -> None:
        self._times.pop(station_id, None)
        self._silent.pop(station_id, None)

    def plan(self, station_id: str, in_s: float) -> None:
        """Look at a station after that time, and not at any other."""
        due = asyncio.get_running_loop().time() + in_s
        self._planned[station_id] = due
        heapq.heappush(self._heap, (due, station_id))
        self._changed.set()

    async def check(self, station_id: str, question: Question) -> Answer:
        """Ask about one transaction now, for an operator."""
        answer = await self._configuration.ask(station_id, TransactionStatus(question.wire_id))
        if isinstance(answer, TransactionState):
            await self._note(station_id, question, answer)
        return answer

    async def _note(self, station_id: str, question: Question, answer: TransactionState) -> None:
        await self._store.transact(
            reconciliation.answered,
            station_id,
            question.transaction_id,
            answer,
            self._clock(),
            timedelta(seconds=self._limits.again_s * 0.9),
            lane=station_id,
        )

    # -- the loop --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Visit stations as they fall due, for as long as the process lives."""
        room = asyncio.Semaphore(self._limits.at_once)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await room.acquire()
                station_id = await self._next()
                self._busy.add(station_id)
                visit = tasks.create_task(self._visit(station_id), name=f"contact {station_id}")
                visit.add_done_callback(lambda _, who=station_id: self._left(who, room))  # type: ignore[misc]

    def _left(self, station_id: str, room: asyncio.Semaphore) -> None:
        self._busy.discard(station_id)
        room.release()

    async def _next(self) -> str:
        """The station that is due, when one is."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            wait_s = None
            while self._heap:
                due, station_id = self._heap[0]
                if self._planned.get(station_id) != due:
                    heapq.heappop(self._heap)
                    continue
                wait_s = due - loop.time()
                if wait_s > 0:
                    break
                heapq.heappop(self._heap)
                if station_id in self._busy:
                    self.plan(station_id, 1.0)
                    continue
                del self._planned[station_id]
                return station_id
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _visit(self, station_id: str) -> None:
        """Ask one station; nothing that goes wrong with it may end the others' contact."""
        try:
            again_s = await self._carry_out(station_id)
        except NotFound:
            return
        except CsmsError as error:
            log.warning("contact_put_off", station=station_id, why=error.code)
            again_s = self._next_time(station_id)
        except Exception:
            log.exception("contact_failed", station=station_id)
            again_s = self._limits.seldom_s
        planned = again_s is None or station_id in self._planned
        if not planned and self._stations.may_contact(station_id):
            self.plan(station_id, again_s or 0.0)

    async def _carry_out(self, station_id: str) -> float | None:
        """One look and what it asks for; after how long to look again, None for not at all."""
        todo = await self._look(station_id)
        if todo is None or not self._stations.may_contact(station_id):
            return None
        if todo.settles_s:
            return todo.settles_s
        inventory = todo.inventory and "make_report" not in self._unheard(station_id)
        try:
            for question in todo.transactions:
                await self._ask_about(station_id, question, todo)
            await self._connectors(station_id, todo)
            if inventory:
                await self._inventory(station_id)
            await self._values(station_id, todo)
        except _LetBe as silence:
            log.info("contact_let_be", station=station_id, why=silence.reason)
            gone = silence.reason in ("offline", "closed")
            return None if gone else self._next_time(station_id)
        return self._next_time(station_id) if todo.pending or inventory else None

    async def _look(self, station_id: str) -> Todo | None:
        settle = timedelta(seconds=self._limits.settle_s)
        again = timedelta(seconds=self._limits.again_s)
        return await self._store.transact(
            contact.look,
            station_id,
            self._clock(),
            settle,
            again * 0.9,
            needs=contact.needs(station_id),
            lane=station_id,
        )

    def _next_time(self, station_id: str) -> float:
        times = self._times.get(station_id, 0)
        self._times[station_id] = times + 1
        return min(self._limits.again_s * 2.0 ** min(times, 30), self._limits.seldom_s)

    def _unheard(self, station_id: str) -> set[str]:
        return self._silent.get(station_id, set())

    # -- asking ----------------------------------------------------------------------------------

    def _heard(self, station_id: str, inquiry_word: str, answer: Answer) -> Answer:
        if isinstance(answer, NoAnswer):
            if answer.reason == "timed_out":
                self._silent.setdefault(station_id, set()).add(inquiry_word)
            raise _LetBe(answer.reason)
        return answer

    async def _ask(self, station_id: str, inquiry: Inquiry) -> Answer | None:
        """The answer; None when it went unanswered before on this link. Raises `_LetBe`."""
        word = word_of(inquiry)
        if word in self._unheard(station_id):
            return None
        return self._heard(station_id, word, await self._configuration.ask(station_id, inquiry))

    async def _ask_about(self, station_id: str, question: Question, todo: Todo) -> None:
        """What became of a transaction; where that cannot be asked, what its EVSE is doing."""
        answer: Answer | None = None
        if "transaction_status" not in todo.lacks:
            answer = await self._ask(station_id, TransactionStatus(question.wire_id))
        if isinstance(answer, TransactionState):
            await self._note(station_id, question, answer)
            return
        if question.open and question.evse:
            for trigger in (TriggerReadings(question.evse), TriggerStatus(question.evse, 1)):
                if word_of(trigger) not in todo.lacks:
                    await self._ask(station_id, trigger)
        await self._store.transact(
            reconciliation.not_answered,
            station_id,
            question.transaction_id,
            self._clock(),
            lane=station_id,
        )

    async def _connectors(self, station_id: str, todo: Todo) -> None:
        for evse, connector in todo.connectors:
            answer = await self._ask(station_id, TriggerStatus(evse, connector))
            if answer is None or isinstance(answer, Unsupported):
                return

    async def _inventory(self, station_id: str) -> None:
        report = await self._configuration.report(station_id, Scope.FULL, reports.SYSTEM)
        if report is None:
            raise _LetBe("offline")
        if report.state == reports.Progress.UNANSWERED:
            self._heard(station_id, "make_report", NoAnswer(report.detail or "timed_out"))

    async def _values(self, station_id: str, todo: Todo) -> None:
        unheard = self._unheard(station_id)
        if todo.verify and not {"read_variables"} & (unheard | todo.lacks):
            answer = await self._configuration.verify(station_id, todo.verify)
            self._heard(station_id, "read_variables", answer)
        if "write_variables" not in unheard:
            applied = await self._configuration.apply(station_id)
            if applied is not None:
                self._heard(station_id, "write_variables", applied)
