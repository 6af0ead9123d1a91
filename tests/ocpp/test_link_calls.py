"""One station's link over a real WebSocket: our calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from csms.core.commands import Command, Kind, Status
from csms.flows.commands import Commander
from csms.flows.post import NoPost
from csms.flows.reach import Reach
from csms.ocpp.link import Lost
from csms.ocpp.rpc import CallOutstanding, ErrorCode, Failure, Result
from csms.storage.open import open_inline
from tests.support.ocpp_links import Central, SeamDatabase, Socket, listening, until
from tests.support.stores import SqliteSite, running

RESET = {"type": "Soft"}


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with listening(open_inline()) as central:
        await central.onboard()
        yield central


@pytest.fixture
async def station(central: Central) -> AsyncIterator[Socket]:
    async with central.connect() as station:
        yield station


def ask(
    central: Central,
    message_id: str,
    action: str = "Reset",
    timeout_s: float = 10.0,
    **payload: Any,
) -> asyncio.Task[Any]:
    link = central.link()
    return asyncio.create_task(link.call(message_id, action, payload or RESET, timeout_s))


@pytest.fixture
def late(central: Central) -> list[tuple[str, Any]]:
    """What `on_late` is told."""
    told: list[tuple[str, Any]] = []
    central.registry.on_late = lambda command_id, performed: told.append((command_id, performed))
    return told


async def test_one_call_at_a_time_in_the_order_of_asking(central: Central, station: Socket) -> None:
    """OCPP-J 1.6 4.1.1, 2.0.1 4.1.1."""
    asked = [ask(central, f"c{n}") for n in range(3)]
    for n in range(3):
        assert await station.reads() == [2, f"c{n}", "Reset", RESET]
        await station.reads_nothing()
        await station.sends([3, f"c{n}", {"status": "Accepted"}])
        assert await asked[n] == Result(f"c{n}", "Reset", {"status": "Accepted"})


async def test_a_refusal_of_the_station(central: Central, station: Socket) -> None:
    asked = ask(central, "c1")
    await station.reads()
    await station.sends([4, "c1", "NotSupported", "no such thing", {"why": 1}])
    failure = await asked
    assert isinstance(failure, Failure)
    assert (failure.code, failure.description) == (ErrorCode.NOT_SUPPORTED, "no such thing")


async def test_a_refusal_with_an_unreadable_id(central: Central, station: Socket) -> None:
    """Reference 7.4: "-1" as the answer to an action unknown to the station."""
    asked = ask(central, "c1")
    await station.reads()
    await station.sends([4, "-1", "NotImplemented", "", {}])
    assert (await asked).code is ErrorCode.NOT_IMPLEMENTED


async def test_no_answer_in_time_and_a_late_one(
    central: Central, station: Socket, late: list[tuple[str, Any]]
) -> None:
    """Quirk 66."""
    assert await ask(central, "c1", timeout_s=0.05) == Lost("timed_out")
    assert await station.reads() == [2, "c1", "Reset", RESET]
    second = ask(central, "c2")
    assert (await station.reads())[1] == "c2"
    await station.sends([3, "c1", {"status": "Rejected"}])
    await until(lambda: late)
    ((command_id, performed),) = late
    assert (command_id, performed.status, performed.detail) == ("c1", "rejected", "Rejected")
    await station.sends([3, "c2", {"status": "Accepted"}])
    assert (await second).payload == {"status": "Accepted"}


async def test_a_late_refusal(
    central: Central, station: Socket, late: list[tuple[str, Any]]
) -> None:
    assert await ask(central, "c1", timeout_s=0.05) == Lost("timed_out")
    await station.sends([4, "c1", "InternalError", "oh", {}])
    await until(lambda: late)
    assert (late[0][0], late[0][1].status) == ("c1", "failed")


async def test_time_counts_from_the_turn(central: Central, station: Socket) -> None:
    first = ask(central, "c1", timeout_s=0.2)
    second = ask(central, "c2", timeout_s=10)
    assert await first == Lost("timed_out")
    await station.reads()
    assert (await station.reads())[1] == "c2"
    await station.sends([3, "c2", {"status": "Accepted"}])
    assert (await second).message_id == "c2"


async def test_a_link_that_is_lost_ends_every_wait(central: Central, station: Socket) -> None:
    asked = [ask(central, f"c{n}") for n in range(3)]
    await station.reads()
    station.connection.transport.abort()
    async with asyncio.timeout(10):
        assert [await one for one in asked] == [Lost("closed")] * 3


async def test_a_link_that_was_lost_before(central: Central, station: Socket) -> None:
    link = central.link()
    station.connection.transport.abort()
    await until(lambda: central.link() is None)
    async with asyncio.timeout(10):
        assert await link.call("c1", "Reset", RESET, 10) == Lost("closed")


async def test_too_many_wait(central: Central) -> None:
    async with listening(central.store, link={"waiting_commands": 2}, node="n2") as other:
        other.secrets = central.secrets
        async with other.connect() as station:
            asked = [ask(other, f"c{n}") for n in range(2)]
            assert (await station.reads())[1] == "c0"
            with pytest.raises(CallOutstanding):
                await other.link().call("c2", "Reset", RESET, 10)
            assert other.metric("csms_own_call_seconds_count", outcome="too_many_wait") == 1
            await station.sends([3, "c0", {"status": "Accepted"}])
            assert (await station.reads())[1] == "c1"
            await station.sends([3, "c1", {"status": "Accepted"}])
            assert [(await one).message_id for one in asked] == ["c0", "c1"]
            assert other.metric("csms_own_call_seconds_count", outcome="answered") == 2


async def test_a_station_that_answers_nothing_is_cut_off(central: Central, station: Socket) -> None:
    """Quirk 21: after some calls in a row without an answer it does so again after a redial."""
    for n in range(3):
        assert await ask(central, f"c{n}", timeout_s=0.02) == Lost("timed_out")
    assert await station.closed() == (1008, "no answer to several calls")
    assert central.metric("csms_own_call_seconds_count", outcome="timed_out") == 3
    await until(lambda: central.metric("csms_links_ended_total", reason="not_answering") == 1)


@pytest.mark.parametrize("in_time", [True, False])
async def test_an_answer_in_between_starts_the_count_again(
    central: Central, station: Socket, late: list[Any], in_time: bool
) -> None:
    """One that is late shows as well that the station still answers."""
    for n in range(6):
        answered = n % 2 == 1
        asked = ask(central, f"c{n}", timeout_s=10 if answered and in_time else 0.02)
        assert (await station.reads())[1] == f"c{n}"
        if answered and in_time:
            await station.sends([3, f"c{n}", {"status": "Accepted"}])
            assert (await asked).message_id == f"c{n}"
        elif answered:
            assert await asked == Lost("timed_out")
            heard = len(late)
            await station.sends([3, f"c{n}", {"status": "Accepted"}])
            await until(lambda heard=heard: len(late) > heard)
        else:
            assert await asked == Lost("timed_out")
    await station.is_alive()


async def test_a_wait_that_is_given_up_does_not_block_the_next(
    central: Central, station: Socket
) -> None:
    asked = ask(central, "c1")
    assert (await station.reads())[1] == "c1"
    asked.cancel()
    second = ask(central, "c2")
    assert (await station.reads())[1] == "c2"
    await station.sends([3, "c2", {"status": "Accepted"}])
    assert (await second).message_id == "c2"


async def test_a_result_that_breaks_the_schema_is_passed_on_and_counted(
    central: Central, station: Socket
) -> None:
    """Quirk 33."""
    asked = ask(central, "c1", "GetConfiguration", key=["a"])
    await station.reads()
    result = {"configurationKey": [{"key": "a", "readonly": False, "value": 5}]}
    await station.sends([3, "c1", result])
    assert (await asked).payload == result
    await station.is_alive()
    assert await central.violations() == {"GetConfiguration result: wrong_type": 1}


async def test_in_21_the_station_is_told_of_it(central: Central) -> None:
    """OCPP-J 2.1 4.2.3: CALLRESULTERROR."""
    async with central.connect(subprotocols=["ocpp2.1"]) as station:
        asked = ask(central, "c1", "Reset", type="OnIdle")
        await station.reads()
        await station.sends([3, "c1", {"status": "SECRET"}])
        kind, message_id, code, words, _ = await station.reads()
        assert (kind, message_id, code) == (5, "c1", "PropertyConstraintViolation")
        assert "SECRET" not in words
        assert (await asked).payload == {"status": "SECRET"}


async def test_a_result_of_ours_that_the_station_cannot_use_is_counted() -> None:
    """OCPP-J 2.1 4.2.3: CALLRESULTERROR. It has no answer; before 2.1 there is no such message."""
    async with listening(open_inline()) as central:
        await central.onboard()
        async with central.connect(subprotocols=["ocpp2.1"]) as station:
            assert "currentTime" in await station.calls("Heartbeat")
            await station.sends([5, "call 1", "FormatViolation", "currentTime is odd", {}])
            await station.is_alive()
            assert await central.violations() == {"result_error": 1}
        async with central.connect(subprotocols=["ocpp2.0.1"]) as station:
            await station.sends([5, "call 1", "FormatViolation", "", {}])
            await station.is_alive()
            assert await central.violations() == {"result_error": 1}


async def test_a_result_that_is_no_object(central: Central, station: Socket) -> None:
    asked = ask(central, "c1")
    await station.reads()
    await station.sends([3, "c1", "Accepted"])
    assert (await asked).code is ErrorCode.FORMAT_VIOLATION


async def test_an_answer_is_never_taken_for_that_of_the_next_call(tmp_path: Path) -> None:
    """A result is worth a count in the store; while that waits, the turn may have passed on."""
    site = SqliteSite(tmp_path)
    database = SeamDatabase(site.database())
    async with running(site, database) as store, listening(store) as central:
        await central.onboard()
        async with central.connect() as station:
            first = ask(central, "c1", timeout_s=0.3)
            second = ask(central, "c2")
            await station.reads()
            database.hold()
            await station.sends([3, "c1", {"status": "Whatever"}])
            await asyncio.to_thread(database.holding.wait, 10)
            outcome = await first
            assert (await station.reads())[1] == "c2"
            database.release()
            await station.sends([3, "c2", {"status": "Accepted"}])
            assert (await second).payload == {"status": "Accepted"}
            assert isinstance(outcome, Result)
            assert outcome.payload == {"status": "Whatever"}


async def test_a_late_answer_nested_absurdly_deep_ends_nothing(central: Central) -> None:
    """What one station sends ends at most its own link: the ledger learns that it failed."""
    await central.onboard("CS 2")
    ids = iter(("c1", "c2"))
    links = Reach(central.store, central.registry, NoPost("alone"), "node-1")
    commander = Commander(central.store, links, "node-1", central.clock, lambda: next(ids), 0.05)
    async with (
        central.connect() as station,
        central.connect("CS 2") as other,
        asyncio.TaskGroup() as tasks,
    ):
        central.registry.on_late = lambda command_id, performed: tasks.create_task(
            commander.note_late(command_id, performed)
        )
        row = await commander.submit("id CS 1", Kind.RESET, {}, "test", wait_s=5)
        assert row.status == Status.TIMED_OUT
        await station.reads()
        deep = '{"a":' * 900 + "1" + "}" * 900
        await station.sends(f'[3,"c1",{deep}]')
        await station.is_alive()
        await other.is_alive()
        async with asyncio.timeout(10):
            while (await central.store.reader.get(Command, "c1")).status == Status.TIMED_OUT:
                await asyncio.sleep(0)
        assert (await central.store.reader.get(Command, "c1")).status == Status.FAILED
    await commander.stop()


@pytest.mark.parametrize("levels", [900, 100_000])
async def test_an_answer_nested_absurdly_deep_ends_the_call(
    central: Central, station: Socket, levels: int
) -> None:
    asked = ask(central, "c1")
    await station.reads()
    await station.sends('[3,"c1",' + "[" * levels + "]" * levels + "]")
    assert isinstance(await asked, Failure)
    await station.is_alive()


async def test_a_call_nested_absurdly_deep_is_refused_and_counted(
    central: Central, station: Socket
) -> None:
    await station.sends(
        '[2,"m","DataTransfer",{"vendorId":"v","data":' + "[" * 900 + "]" * 900 + "}]"
    )
    assert (await station.reads())[:3] == [4, "m", "FormationViolation"]
    assert await central.violations() == {"too_deep": 1}
    await station.is_alive()
