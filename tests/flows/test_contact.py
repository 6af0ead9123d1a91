"""What happens by itself after a link came up: little at a time, in order, and never a flood."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from csms.core import charging, device_model, stations
from csms.core.device_model import Desired, DeviceModel
from csms.core.errors import StoreUnavailable
from csms.core.ids import Origin
from csms.core.inquiries import (
    Announced,
    Found,
    MakeReport,
    NoAnswer,
    ReadVariables,
    Setting,
    Settings,
    TransactionState,
    TransactionStatus,
    TriggerReadings,
    TriggerStatus,
    Unsupported,
    Variables,
    WriteVariables,
)
from csms.core.reconciliation import Question
from csms.core.stations import Registration
from csms.core.transactions import STARTED, Transaction, TransactionReport
from csms.flows.configuration import Configuration
from csms.flows.contact import Contact, ContactLimits
from csms.storage.open import open_inline
from tests.support.asked import Asked, accepted
from tests.support.ocpp import NOW
from tests.support.stores import until

LIMITS = ContactLimits(settle_s=0.0, at_once=3, again_s=0.02, seldom_s=0.04)


class Desk:
    """A contact flow over a store with one station."""

    def __init__(self) -> None:
        self.store = open_inline()
        self.stations = Asked()
        self._began_s = time.monotonic()
        self.configuration = Configuration(self.store, self.stations, self.clock)
        self.contact = Contact(self.store, self.stations, self.configuration, self.clock, LIMITS)
        accepted(self.store)
        self.stations.says = {
            TriggerStatus: Announced(),
            TriggerReadings: Announced(),
            MakeReport: Variables((Found("A", "0"),)),
            WriteVariables: lambda asked: Settings(
                tuple((name, Setting.APPLIED, None) for name, _ in asked.values)
            ),
        }

    def clock(self) -> datetime:
        return NOW + timedelta(minutes=1, seconds=time.monotonic() - self._began_s)

    def begins(self, wire_id: str = "T", evse: int = 1) -> Transaction:
        """A transaction that the station spoke of before its present link."""
        origin = Origin("s1", "CP-1", "2.0.1", NOW)
        report = TransactionReport(wire_id, STARTED, 0, NOW, evse=evse, connector=1)
        self.store.run(charging.event, origin, report)
        again = Origin("s1", "CP-1", "2.0.1", NOW + timedelta(seconds=1))
        self.store.run(stations.link_opened, again, "node", "192.0.2.1")
        return self.store.run(lambda tx: tx.find(Transaction, "wire", "s1", wire_id)[0])

    def wants(self, **values: str) -> None:
        self.store.run(device_model.want, "s1", values, "op", NOW)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.contact.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until_asked(self, *words: str) -> None:
        await until(lambda: self.stations.words[-len(words) :] == list(words))


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_what_a_charge_depends_on_is_asked_first(desk: Desk) -> None:
    desk.begins()
    desk.wants(A="1")
    desk.stations.says[TransactionStatus] = TransactionState(ongoing=True, queued=False)
    async with desk.running():
        desk.contact.link_up("s1")
        await desk.until_asked("TransactionStatus", "TriggerStatus", "MakeReport", "WriteVariables")
    (desired,) = await desk.store.reader.page(Desired)
    assert desired.state == "applied"


async def test_a_station_is_asked_one_thing_at_a_time(desk: Desk) -> None:
    desk.begins()
    desk.stations.says[TransactionStatus] = TransactionState(ongoing=True, queued=False)
    async with desk.running():
        desk.contact.link_up("s1")
        desk.contact.booted("s1")
        desk.contact.plan("s1", 0.0)
        await desk.until_asked("TransactionStatus", "TriggerStatus", "MakeReport")
    assert desk.stations.most_at_once == 1


async def test_no_more_stations_are_asked_at_once_than_allowed(desk: Desk) -> None:
    names = [f"x{n}" for n in range(12)]
    for name in names:
        accepted(desk.store, name, name)
        desk.stations.connected.add(name)
    desk.stations.hold.clear()
    async with desk.running():
        for name in names:
            desk.contact.link_up(name)
        await until(lambda: desk.stations.at_once == LIMITS.at_once)
        desk.stations.hold.set()
        await until(lambda: {who for who, _ in desk.stations.asked} == set(names))
        await until(lambda: desk.stations.at_once == 0)
    assert desk.stations.most_at_once == LIMITS.at_once


async def test_a_station_that_does_not_answer_is_let_be_and_not_asked_the_same(
    desk: Desk,
) -> None:
    """Field: a burst after connecting makes some stations go away."""
    desk.stations.says = {}
    async with desk.running():
        desk.contact.link_up("s1")
        await desk.until_asked("TriggerStatus", "MakeReport")
        desk.stations.asked.clear()
        desk.contact.plan("s1", 0.0)
        await until(lambda: not desk.contact._planned and not desk.contact._busy)
        assert desk.stations.words == []
        # Its next link begins anew.
        desk.contact.link_up("s1")
        await until(lambda: desk.stations.words[:1] == ["TriggerStatus"])


async def test_what_a_station_cannot_do_is_not_asked_on_its_next_link(desk: Desk) -> None:
    desk.stations.says[TriggerStatus] = Unsupported("NotImplemented")
    async with desk.running():
        desk.contact.link_up("s1")
        await desk.until_asked("TriggerStatus", "MakeReport")
        desk.stations.asked.clear()
        desk.contact.link_up("s1")
        await until(lambda: not desk.contact._planned and not desk.contact._busy)
    assert desk.stations.words == []
    model = await desk.store.reader.get(DeviceModel, "s1")
    assert model is not None
    assert model.lacks == ("trigger_status",)


async def test_a_link_that_goes_ends_the_contact(desk: Desk) -> None:
    desk.stations.says[TriggerStatus] = NoAnswer("closed")
    async with desk.running():
        desk.contact.link_up("s1")
        await desk.until_asked("TriggerStatus")
        await until(lambda: not desk.contact._busy)
        desk.contact.link_down("s1")
        assert not desk.contact._planned
    assert desk.stations.words == ["TriggerStatus"]


@pytest.mark.parametrize("why", ["shy", "offline", "pending", "gone"])
async def test_who_must_not_be_asked_is_not(desk: Desk, why: str) -> None:
    """OCPP 2.0.1 B02; the switch `contact`."""
    match why:
        case "shy":
            desk.stations.shy.add("s1")
        case "offline":
            desk.stations.connected.clear()
        case "pending":
            held_back = Registration.PENDING
            desk.store.run(lambda tx: stations.change(tx, "s1", NOW, registration=held_back))
    async with desk.running():
        desk.contact.link_up("nobody" if why == "gone" else "s1")
        await until(lambda: not desk.contact._planned and not desk.contact._busy)
    assert desk.stations.asked == []


async def test_a_transaction_whose_queue_is_not_empty_is_asked_about_again(desk: Desk) -> None:
    t = desk.begins()
    answers = iter(
        [TransactionState(ongoing=False, queued=True), *[TransactionState(False, False)] * 9]
    )

    desk.stations.says[TransactionStatus] = lambda _: next(answers)
    async with desk.running():
        desk.contact.link_up("s1")
        await until(lambda: desk.stations.words.count("TransactionStatus") == 3)
        await until(lambda: not desk.contact._busy)
    ended = await desk.store.reader.get(Transaction, t.id)
    assert ended is not None
    assert (ended.open, ended.end_kind) == (False, "lost")


async def test_a_station_that_cannot_tell_of_transactions_is_asked_what_its_evse_does(
    desk: Desk,
) -> None:
    t = desk.begins()
    desk.stations.says[TransactionStatus] = Unsupported("this version has none")
    async with desk.running():
        desk.contact.link_up("s1")
        await until(lambda: desk.stations.words.count("MakeReport") == 1)
    assert desk.stations.words[:3] == ["TransactionStatus", "TriggerReadings", "TriggerStatus"]
    kept = await desk.store.reader.get(Transaction, t.id)
    assert kept is not None
    assert kept.open, "never closed by a guess"


async def test_a_value_that_was_lost_is_found_and_set_again(desk: Desk) -> None:
    desk.wants(A="1")
    applied = [("A", Setting.APPLIED, None)]
    desk.store.run(device_model.settle, "s1", applied, NOW)
    desk.stations.says[ReadVariables] = Variables((Found("A", "0"),))
    desk.stations.says[MakeReport] = Unsupported("none")
    async with desk.running():
        desk.contact.link_up("s1")
        await desk.until_asked("ReadVariables", "WriteVariables")


async def test_an_operator_may_ask_about_a_transaction_at_any_time(desk: Desk) -> None:
    t = desk.begins()
    state = TransactionState(ongoing=True, queued=True)
    desk.stations.says[TransactionStatus] = state
    assert await desk.contact.check("s1", Question(t.id, t.wire_id, 1, True)) == state


async def test_a_store_that_is_away_puts_a_contact_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    transact = desk.store.transact

    async def failing(fn: Any, *args: Any, **more: Any) -> Any:
        nonlocal looked
        looked += 1
        if looked == 1:
            raise StoreUnavailable("the disk is full")
        return await transact(fn, *args, **more)

    monkeypatch.setattr(desk.store, "transact", failing)
    async with desk.running():
        desk.contact.link_up("s1")
        await desk.until_asked("TriggerStatus", "MakeReport")
