"""What only 2.0.1 and 2.1 have in their messages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chargers.facts import Cause, ConnectorState, Kind, Reading, Target, Token, TransactionMessage
from chargers.ledger import TransactionRecord
from chargers.v2 import Dialect2

AT = datetime(2024, 1, 1, tzinfo=UTC)


class Answer:
    id_token_info = None


@pytest.fixture(params=["2.0.1", "2.1"])
def dialect(request: pytest.FixtureRequest) -> Dialect2:
    return Dialect2(str(request.param))


async def delivered(dialect: Dialect2, message: TransactionMessage) -> dict[str, object]:
    sent: list[dict[str, object]] = []

    async def call(payload: object) -> Answer:
        sent.append(vars(payload))
        return Answer()

    record = TransactionRecord(1, 1, "T", "tx", AT, 1000)
    answer = await dialect.deliver(call, message, record)
    assert answer.central_id == "tx"
    return sent[0]


async def test_a_started_event(dialect: Dialect2) -> None:
    event = await delivered(
        dialect,
        TransactionMessage(
            Kind.STARTED,
            "tx",
            0,
            2,
            1,
            Cause.REMOTE_START,
            Reading(AT, 1000, 11_000),
            charging=True,
            token=Token("BOB", "Central"),
            remote_start_id=5,
        ),
    )
    assert event["event_type"] == "Started"
    assert event["trigger_reason"] == "RemoteStart"
    assert event["transaction_info"] == {
        "transaction_id": "tx",
        "charging_state": "Charging",
        "remote_start_id": 5,
    }
    assert event["id_token"] == {"id_token": "BOB", "type": "Central"}
    assert event["evse"] == {"id": 2, "connector_id": 1}


async def test_an_ended_event_after_unplugging(dialect: Dialect2) -> None:
    event = await delivered(
        dialect,
        TransactionMessage(
            Kind.STOPPED,
            "tx",
            7,
            1,
            1,
            Cause.UNPLUGGED,
            Reading(AT, 2000, 0),
            charging=True,
            offline=True,
        ),
    )
    assert event["event_type"] == "Ended"
    assert event["seq_no"] == 7
    assert event["offline"] is True
    assert event["transaction_info"] == {
        "transaction_id": "tx",
        "stopped_reason": "EVDisconnected",
        "charging_state": "Idle",
    }
    value = event["meter_value"][0]  # type: ignore[index]
    assert {sample["context"] for sample in value["sampled_value"]} == {"Transaction.End"}


def test_the_station_itself_has_no_status(dialect: Dialect2) -> None:
    assert dialect.status_word(Target(), ConnectorState.AVAILABLE) is None
    words = {dialect.status_word(Target(1, 1), state) for state in ConnectorState}
    assert words == {"Available", "Occupied", "Unavailable"}
