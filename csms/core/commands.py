"""Commands: somebody's wish about a station, and the ledger of what became of it.

States: queued -> sent -> accepted | rejected | failed | timed_out; unknown when the node died after
sending. A command is never sent again by itself. A late result still updates its row. Accepted is
not started: the transaction that follows a start is matched to its command.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from csms.core import aliases, audit, desired_availability, events, locations, orders, visitors
from csms.core.audit import Actor
from csms.core.authorization import Outcome, authorize, resolve
from csms.core.availability import Connector
from csms.core.entities import entity
from csms.core.errors import Invalid, NotFound, Refused
from csms.core.ids import MAX_INT32
from csms.core.ports import Need, Tx
from csms.core.security import without_secrets
from csms.core.stations import Registration, Station, require
from csms.core.tokens import Shown, uid_key
from csms.core.transactions import Transaction

# A remote start may wait for the cable this long before its transaction begins (OCPP 1.6
# ConnectionTimeOut, 2.x EVConnectionTimeOut are minutes at most in the field).
START_MATCH_WINDOW = timedelta(minutes=15)


class Status(StrEnum):
    """State of a command in the ledger."""

    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    UNKNOWN = "unknown"


FINAL = frozenset({Status.ACCEPTED, Status.REJECTED, Status.FAILED})


class Kind(StrEnum):
    """The version-neutral commands. `call` is any OCPP call of the station's own version."""

    START_CHARGING = "start_charging"
    STOP_CHARGING = "stop_charging"
    RESET = "reset"
    UNLOCK = "unlock"
    SET_AVAILABILITY = "set_availability"
    TRIGGER = "trigger"
    CLEAR_CACHE = "clear_cache"
    CALL = "call"


# What each kind takes: name -> (type, required). Values beyond these are refused.
PARAMETERS: Mapping[Kind, Mapping[str, tuple[type[Any], bool]]] = {
    Kind.START_CHARGING: {"token": (str, True), "evse": (int, False)},
    Kind.STOP_CHARGING: {"transaction_id": (int, False), "evse": (int, False)},
    Kind.RESET: {"immediate": (bool, False), "resume": (bool, False), "evse": (int, False)},
    Kind.UNLOCK: {"evse": (int, True), "connector": (int, False)},
    Kind.SET_AVAILABILITY: {
        "available": (bool, True),
        "evse": (int, False),
        "connector": (int, False),
    },
    Kind.TRIGGER: {"message": (str, True), "evse": (int, False), "connector": (int, False)},
    Kind.CLEAR_CACHE: {},
    Kind.CALL: {"action": (str, True), "payload": (dict, True)},
}
# What `submit` adds to the parameters of a wish.
RESOLVED: Mapping[Kind, tuple[str, ...]] = {
    Kind.START_CHARGING: ("token_kind", "alias"),
    Kind.STOP_CHARGING: ("transaction_id", "wire_id"),
}
TRIGGERS = ("boot", "heartbeat", "status", "meter_values", "transaction", "firmware", "logs")


def check_parameters(kind: Kind, parameters: Mapping[str, Any]) -> None:
    """Raises `Invalid` naming the parameter that is missing, unknown or of a wrong type."""
    known = PARAMETERS[kind]
    for name, value in parameters.items():
        if name not in known:
            raise Invalid(f"{kind} takes {', '.join(known) or 'no parameters'}, not {name}")
        wanted = known[name][0]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise Invalid(f"{kind}: {name} must be of type {wanted.__name__}")
        if wanted is int and not 0 <= value <= MAX_INT32:
            raise Invalid(f"{kind}: {name} is out of range")
    for name, (_, required) in known.items():
        if required and name not in parameters:
            raise Invalid(f"{kind} needs {name}")
    if kind is Kind.TRIGGER and parameters["message"] not in TRIGGERS:
        raise Invalid(f"trigger: message is one of {', '.join(TRIGGERS)}")


@entity(
    "commands",
    key=("id",),
    finders={"awaiting": ("station_id", "awaiting"), "idempotency_key": ("idempotency_key",)},
    unique=("idempotency_key",),
)
class Command(NamedTuple):
    """One row of the ledger.

    `number`: positive int32, the remoteStartId of OCPP 2.x. `awaiting`: a start whose transaction
    has not come yet. `result`: the station's answer as it came. `detail`: the reason in words.
    `node`: which has it in hand, from the time that it is sent the one that sent it.
    """

    id: str
    number: int
    station_id: str
    kind: str
    parameters: Mapping[str, Any]
    status: str
    created_at: datetime
    requested_by: str
    idempotency_key: str | None = None
    sent_at: datetime | None = None
    finished_at: datetime | None = None
    result: Mapping[str, Any] | None = None
    detail: str | None = None
    awaiting: bool = False
    transaction_id: int | None = None
    node: str | None = None
    party_id: str = ""


def submit(
    tx: Tx,
    command_id: str,
    station_id: str,
    kind: Kind,
    parameters: Mapping[str, Any],
    requested_by: str,
    now: datetime,
    idempotency_key: str | None = None,
    actor: Actor | None = None,
    node: str | None = None,
) -> tuple[Command, bool]:
    """Enter a wish in the ledger, without its secrets; the command to carry out, and True when it
    is new. `node`: the one that it was entered at, which has it in hand. The same idempotency key
    gives the first command again, and `Invalid` when it was another wish. Raises `Refused` for what
    cannot work: a token that may not charge, a transaction that has ended, a station that is
    pending (OCPP 1.6 4.2)."""
    station = require(tx, station_id)
    check_parameters(kind, parameters)
    if idempotency_key is not None:
        earlier = tx.find(Command, "idempotency_key", idempotency_key)
        if earlier:
            first = earlier[0]
            # A stop names its transaction by now, which the wish may have left open.
            resolved = RESOLVED.get(kind, ())
            wish = {
                k: v for k, v in first.parameters.items() if k in parameters or k not in resolved
            }
            asked = without_secrets(parameters)
            if (first.station_id, first.kind, wish) != (station_id, kind.value, asked):
                raise Invalid("this Idempotency-Key was used for another command")
            return first, False
    held_back = station.registration == Registration.PENDING and kind in (
        Kind.START_CHARGING,
        Kind.STOP_CHARGING,
    )
    # A rejected station is sent nothing at all (OCPP 2.0.1 B03.FR.03).
    if held_back or station.registration == Registration.REJECTED:
        raise Refused(f"{station.identity} is {station.registration}: accept the station first")
    parameters = dict(parameters)
    _check_evse(tx, station, parameters.get("evse"))
    if kind is Kind.START_CHARGING and parameters.get("evse") is None:
        # There are stations that start nothing unless they are told where.
        only = _only_evse(tx, station_id)
        parameters |= {} if only is None else {"evse": only}
    if kind is Kind.START_CHARGING:
        uid = str(parameters["token"])
        parameters["token_kind"] = _check_token(tx, uid, now, station_id, parameters.get("evse"))
        if len(uid) > aliases.MAX_SHORT:
            # For a station that cannot carry it as it is (OCPP 1.6).
            parameters["alias"] = aliases.give(tx, uid, now)
    if kind is Kind.STOP_CHARGING:
        parameters = _resolve_stop(tx, station_id, parameters)
    command = Command(
        id=command_id,
        number=tx.next_number("command"),
        station_id=station_id,
        kind=kind.value,
        parameters=parameters,
        status=Status.QUEUED,
        created_at=now,
        requested_by=requested_by,
        idempotency_key=idempotency_key,
        awaiting=kind is Kind.START_CHARGING,
        node=node,
        party_id=station.party_id,
    )
    if kind is Kind.SET_AVAILABILITY:
        desired_availability.want(tx, station_id, parameters, command_id, requested_by, now)
        locations.wished(tx, station_id, now)
    # The ledger is for people to read; what goes on the wire is in the caller's hands only.
    tx.save(command._replace(parameters=without_secrets(parameters)))
    _journal(tx, command, now)
    audit.record(
        tx,
        now,
        actor or Actor(requested_by),
        kind.value,
        station.identity,
        station_id=station_id,
        party_id=station.party_id,
        facts={"command_id": command_id, **parameters},
    )
    return command, True


def _only_evse(tx: Tx, station_id: str) -> int | None:
    """The EVSE of a station that has one."""
    evses = {c.evse for c in tx.find(Connector, "station", station_id) if c.evse}
    return evses.pop() if len(evses) == 1 else None


def _check_evse(tx: Tx, station: Station, evse: int | None) -> None:
    """An EVSE that the station has, as onboarded or as reported; 0 is the station."""
    known = {c.evse for c in tx.find(Connector, "station", station.id)}
    if evse and known and evse not in known:
        listed = ", ".join(str(number) for number in sorted(known - {0}))
        raise Refused(f"{station.identity} has no EVSE {evse}; it has {listed}")


def _check_token(tx: Tx, uid: str, now: datetime, station_id: str, evse: int | None) -> str:
    """How the token is read, or its kind. A token that may not charge is not worth asking a station
    for; some start without asking back."""
    found = authorize(tx, Shown(uid), now, station_id, evse)
    if found.outcome is Outcome.INVALID:
        raise no_token(uid)
    if found.outcome is not Outcome.ACCEPTED:
        raise Refused(f"token {uid} is {found.outcome}")
    token = resolve(tx, Shown(uid), now)
    if token is None:
        visitor = orders.token_of(tx, station_id, uid) or visitors.resolve(tx, uid)
        assert visitor is not None, "only a token that is known is accepted"
        return visitor.kind
    return token.technology or token.kind


def no_token(uid: str) -> Refused:
    """There is none of that uid, or none that the asking party may know of."""
    return Refused(f"there is no token {uid}; add it first: csms token add {uid}")


def _resolve_stop(tx: Tx, station_id: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Name the transaction to stop: given, or the only open one (of the EVSE given)."""
    wanted = parameters.get("transaction_id")
    running = tx.find(Transaction, "open_of_station", station_id, True)
    if wanted is not None:
        found = tx.get(Transaction, wanted)
        if found is None or found.station_id != station_id:
            raise NotFound(f"the station has no transaction {wanted}")
        if not found.open:
            raise Refused(f"transaction {wanted} has ended already")
        return {**parameters, "wire_id": found.wire_id}
    evse = parameters.get("evse")
    candidates = [t for t in running if evse is None or t.evse == evse]
    if not candidates:
        raise Refused("no transaction is running there")
    if len(candidates) > 1:
        ids = ", ".join(str(t.id) for t in candidates)
        raise Invalid(f"several transactions are running, name one of: {ids}")
    chosen = candidates[0]
    return {**parameters, "transaction_id": chosen.id, "wire_id": chosen.wire_id}


def sent(tx: Tx, command_id: str, node: str, now: datetime) -> Command:
    """The command is about to go out on the wire from this node. Raises `Refused` when it is not
    queued any more: a command is sent once."""
    command = _require(tx, command_id)
    if command.status != Status.QUEUED:
        raise Refused(f"command {command_id} is {command.status}")
    return _move(tx, command_id, Status.SENT, now, sent_at=now, node=node)


def finish(
    tx: Tx,
    command_id: str,
    status: Status,
    now: datetime,
    result: Mapping[str, Any] | None = None,
    detail: str | None = None,
) -> Command:
    """The outcome. A second outcome of a command that has one changes nothing, except that a real
    answer replaces `timed_out` and `unknown`."""
    command = _require(tx, command_id)
    if command.status in FINAL or (command.finished_at is not None and status not in FINAL):
        tx.mark("command_finished_twice")
        return command
    if command.kind == Kind.SET_AVAILABILITY:
        told = (command.station_id, command.parameters, command_id)
        desired_availability.answered(tx, *told, _taken(status, result), detail)
        locations.wished(tx, command.station_id, now)
    awaiting = command.awaiting and status in (Status.ACCEPTED, Status.TIMED_OUT, Status.UNKNOWN)
    return _move(
        tx,
        command_id,
        status,
        now,
        finished_at=now,
        result=None if result is None else without_secrets(result),
        detail=detail,
        awaiting=awaiting,
    )


def take_back(tx: Tx, command_id: str, why: str, now: datetime) -> Command:
    """Nobody shall send it any more; the command as it is: failed, or sent by now."""
    command = _require(tx, command_id)
    if command.status != Status.QUEUED:
        return command
    return finish(tx, command_id, Status.FAILED, now, detail=why)


def _taken(status: Status, result: Mapping[str, Any] | None) -> bool | None:
    """Whether the station said yes or no (also by an error), None when it said nothing."""
    if status is Status.ACCEPTED:
        return True
    said_no = status is Status.REJECTED or (status is Status.FAILED and result is not None)
    return False if said_no else None


def node_died(tx: Tx, command_id: str, now: datetime) -> None:
    """The node that sent this command is gone, so nobody knows what the station did."""
    command = _require(tx, command_id)
    if command.status in (Status.QUEUED, Status.SENT):
        died = Status.UNKNOWN if command.status == Status.SENT else Status.FAILED
        finish(tx, command_id, died, now, detail="the server stopped before the answer came")


def needs_awaiting(station_id: str) -> Need:
    """Declares the read of what `match_start` chooses from."""
    return Need(Command, "awaiting", (station_id, True))


def match_start(tx: Tx, started: Transaction, now: datetime) -> Transaction:
    """Tie a transaction that just began to the start command that asked for it, if any.

    By remoteStartId where the station reports it (OCPP 2.0.1 F01.FR.25), else by token, EVSE and
    time (OCPP 1.6 has no id for it). Returns the transaction with its command.
    """
    for command in tx.find(Command, "awaiting", started.station_id, True):
        if now - command.created_at > START_MATCH_WINDOW:
            tx.save(command._replace(awaiting=False))
            continue
        if started.command_id is None and _asked_for(command, started):
            command = command._replace(awaiting=False, transaction_id=started.id)
            tx.save(command)
            _journal(tx, command, now)
            started = _with_driver(started._replace(command_id=command.id), command)
            tx.mark("start_matched_to_command")
    return started


def _with_driver(started: Transaction, command: Command) -> Transaction:
    """A station need not repeat the token of a remote start; the wish knows it."""
    uid = command.parameters.get("token")
    if started.token_uid is not None or not isinstance(uid, str):
        return started
    driver = Shown(uid, str(command.parameters.get("token_kind", "app")))
    return started._replace(token_uid=uid, token_key=driver.key, token_kind=driver.kind)


def _asked_for(command: Command, started: Transaction) -> bool:
    if started.remote_start_id is not None:
        return command.number == started.remote_start_id
    wanted_evse = command.parameters.get("evse")
    token = uid_key(str(command.parameters.get("token", "")))
    if wanted_evse is not None and started.evse not in (0, wanted_evse):
        return False
    return started.token_key is not None and started.token_key == token


def _require(tx: Tx, command_id: str) -> Command:
    command = tx.get(Command, command_id)
    if command is None:
        raise NotFound(f"no command {command_id}")
    return command


def _move(tx: Tx, command_id: str, status: Status, now: datetime, **changes: Any) -> Command:
    command = _require(tx, command_id)._replace(status=status.value, **changes)
    tx.save(command)
    _journal(tx, command, now)
    return command


def _journal(tx: Tx, command: Command, now: datetime) -> None:
    tx.record(
        events.CommandChanged(
            at=now,
            station_id=command.station_id,
            command_id=command.id,
            kind=command.kind,
            status=command.status,
            detail=command.detail,
            transaction_id=command.transaction_id,
        )
    )
