"""How stations log in: tokens that rotate, security profiles, exceptions, stations that wait."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter

from csms.api.auth import (
    MAX_RECENT_SECRETS,
    AdminWriter,
    NetworkViewer,
    Provided,
    Viewer,
    Writer,
)
from csms.api.paging import Cursor, Limit, Page, page
from csms.api.shapes import (
    Acceptance,
    Accepted,
    CredentialOut,
    ExceptionsChange,
    ProfileAnswer,
    ProfileWish,
    Rotated,
    Rotation,
    StationOut,
    UnknownStationOut,
)
from csms.api.stations import find, new_credential, show
from csms.api.system import System
from csms.core import guests, logins, policies, security, stations
from csms.core.commands import Kind
from csms.core.errors import CsmsError, Invalid, Refused, StationOffline
from csms.core.inquiries import ChangeProfile
from csms.core.logins import NO_AUTH, USER, WEAK_SECRET, Profile
from csms.core.policies import Policy
from csms.core.ports import Tx
from csms.core.security import Credential
from csms.core.stations import Registration, Station, UnknownStation
from csms.flows.logins import Taken, Told

router = APIRouter(tags=["stations"])
BY_HAND, KEPT = "by_hand", "kept"
# After these nobody has to type the token in: the station has it, or nobody will use it.
_NOT_SHOWN = (Taken.ACCEPTED, Taken.REBOOT_REQUIRED, Taken.REFUSED)


@router.get("/unknown-stations")
async def list_unknown(
    who: NetworkViewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[UnknownStationOut]:
    """Identities that tried to connect and are not known; `pending` ones wait to be accepted."""
    found = await page(
        provided.store.reader, UnknownStation, UnknownStationOut.of, cursor=cursor, limit=limit
    )
    for item in found.items:
        named = {"identity": item.identity, "guest": True}
        item.pending = await provided.store.reader.count(Station, named) > 0
    return found


# -- tokens ----------------------------------------------------------------------------------------


@router.post("/stations/{station}/credentials", status_code=201)
async def rotate_credentials(
    station: str, writer: AdminWriter, how: Rotation | None = None
) -> Rotated:
    """Give the station a new token, and send it there if it is connected. The old one works until
    the station has used the new one; a new one that the station refuses is taken back."""
    how = how or Rotation()
    provided = writer.provided
    found = await find(provided, station, writer.who)
    token = writer.secret()
    credential = new_credential(provided, token)._replace(station_id=found.id)
    answer = await writer.run(
        "credentials_rotated",
        found.identity,
        _rotate,
        found,
        credential,
        provided.clock(),
        how.at_once,
        station_id=found.id,
        party_id=found.party_id,
    )
    again = answer["credential_id"] != credential.id
    writer.issued(token, again=again)
    if how.at_once:
        if not again:
            provided.drop_link(found.id)
        return _rotated(provided, found, token, BY_HAND, old_works=False)
    if how.by_hand:
        return _rotated(provided, found, token, BY_HAND)
    told = await _push(writer, found, answer["credential_id"], token, again=again)
    return _rotated(provided, found, token, told.taken, told.detail)


def _rotate(
    tx: Tx, station: Station, credential: Credential, now: datetime, at_once: bool
) -> Mapping[str, Any]:
    (security.issue if at_once else logins.offer)(tx, credential, now)
    return {"id": station.id, "identity": station.identity, "credential_id": credential.id}


async def _push(
    writer: Writer, station: Station, credential_id: str, token: str, *, again: bool
) -> Told:
    """Send a token to its station, once; a repeated request gets what was said to the first."""
    recent, key = writer.provided.recent_told, writer.scoped_key
    if again:
        before = Told(Taken.NO_ANSWER, "this request was carried out before")
        return recent.get(key or "", before)
    told = await writer.provided.logins.push(station, credential_id, token)
    if key is not None:
        recent[key] = told
        while len(recent) > MAX_RECENT_SECRETS:
            del recent[next(iter(recent))]
    return told


def _rotated(
    provided: System,
    station: Station,
    token: str,
    pushed: str,
    detail: str | None = None,
    *,
    old_works: bool = True,
) -> Rotated:
    return Rotated(
        id=station.id,
        identity=station.identity,
        url=provided.station_url,
        user=station.identity,
        token=None if pushed in _NOT_SHOWN else token,
        pushed=pushed,
        detail=detail,
        old_works=old_works,
    )


@router.get("/stations/{station}/credentials")
async def list_credentials(station: str, who: Viewer, provided: Provided) -> list[CredentialOut]:
    """The secrets that open a link of this station now, the oldest first. During a rotation there
    are two: the new one that it has not used so far, and the old one that it may still use."""
    found = await find(provided, station, who)
    rows = await provided.store.reader.page(Credential, {"station_id": found.id}, limit=100)
    rows.sort(key=lambda c: c.created_at)
    return [CredentialOut(created_at=c.created_at, used_at=c.used_at, weak=c.weak) for c in rows]


# -- security profiles -----------------------------------------------------------------------------


@router.post("/stations/{station}/profile")
async def change_profile(station: str, wish: ProfileWish, writer: AdminWriter) -> ProfileAnswer:
    """Require a security profile of the station. One that it is connected with, or a lower one, is
    required from now on; a higher one is set in the station, which is reset, and required once it
    has booted on it. With `elsewhere` the station is sent to another system, and nothing changes
    here: it may come back."""
    provided = writer.provided
    found = await find(provided, station, writer.who)
    policy = await provided.store.reader.get(Policy, found.id) or Policy(found.id)
    reached = found.profile if found.node is not None else None
    if wish.elsewhere and wish.url is None:
        raise Invalid("elsewhere needs the url of the other system")
    if not wish.elsewhere and (wish.identity is not None or wish.password is not None):
        raise Invalid(
            "identity and password are for another system (elsewhere); here a token is changed "
            f"with csms station rotate {found.identity}"
        )
    reached_already = wish.profile <= max(policy.min_profile, reached or 0)
    at_once = reached_already and wish.url is None
    url = wish.url or provided.station_url
    if not at_once and wish.profile == Profile.BASIC_OVER_TLS and not url.startswith("wss://"):
        raise Refused(
            f"stations are given {url}, which is not TLS: set up [ocpp.tls] (csms init --tls) or "
            "public_url first"
        )
    if not at_once and found.node is None:
        raise StationOffline(f"{found.identity} is not connected, so it cannot be told")
    await writer.run(
        "station_sent_elsewhere" if wish.elsewhere else "profile_changed",
        found.identity,
        _require if at_once else _noted,
        found.id,
        Profile(wish.profile),
        provided.clock(),
        station_id=found.id,
        party_id=found.party_id,
    )
    if at_once:
        return await _profile_answer(provided, found, "required")
    wanted = ChangeProfile(
        wish.profile,
        url,
        wish.slot,
        tuple(wish.priority),
        wish.interface,
        identity=wish.identity,
        password=wish.password,
    )
    tell = provided.logins.move if wish.elsewhere else provided.logins.change_profile
    told = await tell(found, wanted)
    reset = None
    if wish.reset and told.taken in (Taken.ACCEPTED, Taken.REBOOT_REQUIRED):
        reset = await _command(writer, found, Kind.RESET, {})
    return await _profile_answer(provided, found, told.taken, told.detail, reset)


def _require(tx: Tx, station_id: str, profile: Profile, now: datetime) -> Mapping[str, Any]:
    logins.require_profile(tx, station_id, profile, now)
    return {"id": station_id}


def _noted(tx: Tx, station_id: str, profile: Profile, now: datetime) -> Mapping[str, Any]:
    return {"id": station_id}


async def _profile_answer(
    provided: System,
    station: Station,
    outcome: str,
    detail: str | None = None,
    reset: str | None = None,
) -> ProfileAnswer:
    policy = await provided.store.reader.get(Policy, station.id) or Policy(station.id)
    return ProfileAnswer(
        identity=station.identity,
        min_profile=policy.min_profile,
        wanted_profile=policy.wanted_profile,
        outcome=outcome,
        detail=detail,
        reset=reset,
    )


async def _command(writer: Writer, station: Station, kind: Kind, wish: Mapping[str, Any]) -> str:
    """Ask for something that belongs to what was done; the state of that, or why it was not."""
    provided = writer.provided
    try:
        done = await provided.commander.submit(
            station.id,
            kind,
            wish,
            writer.who.key_id,
            wait_s=provided.max_wait_s,
            actor=writer.actor,
        )
    except CsmsError as error:
        return error.detail or error.code
    return done.detail or done.status


# -- exceptions ------------------------------------------------------------------------------------


@router.patch("/stations/{station}/exceptions")
async def change_exceptions(
    station: str, change: ExceptionsChange, writer: AdminWriter
) -> StationOut:
    """Let this station do what others may not. Each is shown wherever the station is."""
    provided = writer.provided
    found = await find(provided, station, writer.who)
    changes = {name: getattr(change, name) for name in change.model_fields_set}
    credential = None
    if changes.get(WEAK_SECRET) is not None:
        secret = str(changes[WEAK_SECRET])
        if not secret:
            raise Invalid("weak_secret: give the secret that the station has")
        credential = new_credential(provided, secret)
        weak = logins.is_weak(secret.encode())
        credential = credential._replace(station_id=found.id, weak=weak)
        changes[WEAK_SECRET] = True if weak else None
    logins.checked_exceptions(changes)
    await writer.run(
        "exceptions_changed",
        found.identity,
        _except,
        found.id,
        changes,
        credential,
        provided.clock(),
        station_id=found.id,
        party_id=found.party_id,
        facts=changes,
    )
    return await show(provided, await find(provided, found.id, writer.who))


@router.delete("/stations/{station}/exceptions")
async def drop_exceptions(station: str, writer: AdminWriter) -> StationOut:
    """Take all exceptions of a station back: it has to log in like any other."""
    provided = writer.provided
    found = await find(provided, station, writer.who)
    await writer.run(
        "exceptions_changed",
        found.identity,
        _except,
        found.id,
        dict.fromkeys((WEAK_SECRET, USER, NO_AUTH)),
        None,
        provided.clock(),
        station_id=found.id,
        party_id=found.party_id,
    )
    return await show(provided, await find(provided, found.id, writer.who))


def _except(
    tx: Tx,
    station_id: str,
    changes: Mapping[str, Any],
    credential: Credential | None,
    now: datetime,
) -> Mapping[str, Any]:
    logins.set_exceptions(tx, station_id, changes, now)
    if credential is not None:
        logins.offer(tx, credential, now)
    return {"id": station_id, "exceptions": dict(policies.of(tx, station_id).exceptions)}


# -- stations that wait ----------------------------------------------------------------------------


@router.post("/stations/{station}/accept")
async def accept_guest(station: str, how: Acceptance, writer: AdminWriter) -> Accepted:
    """Let a station work. One that came by itself becomes one of the network: the secret that it
    showed is its token from now on, unless it is weak; then it gets a new one, or keeps it as an
    exception."""
    provided = writer.provided
    found = await find(provided, station, writer.who)
    token = writer.secret()
    credential = new_credential(provided, token)
    party = writer.who.party_for(how.party_id, provided.party)
    answer = await writer.run(
        "station_accepted",
        found.identity,
        _take_over,
        found.id,
        party,
        provided.clock(),
        credential,
        how.keep_weak_secret,
        station_id=found.id,
        party_id=party,
    )
    accepted = await find(provided, found.id, writer.who)
    told, pushed = Told(Taken.NOT_SENT), KEPT
    if answer["credential_id"] is not None:
        again = answer["credential_id"] != credential.id
        writer.issued(token, again=again)
        told = await _push(writer, accepted, answer["credential_id"], token, again=again)
        pushed = told.taken
    boot = "not connected"
    if accepted.node is not None:
        boot = await _command(writer, accepted, Kind.TRIGGER, {"message": "boot"})
    rotated = _rotated(provided, accepted, token, pushed, told.detail)
    fields = rotated.model_dump() | ({"token": None} if pushed == KEPT else {})
    return Accepted(boot=boot, **fields)


def _take_over(
    tx: Tx, station_id: str, party: str, now: datetime, credential: Credential, keep_weak: bool
) -> Mapping[str, Any]:
    if not stations.require(tx, station_id).guest:
        stations.change(tx, station_id, now, registration=Registration.ACCEPTED)
        return {"id": station_id, "credential_id": None}
    given = guests.take_over(tx, station_id, party, now, credential, keep_weak=keep_weak)
    return {"id": station_id, "credential_id": credential.id if given else None}
