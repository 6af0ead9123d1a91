"""Commands through this node's links, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from csms.core import commands
from csms.core.commands import Command, Kind, Status
from csms.core.errors import StationOffline
from csms.core.inquiries import Limits, NoAnswer, ReadVariables, TriggerStatus, Variables
from csms.flows.commands import Performed
from csms.ocpp.rpc import CallOutstanding
from csms.ocpp.versions import PROTOCOLS
from csms.storage.open import open_inline
from tests.support.ocpp import NOW
from tests.support.ocpp_links import Central, Socket, listening, until

V2 = ("ocpp2.0.1", "ocpp2.1")
# Kind, parameters, and the action by version.
COMMANDS: list[tuple[Kind, dict[str, Any], str, str]] = [
    (
        Kind.START_CHARGING,
        {"token": "04A2", "evse": 1},
        "RemoteStartTransaction",
        "RequestStartTransaction",
    ),
    (
        Kind.STOP_CHARGING,
        {"transaction_id": 12, "wire_id": "#12"},
        "RemoteStopTransaction",
        "RequestStopTransaction",
    ),
    (Kind.RESET, {"immediate": True}, "Reset", "Reset"),
    (Kind.UNLOCK, {"evse": 1}, "UnlockConnector", "UnlockConnector"),
    (Kind.SET_AVAILABILITY, {"available": False}, "ChangeAvailability", "ChangeAvailability"),
    (Kind.TRIGGER, {"message": "heartbeat"}, "TriggerMessage", "TriggerMessage"),
    (Kind.CLEAR_CACHE, {}, "ClearCache", "ClearCache"),
    (Kind.CALL, {"action": "ClearCache", "payload": {}}, "ClearCache", "ClearCache"),
]


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with listening(open_inline()) as central:
        await central.onboard()
        yield central


def command(kind: Kind, parameters: dict[str, Any], command_id: str = "c1") -> Command:
    return Command(command_id, 7, "id CS 1", kind.value, parameters, "sent", NOW, "test")


async def written_down() -> None:
    """Whoever notes that a command goes out now."""


def perform(
    central: Central, kind: Kind, parameters: dict[str, Any], timeout_s: float = 10.0
) -> asyncio.Task[Performed]:
    return asyncio.create_task(
        central.registry.perform(command(kind, parameters), timeout_s, written_down)
    )


@pytest.mark.parametrize(("kind", "parameters", "old", "new"), COMMANDS)
async def test_every_command_in_every_version(
    central: Central, protocol: str, kind: Kind, parameters: dict[str, Any], old: str, new: str
) -> None:
    async with central.connect(subprotocols=[protocol]) as station:
        performing = perform(central, kind, parameters)
        call, message_id, action, payload = await station.reads()
        assert (call, message_id, action) == (2, "c1", new if protocol in V2 else old)
        assert not PROTOCOLS[protocol].dialect.schemas.request_faults(action, payload)
        status = "Unlocked" if action == "UnlockConnector" else "Accepted"
        await station.sends([3, "c1", {"status": status}])
        performed = await performing
        assert (performed.status, performed.result) == (Status.ACCEPTED, {"status": status})


def test_every_kind_is_in_the_table() -> None:
    assert {kind for kind, *_ in COMMANDS} == set(Kind)


async def answered(central: Central, station: Socket, frame: list[Any], kind: Kind) -> Performed:
    parameters = next(parameters for one, parameters, *_ in COMMANDS if one is kind)
    performing = perform(central, kind, parameters)
    await station.reads()
    await station.sends(frame)
    return await performing


@pytest.mark.parametrize(
    ("kind", "frame", "expected"),
    [
        (Kind.RESET, [3, "c1", {"status": "Rejected"}], (Status.REJECTED, "Rejected")),
        (
            Kind.SET_AVAILABILITY,
            [3, "c1", {"status": "Scheduled"}],
            (Status.ACCEPTED, "Scheduled"),
        ),
        (Kind.UNLOCK, [3, "c1", {"status": "UnlockFailed"}], (Status.REJECTED, "UnlockFailed")),
        (Kind.UNLOCK, [3, "c1", {"status": "NotSupported"}], (Status.REJECTED, "NotSupported")),
        (
            Kind.TRIGGER,
            [3, "c1", {"status": "NotImplemented"}],
            (Status.REJECTED, "NotImplemented"),
        ),
        (Kind.RESET, [3, "c1", {}], (Status.REJECTED, "answered without a status")),
        (
            Kind.RESET,
            [4, "c1", "NotSupported", "no reset here", {}],
            (Status.FAILED, "the station answered NotSupported: no reset here"),
        ),
        (
            Kind.RESET,
            [4, "c1", "WhateverError", "", {}],
            (Status.FAILED, "the station answered WhateverError"),
        ),
        (Kind.CALL, [3, "c1", {"status": "Rejected"}], (Status.ACCEPTED, None)),
    ],
)
async def test_outcomes(
    central: Central, kind: Kind, frame: list[Any], expected: tuple[Status, str | None]
) -> None:
    async with central.connect() as station:
        performed = await answered(central, station, frame, kind)
        assert (performed.status, performed.detail) == expected
        if frame[0] == 4:
            assert performed.result == {"error_code": frame[2], "error": frame[3]}


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        (Kind.CALL, {"action": "Heartbeat", "payload": {}}, "not a call that a central system"),
        (Kind.CALL, {"action": "Reset", "payload": {"type": "Now"}}, "Reset /type"),
        (Kind.RESET, {"evse": 1}, "resets as a whole"),
    ],
)
async def test_what_cannot_be_said_is_rejected_without_a_word_to_the_station(
    central: Central, kind: Kind, parameters: dict[str, Any], words: str
) -> None:
    async with central.connect() as station:
        performed = await perform(central, kind, parameters)
        assert performed.status is Status.REJECTED
        assert words in (performed.detail or "")
        await station.reads_nothing()


async def test_an_offline_station(central: Central) -> None:
    assert not central.registry.holds("id CS 1")
    with pytest.raises(StationOffline):
        await perform(central, Kind.RESET, {})


async def test_no_answer_and_a_lost_link(central: Central) -> None:
    async with central.connect() as station:
        performed = await perform(central, Kind.RESET, {}, 0.05)
        assert (performed.status, performed.detail) == (Status.TIMED_OUT, "no answer in 0.05 s")
        waiting = perform(central, Kind.RESET, {})
        await station.reads()
        await station.reads()
    performed = await waiting
    assert (performed.status, performed.detail) == (
        Status.UNKNOWN,
        "the link ended before the answer",
    )


async def test_too_many_commands_for_one_station(central: Central) -> None:
    async with central.connect() as station:
        waiting = [perform(central, Kind.RESET, {}) for _ in range(16)]
        await station.reads()
        with pytest.raises(CallOutstanding):
            await perform(central, Kind.RESET, {})
    first, *others = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(first, Performed)
    assert first.status is Status.UNKNOWN
    # The others never had their turn, so nothing of them reached the station.
    assert [type(other) for other in others] == [StationOffline] * 15


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"status": "Accepted"}, Status.ACCEPTED),
        ({"status": "Rejected"}, Status.REJECTED),
        ({"configurationKey": []}, Status.ACCEPTED),
    ],
)
async def test_a_late_answer_reaches_the_ledger_by_its_id(
    central: Central, result: dict[str, Any], status: Status
) -> None:
    late: list[tuple[str, Performed]] = []
    central.registry.on_late = lambda command_id, performed: late.append((command_id, performed))
    async with central.connect() as station:
        assert (await perform(central, Kind.RESET, {}, 0.05)).status is Status.TIMED_OUT
        await station.reads()
        await station.sends([3, "c1", result])
        await until(lambda: late)
    ((command_id, performed),) = late
    assert (command_id, performed.status, performed.result) == ("c1", status, result)


async def test_a_command_of_the_ledger_fits_in_a_message_id() -> None:
    """OCPP-J 2.0.1 4.1.4: at most 36 characters."""
    store = open_inline()
    async with listening(store) as central:
        await central.onboard()
        row, _ = await store.transact(
            commands.submit, "f" * 32, "id CS 1", Kind.RESET, {}, "test", NOW
        )
        async with central.connect() as station:
            performing = asyncio.create_task(central.registry.perform(row, 10, written_down))
            assert (await station.reads())[1] == "f" * 32
            await station.sends([3, "f" * 32, {"status": "Accepted"}])
            assert (await performing).status is Status.ACCEPTED


async def test_closing_all(central: Central) -> None:
    await central.onboard("CS 2")
    async with central.connect("CS 1") as one, central.connect("CS 2") as two:
        assert {link.identity for link in central.registry} == {"CS 1", "CS 2"}
        closing = asyncio.create_task(central.registry.close_all(1012, "restart"))
        assert await one.closed() == await two.closed() == (1012, "restart")
        await closing
    await until(lambda: len(central.registry) == 0)
    assert central.metric("csms_links") == 0


async def test_a_command_is_noted_when_its_turn_comes(central: Central) -> None:
    noted: list[str] = []

    def asked(name: str) -> asyncio.Task[Performed]:
        async def sending() -> None:
            noted.append(name)

        one = command(Kind.RESET, {}, name)
        return asyncio.create_task(central.registry.perform(one, 10.0, sending))

    async with central.connect() as station:
        first, second = asked("c1"), asked("c2")
        assert (await station.reads())[1] == "c1"
        await station.reads_nothing()
        assert noted == ["c1"]
        await station.sends([3, "c1", {"status": "Accepted"}])
        assert (await station.reads())[1] == "c2"
        assert noted == ["c1", "c2"]
        await station.sends([3, "c2", {"status": "Accepted"}])
        assert {(await first).status, (await second).status} == {Status.ACCEPTED}


async def test_what_a_version_cannot_say_is_never_noted_as_sent(central: Central) -> None:
    async def sending() -> None:
        raise AssertionError("nothing goes out")

    async with central.connect() as station:
        one = command(Kind.TRIGGER, {"message": "transaction"})
        performed = await central.registry.perform(one, 10.0, sending)
        assert performed.status == Status.REJECTED
        await station.reads_nothing()


async def test_what_waited_for_its_turn_when_the_link_ended_was_not_sent(central: Central) -> None:
    """Known not to have reached the station: not the same as an outcome that nobody knows."""
    noted: list[str] = []

    async def sending() -> None:
        noted.append("c2")

    async with central.connect() as station:
        first = perform(central, Kind.RESET, {})
        await station.reads()
        second = asyncio.create_task(
            central.registry.perform(command(Kind.RESET, {}, "c2"), 10.0, sending)
        )
        await until(lambda: central.link()._waiting == 2)
    assert (await first).status == Status.UNKNOWN
    try:
        status = (await second).status
    except StationOffline:
        status = Status.FAILED
    assert (status, noted) == (Status.FAILED, [])


# -- inquiries -------------------------------------------------------------------------------------


async def test_an_inquiry_is_asked_in_as_many_calls_as_it_takes(central: Central) -> None:
    async with central.connect() as station, asyncio.TaskGroup() as tasks:
        inquiry = ReadVariables(("A", "B"), Limits(1))
        asked = tasks.create_task(central.registry.ask("id CS 1", inquiry, 10.0))
        for key in ("A", "B"):
            _, message_id, action, payload = await station.reads()
            assert (action, payload) == ("GetConfiguration", {"key": [key]})
            found = {"configurationKey": [{"key": key, "readonly": False, "value": "1"}]}
            await station.sends([3, message_id, found])
        answer = await asked
        assert isinstance(answer, Variables)
        assert [f.name for f in answer.found] == ["A", "B"]


async def test_nobody_is_offline_and_silence_never_costs_the_link(central: Central) -> None:
    """Field: a burst of questions after connecting makes some stations go away."""
    inquiry = TriggerStatus(1)
    assert await central.registry.ask("id CS 1", inquiry, 0.01) == NoAnswer("offline")
    async with central.connect() as station:
        for _ in range(5):
            assert await central.registry.ask("id CS 1", inquiry, 0.01) == NoAnswer("timed_out")
            _, message_id, *_ = await station.reads()
            # A late answer is nobody's.
            await station.sends([3, message_id, {"status": "Accepted"}])
        await station.is_alive()


async def test_a_boot_is_told_after_its_answer(central: Central) -> None:
    told: list[str] = []
    central.registry.on_attached = told.append
    central.registry.on_boot = lambda station_id: told.append(f"boot {station_id}")
    central.registry.on_detached = lambda station_id: told.append(f"gone {station_id}")
    reachable: list[str] = []
    central.registry.on_reachable = reachable.append
    async with central.connect() as station:
        boot = {"chargePointVendor": "V", "chargePointModel": "M"}
        await station.calls("BootNotification", boot)
        await station.is_alive()
        assert told == ["id CS 1", "boot id CS 1"]
        assert reachable == ["id CS 1"] * 2
    await until(lambda: told[-1] == "gone id CS 1")
