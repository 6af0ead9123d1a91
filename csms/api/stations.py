"""Stations, their credentials, their commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query

from csms.api.auth import (
    AdminWriter,
    OperatorWriter,
    Principal,
    Provided,
    Viewer,
    Writer,
)
from csms.api.paging import Cursor, Limit, Page, page
from csms.api.problems import Forbidden
from csms.api.shapes import (
    CommandNew,
    CommandOut,
    OfStation,
    Onboarded,
    RawResult,
    StationChange,
    StationNew,
    StationOut,
)
from csms.api.system import System
from csms.core import security, stations
from csms.core.availability import Connector
from csms.core.commands import Command, Kind, Status, no_token
from csms.core.desired_availability import DesiredAvailability
from csms.core.errors import Invalid, NotFound
from csms.core.policies import Policy
from csms.core.ports import Tx
from csms.core.quirks import Value, checked, set_switch
from csms.core.security import BASIC, Credential, Role
from csms.core.stations import NewStation, Station
from csms.core.tokens import Token, uid_key

router = APIRouter(tags=["stations"])
S = TypeVar("S", bound=OfStation)
Wait = Annotated[float, Query(ge=0, description="Seconds to wait for the outcome")]
MAX_SHOWN_CONNECTORS = 512


async def find(provided: System, station: str, who: Principal) -> Station:
    """A station by its id or its identity. Raises `NotFound`, also for one that belongs to a party
    that the key is not for."""
    reader = provided.store.reader
    found = await reader.get(Station, station)
    if found is None:
        named = await reader.page(Station, {"identity": station}, limit=1)
        found = named[0] if named else None
    if found is None or not who.sees(found.party_id):
        raise NotFound(f"no station {station}; csms station list shows those there are")
    return found


async def named(provided: System, found: Page[Any], shape: type[S]) -> Page[S]:
    """A page of things of stations, each with its station's identity beside the id."""
    names: dict[str, str] = {}
    for entity in found.items:
        if entity.station_id not in names:
            names[entity.station_id] = await identity_of(provided, entity.station_id)
    items = [shape.of(entity, names[entity.station_id]) for entity in found.items]
    return Page(items=items, next=found.next)


async def identity_of(provided: System, station_id: str) -> str:
    """A station's identity for people; its id when it is gone."""
    station = await provided.store.reader.get(Station, station_id)
    return station.identity if station else station_id


async def show(provided: System, station: Station) -> StationOut:
    connectors = await provided.store.reader.page(
        Connector, {"station_id": station.id}, limit=MAX_SHOWN_CONNECTORS
    )
    policy = await provided.store.reader.get(Policy, station.id)
    desired = await provided.store.reader.page(
        DesiredAvailability, {"station_id": station.id}, limit=MAX_SHOWN_CONNECTORS
    )
    return StationOut.of(station, connectors, provided.seen(station.id), policy, desired)


@router.get("/stations")
async def list_stations(
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    identity: str | None = None,
) -> Page[StationOut]:
    """The stations, with the state of their connectors."""
    found = await page(
        provided.store.reader,
        Station,
        lambda s: s,
        cursor=cursor,
        limit=limit,
        where={"identity": identity, "party_id": who.only},
    )
    return Page(items=[await show(provided, s) for s in found.items], next=found.next)


@router.post("/stations", status_code=201)
async def add_station(new: StationNew, writer: AdminWriter) -> Onboarded:
    """Add a station. Its token is in the answer and nowhere else."""
    provided = writer.provided
    party = writer.who.party_for(new.party_id, provided.party)
    station = NewStation(new.identity, party, new.evses, new.connectors)
    switches = {name: checked(name, value) for name, value in new.switches.items()}
    token = writer.secret()
    credential = new_credential(provided, token)
    station_id = provided.new_id()
    answer = await writer.run(
        "station_added",
        new.identity,
        _onboard,
        station_id,
        station,
        credential,
        switches,
        provided.clock(),
        station_id=station_id,
        party_id=party,
    )
    writer.issued(token, again=answer["credential_id"] != credential.id)
    return _onboarded(provided, answer, token)


def _onboard(
    tx: Tx,
    station_id: str,
    new: NewStation,
    credential: Credential,
    switches: Mapping[str, Value],
    now: Any,
) -> Mapping[str, Any]:
    station = stations.onboard(tx, station_id, new, now)
    for name, value in switches.items():
        set_switch(tx, station_id, name, value, now)
    security.issue(tx, credential._replace(station_id=station.id), now)
    return {"id": station.id, "identity": station.identity, "credential_id": credential.id}


def new_credential(provided: System, token: str) -> Credential:
    key_id, hashed = provided.keyring.hash(token.encode())
    return Credential(provided.new_id(), "", BASIC, key_id, hashed, provided.clock())


def _onboarded(provided: System, answer: Mapping[str, Any], token: str) -> Onboarded:
    identity = str(answer["identity"])
    return Onboarded(
        id=str(answer["id"]),
        identity=identity,
        url=provided.station_url,
        user=identity,
        token=token,
    )


@router.get("/stations/{station}")
async def show_station(station: str, who: Viewer, provided: Provided) -> StationOut:
    """One station, by id or identity."""
    return await show(provided, await find(provided, station, who))


@router.patch("/stations/{station}")
async def change_station(station: str, change: StationChange, writer: AdminWriter) -> StationOut:
    """Set what an operator may set; fields left out stay."""
    provided = writer.provided
    found = await find(provided, station, writer.who)
    await writer.run(
        "station_changed",
        found.identity,
        _change,
        found.id,
        change,
        provided.clock(),
        station_id=found.id,
        party_id=found.party_id,
    )
    return await show(provided, await find(provided, found.id, writer.who))


def _change(tx: Tx, station_id: str, change: StationChange, now: Any) -> Mapping[str, Any]:
    changed = stations.change(tx, station_id, now, registration=change.registration)
    return {"id": changed.id}


# -- commands --------------------------------------------------------------------------------------


async def _check_driver(
    provided: System, who: Principal, kind: Kind, parameters: Mapping[str, Any]
) -> None:
    """Nobody starts a charge on the token of another party. Raises `Refused`."""
    uid = parameters.get("token")
    if kind is not Kind.START_CHARGING or who.only is None or not isinstance(uid, str):
        return
    own = {"party_id": who.only, "uid_key": uid_key(uid)}
    if not await provided.store.reader.page(Token, own, limit=1):
        raise no_token(uid)


async def _submit(
    writer: Writer, station: str, kind: Kind, parameters: Mapping[str, Any], wait_s: float
) -> Command:
    provided = writer.provided
    if wait_s > provided.max_wait_s:
        raise Invalid(f"wait: at most {provided.max_wait_s:g} seconds")
    found = await find(provided, station, writer.who)
    await _check_driver(provided, writer.who, kind, parameters)
    return await provided.commander.submit(
        found.id,
        kind,
        parameters,
        writer.who.key_id,
        wait_s=wait_s,
        idempotency_key=writer.scoped_key,
        actor=writer.actor,
    )


@router.post("/stations/{station}/commands", status_code=202)
async def command(
    station: str, new: CommandNew, writer: OperatorWriter, wait: Wait = 0.0
) -> CommandOut:
    """Ask something of the station. The answer says what is known after `wait` seconds. The kind
    `call` needs the role admin, as `/ocpp/{action}` does."""
    if new.kind is Kind.CALL and writer.who.role is not Role.ADMIN:
        raise Forbidden("a raw OCPP call needs the role admin")
    done = await _submit(writer, station, new.kind, new.parameters, wait)
    return CommandOut.of(done, await identity_of(writer.provided, done.station_id))


@router.get("/commands")
async def list_commands(
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    station: str | None = None,
) -> Page[CommandOut]:
    """The command ledger."""
    station_id = (await find(provided, station, who)).id if station else None
    found = await page(
        provided.store.reader,
        Command,
        lambda command: command,
        cursor=cursor,
        limit=limit,
        where={"station_id": station_id, "party_id": who.only},
        newest_first=True,
    )
    return await named(provided, found, CommandOut)


@router.get("/commands/{command_id}")
async def show_command(command_id: str, who: Viewer, provided: Provided) -> CommandOut:
    """One row of the command ledger."""
    found = await provided.store.reader.get(Command, command_id)
    if found is None or not who.sees(found.party_id):
        raise NotFound(f"no command {command_id}")
    return CommandOut.of(found, await identity_of(provided, found.station_id))


@router.post("/stations/{station}/ocpp/{action}")
async def raw_call(
    station: str, action: str, payload: dict[str, Any], writer: AdminWriter
) -> RawResult:
    """Any OCPP call of the station's version; waits for the answer. A CALLERROR and no answer are
    told apart."""
    parameters = {"action": action, "payload": payload}
    done = await _submit(writer, station, Kind.CALL, parameters, writer.provided.max_wait_s)
    result = dict(done.result or {})
    if done.status == Status.ACCEPTED:
        return RawResult(outcome="result", payload=result, command_id=done.id)
    if done.status == Status.FAILED and "error_code" in result:
        return RawResult(outcome="error", command_id=done.id, **result)
    if done.status == Status.REJECTED:
        raise Invalid(done.detail or "the call is not valid", command_id=done.id)
    # Still on its way after the longest wait: the ledger will know.
    late = done.status in (Status.TIMED_OUT, Status.SENT, Status.QUEUED)
    outcome = "timeout" if late else "unknown"
    return RawResult(outcome=outcome, error=done.detail, command_id=done.id)
