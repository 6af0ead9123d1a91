"""The commands module for what we ask of others' stations (mod_commands, sender).

An errand is entered before it is sent, so that a result always finds it. The partner says at once
whether it asks its station, and posts the result later to an address of ours that holds the
errand's id; only the partner that was asked may tell it. Who asks here waits for the journal, so
that it does not matter which process the result came to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import structlog

from csms.core import errands
from csms.core.disclosures import Module as Disclosing
from csms.core.errands import OPEN, Errand, Status
from csms.core.errors import CsmsError, Invalid, NotFound, PartnerUnreachable, Refused
from csms.core.ids import folded
from csms.core.neighbours import NeighbourObject
from csms.core.orders import Wish
from csms.core.partners import Partner, State
from csms.core.tokens import Token, uid_key
from csms.ocpi import locations, paging, sessions, tokens
from csms.ocpi.commands import CONNECTOR_REQUIRED
from csms.ocpi.disclosing import disclose, of_token, where
from csms.ocpi.envelope import Answer
from csms.ocpi.headers import Routing
from csms.ocpi.network import EMSP, RECEIVER, SENDER, Network
from csms.ocpi.routing import Call, Gone, Module
from csms.ocpi.wire import reading
from csms.ocpi.wire.v221 import commands as wire

log = structlog.get_logger("ocpi.errands")
NAME = "commands"
EVERY_S = 1.0
LOOK_AGAIN_S = 1.0
# A result may come so long after the time that the partner has set itself.
SLACK_S = 10.0
LONGEST_S = 600.0


class Wakeups(Protocol):
    """Tells when the journal grew."""

    async def grown(self, within_s: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Planned:
    """An errand that can be entered (`errand`, with the kind of its token) and then sent: to whom,
    with what, for which party of ours."""

    errand: Errand
    partner: Partner
    body: Mapping[str, Any]
    party: str | None = None
    kind: str | None = None


class Errands:
    """Plans errands (`start`, `stop`, `unlock`) and sends them once they are entered, hears their
    results (`module`), and gives up those that get none (`run`). `within_s`: how long a result is
    awaited where the partner does not say.
    """

    def __init__(self, network: Network, bus: Wakeups, within_s: float = 60.0) -> None:
        self._network = network
        self._bus = bus
        self._within_s = within_s
        self.module = Module(NAME, SENDER, {("POST", 2): self._hear})

    # -- planning ----------------------------------------------------------------------------------

    async def start(
        self,
        requested_by: str,
        party: str,
        location_id: str,
        token: tuple[str, str, str],
        evse_uid: str | None = None,
        connector_id: str | None = None,
    ) -> Planned:
        """A charge with a token of ours (party, uid, kind). Raises `NotFound` and `Refused` for
        what we know ourselves to be impossible."""
        network, (token_party, uid, kind) = self._network, token
        partner, place = await self._theirs(locations.NAME, party, location_id)
        evse = _evse(place, evse_uid)
        if connector_id is None and CONNECTOR_REQUIRED in (evse.get("capabilities") or ()):
            connector_id = _only_connector(evse)
        row = await network.store.reader.get(Token, token_party, uid_key(uid), kind)
        told = row and tokens.shown(row, tokens.issuer(network, token_party), network.clock())
        if row is not None and told is None:
            raise Refused(f"token {uid}: OCPI carries at most 36 printable ASCII characters")
        errand = self._new(Wish.START, partner, party, requested_by)._replace(
            token_party=token_party,
            token_uid=uid,
            location_id=str(place["id"]),
            evse_uid=str(evse["uid"]),
            connector_id=connector_id,
        )
        body = {
            "token": told,
            "location_id": errand.location_id,
            "evse_uid": errand.evse_uid,
            "connector_id": connector_id,
            "authorization_reference": errand.id,
        }
        return Planned(errand, partner, body, token_party, kind)

    async def stop(self, requested_by: str, party: str, session_id: str) -> Planned:
        """The end of a charge of a driver of ours. Raises as `start`."""
        partner, session = await self._theirs(sessions.NAME, party, session_id)
        if session.get("status") in ("COMPLETED", "INVALID"):
            raise Refused(f"session {session_id} of {party} has ended; csms roaming sessions")
        errand = self._new(Wish.STOP, partner, party, requested_by)
        driver = session.get("cdr_token") or {}
        mine = f"{driver.get('country_code')}*{driver.get('party_id')}".upper()
        errand = errand._replace(session_id=str(session["id"]), token_party=mine)
        return Planned(errand, partner, {"session_id": errand.session_id}, mine)

    async def unlock(
        self, requested_by: str, party: str, location_id: str, evse_uid: str, connector_id: str
    ) -> Planned:
        """The release of a cable (the driver's charge should have ended). Raises as `start`."""
        partner, place = await self._theirs(locations.NAME, party, location_id)
        evse = _evse(place, evse_uid)
        errand = self._new(Wish.UNLOCK, partner, party, requested_by)._replace(
            location_id=str(place["id"]), evse_uid=str(evse["uid"]), connector_id=connector_id
        )
        body = {
            "location_id": errand.location_id,
            "evse_uid": errand.evse_uid,
            "connector_id": connector_id,
        }
        return Planned(errand, partner, body)

    def _new(self, wish: Wish, partner: Partner, party: str, requested_by: str) -> Errand:
        now = self._network.clock()
        return Errand(
            id=self._network.new_id(),
            wish=wish,
            status=Status.SENT,
            partner_id=partner.id,
            party_id=party,
            requested_by=requested_by,
            created_at=now,
            expires_at=now + timedelta(seconds=self._within_s),
        )

    async def _theirs(
        self, module: str, party: str, object_id: str
    ) -> tuple[Partner, Mapping[str, Any]]:
        """An object of another network as it told it, and who is asked about it. Raises `NotFound`,
        `Refused` when nothing is exchanged with that one now."""
        reader = self._network.store.reader
        row = await reader.get(NeighbourObject, module, party, folded(object_id))
        partner = await reader.get(Partner, row.partner_id) if row is not None else None
        if row is None or partner is None:
            what = module.removesuffix("s")
            raise NotFound(f"no {what} {object_id} of {party} is known; csms roaming {module}")
        if partner.state != State.REGISTERED:
            raise Refused(f"{partner.name} is {partner.state}; csms partner list")
        if partner.endpoint(NAME, RECEIVER) is None:
            raise Refused(f"{partner.name} takes no commands; csms partner show lists what it does")
        return partner, dict(reading.load(row.body.encode()))

    # -- sending -----------------------------------------------------------------------------------

    async def send(self, planned: Planned) -> Errand:
        """Tell the partner of an errand that has been entered; call it once."""
        network, errand, partner = self._network, planned.errand, planned.partner
        own = (planned.party, *network.parties(EMSP))
        party = next((p for p in own if p in network.parties()), None)
        back = "/".join((network.interface_url(NAME, SENDER), errand.wish, errand.id))
        body = {"response_url": back, **planned.body}
        address = paging.below(partner.endpoint(NAME, RECEIVER) or "", errand.wish)
        try:
            access = network.access(partner, Routing(errand.party_id, party))
            if planned.body.get("token"):
                place = where(errand.location_id, errand.evse_uid)
                told = of_token(planned.body["token"], Disclosing.COMMAND, place)
                await disclose(network, partner, [told])
            heard = await network.client.call("POST", address, access, body)
        except (PartnerUnreachable, Invalid) as error:
            log.warning("errand_not_heard", partner=partner.name, errand=errand.id)
            return await network.store.transact(
                errands.not_heard, errand.id, error.detail, network.clock()
            )
        now = network.clock()
        taken, detail, within_s = False, heard.why, self._within_s
        if heard.ok:
            try:
                read = reading.parse(wire.CommandResponse, heard.one, now)
            except Invalid as error:
                why = f"their answer cannot be read: {error.detail}"
                return await network.store.transact(errands.not_heard, errand.id, why, now)
            await network.forgive(partner, (*heard.deviations, *read.deviations))
            said = read.value
            taken = said.result == "ACCEPTED"
            detail = _said(said.message) or ("" if taken else said.result)
            within_s = max(1.0, min(float(said.timeout), LONGEST_S))
        ends = now + timedelta(seconds=within_s + SLACK_S)
        return await network.store.transact(
            errands.answered, errand.id, taken, detail or None, ends, now
        )

    # -- hearing -----------------------------------------------------------------------------------

    async def _hear(self, call: Call) -> Answer:
        """The result, from the partner that was asked."""
        network, (_, errand_id) = call.network, call.rest
        errand = await network.store.reader.get(Errand, errand_id)
        if errand is None or errand.partner_id != call.partner.id:
            raise Gone("no such command was sent to you")
        read = reading.parse(wire.CommandResult, call.body, network.clock())
        call.noted.extend(read.deviations)
        said = read.value
        await network.store.transact(
            errands.told, errand.id, said.result, _said(said.message), network.clock()
        )
        return Answer()

    async def outcome(self, errand_id: str, wait_s: float) -> Errand:
        """The errand as it is after at most so many seconds, sooner when it has an outcome. Raises
        `NotFound`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            errand = await self._network.store.reader.get(Errand, errand_id)
            if errand is None:
                raise NotFound(f"no errand {errand_id}")
            left = until - loop.time()
            if errand.status not in OPEN or left <= 0:
                return errand
            await self._bus.grown(min(left, LOOK_AGAIN_S))

    async def run(self) -> None:
        """Give up what is overdue, until cancelled."""
        while True:
            try:
                await self.give_up()
            except CsmsError as error:
                log.warning("errands_not_looked_at", error=error.detail)
            except Exception:
                # Nothing that goes wrong with an errand may end the system.
                log.exception("errands_not_looked_at")
            await asyncio.sleep(EVERY_S)

    async def give_up(self) -> None:
        """Note of every errand whose time is over that no result came."""
        now = self._network.clock()
        for status in OPEN:
            async for errand in self._network.every(Errand, {"status": status}):
                if now >= errand.expires_at:
                    await self._network.store.transact(errands.overdue, errand.id, now)


def _evse(place: Mapping[str, Any], uid: str | None) -> Mapping[str, Any]:
    """The EVSE that is meant; where none is named, one that is free. Raises `NotFound`,
    `Refused`."""
    evses = [e for e in place.get("evses") or () if e.get("status") != "REMOVED"]
    if uid is not None:
        for evse in evses:
            if folded(str(evse.get("uid"))) == folded(uid):
                return dict(evse)
        known = ", ".join(str(evse.get("uid")) for evse in evses) or "none"
        raise NotFound(f"{place.get('id')} has no EVSE {uid}; it has {known}")
    free = [evse for evse in evses if evse.get("status") == "AVAILABLE"]
    if not free and not evses:
        raise Refused(f"{place.get('id')} has no EVSE")
    return dict((free or evses)[0])


def _only_connector(evse: Mapping[str, Any]) -> str:
    connectors = [str(plug.get("id")) for plug in evse.get("connectors") or ()]
    if len(connectors) != 1:
        raise Invalid(f"name the connector, one of: {', '.join(connectors)}")
    return connectors[0]


def _said(message: Any) -> str | None:
    """What is said to people, in English where it is."""
    texts = sorted(message, key=lambda text: text.language != "en")
    return texts[0].text if texts else None
