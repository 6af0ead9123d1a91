"""The ledger: what a charger did, and what the central system acknowledged of it.

This is the charger's side of the truth. It only records; nothing decides by it, except that a
dialect reads the central system's transaction id from it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chargers.clock import wire_time
from chargers.facts import Acknowledged, Kind, Reading, Token, TransactionMessage


@dataclass
class TransactionRecord:
    """One transaction as the charger lived it.

    `station_id` is the charger's own id. `central_id` is the central system's: in 1.6 the
    number in its answer to the start, in 2.x the charger's own, once acknowledged.
    """

    evse: int
    connector: int
    token: str
    station_id: str
    started_at: datetime
    meter_start_wh: int
    remote_start_id: int | None = None
    central_id: str | None = None
    ended_at: datetime | None = None
    meter_stop_wh: int | None = None
    stop_cause: str | None = None
    start_acknowledged: bool = False
    stop_acknowledged: bool = False
    states_acknowledged: int = 0
    readings_made: int = 0
    readings: list[Reading] = field(default_factory=list)
    """The meter values between start and stop that the central system acknowledged."""
    given_up: list[str] = field(default_factory=list)
    """Kinds of the messages that were never acknowledged and will not be sent again."""

    @property
    def finished(self) -> bool:
        return self.ended_at is not None

    @property
    def energy_wh(self) -> int:
        """What the meter counted; 0 while the transaction runs."""
        return 0 if self.meter_stop_wh is None else self.meter_stop_wh - self.meter_start_wh

    @property
    def acknowledged(self) -> bool:
        """True when nothing of this transaction is missing at the central system."""
        return (
            self.start_acknowledged
            and self.stop_acknowledged
            and len(self.readings) == self.readings_made
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values for a report."""
        return {
            "evse": self.evse,
            "connector": self.connector,
            "token": self.token,
            "station_id": self.station_id,
            "central_id": self.central_id,
            "started_at": wire_time(self.started_at),
            "ended_at": wire_time(self.ended_at) if self.ended_at else None,
            "meter_start_wh": self.meter_start_wh,
            "meter_stop_wh": self.meter_stop_wh,
            "energy_wh": self.energy_wh,
            "stop_cause": self.stop_cause,
            "start_acknowledged": self.start_acknowledged,
            "stop_acknowledged": self.stop_acknowledged,
            "readings_made": self.readings_made,
            "readings_acknowledged": len(self.readings),
            "given_up": list(self.given_up),
        }


@dataclass
class Ledger:
    """Everything one charger did since it was made. Resets and lost links do not clear it."""

    transactions: list[TransactionRecord] = field(default_factory=list)
    messages: int = 0
    """Calls sent by the charger that were answered, with a result or an error."""
    sent: Counter[str] = field(default_factory=Counter)
    """Calls sent, by action; with those that were never answered."""
    received: Counter[str] = field(default_factory=Counter)
    """Calls received, by action."""
    rejected: int = 0
    """Answers that were a CALLERROR."""
    unusable: int = 0
    """Answers that were a result which does not fit the schema."""
    unanswered: int = 0
    """Calls that timed out."""
    tokens_refused: list[str] = field(default_factory=list)
    boots: list[str] = field(default_factory=list)
    """The verdict of every answered BootNotification."""
    connections: int = 0
    connections_failed: int = 0
    last_failure: str | None = None
    """Why the last attempt to connect failed, for a person to read."""

    def started(self, message: TransactionMessage, token: Token) -> TransactionRecord:
        record = TransactionRecord(
            evse=message.evse,
            connector=message.connector,
            token=token.uid,
            station_id=message.transaction,
            started_at=message.at,
            meter_start_wh=message.reading.energy_wh,
            remote_start_id=message.remote_start_id,
        )
        self.transactions.append(record)
        return record

    def made(self, message: TransactionMessage) -> None:
        """Note what the charger has to say, whether or not it will ever be heard."""
        record = self.record(message.transaction)
        if message.kind is Kind.READING:
            record.readings_made += 1
        elif message.kind is Kind.STOPPED:
            record.ended_at = message.at
            record.meter_stop_wh = message.reading.energy_wh
            record.stop_cause = message.cause.value

    def acknowledge(self, message: TransactionMessage, answer: Acknowledged) -> None:
        record = self.record(message.transaction)
        if answer.central_id is not None and record.central_id is None:
            record.central_id = answer.central_id
        if message.kind is Kind.STARTED:
            record.start_acknowledged = True
        elif message.kind is Kind.STOPPED:
            record.stop_acknowledged = True
        elif message.kind is Kind.READING:
            record.readings.append(message.reading)
        else:
            record.states_acknowledged += 1

    def give_up(self, message: TransactionMessage) -> None:
        self.record(message.transaction).given_up.append(message.kind.value)

    def record(self, station_id: str) -> TransactionRecord:
        """The record of a transaction by the charger's own id. Raises KeyError."""
        # The newest first: nearly every question is about a transaction that runs.
        for record in reversed(self.transactions):
            if record.station_id == station_id:
                return record
        raise KeyError(station_id)

    @property
    def running(self) -> list[TransactionRecord]:
        return [record for record in self.transactions if not record.finished]

    @property
    def finished(self) -> list[TransactionRecord]:
        return [record for record in self.transactions if record.finished]

    @property
    def energy_counted_wh(self) -> int:
        """Energy of the finished transactions by the charger's own meters."""
        return sum(record.energy_wh for record in self.finished)

    @property
    def given_up(self) -> int:
        return sum(len(record.given_up) for record in self.transactions)
