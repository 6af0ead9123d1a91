"""Reading, setting and reporting: each answer is stored before the next question."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import device_model
from csms.core.device_model import Desired, DeviceModel, State, Variable
from csms.core.inquiries import (
    Announced,
    Declined,
    Found,
    MakeReport,
    NoAnswer,
    ReadVariables,
    Scope,
    Setting,
    Settings,
    Unsupported,
    Variables,
    WriteVariables,
)
from csms.core.reports import Progress
from csms.flows.configuration import Configuration
from csms.storage.open import open_inline
from tests.support.asked import Asked, accepted
from tests.support.ocpp import NOW


class Site:
    def __init__(self) -> None:
        self.store = open_inline()
        self.stations = Asked()
        self.configuration = Configuration(self.store, self.stations, lambda: NOW)
        accepted(self.store)

    def wants(self, **values: str) -> None:
        self.store.run(device_model.want, "s1", values, "op", NOW)

    async def states(self) -> dict[str, tuple[str, str | None]]:
        return {d.name: (d.state, d.reason) for d in await self.store.reader.page(Desired)}

    async def model(self) -> DeviceModel:
        found = await self.store.reader.get(DeviceModel, "s1")
        assert found is not None
        return found


@pytest.fixture
def site() -> Site:
    return Site()


def all_applied(inquiry: WriteVariables) -> Settings:
    return Settings(tuple((name, Setting.APPLIED, None) for name, _ in inquiry.values))


async def test_nothing_desired_is_nothing_asked(site: Site) -> None:
    assert await site.configuration.apply("s1") is None
    assert site.stations.asked == []


async def test_desired_values_are_set(site: Site) -> None:
    site.wants(A="1", B="2")
    site.stations.says[WriteVariables] = all_applied
    await site.configuration.apply("s1")
    assert site.stations.asked == [("s1", WriteVariables((("A", "1"), ("B", "2"))))]
    assert await site.states() == {"A": ("applied", None), "B": ("applied", None)}
    assert await site.configuration.apply("s1") is None


async def test_what_was_not_answered_stays_wanted(site: Site) -> None:
    site.wants(A="1", B="2")
    site.stations.says[WriteVariables] = Settings((("A", Setting.APPLIED, None),))
    assert await site.configuration.apply("s1") == NoAnswer("timed_out")
    assert await site.states() == {"A": ("applied", None), "B": ("wanted", None)}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Unsupported("NotImplemented"), State.UNSUPPORTED),
        (Declined("InternalError"), State.REJECTED),
    ],
)
async def test_a_station_that_takes_nothing_says_why(site: Site, answer: Any, state: State) -> None:
    site.wants(A="1")
    site.stations.says[WriteVariables] = answer
    assert await site.configuration.apply("s1") == answer
    assert await site.states() == {"A": (state, answer.reason)}


async def test_variables_are_read_and_learnt(site: Site) -> None:
    site.stations.says[ReadVariables] = Variables((Found("A", "1"),), ("B",))
    await site.configuration.refresh("s1", ["A", "B"])
    (variable,) = await site.store.reader.page(Variable)
    assert (variable.name, variable.actual) == ("A", "1")


async def test_verifying_is_noted_unless_there_was_no_answer(site: Site) -> None:
    await site.configuration.verify("s1", ["A"])
    assert await site.store.reader.get(DeviceModel, "s1") is None
    site.stations.says[ReadVariables] = Declined("busy")
    await site.configuration.verify("s1", ["A"])
    assert (await site.model()).verified_at == NOW


async def test_a_report_whose_parts_follow_is_open(site: Site) -> None:
    site.stations.says[MakeReport] = Announced()
    report = await site.configuration.report("s1", Scope.CONFIGURATION, "op")
    assert report is not None
    assert (report.state, report.scope, report.kept) == ("requested", "configuration", True)


async def test_a_report_that_is_the_answer_is_complete(site: Site) -> None:
    site.stations.says[MakeReport] = Variables((Found("A", "1"),), (), ({"raw": 1},))
    report = await site.configuration.report("s1", Scope.FULL, "op")
    assert report is not None
    assert (report.state, report.variables) == ("complete", 1)
    assert (await site.model()).inventory == Progress.COMPLETE


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Unsupported("NotSupported"), Progress.UNSUPPORTED),
        (Declined("Rejected"), Progress.REFUSED),
        (NoAnswer("timed_out"), Progress.UNANSWERED),
    ],
)
async def test_a_report_that_is_not_made_says_why(site: Site, answer: Any, state: Progress) -> None:
    site.stations.says[MakeReport] = answer
    report = await site.configuration.report("s1", Scope.FULL, "op")
    assert report is not None
    assert (report.state, report.detail) == (state, answer.reason)


async def test_what_a_station_cannot_do_at_all_is_remembered(site: Site) -> None:
    site.stations.says[MakeReport] = Unsupported("NotImplemented")
    await site.configuration.report("s1", Scope.FULL, "op")
    assert (await site.model()).lacks == ("make_report",)


async def test_reading_everything_is_a_report(site: Site) -> None:
    site.stations.says[MakeReport] = Announced()
    assert await site.configuration.refresh("s1", []) == Announced()
    site.stations.connected.clear()
    assert await site.configuration.refresh("s1", []) == NoAnswer("offline")
