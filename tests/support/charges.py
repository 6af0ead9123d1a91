"""A charge over a link, whatever else its station does: the measure of every quirk is that this
still comes out right."""

from __future__ import annotations

from typing import Any, Protocol

from csms.core import tokens
from csms.core.stations import Station
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from tests.support.ocpp import NOW, PARTY, meter, start, stop

CARD = "04A2"
CHARGED_WH = 2_500


class Calls(Protocol):
    """A station's end of a link, of 1.6."""

    async def calls(self, action: str, payload: dict[str, Any]) -> Any: ...


class Stored(Protocol):
    """Whatever has a store: a gateway of a test, or a whole central system."""

    @property
    def store(self) -> Any: ...


async def card(central: Stored) -> None:
    """The driver's card is known."""
    if not await central.store.reader.page(Token, {"uid": CARD}):
        await central.store.transact(tokens.add, Token(PARTY, "", "rfid", CARD, NOW), NOW)


async def charged(central: Stored, identity: str = "CS 1") -> list[int]:
    """The energy of each transaction of the station that has ended, oldest first."""
    (station,) = await central.store.reader.page(Station, {"identity": identity})
    rows = await central.store.reader.page(Transaction, {"station_id": station.id})
    return [row.energy_wh for row in sorted(rows, key=lambda row: row.id) if not row.open]


async def charges(
    central: Stored, station: Calls, identity: str = "CS 1", *, status: str = "Accepted"
) -> None:
    """A start, meter values, a stop: each is answered, and one transaction more is stored, ended,
    with what the meter said. `status`: what the station is told of the card."""
    await card(central)
    before = await charged(central, identity)
    answer = await station.calls("StartTransaction", start(idTag=CARD))
    assert answer["idTagInfo"]["status"] == status
    number = answer["transactionId"]
    values = meter({"value": "2000"}, transactionId=number)
    assert await station.calls("MeterValues", values) == {}
    row = await central.store.reader.get(Transaction, number)
    assert (row.open, row.energy_wh) == (True, 1_000)
    await station.calls("StopTransaction", stop(number))
    assert await charged(central, identity) == [*before, CHARGED_WH]
