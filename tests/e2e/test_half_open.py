"""Half-open links: a station that is gone without a word, as behind a mobile network that drops
everything. It is found out by its missing pongs, and whoever comes back is not made to wait for
that."""

from __future__ import annotations

from tests.support.cable import cable
from tests.support.ocpp import meter, start, stop
from tests.support.operator import Operator, station
from tests.support.system import System
from tests.support.waiting import until

PING_S = 1.0
# One interval, one timeout, and what a busy machine adds.
FOUND_WITHIN_S = 15.0


def reading(wh: int, minute: int, transaction: int) -> dict[str, object]:
    sampled = {"value": str(wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    at = f"2024-05-01T12:{minute:02}:00Z"
    values: dict[str, object] = meter(sampled, at=at, transactionId=transaction)
    return values


async def test_a_station_that_vanishes_is_found_out_and_comes_back_at_once(system: System) -> None:
    await system.init(
        CSMS_OCPP__PING_INTERVAL_S=str(PING_S),
        CSMS_OCPP__PING_TIMEOUT_S=str(PING_S),
        CSMS_OCPP__CLOSE_TIMEOUT_S="0.5",
        CSMS_OCPP__SETTLE_S="3600",
    )
    await system.start()
    operator = Operator(system)
    secrets = await operator.add("GONE", "BACK", "OTHER")
    async with cable(system.ocpp_port) as through:
        url = f"ws://127.0.0.1:{through.port}/ocpp"
        async with (
            station(system.station_url, "OTHER", secrets["OTHER"]) as other,
            station(url, "GONE", secrets["GONE"], boot=False),
            station(url, "BACK", secrets["BACK"]) as before,
        ):
            begun = start(idTag="BACK", meterStart=1_000)
            number = (await before.calls("StartTransaction", begun))["transactionId"]
            await before.calls("MeterValues", reading(1_500, 10, number))
            files = operator.files
            through.cut()
            # What it says into the dead cable is heard by nobody, and said again.
            await before.sends([2, "lost", "MeterValues", reading(2_000, 20, number)])

            async with station(url, "BACK", secrets["BACK"], boot=False) as back:
                await back.calls("MeterValues", reading(2_000, 20, number))
                await back.calls("StopTransaction", stop(number, meterStop=2_500))
                assert (await operator.get("/stations/BACK"))["connected"]

                async def found_out() -> bool:
                    return not (await operator.get("/stations/GONE"))["connected"]

                await until(found_out, FOUND_WITHIN_S)
                shown = await operator.cli("station", "show", "GONE")
                assert not shown["connected"]
                assert shown["disconnected_at"] > shown["connected_at"]
                assert await operator.metric("csms_links_ended_total", reason="keepalive") == 1
                assert await operator.metric("csms_links_ended_total", reason="replaced") == 1
                assert await operator.metric("csms_links") == 2
                # Two are over, one has come: their files are free though nobody closed them.
                await until(lambda: operator.files < files, FOUND_WITHIN_S)
                await other.is_alive()
                await back.is_alive()
            async with station(url, "GONE", secrets["GONE"], boot=False) as again:
                await again.is_alive()
    assert await system.stop() == 0
    rows = system.query("SELECT energy_wh, open, flags FROM transactions")
    assert rows == [(1_500, 0, "")]
    assert system.query("SELECT count(*), count(DISTINCT at) FROM meter_samples") == [(2, 2)]
    ended = system.query("SELECT data FROM journal WHERE kind = 'station_disconnected'")
    assert sum("keepalive ping timeout" in data for (data,) in ended) == 1
    assert "Traceback" not in operator.log
