"""OCPP 2.0.1 block J, metering: readings on the clock and during a charge."""

from __future__ import annotations

from tests.support.conformance import Operator, Payload
from tests.support.conformance_2 import CHARGED_WH, EVSES, Station2

CLOCK, PERIODIC, BEGIN, END = (
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
)
SIGNED = {
    "signedMeterData": "T0NNRnx7fXx7fQ==",
    "signingMethod": "ECDSA-secp256r1-SHA256",
    "encodingMethod": "OCMF",
    "publicKey": "b2N1",
}


async def idle_readings(station: Station2, evses: tuple[int, ...]) -> None:
    """What the clock demands of EVSEs that do not charge; 0 is the main meter."""
    for evse in evses:
        value = station.meter_value(CLOCK, max(1, evse))
        assert await station.calls("MeterValues", evseId=evse, meterValue=[value]) == {}


async def contexts(operator: Operator) -> list[str]:
    """Of the stored readings of the only transaction."""
    readings = await operator.readings((await operator.transaction())["id"])
    return [reading["context"] for reading in readings]


async def test_TC_J_01_on_the_clock_when_idle(station: Station2, operator: Operator) -> None:
    """Readings on the clock without a charge, of the main meter and of every EVSE, three times."""
    await station.boots()
    for _ in range(3):
        await idle_readings(station, (0, *EVSES))
        station.clock(minutes=15)
    assert await operator.transactions() == []


async def test_TC_J_01_as_events(station: Station2) -> None:
    """Readings on the clock may come as periodic events of the fiscal meter."""
    await station.boots()
    for evse in EVSES:
        place = {"name": "FiscalMetering", "evse": {"id": evse}}
        await station.notices(place, "EnergyActiveImportRegister", "10000", trigger="Periodic")


async def test_TC_J_02_on_the_clock_while_charging(station: Station2, operator: Operator) -> None:
    """Readings on the clock count for the charge that sends them, and not for the idle EVSE."""
    await station.boots()
    await station.charges()
    for _ in range(2):
        station.energy_flows()
        await idle_readings(station, (0, 2))
        value = station.meter_value(CLOCK)
        assert await station.event("Updated", "MeterValueClock", meterValue=[value]) == {}
    assert (await operator.transaction())["energy_wh"] == 2 * CHARGED_WH
    assert await contexts(operator) == [BEGIN, CLOCK, CLOCK]


async def end_with(station: Station2, context: str, **signed: Payload) -> None:
    """A charge whose end carries all its readings, each half an hour after the one before."""
    await station.boots()
    await station.charges()
    values = []
    for _ in range(2):
        station.energy_flows()
        values.append(station.meter_value(context, **signed))
    values.append(station.meter_value(END, **signed))
    await station.goes("EVConnected")
    await station.unplugs(meterValue=values)


async def test_TC_J_03_on_the_clock_at_the_end(station: Station2, operator: Operator) -> None:
    """The readings on the clock of a whole charge come with its end: all are kept."""
    await end_with(station, CLOCK)
    assert (await operator.transaction())["energy_wh"] == 2 * CHARGED_WH
    assert await contexts(operator) == [BEGIN, CLOCK, CLOCK, END]


async def test_TC_J_04_on_the_clock_and_signed(station: Station2, operator: Operator) -> None:
    """Signed readings on the clock are kept as they came."""
    await end_with(station, CLOCK, signedMeterValue=SIGNED)
    await are_signed(operator)


async def are_signed(operator: Operator) -> None:
    first, *rest = await operator.readings((await operator.transaction())["id"])
    assert "signed" not in first
    assert [reading["signed"] for reading in rest] == [SIGNED] * 3


async def test_TC_J_07_sampled_at_the_start(station: Station2, operator: Operator) -> None:
    """The reading with which a charge begins is its base."""
    await station.boots()
    await station.plugs_in()
    found = await operator.transaction()
    assert (found["meter_start_wh"], found["energy_wh"]) == (10_000, 0)
    assert await contexts(operator) == [BEGIN]


async def test_TC_J_08_sampled_once_the_evse_is_known(
    station: Station2, operator: Operator
) -> None:
    """A charge that begins before its EVSE is known has its base when it is."""
    await station.boots()
    await station.is_authorized()
    assert (await operator.transaction())["meter_start_wh"] is None
    await station.plugs_in()
    await station.charges()
    found = await operator.transaction()
    assert (found["evse"], found["meter_start_wh"]) == (1, 10_000)


async def test_TC_J_09_sampled_while_charging(station: Station2, operator: Operator) -> None:
    """Periodic readings move the energy of the charge, three times."""
    await station.boots()
    await station.charges()
    for number in (1, 2, 3):
        station.energy_flows()
        value = station.meter_value(PERIODIC)
        assert await station.event("Updated", "MeterValuePeriodic", meterValue=[value]) == {}
        assert (await operator.transaction())["energy_wh"] == number * CHARGED_WH


async def test_TC_J_10_sampled_at_the_end(station: Station2, operator: Operator) -> None:
    """The periodic readings of a whole charge come with its end: all are kept."""
    await end_with(station, PERIODIC)
    assert (await operator.transaction())["energy_wh"] == 2 * CHARGED_WH
    assert await contexts(operator) == [BEGIN, PERIODIC, PERIODIC, END]


async def test_TC_J_11_sampled_and_signed(station: Station2, operator: Operator) -> None:
    """Signed periodic readings are kept as they came."""
    await end_with(station, PERIODIC, signedMeterValue=SIGNED)
    await are_signed(operator)
