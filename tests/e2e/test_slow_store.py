"""A store that is slower than the stations: they are answered late, read no faster than they are
answered, and nothing that was acknowledged is missing. What is too much is turned away unanswered,
so that the stations keep it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from websockets.exceptions import ConnectionClosed

from csms.storage.store import MAX_BATCH
from tests.support.bursts import Bursts
from tests.support.ocpp import meter, start, stop
from tests.support.ocpp_links import Socket
from tests.support.operator import AT_ONCE, Operator, station
from tests.support.postgres import database
from tests.support.system import System, SystemOnServer
from tests.support.waiting import until

STATIONS = 20
READINGS = 4
PIPELINED = 100
# As low as it may be set.
MOST_QUEUED = 200
CROWD = MOST_QUEUED + 20
FIRST = 5
STARTED = "SELECT count(*) FROM transactions WHERE open"
LOOK_EVERY_S = 0.1
# Late is what a store makes of it; this is a link that is dead.
LATE_S = 60.0


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{n:03}" for n in range(count)]


def reading(transaction: int, minute: int) -> Any:
    sampled = {"value": str(1_000 + 100 * minute), "unit": "Wh"}
    at = f"2024-05-01T12:{minute:02}:00Z"
    return meter({**sampled, "measurand": "Energy.Active.Import.Register"}, at=at) | {
        "transactionId": transaction
    }


async def call(socket: Socket, action: str, payload: dict[str, Any]) -> Any:
    """With all the time that it takes."""
    await socket.sends([2, action, action, payload])
    kind, _, answer = await socket.reads(LATE_S)
    assert kind == 3, answer
    return answer


async def charges(socket: Socket, identity: str) -> None:
    """A whole charge, each message as soon as the one before is answered."""
    answer = await call(socket, "StartTransaction", start(idTag=identity))
    for minute in range(1, READINGS + 1):
        await call(socket, "MeterValues", reading(answer["transactionId"], minute))
    ended = stop(answer["transactionId"], meterStop=1_000 + 100 * READINGS)
    await call(socket, "StopTransaction", ended)


async def pipelines(socket: Socket) -> None:
    """A station that waits for no answer: all are answered all the same, in order."""

    async def sends() -> None:
        for n in range(PIPELINED):
            await socket.connection.send(f'[2,"{n}","Heartbeat",{{}}]')

    sending = asyncio.create_task(sends())
    for n in range(PIPELINED):
        assert (await socket.reads(LATE_S))[1] == str(n)
    await sending


@asynccontextmanager
async def connected(
    system: System, secrets: dict[str, str], *, boot: bool = True
) -> AsyncIterator[dict[str, Socket]]:
    async with AsyncExitStack() as stack:

        async def one(name: str) -> Socket:
            link = station(system.station_url, name, secrets[name], boot=boot)
            return await stack.enter_async_context(link)

        links: list[Socket] = []
        identities = list(secrets)
        # All at once would be more than may wait for the store here.
        for first in range(0, len(identities), AT_ONCE):
            links += await asyncio.gather(*map(one, identities[first : first + AT_ONCE]))
        yield dict(zip(identities, links, strict=True))


async def all_charge(system: System, sockets: dict[str, Socket], impatient: Socket) -> float:
    """Until all have charged; the longest queue of the store that was seen meanwhile."""
    operator, longest = Operator(system), 0.0
    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(charges(socket, name)) for name, socket in sockets.items()]
        working.append(tasks.create_task(pipelines(impatient)))
        while not all(task.done() for task in working):
            longest = max(longest, await operator.metric("csms_store_queue"))
            await asyncio.wait(working, timeout=LOOK_EVERY_S)
    return longest


def all_is_there(system: System, count: int) -> None:
    """What was acknowledged, once."""
    energies = system.query("SELECT energy_wh, count(*) FROM transactions GROUP BY 1")
    assert energies == [(100 * READINGS, count)]
    many = "SELECT count(*), count(DISTINCT (transaction_id || ' ' || at)) FROM meter_samples"
    assert system.query(many) == [(count * READINGS, count * READINGS)]
    assert system.query("SELECT count(*) FROM quarantine") == [(0,)]


async def test_a_file_that_another_program_holds(system: System) -> None:
    """In bursts: stations wait for their answers. Then for long, with more stations than may wait
    for the store: the links of those end with 1013, unanswered, and what they have to say is heard
    when they come back."""
    await system.init(
        CSMS_STORE__MAX_QUEUE=str(MOST_QUEUED),
        CSMS_STORE__GRACE_S="60",
        CSMS_OCPP__SETTLE_S="3600",
    )
    await system.start()
    operator = Operator(system)
    secrets = await operator.add(*names("CP", STATIONS), "IMPATIENT")
    async with connected(system, secrets) as sockets:
        impatient = sockets.pop("IMPATIENT")
        bursts = asyncio.create_task(Bursts(system.database).run(0.4, 0.02))
        try:
            # One of each link, however much the impatient one has sent, and what the node does.
            assert 0 < await all_charge(system, sockets, impatient) <= STATIONS + 10
        finally:
            bursts.cancel()
            await asyncio.wait((bursts,))
        await system.ready()
        assert await operator.metric("csms_store_trouble") == 0
        assert await operator.metric("csms_links") == STATIONS + 1
        assert await operator.metric("csms_links_ended_total") == 0
        await impatient.is_alive()
        all_is_there(system, STATIONS)
        await too_many_wait(system)
    assert await system.stop() == 0


async def too_many_wait(system: System) -> None:
    operator = Operator(system)
    crowd = names("CROWD", CROWD)
    secrets = await operator.add(*crowd, cards=False)
    answered: list[str] = []
    turned_away: list[str] = []
    codes: set[int | None] = set()
    async with connected(system, secrets, boot=False) as sockets:

        async def starts(name: str) -> None:
            try:
                await call(sockets[name], "StartTransaction", start(idTag=name))
                answered.append(name)
            except ConnectionClosed as closed:
                turned_away.append(name)
                codes.add(closed.rcvd.code if closed.rcvd else None)

        async def full() -> bool:
            # A batch that could not be written is back in the queue, before all others.
            assert await operator.metric("csms_store_queue") <= MOST_QUEUED + MAX_BATCH
            return bool(turned_away)

        async def said() -> Any:
            code, body = await operator.readyz()
            return code == 503 and body["reason"]

        with Bursts(system.database).holding():
            # What comes before the store knows of its trouble is one batch, however much it is.
            working = [asyncio.create_task(starts(name)) for name in crowd[:FIRST]]
            assert "locked" in await until(said)
            working += [asyncio.create_task(starts(name)) for name in crowd[FIRST:]]
            await until(full)
        await asyncio.gather(*working)
        await system.ready()
        assert answered
        assert codes == {1013}
        ended = await operator.metric("csms_links_ended_total", reason="store_unavailable")
        assert ended == len(turned_away)
        assert system.query(STARTED) == [(len(answered),)]
    for name in turned_away:
        async with station(system.station_url, name, secrets[name], boot=False) as again:
            await call(again, "StartTransaction", start(idTag=name))
    assert system.query(STARTED) == [(CROWD,)]


@pytest.fixture
async def on_server(tmp_path: Path) -> AsyncIterator[SystemOnServer]:
    with database() as url:
        made = SystemOnServer(tmp_path, url)
        try:
            yield made
        finally:
            if made.process is not None and made.process.returncode is None:
                await made.kill()


SLOW = """
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END';
CREATE TRIGGER slowly BEFORE INSERT ON journal FOR EACH STATEMENT EXECUTE FUNCTION slowly();
"""


@pytest.mark.postgres
async def test_a_server_whose_commits_are_slow(on_server: SystemOnServer) -> None:
    """Slow is not broken: nobody is sent away, `/readyz` says that it works, the metrics say how
    long it takes."""
    system = on_server
    await system.init(CSMS_OCPP__SETTLE_S="3600")
    await system.start()
    operator = Operator(system)
    secrets = await operator.add(*names("CP", STATIONS), "IMPATIENT")
    async with connected(system, secrets) as sockets:
        impatient = sockets.pop("IMPATIENT")
        with psycopg.connect(system.url, autocommit=True) as connection:
            connection.execute(SLOW)
            slow_before = await operator.metric("csms_store_batch_seconds_sum")
            charging = asyncio.create_task(all_charge(system, sockets, impatient))
            while not charging.done():
                assert (await operator.readyz())[0] == 200
                await asyncio.wait((charging,), timeout=LOOK_EVERY_S)
            assert 0 < await charging <= STATIONS + 10
            slow = await operator.metric("csms_store_batch_seconds_sum") - slow_before
            assert slow > 0.1 * READINGS
            connection.execute("DROP FUNCTION slowly CASCADE")
        assert await operator.metric("csms_links_ended_total") == 0
        await impatient.is_alive()
    assert await system.stop() == 0
    all_is_there(system, STATIONS)
