"""What a charger reports, free of OCPP versions: the language between charger and dialects.

Values only. A `TransactionMessage` is made once, when the thing happens, and never changes
afterwards however often it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class ConnectorState(Enum):
    """What a connector is doing. Finer than either version: each dialect takes what it has."""

    AVAILABLE = "available"
    AUTHORIZED = "authorized"
    """A driver has been accepted and has yet to plug in."""
    PLUGGED = "plugged"
    """A car is plugged in and nobody has been accepted yet."""
    CHARGING = "charging"
    SUSPENDED = "suspended"
    """A transaction runs, and the car takes no energy."""
    FINISHING = "finishing"
    """The transaction is over and the car still plugged in."""
    UNAVAILABLE = "unavailable"


class Kind(Enum):
    """The things there are to say about a transaction."""

    STARTED = "start"
    READING = "meter values"
    STATE = "state"
    LIMIT = "limit"
    """The driver has set a limit at the charger."""
    STOPPED = "stop"


class Cause(Enum):
    """What made the charger send a message about a transaction."""

    AUTHORIZED = "authorized"
    PLUGGED_IN = "plugged in"
    REMOTE_START = "remote start"
    PERIOD = "period"
    TRIGGER = "trigger"
    CAR = "car"
    """The car began or ceased to take energy."""
    LOCAL_STOP = "local stop"
    REMOTE_STOP = "remote stop"
    UNPLUGGED = "unplugged"
    DEAUTHORIZED = "deauthorized"
    UNLOCK = "unlock"
    SOFT_RESET = "soft reset"
    HARD_RESET = "hard reset"
    POWER_LOSS = "power loss"
    LIMIT_SET = "limit set"
    LIMIT = "limit reached"
    RESUMED = "resumed"
    """The charge goes on after a reset."""


class Trigger(Enum):
    """What the central system may ask a charger to send at once."""

    BOOT = "boot"
    HEARTBEAT = "heartbeat"
    STATUS = "status"
    METER_VALUES = "meter values"
    TRANSACTION = "transaction"


class Verdict(Enum):
    """How a charger answers a wish of the central system."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SCHEDULED = "scheduled"
    UNKNOWN = "unknown"
    """The EVSE or connector meant does not exist."""
    BUSY = "busy"
    """A transaction that somebody was authorized for is in the way."""


class BootReason(Enum):
    POWER_UP = "power up"
    REMOTE_RESET = "remote reset"
    TRIGGERED = "triggered"
    RECONNECTED = "reconnected"


@dataclass(frozen=True)
class Token:
    """What identifies a driver. `kind` is the token type of 2.x, empty where none is known."""

    uid: str
    kind: str = ""

    def same_driver(self, other: Token) -> bool:
        """1.6 compares tokens without regard to case; real chargers do so in 2.x too."""
        return self.uid.casefold() == other.uid.casefold()


@dataclass(frozen=True)
class Reading:
    """One look at the meter: the register in Wh, the power in W, the car's charge in percent."""

    at: datetime
    energy_wh: int
    power_w: int
    soc_percent: int | None = None


@dataclass(frozen=True)
class TransactionMessage:
    """One message about a transaction, as it waits in the outbox.

    `transaction` is the station's own id; `number` counts the messages of one transaction from
    0. `token` is the driver who caused this message, where one did; `offline` is true when it
    was made while the charger could not reach the central system.
    """

    kind: Kind
    transaction: str
    number: int
    evse: int
    connector: int
    cause: Cause
    reading: Reading
    charging: bool
    token: Token | None = None
    remote_start_id: int | None = None
    offline: bool = False
    limit_wh: int | None = None
    """Where the charge is to end by itself; only a limit message has it."""

    @property
    def at(self) -> datetime:
        return self.reading.at


@dataclass(frozen=True)
class Booted:
    """The answer to a boot: `verdict` is 'Accepted', 'Pending' or 'Rejected'."""

    verdict: str
    interval_s: int


@dataclass(frozen=True)
class Acknowledged:
    """What the answer to a transaction message said.

    `central_id` is the central system's name for the transaction where it gave one.
    `token_status` is the status of the token as sent ('Accepted', 'Blocked', ...) or None.
    """

    central_id: str | None = None
    token_status: str | None = None

    @property
    def refused(self) -> bool:
        return self.token_status not in (None, "Accepted")


@dataclass(frozen=True)
class Target:
    """A connector, all of an EVSE (connector 0) or the whole station (EVSE 0)."""

    evse: int = 0
    connector: int = 0
