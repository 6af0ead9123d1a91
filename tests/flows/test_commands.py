"""Commands from a wish to its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from csms.core import stations
from csms.core.commands import Command, Kind, Status
from csms.core.errors import Invalid, NotFound, Refused, StationOffline, StoreUnavailable
from csms.core.stations import NewStation, Registration
from csms.flows.commands import Commander, Performed
from csms.flows.lost_nodes import LostNodes
from csms.flows.membership import Membership
from csms.ocpp.rpc import CallOutstanding
from csms.storage.open import open_inline
from csms.storage.reader import InlineReader
from csms.storage.sqlite import DIALECT, MEMORY, STATEMENTS, SqliteDatabase
from csms.storage.store import InlineStore
from tests.support.nodes import OneNode
from tests.support.ocpp import NOW, PARTY
from tests.support.stores import FaultyDatabase, until


class Wire(OneNode):
    """Whoever reaches stations: each command waits until the test says what became of it.

    `busy`: another call is open with the station, so that a command waits for its turn."""

    def __init__(self) -> None:
        self.online = True
        self.busy = asyncio.Event()
        self.busy.set()
        self.waiting: asyncio.Queue[Command] = asyncio.Queue()
        self.sent: asyncio.Queue[Command] = asyncio.Queue()
        self.outcome: asyncio.Future[Performed] = asyncio.get_running_loop().create_future()

    def holds(self, station_id: str) -> bool:
        return self.online

    async def perform(
        self, command: Command, timeout_s: float, sending: Callable[[], Awaitable[object]]
    ) -> Performed:
        self.waiting.put_nowait(command)
        await self.busy.wait()
        await sending()
        self.sent.put_nowait(command)
        return await self.outcome


class Desk:
    """A commander over an inline store with one accepted station."""

    def __init__(self, store: Any = None) -> None:
        self.store = store or open_inline()
        self.store.run(stations.onboard, "s1", NewStation("CS 1", PARTY), NOW)
        self.wire = Wire()
        self._ids = iter(f"c{n}" for n in range(1_000))
        self.commander = self.restarted()

    def restarted(self) -> Commander:
        return Commander(
            self.store,
            self.wire,
            "node-1",
            lambda: NOW,
            lambda: next(self._ids),
            call_timeout_s=30.0,
            retry_s=0.01,
        )

    async def submit(self, kind: Kind = Kind.RESET, **how: Any) -> Command:
        parameters = how.pop("parameters", {})
        async with asyncio.timeout(10):
            return await self.commander.submit("s1", kind, parameters, "test", **how)

    async def row(self, command_id: str = "c0") -> Command:
        found = await self.store.reader.get(Command, command_id)
        assert found is not None
        return found

    async def settle(self) -> int:
        """What the next start of the node does about what this one left."""
        found = LostNodes(self.store, lambda: NOW)
        me = Membership(self.store, "node-1", lambda: NOW, lambda: "run", alone=True)
        await me.join()
        return await found.settle_own(me.me)

    async def settled(self) -> None:
        """What was submitted has been followed to its end."""
        await asyncio.wait(self.commander._running.values(), timeout=10)

    def journal(self) -> list[str]:
        rows = self.store._runner._database.fetch(
            "SELECT json_extract(data, '$.status') FROM journal WHERE kind = 'command_changed'"
            " ORDER BY seq",
            (),
        )
        return [status for (status,) in rows]


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_from_queued_to_accepted(desk: Desk) -> None:
    row = await desk.submit()
    assert (row.id, row.status, row.requested_by) == ("c0", "queued", "test")
    sent = await desk.wire.sent.get()
    assert (sent.id, sent.kind) == ("c0", "reset")
    row = await desk.row()
    assert (row.status, row.sent_at, row.node) == ("sent", NOW, "node-1")
    desk.wire.outcome.set_result(Performed(Status.ACCEPTED, {"status": "Accepted"}))
    await desk.settled()
    row = await desk.row()
    assert (row.status, row.finished_at, row.result) == ("accepted", NOW, {"status": "Accepted"})
    assert desk.journal() == ["queued", "sent", "accepted"]


async def test_the_ledger_is_written_before_the_station_hears_of_it(desk: Desk) -> None:
    class Looking(Wire):
        async def perform(
            self, command: Command, timeout_s: float, sending: Callable[[], Awaitable[object]]
        ) -> Performed:
            assert timeout_s == 30.0
            assert (await desk.row()).status == "queued"
            await sending()
            assert (await desk.row()).status == "sent"
            return Performed(Status.ACCEPTED)

    desk.wire = Looking()
    desk.commander = desk.restarted()
    assert (await desk.submit(wait_s=5)).status == "accepted"


async def test_waiting_for_the_outcome(desk: Desk) -> None:
    waiting = asyncio.create_task(desk.submit(wait_s=10))
    await desk.wire.sent.get()
    desk.wire.outcome.set_result(Performed(Status.REJECTED, {"status": "Rejected"}, "Rejected"))
    row = await waiting
    assert (row.status, row.detail) == ("rejected", "Rejected")


async def test_waiting_no_longer_than_asked(desk: Desk) -> None:
    assert (await desk.submit(wait_s=0.02)).status == "sent"


async def test_who_waits_may_leave(desk: Desk) -> None:
    waiting = asyncio.create_task(desk.submit(wait_s=10))
    await desk.wire.sent.get()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    desk.wire.outcome.set_result(Performed(Status.ACCEPTED))
    await desk.settled()
    assert (await desk.row()).status == "accepted"


async def test_an_offline_station(desk: Desk) -> None:
    desk.wire.online = False
    with pytest.raises(StationOffline) as caught:
        await desk.submit()
    assert caught.value.facts == {"command_id": "c0"}
    row = await desk.row()
    assert (row.status, row.detail) == ("failed", "the station is not connected")


async def test_what_shall_be_in_use_is_kept_for_a_station_that_is_away(desk: Desk) -> None:
    """The wish stays (core.desired_availability); the same key gets the same answer."""
    desk.wire.online = False
    for _ in range(2):
        with pytest.raises(StationOffline, match="it is told when it comes back"):
            await desk.submit(
                Kind.SET_AVAILABILITY, parameters={"available": False}, idempotency_key="k"
            )
    assert (await desk.row()).status == "failed"


async def test_the_same_key_is_the_same_command(desk: Desk) -> None:
    first = await desk.submit(idempotency_key="k")
    again = await desk.submit(idempotency_key="k")
    assert again.id == first.id
    assert desk.wire.sent.qsize() <= 1
    with pytest.raises(Invalid):
        await desk.submit(Kind.UNLOCK, parameters={"evse": 1}, idempotency_key="k")
    desk.wire.outcome.set_result(Performed(Status.ACCEPTED))
    await desk.settled()
    assert (await desk.submit(idempotency_key="k", wait_s=5)).status == "accepted"
    assert desk.journal() == ["queued", "sent", "accepted"]


async def test_the_same_key_waits_for_the_same_outcome(desk: Desk) -> None:
    await desk.submit(idempotency_key="k")
    waiting = asyncio.create_task(desk.submit(idempotency_key="k", wait_s=10))
    await desk.wire.sent.get()
    desk.wire.outcome.set_result(Performed(Status.ACCEPTED))
    assert (await waiting).status == "accepted"


async def test_what_the_ledger_refuses(desk: Desk) -> None:
    with pytest.raises(Invalid):
        await desk.submit(Kind.UNLOCK)
    with pytest.raises(NotFound):
        await desk.commander.submit("s2", Kind.RESET, {}, "test")
    desk.store.run(lambda tx: stations.change(tx, "s1", NOW, registration=Registration.PENDING))
    with pytest.raises(Refused):
        await desk.submit(Kind.START_CHARGING, parameters={"token": "T"})
    assert await desk.store.reader.count(Command) == 0


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (StationOffline("the station is not connected"), "failed", "the station is not connected"),
        (CallOutstanding(), "failed", "call_outstanding"),
        (RuntimeError("a fault of ours"), "unknown", "an internal error; see the log"),
    ],
)
async def test_what_the_wire_raises(desk: Desk, error: Exception, status: str, detail: str) -> None:
    desk.wire.outcome.set_exception(error)
    row = await desk.submit(wait_s=5)
    assert (row.status, row.detail) == (status, detail)


@pytest.mark.parametrize("first", [Status.TIMED_OUT, Status.UNKNOWN])
async def test_a_late_answer_replaces_none(desk: Desk, first: Status) -> None:
    desk.wire.outcome.set_result(Performed(first, detail="no answer"))
    assert (await desk.submit(wait_s=5)).status == first
    await desk.commander.note_late("c0", Performed(Status.ACCEPTED, {"status": "Accepted"}))
    row = await desk.row()
    assert (row.status, row.result) == ("accepted", {"status": "Accepted"})
    # A second one changes nothing.
    await desk.commander.note_late("c0", Performed(Status.REJECTED))
    assert (await desk.row()).status == "accepted"


async def test_a_late_answer_to_nothing_is_no_harm(desk: Desk) -> None:
    await desk.commander.note_late("never", Performed(Status.ACCEPTED))


# -- crashes ---------------------------------------------------------------------------------------


async def test_stopping_waits_for_nothing(desk: Desk) -> None:
    await desk.submit()
    await desk.wire.sent.get()
    async with asyncio.timeout(5):
        await desk.commander.stop()
    assert (await desk.row()).status == "sent"
    assert await desk.settle() == 1
    assert (await desk.row()).status == "unknown"


def faulty() -> tuple[Desk, FaultyDatabase]:
    """A desk whose database can be taken away."""
    database = FaultyDatabase(SqliteDatabase(MEMORY))
    database.inner = open_inline()._runner._database
    return Desk(InlineStore(database, InlineReader(STATEMENTS, DIALECT, database))), database


async def test_an_outcome_is_stored_as_soon_as_the_store_can() -> None:
    desk, database = faulty()
    await desk.submit()
    await desk.wire.sent.get()
    attempts = 0

    def write_down(*args: Any, **more: Any) -> Any:
        nonlocal attempts
        attempts += 1
        return transact(*args, **more)

    transact, desk.store.transact = desk.store.transact, write_down
    database.down = "disk full"
    desk.wire.outcome.set_result(Performed(Status.ACCEPTED, {"status": "Accepted"}))
    await until(lambda: attempts > 2)
    with pytest.raises(StoreUnavailable):
        await desk.submit()
    database.down = None
    assert (await desk.row()).status == "sent"
    await desk.settled()
    row = await desk.row()
    assert (row.status, row.result) == ("accepted", {"status": "Accepted"})
    assert desk.journal() == ["queued", "sent", "accepted"]


async def test_who_waits_for_an_outcome_that_cannot_be_stored_is_told_how_far_it_is() -> None:
    desk, database = faulty()
    waiting = asyncio.create_task(desk.submit(wait_s=5))
    await desk.wire.sent.get()
    database.failing_commits = 3
    desk.wire.outcome.set_result(Performed(Status.ACCEPTED))
    assert (await waiting).status == "accepted"


async def test_what_cannot_be_written_down_is_not_sent() -> None:
    """The ledger comes first: otherwise a crash would leave a command that nobody knows of."""
    desk, database = faulty()
    desk.wire.busy.clear()
    await desk.submit()
    await desk.wire.waiting.get()
    database.failing_commits = 1
    desk.wire.busy.set()
    await desk.settled()
    assert desk.wire.sent.empty()
    row = await desk.row()
    assert (row.status, row.sent_at) == ("failed", None)


async def test_stopping_does_not_wait_for_the_store() -> None:
    desk, database = faulty()
    await desk.submit()
    await desk.wire.sent.get()
    database.down = "disk full"
    desk.wire.outcome.set_result(Performed(Status.ACCEPTED))
    async with asyncio.timeout(5):
        await desk.commander.stop()
    database.down = None
    assert await desk.settle() == 1
    assert (await desk.row()).status == "unknown"


# -- its turn --------------------------------------------------------------------------------------


async def test_a_command_is_sent_when_its_turn_has_come(desk: Desk) -> None:
    desk.wire.busy.clear()
    await desk.submit()
    await desk.wire.waiting.get()
    row = await desk.row()
    assert (row.status, row.sent_at, row.node) == ("queued", None, "node-1")
    assert desk.journal() == ["queued"]
    desk.wire.busy.set()
    await desk.wire.sent.get()
    assert (await desk.row()).status == "sent"


async def test_what_never_had_its_turn_when_the_node_died_has_failed(desk: Desk) -> None:
    """It is known that the station never heard of it."""
    desk.wire.busy.clear()
    await desk.submit()
    await desk.wire.waiting.get()
    await desk.commander.stop()
    assert await desk.settle() == 1
    row = await desk.row()
    assert (row.status, row.sent_at) == ("failed", None)


async def test_what_the_encoder_refuses_was_never_sent(desk: Desk) -> None:
    class Encoding(Wire):
        async def perform(self, *args: Any) -> Performed:
            return Performed(Status.REJECTED, detail="not in this version")

    desk.wire = Encoding()
    desk.commander = desk.restarted()
    row = await desk.submit(wait_s=5)
    assert (row.status, row.sent_at, row.detail) == ("rejected", None, "not in this version")
    assert desk.journal() == ["queued", "rejected"]
