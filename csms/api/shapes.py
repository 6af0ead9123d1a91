"""What the API takes and gives, as pydantic models: the contract of the operator API.

Times are RFC 3339 UTC, energies integer Wh. Fields are added, never renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field

from csms.api.paging import Page
from csms.core.audit import AuditEntry
from csms.core.availability import MAX_CONNECTORS, MAX_EVSES, Connector
from csms.core.commands import Kind
from csms.core.desired_availability import DesiredAvailability
from csms.core.flags import MEANING
from csms.core.messages import Message
from csms.core.metering import MeterSample
from csms.core.policies import Policy
from csms.core.quirks import SWITCHES, Treated
from csms.core.reconciliation import last_heard
from csms.core.security import MAX_PARTIES, ApiKey, Role
from csms.core.stations import Registration, Station, UnknownStation
from csms.core.tokens import Token
from csms.core.transactions import Transaction, lacking


class Given(BaseModel):
    """Base of what clients send: an unknown field is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid")


class OfStation(BaseModel):
    """Base of what belongs to a station: its id, and its identity for people."""

    station_id: str
    station: str = Field(description="The station's identity", examples=["CP-1"])

    @classmethod
    def of(cls, entity: Any, station: str) -> Self:
        """From an entity with these fields."""
        fields = {name: getattr(entity, name) for name in cls.model_fields if name != "station"}
        return cls(station=station, **fields)


# -- stations ----------------------------------------------------------------------------------


class StationNew(Given):
    identity: str = Field(examples=["CP-1"], min_length=1, max_length=48)
    party_id: str | None = Field(None, examples=["CA*NTH"], description="Default: this network")
    evses: int = Field(1, ge=1, le=MAX_EVSES)
    connectors: int = Field(1, ge=1, le=MAX_CONNECTORS, description="Per EVSE")
    switches: dict[str, bool | int | str] = Field(
        default_factory=dict,
        examples=[{"version": "1.6"}],
        description="How it is to be treated otherwise than its make; see /switches",
    )


class StationChange(Given):
    registration: Registration | None = None


class ConnectorOut(BaseModel):
    evse: int
    connector: int
    status: str
    error_code: str | None
    info: str | None
    vendor_error: str | None
    reported_at: datetime
    received_at: datetime

    @classmethod
    def of(cls, c: Connector) -> ConnectorOut:
        return cls(**{name: getattr(c, name) for name in cls.model_fields})


class DesiredAvailabilityOut(BaseModel):
    """A wish about what may be used; EVSE 0 is the station, connector 0 the whole EVSE."""

    evse: int
    connector: int
    available: bool
    state: str = Field(description="wanted, taken or refused by the station")
    detail: str | None
    since: datetime
    requested_by: str

    @classmethod
    def of(cls, w: DesiredAvailability) -> DesiredAvailabilityOut:
        return cls(**{name: getattr(w, name) for name in cls.model_fields})


class StationOut(BaseModel):
    id: str
    identity: str
    party_id: str
    registration: Registration
    connected: bool
    version: str | None = Field(description="OCPP version of the present or last link")
    vendor: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    node: str | None
    remote_address: str | None
    connected_at: datetime | None = Field(description="Since when the present link is up")
    disconnected_at: datetime | None
    last_seen_at: datetime | None
    booted_at: datetime | None
    created_at: datetime
    violations: dict[str, int] = Field(description="Faults against the protocol, by kind")
    guest: bool = Field(description="It came by itself, and nobody has accepted it so far")
    profile: int | None = Field(description="OCPP security profile of the present or last link")
    min_profile: int = Field(description="Links of a lower profile are refused")
    wanted_profile: int | None = Field(description="What it is being brought to")
    exceptions: dict[str, Any] = Field(
        description="What it may do that others may not: weak_secret, user, no_auth",
        examples=[{"no_auth": ["10.0.0.0/8"]}],
    )
    connectors: list[ConnectorOut]
    desired_availability: list[DesiredAvailabilityOut] = Field(
        description="What operators want to be in use; it outlives links and restarts"
    )

    @classmethod
    def of(
        cls,
        s: Station,
        connectors: list[Connector],
        seen_at: datetime | None = None,
        policy: Policy | None = None,
        desired: Sequence[DesiredAvailability] = (),
    ) -> StationOut:
        connected = s.node is not None
        policy = policy or Policy(s.id)
        own = ("connected", "version", "connectors", "desired_availability", "last_seen_at")
        return cls(
            connected=connected,
            version=s.protocol,
            connectors=[ConnectorOut.of(c) for c in connectors],
            desired_availability=[DesiredAvailabilityOut.of(w) for w in desired],
            last_seen_at=(seen_at or s.connected_at) if connected else s.last_seen_at,
            min_profile=policy.min_profile,
            wanted_profile=policy.wanted_profile,
            exceptions=dict(policy.exceptions),
            **{n: getattr(s, n) for n in cls.model_fields if n not in own and hasattr(s, n)},
        )


class SwitchOut(BaseModel):
    """One way in which a station may be treated otherwise than the rest."""

    name: str
    value: bool | int | str
    origin: str = Field(
        description="default, operator, or the entry of the quirks file", examples=["default"]
    )
    source: str | None = Field(description="Where the entry is known from")
    meaning: str

    @classmethod
    def of(cls, t: Treated) -> SwitchOut:
        return cls(**t._asdict(), meaning=SWITCHES[t.name].meaning)


class SwitchSet(Given):
    value: bool | int | str = Field(examples=[False])


class ViolationOut(BaseModel):
    """How often a station broke the protocol in one way."""

    kind: str
    count: int
    meaning: str


class Onboarded(BaseModel):
    """The answer to adding a station or rotating its secret. The token is shown this once."""

    id: str
    identity: str
    url: str = Field(description="What an installer types in; the identity is its last part")
    user: str
    token: str


class CredentialOut(BaseModel):
    """One secret that a station may show; what it is nobody can say."""

    created_at: datetime
    used_at: datetime | None = Field(description="Since when links are opened with it")
    weak: bool


class Rotation(Given):
    by_hand: bool = Field(False, description="Do not send it to the station: it is typed in there")
    at_once: bool = Field(False, description="The old one stops working now; implies by_hand")


class Rotated(BaseModel):
    """A new token. `pushed`: accepted, reboot_required, refused (then it is taken back), no_answer,
    not_sent, or by_hand. `token` is shown where somebody may have to type it in."""

    id: str
    identity: str
    url: str
    user: str
    token: str | None
    pushed: str
    detail: str | None = None
    old_works: bool = Field(description="Until the station has used the new one")


class ProfileWish(Given):
    profile: int = Field(ge=0, le=2)
    url: str | None = Field(None, max_length=512, description="Default: that of this system")
    elsewhere: bool = Field(False, description="The URL is of another system: it moves there")
    identity: str | None = Field(
        None, max_length=48, description="Its name at that URL, if another one (OCPP 2.1)"
    )
    password: str | None = Field(
        None, min_length=8, max_length=64, description="Its secret at that URL (OCPP 2.1)"
    )
    slot: int | None = Field(None, ge=0, description="Network slot of a 2.x station")
    priority: list[int] = Field(default_factory=list, max_length=20)
    interface: str = Field("Wired0", max_length=20)
    reset: bool = Field(True, description="Reset the station when it has accepted")


class ProfileAnswer(BaseModel):
    """What became of it: required, accepted, reboot_required, refused, no_answer or not_sent."""

    identity: str
    min_profile: int
    wanted_profile: int | None
    outcome: str
    detail: str | None = None
    reset: str | None = Field(None, description="State of the reset that followed")


class ExceptionsChange(Given):
    """Fields left out stay; null takes an exception back."""

    weak_secret: str | None = Field(None, max_length=64, description="The secret that it has")
    user: str | None = Field(None, max_length=255)
    no_auth: list[str] | None = Field(None, max_length=16, examples=[["10.0.0.0/8"]])


class Acceptance(Given):
    party_id: str | None = Field(None, description="Default: this network")
    keep_weak_secret: bool = Field(False, description="As an exception of this station")


class Accepted(Rotated):
    """`pushed` is kept where the station keeps the secret that it has. `boot`: state of the
    request to boot, so that the station learns that it is accepted."""

    boot: str


class ImportRow(Given):
    identity: str = Field(min_length=1, max_length=48)
    party_id: str | None = None
    evses: int = Field(1, ge=1, le=MAX_EVSES)
    connectors: int = Field(1, ge=1, le=MAX_CONNECTORS, description="Per EVSE")
    vendor: str | None = Field(None, max_length=50)
    model: str | None = Field(None, max_length=50)
    serial: str | None = Field(None, max_length=50)
    secret: str | None = Field(
        None, min_length=1, max_length=64, description="That the station has; default: a new one"
    )
    weak_secret: bool = Field(False, description="Take a weak secret, as an exception of this one")


class Import(Given):
    rows: list[ImportRow] = Field(min_length=1, max_length=200)
    dry_run: bool = Field(False, description="Say what would be done, and do nothing")


class ImportedRow(BaseModel):
    """`result`: added, updated, unchanged or refused. `token`: a new one, shown this once."""

    identity: str
    result: str
    detail: str | None = None
    token: str | None = None


class Imported(BaseModel):
    """In the order of the rows."""

    rows: list[ImportedRow]


class UnknownStationOut(BaseModel):
    identity: str
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime
    remote_address: str
    pending: bool = Field(False, description="It is let in and waits to be accepted")

    @classmethod
    def of(cls, u: UnknownStation) -> UnknownStationOut:
        return cls(**u._asdict())


class MessageOut(BaseModel):
    at: datetime
    direction: str = Field(examples=["in"], description="in: from the station, out: to it")
    kind: str = Field(description="call, result, error, send, refused (no message) or ignored")
    action: str | None = Field(examples=["Heartbeat"])
    text: str = Field(description="Cut where it is long; secrets are hidden")
    size: int = Field(description="Characters of the whole message")
    skipped: int = Field(description="Messages right before it that were not logged")

    @classmethod
    def of(cls, m: Message) -> MessageOut:
        return cls(**{name: getattr(m, name) for name in cls.model_fields})


class MessagePage(Page[MessageOut]):
    """`newest` is where `after` goes on."""

    newest: str | None = None


# -- commands ------------------------------------------------------------------------------------


class CommandNew(Given):
    kind: Kind = Field(examples=["start_charging"])
    parameters: dict[str, Any] = Field(
        default_factory=dict, examples=[{"token": "04E1A2B3", "evse": 1}]
    )


class CommandOut(OfStation):
    id: str
    kind: str
    parameters: dict[str, Any]
    status: str
    detail: str | None
    result: dict[str, Any] | None = Field(description="The station's answer, as it came")
    transaction_id: int | None = Field(description="The transaction that a start led to")
    created_at: datetime
    sent_at: datetime | None
    finished_at: datetime | None
    requested_by: str
    node: str | None = Field(description="The one that has it in hand, or had")


class RawResult(BaseModel):
    """What became of a raw OCPP call: `result`, `error` or `timeout` says which."""

    outcome: str = Field(examples=["result", "error", "timeout", "unknown"])
    payload: dict[str, Any] | None = None
    error_code: str | None = None
    error: str | None = None
    command_id: str


# -- transactions --------------------------------------------------------------------------------


class TransactionOut(OfStation):
    id: int
    party_id: str
    wire_id: str = Field(description="The station's own id of it")
    evse: int
    connector: int | None
    open: bool
    token_uid: str | None
    group_id: str | None
    outcome: str = Field(description="Of the authorization at its start")
    started_at: datetime
    ended_at: datetime | None
    energy_wh: int
    meter_start_wh: int | None
    meter_last_wh: int | None
    charging_state: str | None
    stop_reason: str | None
    stop_token_uid: str | None
    end_kind: str | None = Field(
        description="reported; superseded, closed and lost: the end is an estimate"
    )
    offline: bool
    flags: list[str]
    flag_meanings: dict[str, str] = Field(
        description="What each flag says",
        examples=[{"sequence_gap": "messages between its start and its end never came"}],
    )
    details: dict[str, Any] = Field(
        description="What else the station said last: why it reported, limit, tariff, cost",
        examples=[{"trigger": "LimitSet", "limit": {"max_energy_wh": 20000}}],
    )
    missing_messages: int = Field(
        description="Gaps in the station's sequence numbers, and a start that never came"
    )
    command_id: str | None
    reservation_id: int | None
    received_at: datetime
    heard_at: datetime = Field(description="When the station last said anything about it")

    @classmethod
    def of(cls, entity: Transaction, station: str) -> TransactionOut:
        own = {
            "station": station,
            "meter_start_wh": entity.first_wh,
            "meter_last_wh": entity.last_wh,
            "missing_messages": lacking(entity),
            "flags": list(entity.flags),
            "flag_meanings": {flag: MEANING[flag] for flag in entity.flags},
            "details": {name: said[1] for name, said in (entity.details or {}).items()},
            "heard_at": last_heard(entity),
        }
        rest = {n: getattr(entity, n) for n in cls.model_fields if n not in own}
        return cls(**own, **rest)


class TransactionChecked(BaseModel):
    """What the station said of a transaction; null where it did not."""

    ongoing: bool | None
    messages_in_queue: bool | None
    detail: str | None = Field(description="Why there is no answer")
    transaction: TransactionOut


class SampleOut(BaseModel):
    at: datetime
    received_at: datetime
    readings: list[dict[str, Any]]

    @classmethod
    def of(cls, m: MeterSample) -> SampleOut:
        return cls(at=m.at, received_at=m.received_at, readings=orjson.loads(m.readings))


# -- tokens, keys, quarantine ----------------------------------------------------------------------


class TokenNew(Given):
    uid: str = Field(examples=["04E1A2B3"], min_length=1, max_length=255)
    kind: str = Field("rfid", examples=["rfid", "app", "other"])
    party_id: str | None = None
    group_id: str | None = Field(None, max_length=36)
    expires_at: datetime | None = None
    concurrent: bool = Field(False, description="May charge at several places at once")
    label: str | None = Field(None, max_length=255)
    technology: str | None = Field(
        None,
        description="How a card is read; part of what OCPP 2.x stations compare",
        examples=["iso14443", "iso15693"],
    )


class TokenChange(Given):
    blocked: bool = Field(examples=[True])


class TokenOut(BaseModel):
    uid: str
    kind: str
    party_id: str
    blocked: bool
    group_id: str | None
    expires_at: datetime | None
    concurrent: bool
    label: str | None
    technology: str | None
    created_at: datetime

    @classmethod
    def of(cls, t: Token) -> TokenOut:
        return cls(**{name: getattr(t, name) for name in cls.model_fields})


class KeyNew(Given):
    name: str = Field(min_length=1, max_length=64, examples=["night shift"])
    role: Role = Field(examples=["operator"])
    parties: list[str] = Field(
        default_factory=list,
        max_length=MAX_PARTIES,
        examples=[["CA*NTH"]],
        description="It sees and writes only what these own; none: those of the key that makes it",
    )


class KeyOut(BaseModel):
    id: str
    name: str
    role: Role
    parties: list[str] = Field(default_factory=list, description="Empty: all")
    created_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, k: ApiKey) -> KeyOut:
        rest = {n: getattr(k, n) for n in cls.model_fields if n != "parties"}
        return cls(parties=list(k.parties), **rest)


class KeyIssued(KeyOut):
    """A new key. `key` is shown this once."""

    key: str


class AuditOut(BaseModel):
    number: int
    at: datetime
    actor: str = Field(description="Id of the API key")
    actor_name: str
    action: str = Field(examples=["station_added"])
    target: str = Field(examples=["CP-1"])
    station_id: str | None
    party_id: str | None
    facts: dict[str, Any] = Field(description="What was asked for, without secrets")
    remote_address: str | None

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditOut:
        return cls(**entry._asdict())


class QuarantinedOut(OfStation):
    id: str
    kind: str
    reason: str
    received_at: datetime
    payload: dict[str, Any]
    assigned_to: int | None = Field(description="The transaction that it was placed at")
    assigned_at: datetime | None
    assigned_by: str | None = Field(description="Id of an API key")


class PlacementNew(Given):
    transaction_id: int = Field(ge=1, le=2**31 - 1, examples=[17])
    dry_run: bool = Field(False, description="Say what it would do, and change nothing")


class PlacementOut(BaseModel):
    """A transaction before and after a kept report was placed at it."""

    dry_run: bool
    samples: int = Field(description="Meter samples that are new")
    before: TransactionOut
    after: TransactionOut
