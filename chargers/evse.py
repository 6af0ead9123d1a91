"""One EVSE: its plugs, its meter, the car on it and the transaction that runs.

Pure state, no tasks and no messages. Energy flows only while a transaction runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chargers.car import Car
from chargers.facts import Cause, ConnectorState, Reading, Token
from chargers.meter import Meter


@dataclass
class Authorization:
    """A driver who may charge here and has yet to plug in, or just has."""

    token: Token
    remote_start_id: int | None = None
    remote: bool = False


@dataclass
class Running:
    """The transaction that runs. `next_number` counts its messages."""

    id: str
    connector: int
    token: Token
    remote_start_id: int | None = None
    next_number: int = 0
    drawing: bool = True
    """Whether the car took energy when last looked at."""


class Evse:
    """EVSE `number` with `connectors` plugs, of which one at a time holds a car."""

    def __init__(
        self, number: int, connectors: int, power_w: int, *, dc: bool, meter: Meter
    ) -> None:
        self.number = number
        self.connectors = connectors
        self.power_w = power_w
        self.dc = dc
        self.meter = meter
        self.car: Car | None = None
        self.connector = 1
        """The connector in use, or last used."""
        self.authorization: Authorization | None = None
        self.running: Running | None = None
        self.finishing = False
        self._counted_until: datetime | None = None

    def plug_in(self, car: Car, connector: int) -> None:
        """Raises ValueError when a car is plugged in already or the connector is not there."""
        if self.car is not None:
            raise ValueError(f"EVSE {self.number} holds a car already")
        if not 1 <= connector <= self.connectors:
            raise ValueError(f"EVSE {self.number} has no connector {connector}")
        self.car = car
        self.connector = connector
        self.finishing = False

    def unplug(self) -> None:
        """Take the car away. The transaction must have been ended before."""
        assert self.running is None
        self.car = None
        self.finishing = False

    def begin(self, transaction: str, now: datetime) -> Running:
        """Start the transaction of the driver who is authorized; a car is plugged in."""
        granted = self.authorization
        assert self.car is not None
        assert granted is not None
        assert self.running is None
        self.authorization = None
        self.finishing = False
        self.running = Running(
            id=transaction,
            connector=self.connector,
            token=granted.token,
            remote_start_id=granted.remote_start_id,
        )
        self._counted_until = now
        return self.running

    def end(self, now: datetime) -> None:
        """Stop the flow of energy; what flowed until `now` is counted."""
        assert self.running is not None
        self._advance(now)
        self.running = None
        self.finishing = True

    def reading(self, now: datetime) -> Reading:
        """Count what has flowed until `now` and read the meter."""
        self._advance(now)
        car = self.car
        power = car.power_w(self.power_w) if self.running and car else 0
        soc = car.soc_percent if self.dc and car else None
        return Reading(now, self.meter.wh, power, soc)

    def state(self, connector: int) -> ConnectorState:
        """What a connector is doing, leaving availability aside."""
        if self.car is not None and connector == self.connector:
            if self.running is not None:
                drawing = self.running.drawing
                return ConnectorState.CHARGING if drawing else ConnectorState.SUSPENDED
            return ConnectorState.FINISHING if self.finishing else ConnectorState.PLUGGED
        if self.authorization is not None and self.car is None and connector == 1:
            return ConnectorState.AUTHORIZED
        return ConnectorState.AVAILABLE

    def _advance(self, now: datetime) -> None:
        if self.running is None or self.car is None or self._counted_until is None:
            return
        seconds = (now - self._counted_until).total_seconds()
        if seconds > 0:
            self.meter.add(self.car.charge(self.power_w, seconds))
            self._counted_until = now


def cause_of_start(granted: Authorization, *, plugged_first: bool) -> Cause:
    """What began a transaction: the last of what it needed, or the remote start."""
    if granted.remote:
        return Cause.REMOTE_START
    return Cause.AUTHORIZED if plugged_first else Cause.PLUGGED_IN
