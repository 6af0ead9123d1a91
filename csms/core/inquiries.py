"""Inquiries: what the central system asks of a station by itself, and what comes back.

Version-neutral: an adapter makes calls of an inquiry and an answer of their results. Unlike a
command an inquiry is nobody's wish, so it has no row in the ledger and may be asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Found:
    """A variable as a station reports it. Attributes that it did not report are None. A secret has
    no value here."""

    name: str
    actual: str | None = None
    target: str | None = None
    min_set: str | None = None
    max_set: str | None = None
    mutability: str | None = None
    data_type: str | None = None
    unit: str | None = None
    allowed: str | None = None


class Setting(StrEnum):
    """What a station said to a value for one of its variables."""

    APPLIED = "applied"
    REBOOT_REQUIRED = "reboot_required"
    REJECTED = "rejected"
    UNSUPPORTED = "unsupported"


class Scope(StrEnum):
    """What a report is to contain (OCPP 2.0.1 B07)."""

    FULL = "full"
    CONFIGURATION = "configuration"
    SUMMARY = "summary"


# -- what is asked ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a station takes in one message; None: it has not said."""

    items: int | None = None
    size_bytes: int | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class ReadVariables:
    """The values of some variables."""

    names: tuple[str, ...]
    limits: Limits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class WriteVariables:
    """Values for some variables, each meaning once."""

    values: tuple[tuple[str, str], ...]
    limits: Limits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class MakeReport:
    """Everything of a scope. The answer may hold it, or it follows under the number."""

    request_id: int
    scope: Scope


@dataclass(frozen=True, slots=True)
class TransactionStatus:
    """Whether a transaction goes on, and whether something about it still waits to be sent."""

    wire_id: str


@dataclass(frozen=True, slots=True)
class TriggerStatus:
    """Report the state of a connector; `evse` None: of all."""

    evse: int | None = None
    connector: int | None = None


@dataclass(frozen=True, slots=True)
class TriggerReadings:
    """Send the meter values of an EVSE now; None: of all."""

    evse: int | None


@dataclass(frozen=True, slots=True)
class GivePassword:
    """The password for HTTP Basic that the station is to use from its next connection on. The
    answer is `Settings` of that one thing."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChangeProfile:
    """The OCPP security profile to connect with after the next reset, and the address for it.

    `slot`: where a 2.x station keeps the new address; None: a free one. `priority`: the slots in
    use, first the preferred one; empty: the station is asked. `identity` and `password`: what it
    shows there, for another central system (OCPP 2.1). The answer is `Settings` of the last thing
    that was set.
    """

    profile: int
    url: str
    slot: int | None = None
    priority: tuple[int, ...] = ()
    interface: str = "Wired0"
    message_timeout_s: int = 30
    identity: str | None = None
    password: str | None = field(default=None, repr=False)


Inquiry = (
    ReadVariables
    | WriteVariables
    | MakeReport
    | TransactionStatus
    | TriggerStatus
    | TriggerReadings
    | GivePassword
    | ChangeProfile
)


def word_of(inquiry: Inquiry) -> str:
    """What kind of inquiry it is, in a stable word (`trigger_status`)."""
    return _WORDS[type(inquiry)]


_WORDS: Mapping[type[object], str] = {
    ReadVariables: "read_variables",
    WriteVariables: "write_variables",
    MakeReport: "make_report",
    TransactionStatus: "transaction_status",
    TriggerStatus: "trigger_status",
    TriggerReadings: "trigger_readings",
}


# -- what comes back -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variables:
    """What was found, and the names that the station does not know."""

    found: tuple[Found, ...]
    unknown: tuple[str, ...] = ()
    raw: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Name -> what the station said, with its reason."""

    outcomes: tuple[tuple[str, Setting, str | None], ...]


@dataclass(frozen=True, slots=True)
class Announced:
    """The station will do it: what was asked for comes as messages of its own."""


@dataclass(frozen=True, slots=True)
class TransactionState:
    """`ongoing` None: the station did not say. `queued`: something still waits to be sent."""

    ongoing: bool | None
    queued: bool


@dataclass(frozen=True, slots=True)
class Declined:
    """The station will not, now; `reason` is its own."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The station, or its version, cannot do it at all."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing came: `offline`, `closed` on the way, `timed_out`, or `busy` with what others asked
    of the station."""

    reason: str


Answer = Variables | Settings | Announced | TransactionState | Declined | Unsupported | NoAnswer
