"""Asking a station for its variables and setting what is desired: for the flow that does it by
itself after a station connects, and for operators who want it now.

Each answer is stored before the next question goes out, so that a lost link loses one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from csms.core import device_model, reports
from csms.core.device_model import Desired
from csms.core.inquiries import (
    Announced,
    Answer,
    Declined,
    Inquiry,
    Limits,
    MakeReport,
    NoAnswer,
    ReadVariables,
    Scope,
    Settings,
    Unsupported,
    Variables,
    WriteVariables,
    word_of,
)
from csms.core.ports import Store, Tx
from csms.core.reports import Progress, Report


class Stations(Protocol):
    """Whoever can ask stations."""

    async def reaches(self, station_id: str) -> bool: ...

    def may_contact(self, station_id: str) -> bool: ...

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer:
        """The answer; no answer is one too."""
        ...


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to set, and how much goes into one message."""

    values: tuple[tuple[str, str], ...]
    read: Limits
    write: Limits


class Configuration:
    """Reads, writes and reports of one system's stations."""

    def __init__(
        self,
        store: Store,
        stations: Stations,
        clock: Callable[[], datetime],
        call_timeout_s: float = 30.0,
    ) -> None:
        self._store = store
        self._stations = stations
        self._clock = clock
        self._timeout_s = call_timeout_s

    async def ask(self, station_id: str, inquiry: Inquiry) -> Answer:
        """Ask, and remember what the station cannot answer at all."""
        answer = await self._stations.ask(station_id, inquiry, self._timeout_s)
        if isinstance(answer, Unsupported):
            await self._store.transact(
                device_model.lacks, station_id, word_of(inquiry), lane=station_id
            )
        return answer

    async def apply(self, station_id: str) -> Answer | None:
        """Set the desired values that have yet to be set; None when there are none."""
        work = await self._store.transact(_work, station_id, lane=station_id)
        if not work.values:
            return None
        answer = await self._stations.ask(
            station_id, WriteVariables(work.values, work.write), self._timeout_s
        )
        if isinstance(answer, Settings):
            await self._store.transact(
                device_model.settle,
                station_id,
                answer.outcomes,
                self._clock(),
                dict(work.values),
                lane=station_id,
            )
            if len(answer.outcomes) < len(work.values):
                return NoAnswer("timed_out")
        elif isinstance(answer, Unsupported | Declined):
            await self._store.transact(
                device_model.refused,
                station_id,
                dict(work.values),
                answer,
                self._clock(),
                lane=station_id,
            )
        return answer

    async def refresh(self, station_id: str, names: Sequence[str]) -> Answer:
        """Read variables, or with no names everything that the station tells at once."""
        if not names:
            report = await self.report(station_id, Scope.FULL, reports.SYSTEM)
            return NoAnswer("offline") if report is None else Announced()
        work = await self._store.transact(_work, station_id, lane=station_id)
        answer = await self.ask(station_id, ReadVariables(tuple(names), work.read))
        if isinstance(answer, Variables):
            await self._store.transact(
                device_model.learn, station_id, answer.found, self._clock(), lane=station_id
            )
        return answer

    async def verify(self, station_id: str, names: Sequence[str]) -> Answer:
        """Compare desired values with what the station has."""
        answer = await self.refresh(station_id, names)
        if not isinstance(answer, NoAnswer):
            await self._store.transact(
                device_model.verified, station_id, self._clock(), lane=station_id
            )
        return answer

    async def report(self, station_id: str, scope: Scope, by: str) -> Report | None:
        """Ask for a report; the report as it stands then, None when the station is not here. Its
        parts may come later."""
        if not await self._stations.reaches(station_id):
            return None
        report = await self._store.transact(
            reports.begin, station_id, scope, by, self._clock(), lane=station_id
        )
        answer = await self.ask(station_id, MakeReport(report.request_id, scope))
        number, now = report.request_id, self._clock()
        match answer:
            case Variables(found, _, raw):
                await self._store.transact(
                    reports.filled, station_id, number, found, raw, now, lane=station_id
                )
            case Unsupported(reason):
                await self._fail(station_id, number, Progress.UNSUPPORTED, reason)
            case Declined(reason):
                await self._fail(station_id, number, Progress.REFUSED, reason)
            case NoAnswer(reason):
                await self._fail(station_id, number, Progress.UNANSWERED, reason)
        return await self._store.reader.get(Report, station_id, number) or report

    async def _fail(self, station_id: str, number: int, state: Progress, reason: str) -> None:
        await self._store.transact(
            reports.fail, station_id, number, state, self._clock(), reason, lane=station_id
        )


def _work(tx: Tx, station_id: str) -> _Work:
    wanted: Sequence[Desired] = device_model.unapplied(tx, station_id)
    return _Work(
        tuple((d.name, d.value) for d in wanted),
        device_model.limits(tx, station_id, "GetVariables"),
        device_model.limits(tx, station_id, "SetVariables"),
    )
