"""One station's link over a real WebSocket: their calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from csms.core.messages import Message
from csms.core.quarantine import Quarantined
from csms.core.transactions import Transaction
from csms.flows.messages import MessageLimits, MessageLog
from csms.storage.store import QueuedStore
from tests.support.ocpp import start, stop
from tests.support.ocpp_links import Central, Clock, SeamDatabase, listening, until
from tests.support.stores import FaultyDatabase, SqliteSite, running


@pytest.fixture
def database(tmp_path: Path) -> SeamDatabase:
    return SeamDatabase(SqliteSite(tmp_path).database())


@pytest.fixture
async def store(database: SeamDatabase, tmp_path: Path) -> AsyncIterator[QueuedStore]:
    async with running(SqliteSite(tmp_path), database) as store:
        yield store


@pytest.fixture
async def central(store: QueuedStore) -> AsyncIterator[Central]:
    async with listening(store) as central:
        await central.onboard()
        yield central


async def test_calls_are_answered_in_their_order(central: Central) -> None:
    async with central.connect() as station:
        for n in range(200):
            await station.sends([2, f"m{n}", "StartTransaction", start(meterStart=n)])
        numbers = []
        for n in range(200):
            kind, message_id, result = await station.reads()
            assert (kind, message_id) == (3, f"m{n}")
            numbers.append(result["transactionId"])
        assert numbers == sorted(numbers)


async def test_an_answer_goes_out_after_its_commit(
    central: Central, database: SeamDatabase
) -> None:
    async with central.connect() as station:
        database.hold()
        await station.sends([2, "m1", "StartTransaction", start()])
        await asyncio.to_thread(database.holding.wait, 10)
        await station.reads_nothing()
        assert await central.store.reader.count(Transaction) == 0
        database.release()
        assert (await station.reads())[:2] == [3, "m1"]
        assert await central.store.reader.count(Transaction) == 1


async def test_a_refusal_too_goes_out_after_what_it_leaves_is_stored(
    central: Central, database: SeamDatabase
) -> None:
    async with central.connect() as station:
        database.hold()
        await station.sends([2, "m1", "MakeCoffee", {}])
        await asyncio.to_thread(database.holding.wait, 10)
        await station.reads_nothing()
        database.release()
        assert (await station.reads())[:3] == [4, "m1", "NotImplemented"]
        assert await central.violations() == {"MakeCoffee: not_implemented": 1}


async def test_calls_may_cross(central: Central) -> None:
    """Reference 7.2: one stack sends Authorize before it answers RequestStartTransaction."""
    async with central.connect() as station:
        asked = asyncio.create_task(central.link().call("ours", "Reset", {"type": "Soft"}, 10))
        assert await station.reads() == [2, "ours", "Reset", {"type": "Soft"}]
        await station.is_alive()
        await station.sends([2, "m1", "Authorize", {"idTag": "X"}])
        await station.sends([3, "ours", {"status": "Accepted"}])
        assert (await station.reads())[:2] == [3, "m1"]
        assert (await asked).payload == {"status": "Accepted"}


async def test_our_answer_is_read_while_their_call_waits_for_the_store(
    central: Central, database: SeamDatabase
) -> None:
    """A station may call before it answers (Authorize before the result of a remote start)."""
    async with central.connect() as station:
        asked = asyncio.create_task(central.link().call("ours", "Reset", {"type": "Soft"}, 10))
        assert (await station.reads())[1] == "ours"
        database.hold()
        await station.sends([2, "m1", "StartTransaction", start()])
        await asyncio.to_thread(database.holding.wait, 10)
        await station.sends([3, "ours", {"status": "Accepted"}])
        async with asyncio.timeout(10):
            assert (await asked).payload == {"status": "Accepted"}
        database.release()
        assert (await station.reads())[1] == "m1"


async def test_our_call_goes_out_while_their_call_waits_for_the_store(
    central: Central, database: SeamDatabase
) -> None:
    async with central.connect() as station:
        database.hold()
        await station.sends([2, "m1", "StartTransaction", start()])
        await asyncio.to_thread(database.holding.wait, 10)
        asked = asyncio.create_task(central.link().call("ours", "Reset", {"type": "Soft"}, 10))
        assert (await station.reads())[1] == "ours"
        await station.sends([3, "ours", {"status": "Accepted"}])
        database.release()
        assert (await station.reads())[1] == "m1"
        async with asyncio.timeout(10):
            assert (await asked).payload == {"status": "Accepted"}


# -- what cannot be answered -----------------------------------------------------------------------

GARBAGE: list[tuple[Any, Any]] = [
    # what is sent, and what comes back: (id, code), or None for nothing
    ("", ("-1", "FormationViolation")),
    ("{", ("-1", "FormationViolation")),
    ("null", ("-1", "FormationViolation")),
    ("[]", ("-1", "FormationViolation")),
    ("[2]", ("-1", "FormationViolation")),
    ("[" * 5_000, ("-1", "FormationViolation")),
    (b"\x00\xff\xfe", ("-1", "FormationViolation")),
    ('[2,"m","Heartbeat"]', ("m", "FormationViolation")),
    ('[2,"m",[],{}]', ("m", "FormationViolation")),
    ('[2,"m","Heartbeat",[]]', ("m", "FormationViolation")),
    ('[2,"m","Heartbeat",{"a":}]', ("m", "FormationViolation")),  # quirk 42
    ('[2,{},"Heartbeat",{}]', ("-1", "FormationViolation")),
    ('[2,"m","__class__",{}]', ("m", "NotImplemented")),
    ('[2,"m","Reset",{"type":"Soft"}]', ("m", "NotSupported")),
    ('[2,"m","DataTransfer",{"vendorId":{"$ref":"#"}}]', ("m", "TypeConstraintViolation")),
    ('[3,"nobody asked",{}]', None),
    ('[4,"-1","InternalError","",{}]', None),
    ('[5,"m","InternalError","",{}]', None),
    ('[99,"m"]', None),
    ('["2","m","Heartbeat",{}]', None),
]


@pytest.mark.parametrize(("frame", "answer"), GARBAGE)
async def test_garbage_of_every_kind_keeps_the_link_up(
    central: Central, frame: Any, answer: tuple[str, str] | None
) -> None:
    async with central.connect() as station:
        await station.sends(frame)
        if answer is not None:
            kind, message_id, code, *_ = await station.reads()
            assert (kind, message_id, code) == (4, *answer)
        await station.is_alive()


async def test_text_in_another_encoding_keeps_the_link_up(central: Central) -> None:
    """Quirk 44 and what `rpc` says of it: the message is worth more than the letter."""
    async with central.connect() as station:
        status = '[2,"m","StatusNotification",{"connectorId":1,"errorCode":"NoError",'
        frame = f'{status}"status":"Available","info":"h\u00e4ngt"}}]'.encode("latin-1")
        await station.connection.send(frame, text=True)
        assert await station.reads() == [3, "m", {}]
        assert await central.violations() == {"bad_characters": 1}


async def test_a_binary_frame_is_understood(central: Central) -> None:
    async with central.connect() as station:
        await station.sends(b'[2,"m","Heartbeat",{}]')
        assert (await station.reads())[:2] == [3, "m"]


async def test_a_frame_over_the_limit_closes_that_link_alone(store: QueuedStore) -> None:
    async with listening(store, max_message_bytes=10_000) as central:
        await central.onboard("CS 1")
        await central.onboard("CS 2")
        async with central.connect("CS 1") as one, central.connect("CS 2") as other:
            await one.sends([2, "m", "DataTransfer", {"vendorId": "v", "data": "x" * 9_900}])
            assert (await one.reads())[0] == 3
            await one.sends("x" * 10_001)
            assert (await one.closed())[0] == 1009
            await other.is_alive()


async def test_a_call_that_we_fail_on_is_kept(central: Central, database: SeamDatabase) -> None:
    async with central.connect() as station:
        database.refused = "transactions"
        await station.sends([2, "m1", "StartTransaction", start(idTag="KEEP ME")])
        assert (await station.reads())[:3] == [4, "m1", "InternalError"]
        await station.is_alive()
        (kept,) = await central.store.reader.page(Quarantined)
        assert (kept.kind, kept.reason) == ("call", "StoreRefused")
        assert kept.payload["action"] == "StartTransaction"
        assert kept.payload["payload"]["idTag"] == "KEEP ME"
        database.refused = None
        assert (await station.calls("StartTransaction", start()))["transactionId"] > 0


async def test_a_call_that_cannot_even_be_kept_is_answered(
    central: Central, database: SeamDatabase
) -> None:
    async with central.connect() as station:
        database.refused = "journal"
        await station.sends([2, "m1", "StartTransaction", start()])
        assert (await station.reads())[:3] == [4, "m1", "InternalError"]
        await station.is_alive()


async def test_in_strict_mode_a_violation_is_an_error(store: QueuedStore) -> None:
    async with listening(store, link={"strict": True}) as central:
        await central.onboard()
        async with central.connect() as station:
            await station.sends([2, "m1", "StartTransaction", start(meterStart="1000")])
            kind, _, code, words, details = await station.reads()
            assert (kind, code, details) == (4, "TypeConstraintViolation", {})
            assert words == "/meterStart: not of type integer"


# -- the store is away -----------------------------------------------------------------------------


async def test_without_a_store_nobody_is_answered_and_the_link_ends(tmp_path: Path) -> None:
    """DESIGN rule 5: a connected station would count its attempts and discard."""
    site = SqliteSite(tmp_path)
    database = FaultyDatabase(site.database())
    async with running(site, database, grace_s=0.0) as store, listening(store) as central:
        await central.onboard()
        async with central.connect() as station:
            number = (await station.calls("StartTransaction", start()))["transactionId"]
            database.down = "disk full"
            for n in range(5):
                await station.sends([2, f"m{n}", "StopTransaction", stop(number, meterStop=n)])
            with pytest.raises(ConnectionClosed):
                await station.reads()
            assert station.connection.close_code == 1013
            database.down = None
            await until(lambda: store.trouble is None)
        async with central.connect() as station:
            await station.calls("StopTransaction", stop(number, meterStop=2_000))
        (row,) = await store.reader.page(Transaction)
        # The first that the station was answered is the one that counts.
        assert row.energy_wh == 1_000
        assert await store.reader.count(Quarantined) == 0
        assert (await central.station()).node in (None, "node-1")


async def test_a_short_outage_is_waited_for(tmp_path: Path) -> None:
    site = SqliteSite(tmp_path)
    database = FaultyDatabase(site.database())
    async with running(site, database, grace_s=30.0) as store, listening(store) as central:
        await central.onboard()
        async with central.connect() as station:
            database.down = "disk full"
            await station.sends([2, "m1", "StartTransaction", start()])
            await until(lambda: store.trouble is not None)
            await station.reads_nothing()
            database.down = None
            assert (await station.reads())[:2] == [3, "m1"]


async def test_what_is_said_on_a_link_is_noted_for_people(store: QueuedStore) -> None:
    """In the order of the wire, with the action that an answer belongs to."""
    clock = Clock()
    messages = MessageLog(store, MessageLimits(), clock)
    async with listening(store, clock=clock, messages=messages) as central:
        await central.onboard()
        async with central.connect() as station:
            await station.calls("Heartbeat")
            await station.sends("no message")
            await station.reads()
            calling = asyncio.create_task(central.link().call("c1", "Reset", {"type": "Soft"}, 5))
            await station.reads()
            await station.sends([3, "c1", {"status": "Accepted"}])
            await calling
    await messages.write()
    rows = await store.reader.page(Message)
    assert [(row.direction, row.kind, row.action) for row in rows] == [
        ("in", "call", "Heartbeat"),
        ("out", "result", "Heartbeat"),
        ("in", "refused", None),
        ("out", "error", None),
        ("out", "call", "Reset"),
        ("in", "result", "Reset"),
    ]
    assert rows[0].text == '[2, "call 1", "Heartbeat", {}]'
    assert {row.station_id for row in rows} == {"id CS 1"}
