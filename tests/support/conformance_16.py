"""A scripted OCPP 1.6 station with two connectors."""

from __future__ import annotations

from typing import Any

from tests.support.conformance import VALID, Clock, Payload, Wire

CONNECTORS = (1, 2)
CHARGED_WH = 5_000


class Station16:
    """What a driver and a car do at a station, as its messages. `meter` is the register of each
    connector in Wh; a charge of half an hour moves it by `CHARGED_WH`."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.calls = wire.calls
        self.is_asked = wire.is_asked
        self.clock = Clock()
        self.meter = dict.fromkeys(CONNECTORS, 10000)
        self.transactions: dict[int, int] = {}

    async def boots(self) -> Payload:
        """BootNotification, and the state of all connectors; the answer to the boot."""
        answer = await self.calls(
            "BootNotification",
            chargePointVendor="Acme",
            chargePointModel="Post 2",
            chargePointSerialNumber="SN-1",
            firmwareVersion="1.0",
        )
        if answer["status"] == "Accepted":
            for connector in (0, *CONNECTORS):
                await self.reports("Available", connector)
        return answer

    async def reports(self, status: str, connector: int = 1, error: str = "NoError") -> None:
        """StatusNotification, which is answered with nothing."""
        answer = await self.calls(
            "StatusNotification",
            connectorId=connector,
            status=status,
            errorCode=error,
            timestamp=self.clock(),
        )
        assert answer == {}

    async def authorizes(self, token: str = VALID) -> Payload:
        """The idTagInfo of a token that is shown."""
        info: Payload = (await self.calls("Authorize", idTag=token))["idTagInfo"]
        return info

    async def starts(self, token: str = VALID, connector: int = 1, **fields: Any) -> Payload:
        """StartTransaction; what it is told of the token."""
        report = {
            "connectorId": connector,
            "idTag": token,
            "meterStart": self.meter[connector],
            "timestamp": self.clock(),
            **fields,
        }
        answer = await self.calls("StartTransaction", report)
        self.transactions[connector] = answer["transactionId"]
        info: Payload = answer["idTagInfo"]
        return info

    async def measures(self, connector: int = 1, **reading: Any) -> None:
        """MeterValues of the transaction there."""
        sampled = {"value": str(self.meter[connector]), "context": "Sample.Periodic", **reading}
        answer = await self.calls(
            "MeterValues",
            connectorId=connector,
            transactionId=self.transactions[connector],
            meterValue=[{"timestamp": self.clock(), "sampledValue": [sampled]}],
        )
        assert answer == {}

    async def stops(self, token: str | None = None, connector: int = 1, **fields: Any) -> Payload:
        """Half an hour of charging and StopTransaction; its answer."""
        at = self.clock(minutes=30)
        self.meter[connector] += CHARGED_WH
        report: Payload = {
            "transactionId": self.transactions[connector],
            "meterStop": self.meter[connector],
            "timestamp": at,
            **fields,
        }
        if token is not None:
            report["idTag"] = token
        return await self.calls("StopTransaction", report)

    async def charges(self, token: str = VALID, connector: int = 1) -> None:
        """From an idle connector to a car that charges."""
        await self.reports("Preparing", connector)
        assert (await self.authorizes(token))["status"] == "Accepted"
        assert (await self.starts(token, connector))["status"] == "Accepted"
        await self.reports("Charging", connector)
