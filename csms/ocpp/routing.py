"""What all versions share on the way from a call to its answer.

A version is a table of routes. `dispatch` finds the route, checks the payload against the schema
(repairing it on the money path) and gives back what the store has to run; `serve` is that function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson

from csms.core import events, stations
from csms.core.ids import Origin
from csms.core.ports import Ask, Need, Reply, Tx
from csms.core.security import without_secrets
from csms.core.stations import Registration
from csms.ocpp.broken_json import CUT_OFF, MENDED
from csms.ocpp.repair import repair
from csms.ocpp.rpc import Call, ErrorCode, Notice, Version
from csms.ocpp.validation import FAULTS_REPAIRABLE, Fault, Schemas

Payload = Mapping[str, Any]
MAX_STORED_REPORT_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class Refusal:
    """The call cannot be answered with a result. `description` never quotes the payload."""

    code: ErrorCode
    description: str = ""


def unusable(payload: Payload, *names: str) -> Refusal:
    """Refuses a message over the field at the end of `names`: it is missing, or worth nothing."""
    value: Any = payload
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    words = "is missing" if value is None else "not usable"
    code = (
        ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
        if value is None
        else ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    )
    return Refusal(code, f"/{'/'.join(names)}: {words}")


Answer = Reply[Payload] | Ask[Payload] | Refusal
Handler = Callable[[Tx, Origin, Payload], Answer]


class Before(StrEnum):
    """Whether a call is served before its station was accepted (OCPP 2.0.1 B02.FR.09, B03.FR.07).

    `never`: SecurityError. `always`: served in every state: a boot, what was asked for in order to
    decide, and what is told about a charge, which the station would discard otherwise.
    """

    NEVER = "never"
    ALWAYS = "always"


def no_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    """For handlers that read nothing but the station."""
    return ()


def station_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    """For handlers that are always served and read the station's row."""
    return (stations.needs(origin.station_id),)


@dataclass(frozen=True, slots=True)
class Route:
    """How one action is served. `money`: repaired rather than refused, because a charge depends
    on it."""

    handle: Handler
    needs: Callable[[Origin, Payload], tuple[Need, ...]] = no_needs
    money: bool = False
    before: Before = Before.NEVER


@dataclass(frozen=True, slots=True)
class Dialect:
    """One OCPP version. `from_station`: what stations may send, with its route. `strict_new`: a
    station that never booted is refused as the version demands. `foreign`: the version whose
    messages some stations send on a link of this one (quirk 8)."""

    version: Version
    routes: Mapping[str, Route]
    strict_new: bool
    foreign: Dialect | None = None

    @property
    def schemas(self) -> Schemas:
        return Schemas.of(self.version)


@dataclass(frozen=True, slots=True)
class Work:
    """What the store has to run for one call: `serve` with these."""

    route: Route
    payload: Payload
    violations: tuple[str, ...]
    strict_new: bool


def dispatch(dialect: Dialect, call: Call | Notice, *, strict: bool = False) -> Work | Refusal:
    """Route and validate a call. `strict`: nothing is repaired, as in a certification."""
    route = dialect.routes.get(call.action)
    if route is None:
        foreign = None if strict else _foreign(dialect, call)
        return foreign or _unknown(dialect, call.action)
    faults = dialect.schemas.request_faults(call.action, call.payload)
    if not faults and not call.violations:
        return Work(route, call.payload, (), dialect.strict_new)
    if _broken(call) and (strict or not route.money):
        return NOT_JSON
    if not faults:
        return Work(route, call.payload, call.violations, dialect.strict_new)
    if not route.money or strict:
        first = faults[0]
        return Refusal(first.code, f"{first.path or '/'}: {first.detail}")
    foreign = _foreign(dialect, call)
    if foreign is not None:
        return foreign
    work, left = _repaired(dialect, route, call)
    if CUT_OFF in call.violations and any(len(fault.steps) == 1 for fault in left):
        return NOT_JSON
    return work


NOT_JSON = Refusal(ErrorCode.RPC_FRAMEWORK_ERROR, "not json")


def _broken(call: Call | Notice) -> bool:
    return MENDED in call.violations or CUT_OFF in call.violations


def _unknown(dialect: Dialect, action: str) -> Refusal:
    if action in dialect.schemas.actions:
        return Refusal(
            ErrorCode.NOT_SUPPORTED, f"{action}: not a call that a station makes of its system"
        )
    # What a station writes is not trusted to be short, or printable.
    name = "".join(c for c in action[:_ACTION_CHARS] if c.isprintable())
    return Refusal(ErrorCode.NOT_IMPLEMENTED, f"{name}: no action of OCPP {dialect.version}")


_ACTION_CHARS = 50


def _foreign(dialect: Dialect, call: Call | Notice) -> Work | None:
    """A message of another version that a charge depends on, if it plainly is one: it has all that
    is required there."""
    foreign = dialect.foreign
    route = foreign.routes.get(call.action) if foreign is not None else None
    if foreign is None or route is None or not route.money:
        return None
    work, left = _repaired(foreign, route, call)
    if any(len(fault.steps) == 1 for fault in left):
        return None
    kinds = (FOREIGN_VERSION, *work.violations)
    return replace(work, violations=kinds, strict_new=dialect.strict_new)


def _repaired(dialect: Dialect, route: Route, call: Call | Notice) -> tuple[Work, Sequence[Fault]]:
    """The call with what could be put right, and the faults that are left."""
    faults = dialect.schemas.request_faults(call.action, call.payload, FAULTS_REPAIRABLE)
    whole = [fault for fault in faults if _stays_whole(fault)]
    mended = repair(call.payload, [fault for fault in faults if not _stays_whole(fault)])
    left = dict.fromkeys(fault.kind for fault in (*mended.left, *whole))
    kinds = (*call.violations, *mended.kinds, *left)
    return Work(route, mended.payload, kinds, dialect.strict_new), mended.left


FOREIGN_VERSION = "foreign_version"


# What is never cut. What a station calls a thing: two names could become one; what is signed: half
# of it proves nothing.
_WHOLE = frozenset(
    {
        "idTag",
        "parentIdTag",
        "idToken",
        "transactionId",
        "serialNumber",
        "chargePointSerialNumber",
        "chargeBoxSerialNumber",
        "signedMeterData",
        "publicKey",
    }
)


def _stays_whole(fault: Fault) -> bool:
    return fault.kind == "too_long" and fault.steps[-1] in _WHOLE


def needs(origin: Origin, work: Work) -> tuple[Need, ...]:
    """What `serve` will read."""
    wanted = work.route.needs(origin, work.payload)
    return (stations.needs(origin.station_id), *wanted) if _about_station(work) else wanted


def _about_station(work: Work) -> bool:
    """Whether the station's row decides about the call, or counts something of it. Of what a charge
    depends on nothing does, and reading the row costs a tenth of a meter value."""
    return work.route.before is not Before.ALWAYS or bool(work.violations)


def serve(tx: Tx, origin: Origin, work: Work) -> Answer:
    """Run the handler of a call inside its transaction."""
    if _about_station(work):
        station = stations.require(tx, origin.station_id)
        if not _admitted(station.registration, work):
            tx.mark("call_before_acceptance")
            return Refusal(ErrorCode.SECURITY_ERROR, f"the station is {station.registration}")
        if work.violations:
            stations.count_violations(tx, origin.station_id, work.violations)
    return work.route.handle(tx, origin, work.payload)


def _admitted(registration: str, work: Work) -> bool:
    if registration == Registration.ACCEPTED or work.route.before is Before.ALWAYS:
        return True
    return registration == Registration.NEW and not work.strict_new


# A report about a connector that no station has: answered, and counted as a violation.
OUT_OF_RANGE = "connector_out_of_range"
# Signed data beyond any bound: left out, the value beside it is used, and counted as a violation.
SIGNED_TOO_LARGE = "signed_data_too_large"


def count_refusal(tx: Tx, origin: Origin, kind: str) -> None:
    """Remember that a call of the station, or what it reports, could not be used."""
    stations.count_violations(tx, origin.station_id, (kind,))


def stored(action: str, answer: Payload | Callable[[Payload], Payload]) -> Route:
    """A route for what has no block of its own yet: kept in the journal, answered as the version
    requires."""

    def handle(tx: Tx, origin: Origin, payload: Payload) -> Answer:
        keep_report(tx, origin, action, payload)
        return Reply(answer(payload) if callable(answer) else answer)

    return Route(handle)


def keep_report(tx: Tx, origin: Origin, action: str, payload: Payload) -> None:
    """Journal a message that has no block of its own; one that is too large is counted, and only
    its size is kept."""
    size = len(orjson.dumps(payload))
    kept: Mapping[str, Any] = {"left_out_bytes": size}
    if size <= MAX_STORED_REPORT_BYTES:
        kept = without_secrets(payload)
    else:
        stations.count_violations(tx, origin.station_id, ("report_too_large",))
    tx.record(
        events.StationReported(
            at=origin.at, station_id=origin.station_id, action=action, payload=dict(kept)
        )
    )
