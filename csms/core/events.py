"""Facts, in the past tense: what the journal holds and the feeds deliver.

An event carries its data, so that a reader needs no second look-up. The class name in snake case is
the stable name of the event (`station_booted`); fields are JSON-ready values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Common part: when it was received here, and which station it is about."""

    at: datetime
    station_id: str | None = None


_NAMES: dict[type[Event], str] = {}


def event_name(kind: type[Event]) -> str:
    """`StationBooted` -> `station_booted`."""
    name = _NAMES.get(kind)
    if name is None:
        name = _NAMES[kind] = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    return name


# -- stations ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StationOnboarded(Event):
    identity: str
    party_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StationChanged(Event):
    """An operator changed the station's row; `fields` names what."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialIssued(Event):
    credential_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialWithdrawn(Event):
    """A secret does not work any more: the station did not take it (`refused`), or has used a newer
    one (`replaced`)."""

    credential_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChanged(Event):
    """Links of a lower OCPP security profile than `min_profile` are refused from now on;
    `wanted_profile`: the one that the station is being brought to."""

    min_profile: int
    wanted_profile: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationConnected(Event):
    """`profile`: the OCPP security profile of the link, None where it was not measured."""

    generation: int
    protocol: str
    node: str
    remote_address: str
    profile: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationDisconnected(Event):
    generation: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StationBooted(Event):
    registration: str
    vendor: str | None
    model: str | None
    firmware: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationReported(Event):
    """A message that has no block of its own yet, kept as it came (`action`, `payload`)."""

    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRefused(Event):
    """A known station was refused before the upgrade (told once a minute and reason)."""

    reason: str
    remote_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownStationSeen(Event):
    identity: str
    remote_address: str


# -- the device model ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationChanged(Event):
    """A desired value has a new state (`device_model.State`, or `no_longer`)."""

    name: str
    value: str
    state: str
    reason: str | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceived(Event):
    """A report that a station was asked for is there (`complete`), or as much of it as came."""

    request_id: int
    scope: str
    state: str
    variables: int


# -- availability --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorStatusChanged(Event):
    evse: int
    connector: int
    status: str
    previous: str
    error_code: str | None = None


# -- tokens and transactions ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChanged(Event):
    uid: str
    party_id: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenForgotten(Event):
    """A driver's token is taken out of everything that is kept; from now on its records have
    `pseudonym`. What the token was is not said."""

    party_id: str
    forgetting_id: str
    pseudonym: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAuthorized(Event):
    """A station asked about a token; `outcome` is an `authorization.Outcome`. `reason`: why, where
    an operator has to do something about it."""

    uid: str
    outcome: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStarted(Event):
    transaction_id: int
    evse: int
    connector: int | None
    token_uid: str | None
    outcome: str
    started_at: datetime
    meter_start_wh: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionUpdated(Event):
    transaction_id: int
    evse: int
    energy_wh: int
    charging_state: str | None
    samples: int = 0
    trigger: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEnded(Event):
    transaction_id: int
    evse: int
    ended_at: datetime
    energy_wh: int
    stop_reason: str | None
    end_kind: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesRecorded(Event):
    """Meter samples outside any transaction."""

    evse: int
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportQuarantined(Event):
    quarantine_id: str
    kind: str
    reason: str


# -- places and prices ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationChanged(Event):
    """A location changed, or the EVSE of it that is named: `status` is what is published of it
    where nothing else changed, None where something did."""

    party_id: str
    location_id: str
    evse_uid: str | None
    status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffChanged(Event):
    """A new version of a tariff, or its end."""

    party_id: str
    tariff_id: str
    version: int
    retired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionPriced(Event):
    """What an ended transaction costs; amounts are decimal text."""

    transaction_id: int
    currency: str
    before_taxes: str
    after_taxes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CdrSealed(Event):
    """A charge detail record was made; `credit_of`: it cancels that one."""

    party_id: str
    cdr_id: str
    transaction_id: int
    token_party: str | None
    credit_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CdrReceived(Event):
    """Another network billed a charge of one of our drivers."""

    party_id: str
    cdr_id: str
    token_party: str
    partner_id: str
    credit_of: str | None = None


# -- commands, administration --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandChanged(Event):
    command_id: str
    kind: str
    status: str
    detail: str | None = None
    transaction_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChanged(Event):
    """A process of this system began, ended, was found to be gone, or is to give its work away."""

    node: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecorded(Event):
    """Who changed what through the operator API."""

    actor: str
    action: str
    target: str
    facts: dict[str, Any] = field(default_factory=dict)


# -- roaming -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerChanged(Event):
    """A connection to another platform changed its state or what it speaks for."""

    partner_id: str
    name: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandChanged(Event):
    """What was asked of another network for a driver of ours, and how it stands."""

    errand_id: str
    wish: str
    status: str
    party_id: str
    session_id: str | None = None
    detail: str | None = None
