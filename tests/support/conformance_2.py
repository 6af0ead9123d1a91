"""A scripted OCPP 2.0.1 or 2.1 station with two EVSEs, and the states in which cases begin.

It tells the state of its connectors by StatusNotification in 2.0.1 and by NotifyEvent in 2.1: both
are allowed in both, and a central system has to understand either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.conformance import VALID, Clock, Payload, Wire

EVSES = (1, 2)
CHARGED_WH = 5_000


def rfid(uid: str) -> Payload:
    """An IdToken as a card reader shows it."""
    return {"idToken": uid, "type": "ISO14443"}


@dataclass
class Charge:
    """A transaction of the station: what it said so far."""

    wire_id: str
    evse: int
    seq: int = 0
    where: list[int] = field(default_factory=list)


class Station2:
    """What a driver and a car do at a station, as its messages. `meter` is the register of each
    EVSE in Wh; a charge of half an hour moves it by `CHARGED_WH`."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.calls = wire.calls
        self.is_asked = wire.is_asked
        self.clock = Clock()
        self.meter = dict.fromkeys(EVSES, 10000)
        self.running: dict[int, Charge] = {}
        self._charges = 0
        self._events = 0

    # -- messages --

    async def boots(self, reason: str = "PowerUp") -> Payload:
        """BootNotification, and the state of all connectors; the answer to the boot."""
        answer = await self.boot(reason)
        if answer["status"] == "Accepted":
            for evse in EVSES:
                await self.reports("Available", evse)
        return answer

    async def boot(self, reason: str = "PowerUp") -> Payload:
        """BootNotification alone."""
        about = {"model": "Post 2", "vendorName": "Acme", "serialNumber": "SN-1"}
        return await self.calls("BootNotification", reason=reason, chargingStation=about)

    async def reports(self, status: str, evse: int = 1) -> None:
        """The state of the connector of an EVSE."""
        if self.wire.version == "2.0.1":
            await self.calls(
                "StatusNotification",
                timestamp=self.clock(),
                connectorStatus=status,
                evseId=evse,
                connectorId=1,
            )
        else:
            place = {"name": "Connector", "evse": {"id": evse, "connectorId": 1}}
            await self.notices(place, "AvailabilityState", status)

    async def notices(
        self, component: Payload, variable: str, value: str, trigger: str = "Delta"
    ) -> None:
        """NotifyEvent with one event, which is answered with nothing."""
        self._events += 1
        at = self.clock()
        event = {
            "eventId": self._events,
            "timestamp": at,
            "trigger": trigger,
            "actualValue": value,
            "eventNotificationType": "HardWiredNotification",
            "component": component,
            "variable": {"name": variable},
        }
        assert await self.calls("NotifyEvent", generatedAt=at, seqNo=0, eventData=[event]) == {}

    async def authorizes(self, token: str | Payload = VALID) -> Payload:
        """The idTokenInfo of a token that is shown."""
        shown = rfid(token) if isinstance(token, str) else token
        info: Payload = (await self.calls("Authorize", idToken=shown))["idTokenInfo"]
        return info

    async def event(
        self,
        kind: str,
        trigger: str,
        evse: int = 1,
        *,
        token: str | Payload | None = None,
        place: bool = False,
        info: Payload | None = None,
        **fields: Any,
    ) -> Payload:
        """TransactionEvent of the charge at an EVSE; its answer. `place`: it names the EVSE."""
        if kind == "Started":
            self._charges += 1
            self.running[evse] = Charge(f"tx-{self._charges}", evse)
        charge = self.running[evse]
        report = {
            "eventType": kind,
            "timestamp": fields.pop("timestamp", None) or self.clock(),
            "triggerReason": trigger,
            "seqNo": charge.seq,
            "transactionInfo": {"transactionId": charge.wire_id, **(info or {})},
            **fields,
        }
        if token is not None:
            report["idToken"] = rfid(token) if isinstance(token, str) else token
        if place:
            report["evse"] = {"id": evse, "connectorId": 1}
        charge.seq += 1
        if kind == "Ended":
            del self.running[evse]
        return await self.calls("TransactionEvent", report)

    def meter_value(self, context: str, evse: int = 1, **signed: Any) -> Payload:
        """A MeterValue with the register of an EVSE at this moment."""
        sampled = {
            "value": self.meter[evse],
            "context": context,
            "measurand": "Energy.Active.Import.Register",
            **signed,
        }
        return {"timestamp": self.clock(), "sampledValue": [sampled]}

    def energy_flows(self, evse: int = 1) -> None:
        """Half an hour of charging passes."""
        self.clock(minutes=30)
        self.meter[evse] += CHARGED_WH

    # -- the states in which cases begin and end --

    async def plugs_in(self, evse: int = 1) -> Payload:
        """A car is connected: a transaction that waits for its driver, or begins with the cable.
        The answer."""
        await self.reports("Occupied", evse)
        return await self.event(
            "Updated" if evse in self.running else "Started",
            "CablePluggedIn",
            evse,
            place=True,
            info={"chargingState": "EVConnected"},
            meterValue=[self.meter_value("Transaction.Begin", evse)],
        )

    async def is_authorized(self, token: str = VALID, evse: int = 1) -> Payload:
        """A driver shows a card, before or after the cable; what the transaction is told of it."""
        assert (await self.authorizes(token))["status"] == "Accepted"
        kind = "Updated" if evse in self.running else "Started"
        answer = await self.event(kind, "Authorized", evse, token=token)
        info: Payload = answer["idTokenInfo"]
        assert info["status"] == "Accepted"
        return info

    async def charges(self, token: str = VALID, evse: int = 1) -> None:
        """Energy flows: from wherever the charge stands now."""
        if evse not in self.running:
            await self.is_authorized(token, evse)
            await self.plugs_in(evse)
        await self.goes("Charging", evse)

    async def goes(self, state: str, evse: int = 1) -> Payload:
        """The charging state changes; the answer."""
        info = {"chargingState": state}
        return await self.event("Updated", "ChargingStateChanged", evse, info=info)

    async def stop_is_authorized(self, token: str = VALID, evse: int = 1) -> Payload:
        """The driver shows a card to stop; what the transaction is told of it."""
        self.energy_flows(evse)
        answer = await self.event("Updated", "StopAuthorized", evse, token=token)
        info: Payload = answer["idTokenInfo"]
        return info

    async def ends(
        self, trigger: str, reason: str, evse: int = 1, state: str | None = None, **fields: Any
    ) -> Payload:
        """The last event of the charge, with the register; its answer."""
        info: Payload = {"stoppedReason": reason}
        if state is not None:
            info["chargingState"] = state
        fields.setdefault("meterValue", [self.meter_value("Transaction.End", evse)])
        return await self.event("Ended", trigger, evse, info=info, **fields)

    async def unplugs(self, evse: int = 1, **fields: Any) -> Payload:
        """The cable is taken out and with it the transaction ends; the answer."""
        await self.reports("Available", evse)
        return await self.ends("EVCommunicationLost", "EVDisconnected", evse, "Idle", **fields)

    async def leaves(self, token: str = VALID, evse: int = 1) -> None:
        """The driver stops the charge, takes the cable out and goes."""
        assert (await self.stop_is_authorized(token, evse))["status"] == "Accepted"
        await self.goes("EVConnected", evse)
        await self.unplugs(evse)
