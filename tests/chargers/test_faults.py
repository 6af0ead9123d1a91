"""Faults bend frames as their names say, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chargers.faults import CUT_EVERY_FRAMES, FAULTS, LOSE_EVERY_ANSWERS, FaultyConnection, chosen

STOP = {"transactionId": 7, "meterStop": 500, "timestamp": "2024-05-01T12:00:00.000Z"}


class Connection:
    """The network's side of a client connection."""

    def __init__(self, *incoming: Any) -> None:
        self.sent: list[str] = []
        self.incoming = [json.dumps(message) for message in incoming]
        self.close_code: int | None = None
        self.aborted = False
        self.transport = self
        self.subprotocol = "ocpp1.6"

    def abort(self) -> None:
        self.aborted = True

    async def send(self, text: str) -> None:
        self.sent.append(text)

    async def close(self) -> None:
        self.close_code = 1000

    async def __aiter__(self) -> AsyncIterator[str]:
        for text in self.incoming:
            yield text


async def sent(fault: str, action: str, payload: dict[str, Any], times: int = 1) -> list[str]:
    connection = Connection()
    faulty = FaultyConnection(connection, (fault,))  # type: ignore[arg-type]
    for n in range(times):
        await faulty.send(json.dumps([2, f"m{n}", action, payload]))
    return connection.sent


async def bent(fault: str, action: str, payload: dict[str, Any]) -> Any:
    (text,) = await sent(fault, action, payload)
    return json.loads(text)[3]


def meter(value: Any, unit: dict[str, Any]) -> dict[str, Any]:
    return {
        "meterValue": [
            {
                "timestamp": "2024-05-01T12:00:00Z",
                "sampledValue": [
                    {"value": value, "context": "Sample.Periodic", **unit} for _ in range(2)
                ],
            }
        ]
    }


async def test_a_message_about_a_transaction_is_said_twice() -> None:
    first, second = await sent("duplicates", "StopTransaction", STOP)
    assert first == second
    assert len(await sent("duplicates", "Heartbeat", {})) == 1


async def test_a_nul_behind_every_message() -> None:
    (text,) = await sent("nul", "Heartbeat", {})
    assert text == '[2, "m0", "Heartbeat", {}]\x00'


async def test_times_are_of_1970_or_without_a_zone() -> None:
    assert (await bent("clock-1970", "StopTransaction", STOP))["timestamp"].startswith("1970-05-01")
    assert (await bent("no-zone", "StopTransaction", STOP))["timestamp"][-4:] == ".000"


async def test_what_has_a_default_or_is_only_required_by_the_schema_is_left_out() -> None:
    payload = {**STOP, "reason": "Local", "idTag": "A"}
    assert await bent("missing-fields", "StopTransaction", payload) == {**STOP, "idTag": "A"}
    assert await bent("missing-fields", "Heartbeat", {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("value", "unit", "other"),
    [
        ("1500", {"unit": "Wh"}, {"value": "1.5", "unit": "kWh"}),
        (1500, {"unitOfMeasure": {"unit": "Wh"}}, {"value": 1.5, "unitOfMeasure": {"unit": "kWh"}}),
    ],
)
async def test_units_alternate_and_the_energy_stays(value: Any, unit: Any, other: Any) -> None:
    payload = await bent("mixed-units", "MeterValues", meter(value, unit))
    first, second = payload["meterValue"][0]["sampledValue"]
    assert first == {"value": value, "context": "Sample.Periodic", **unit}
    assert second == {"context": "Sample.Periodic", **other}


async def test_numbers_become_text_and_text_numbers() -> None:
    payload = {"connectorId": 1, **meter("12.5", {})}
    swapped = await bent("numbers-as-text", "MeterValues", payload)
    assert swapped["connectorId"] == "1"
    assert swapped["meterValue"][0]["sampledValue"][0]["value"] == 12.5


async def test_sequence_numbers_stick_and_fields_are_added() -> None:
    assert (await bent("stuck-seqno", "TransactionEvent", {"seqNo": 4}))["seqNo"] == 0
    assert (await bent("extra-fields", "Heartbeat", {}))["vendorNote"] == "x"


@pytest.mark.parametrize("fault", ["drops", "no-boot"])
async def test_the_connection_is_cut_every_now_and_then(fault: str) -> None:
    connection = Connection()
    faulty = FaultyConnection(connection, (fault,))  # type: ignore[arg-type]
    for n in range(CUT_EVERY_FRAMES):
        assert not connection.aborted
        await faulty.send(json.dumps([2, f"m{n}", "Heartbeat", {}]))
    assert connection.aborted


async def test_some_answers_never_arrive_and_calls_always_do() -> None:
    answers = [[3, f"m{n}", {}] for n in range(LOSE_EVERY_ANSWERS)]
    connection = Connection(*answers, [2, "c", "Reset", {}])
    faulty = FaultyConnection(connection, ("lost-answers",))  # type: ignore[arg-type]
    arrived = [json.loads(text) async for text in faulty]
    assert arrived == [*answers[:-1], [2, "c", "Reset", {}]]


async def test_answers_of_the_charger_come_late() -> None:
    connection = Connection()
    faulty = FaultyConnection(connection, ("late-replies",))  # type: ignore[arg-type]
    await faulty.send('[3, "c", {}]')
    assert connection.sent == []
    (late,) = faulty._late
    async with asyncio.timeout(10):
        await late
    assert connection.sent == ['[3, "c", {}]']
    await faulty.send('[3, "d", {}]')
    await faulty.close()
    assert connection.sent == ['[3, "c", {}]'], "nothing is said on a closed connection"


def test_faults_are_chosen_by_name() -> None:
    assert chosen("nul, duplicates,nul") == ("nul", "duplicates")
    assert chosen("all") == tuple(FAULTS)
    assert chosen("") == ()
    with pytest.raises(ValueError, match=r"'nulls': allowed is all, or some of clock-1970"):
        chosen("nulls")
