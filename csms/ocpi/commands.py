"""The commands module for what partners order here (mod_commands, receiver).

Two answers: one at once, which says whether the order goes to the station, and after it exactly one
result, posted to the address that the partner named. An order goes through the ledger of commands
as an operator's wish does. A result that is fixed never changes; it is posted until the partner has
answered anything at all, so that one which did not reach it is not lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Protocol

import structlog

from csms.core import orders
from csms.core.audit import Actor
from csms.core.commands import Command, Kind, Status
from csms.core.errors import CsmsError, Invalid, PartnerUnreachable, Refused, StationOffline
from csms.core.ids import folded
from csms.core.locations import Location, LocationEvse
from csms.core.occupancy import Status as Published
from csms.core.orders import Order, State, Wish
from csms.core.partners import Partner
from csms.core.partners import State as PartnerState
from csms.core.tokens import uid_key
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from csms.flows.drivers import is_theirs, whose
from csms.ocpi import addresses
from csms.ocpi.envelope import UNKNOWN_LOCATION, Answer
from csms.ocpi.headers import Routing
from csms.ocpi.network import CPO, EMSP, RECEIVER, Network
from csms.ocpi.routing import Call, Gone, Module, may_tell
from csms.ocpi.tokens import visitor
from csms.ocpi.wire import reading
from csms.ocpi.wire.v221 import commands as wire

log = structlog.get_logger("ocpi.commands")
NAME = "commands"
EVERY_S = 0.25
AT_ONCE = 100
# A capability: one EVSE with several connectors, of which the driver says which.
CONNECTOR_REQUIRED = "START_SESSION_CONNECTOR_REQUIRED"
_SHAPES: Mapping[str, type[Any]] = {
    Wish.START: wire.StartSession,
    Wish.STOP: wire.StopSession,
    Wish.UNLOCK: wire.UnlockConnector,
}
_NOT_SUPPORTED = ("RESERVE_NOW", "CANCEL_RESERVATION")
_RESULTS = {
    Status.ACCEPTED: "ACCEPTED",
    Status.REJECTED: "REJECTED",
    Status.FAILED: "FAILED",
    Status.TIMED_OUT: "TIMEOUT",
    Status.UNKNOWN: "TIMEOUT",
}
_OCCUPIED = frozenset({Published.CHARGING, Published.RESERVED})
_INOPERATIVE = frozenset({Published.INOPERATIVE, Published.OUT_OF_ORDER})


class Commanding(Protocol):
    """Submits commands; see `flows.commands.Commander.submit`."""

    async def submit(
        self,
        station_id: str,
        kind: Kind,
        parameters: Mapping[str, Any],
        requested_by: str,
        *,
        wait_s: float = 0.0,
        idempotency_key: str | None = None,
        actor: Actor | None = None,
    ) -> Command: ...


class Orders:
    """Takes orders (`module`) and tells their results (`run`). `within_s`: a result is told at the
    latest so long after the order."""

    def __init__(self, network: Network, commander: Commanding, within_s: float = 60.0) -> None:
        self._network = network
        self._commander = commander
        self._within_s = within_s
        self._telling: set[tuple[str, str]] = set()
        self.module = Module(NAME, RECEIVER, {("POST", 1): self._take})

    # -- taking --------------------------------------------------------------------------------

    async def _take(self, call: Call) -> Answer:
        name = call.rest[0].upper()
        if name in _NOT_SUPPORTED:
            return self._said("NOT_SUPPORTED", "reservations are not offered here")
        if name not in _SHAPES:
            raise Gone("no such command")
        network, now = call.network, call.network.clock()
        read = reading.parse(_SHAPES[name], call.body, now)
        call.noted.extend(read.deviations)
        url = str(read.value.response_url)
        addresses.checked(url, network.client.policy)
        if not call.partner.is_hub and not any(r["role"] == EMSP for r in call.partner.roles):
            return self._said("REJECTED", "only an eMSP orders here")
        earlier = await network.store.reader.get(Order, call.partner.id, url)
        if earlier is not None:
            return self._answer(earlier)
        order = Order(
            call.partner.id,
            url,
            Wish(name),
            State.OPEN,
            now,
            now + timedelta(seconds=self._within_s),
            "ACCEPTED",
        )
        match order.wish:
            case Wish.START:
                return await self._start(call, order, read.value)
            case Wish.STOP:
                return await self._stop(call, order, read.value)
            case _:
                return await self._unlock(call, order, read.value)

    async def _start(self, call: Call, order: Order, wanted: wire.StartSession) -> Answer:
        token = visitor(wanted.token, call.partner.id, order.received_at)
        if not may_tell(self._network, call.partner, token.party_id, EMSP):
            return self._said("REJECTED", f"{token.party_id} is not one of your parties")
        evse = await self._evse(call, wanted.location_id, wanted.evse_uid, wanted.connector_id)
        if evse is None:
            return self._unknown_place()
        if wanted.connector_id is None and CONNECTOR_REQUIRED in evse.data.get("capabilities", ()):
            return self._said("REJECTED", f"EVSE {evse.uid} starts only with a connector_id")
        order = order._replace(
            station_id=evse.station_id,
            evse=evse.evse,
            party_id=token.party_id,
            uid_key=uid_key(token.uid),
            token_type=token.type,
            reference=wanted.authorization_reference,
        )
        parameters = {"token": token.uid, "evse": evse.evse}
        return await self._give(call, order, Kind.START_CHARGING, parameters, token)

    async def _stop(self, call: Call, order: Order, wanted: wire.StopSession) -> Answer:
        t = await self._theirs(call.partner, wanted.session_id)
        if t is None:
            return self._said("UNKNOWN_SESSION", "there is no such session of yours")
        order = order._replace(station_id=t.station_id, evse=t.evse)
        return await self._give(call, order, Kind.STOP_CHARGING, {"transaction_id": t.id})

    async def _unlock(self, call: Call, order: Order, wanted: wire.UnlockConnector) -> Answer:
        evse = await self._evse(call, wanted.location_id, wanted.evse_uid, wanted.connector_id)
        if evse is None:
            return self._unknown_place()
        where = {"station_id": evse.station_id, "open": True}
        for t in await self._network.store.reader.page(Transaction, where):
            if t.evse in (0, evse.evse) and await self._theirs(call.partner, str(t.id)) is None:
                return self._said("REJECTED", "another driver is charging there")
        order = order._replace(station_id=evse.station_id, evse=evse.evse)
        return await self._give(call, order, Kind.UNLOCK, {"evse": evse.evse})

    async def _theirs(self, partner: Partner, session_id: str) -> Transaction | None:
        """The transaction behind a session, if a driver of this partner charges."""
        if not (session_id.isascii() and session_id.isdigit()) or len(session_id) > 10:
            return None
        reader = self._network.store.reader
        t = await reader.get(Transaction, int(session_id))
        owner = await whose(reader, t) if t is not None else None
        if owner is None:
            return None
        party = owner.driver.party_id
        return t if await is_theirs(reader, partner, owner.partner_id, party) else None

    async def _evse(
        self, call: Call, location_id: str, evse_uid: str | None, connector_id: str | None
    ) -> LocationEvse | None:
        """The EVSE that is meant; where none is named, one that is free. One that no station
        serves is none."""
        reader = self._network.store.reader
        for party in self._network.parties(CPO):
            if call.routing.to not in (None, party):
                continue
            place = await reader.get(Location, party, folded(location_id))
            if place is None:
                continue
            where = {"party_id": party, "location_key": place.id_key}
            served = [e for e in await reader.page(LocationEvse, where, limit=1_000) if e.evse]
            if evse_uid is None:
                free = [e for e in served if e.status == Published.AVAILABLE]
                return next(iter(free or served), None)
            for evse in served:
                if evse.uid_key == folded(evse_uid) and _has(evse, connector_id):
                    return evse
        return None

    async def _give(
        self,
        call: Call,
        order: Order,
        kind: Kind,
        parameters: Mapping[str, Any],
        driver: VisitorToken | None = None,
    ) -> Answer:
        """Enter the order and put it into the ledger of commands."""
        store, key = self._network.store, (order.partner_id, order.response_url)
        try:
            order, new = await store.transact(orders.enter, order, driver)
        except Refused as error:
            return self._said("REJECTED", error.detail)
        if not new or order.state == State.REFUSED:
            return self._answer(order)
        assert order.station_id is not None
        digest = blake2b("|".join(key).encode(), digest_size=16).hexdigest()
        by = f"partner {call.partner.name}"
        try:
            command = await self._commander.submit(
                order.station_id, kind, parameters, by, idempotency_key=f"order {digest}"
            )
        except StationOffline as error:
            return self._answer(await store.transact(orders.refused, *key, error.detail))
        except CsmsError as error:
            why = error.detail or error.code
            return self._answer(await store.transact(orders.refused, *key, why))
        await store.transact(orders.given, *key, command.id)
        return self._answer(order)

    # -- saying --------------------------------------------------------------------------------

    def _answer(self, order: Order) -> Answer:
        return self._said(order.answer, order.message)

    def _said(self, result: str, message: str | None = None) -> Answer:
        told = {"result": result, "timeout": int(self._within_s)}
        if message:
            told["message"] = [{"language": "en", "text": message[:512]}]
        return Answer(wire.CommandResponse.model_validate(told))

    def _unknown_place(self) -> Answer:
        answer = self._said("REJECTED", "there is no such EVSE here")
        return Answer(answer.data, UNKNOWN_LOCATION, "there is no such EVSE here")

    # -- telling -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell what is due, again and again, until cancelled; one partner that does not answer
        holds up nobody else."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    for order in await self.due():
                        key = order.partner_id, order.response_url
                        self._telling.add(key)
                        tasks.create_task(self._tell_once(order), name="tell a result")
                except CsmsError as error:
                    log.warning("results_not_told", error=error.detail)
                except Exception:
                    # Nothing that goes wrong with a result may end the system.
                    log.exception("results_not_told")
                await asyncio.sleep(EVERY_S)

    async def _tell_once(self, order: Order) -> None:
        try:
            await self.tell(order)
        except CsmsError as error:
            log.warning("result_not_told", error=error.detail)
        except Exception:
            log.exception("result_not_told")
        finally:
            self._telling.discard((order.partner_id, order.response_url))

    async def due(self) -> list[Order]:
        """Fix the results that are known or late; those that are to be told now, and are not being
        told."""
        network = self._network
        async for order in network.every(Order, {"state": State.OPEN}):
            result = await self._result(order)
            if result is not None:
                key = order.partner_id, order.response_url
                await network.store.transact(orders.settle, *key, result, network.clock())
        found: list[Order] = []
        async for order in network.every(Order, {"state": State.SETTLED}):
            due = order.try_at is None or order.try_at <= network.clock()
            if due and (order.partner_id, order.response_url) not in self._telling:
                found.append(order)
        return found[: max(0, AT_ONCE - len(self._telling))]

    async def _result(self, order: Order) -> str | None:
        """What is told of an order, None as long as nothing is."""
        reader = self._network.store.reader
        if order.command_id is not None:
            command = await reader.get(Command, order.command_id)
            if command is not None and command.finished_at is not None:
                return await self._mapped(order, command)
        return "TIMEOUT" if self._network.clock() >= order.expires_at else None

    async def _mapped(self, order: Order, command: Command) -> str:
        """The result in the words of OCPI; where a station says no without saying why, the state
        of its EVSE says it."""
        result = _RESULTS[Status(command.status)]
        said = str((command.result or {}).get("status", ""))
        if said in ("NotSupported", "NotImplemented", "UnknownConnector"):
            return "NOT_SUPPORTED" if said != "UnknownConnector" else "REJECTED"
        if result == "REJECTED" and order.wish == Wish.START:
            where = {"station_id": order.station_id, "evse": order.evse}
            for evse in await self._network.store.reader.page(LocationEvse, where, limit=1):
                if evse.status in _OCCUPIED:
                    return "EVSE_OCCUPIED"
                if evse.status in _INOPERATIVE:
                    return "EVSE_INOPERATIVE"
        return result

    async def tell(self, order: Order) -> bool:
        """Post a result once; True when the partner has answered."""
        network, key = self._network, (order.partner_id, order.response_url)
        partner = await network.store.reader.get(Partner, order.partner_id)
        try:
            if partner is None or partner.state != PartnerState.REGISTERED:
                raise PartnerUnreachable("the connection is suspended")
            mine = next(iter(network.parties(CPO)), None)
            theirs = order.party_id or next(
                (r["party"] for r in partner.roles if r["role"] == EMSP), None
            )
            access = network.access(partner, Routing(theirs, mine))
            heard = await network.client.call(
                "POST", order.response_url, access, {"result": order.result}
            )
        except (PartnerUnreachable, Invalid) as error:
            log.warning("result_not_heard", partner=order.partner_id, why=error.detail)
            await network.store.transact(orders.not_heard, *key, network.clock())
            return False
        if not heard.ok:
            log.warning("result_refused", partner=order.partner_id, why=heard.why)
        await network.store.transact(orders.told, *key)
        return True


def _has(evse: LocationEvse, connector_id: str | None) -> bool:
    known = {folded(str(plug.get("id"))) for plug in evse.connectors}
    return connector_id is None or not known or folded(connector_id) in known
