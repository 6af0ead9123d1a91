"""A message that needs an answer from outside: facts first, then the question, then the reply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from csms.core import stations
from csms.core.ids import Origin
from csms.core.ports import Ask, Reply, Tx
from csms.core.stations import Station
from csms.flows.exchange import Answerers, Nobody, exchange
from csms.ocpp import versions
from csms.ocpp.routing import Answer, Dialect, Payload, Route
from csms.ocpp.v16 import routes
from csms.storage.open import open_inline
from csms.storage.store import InlineStore
from tests.support.ocpp import Inbound
from tests.support.ocpp_links import listening


class Outside:
    """Whoever answers, as told."""

    def __init__(self, answer: Callable[[object], Awaitable[object]]) -> None:
        self._answer = answer
        self.asked: list[object] = []

    async def ask(self, request: object) -> object:
        self.asked.append(request)
        return await self._answer(request)


def question(deadline_s: float = 10.0) -> Ask[str]:
    def then(tx: Tx, answer: Any) -> Reply[str]:
        tx.mark("then")
        return Reply(f"heard {answer}")

    return Ask("are you there?", deadline_s, then)


async def heard(outside: Any, deadline_s: float = 10.0) -> tuple[str, InlineStore]:
    store = open_inline()
    async with asyncio.timeout(10):
        reply = await exchange(store, outside, question(deadline_s))
    return reply.value, store


async def test_an_answer_reaches_the_second_function() -> None:
    async def answer(request: object) -> object:
        return "yes"

    outside = Outside(answer)
    value, store = await heard(outside)
    assert (value, outside.asked, store.marks) == ("heard yes", ["are you there?"], ["then"])


async def test_too_slow_counts_as_no_answer() -> None:
    given_up = asyncio.Event()

    async def answer(request: object) -> object:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return "too late"

    value, _ = await heard(Outside(answer), 0.02)
    assert value == "heard None"
    assert given_up.is_set()


async def test_raising_counts_as_no_answer() -> None:
    async def answer(request: object) -> object:
        raise ConnectionError("nobody home")

    assert (await heard(Outside(answer)))[0] == "heard None"


async def test_a_time_out_of_its_own_counts_as_no_answer() -> None:
    async def answer(request: object) -> object:
        raise TimeoutError

    assert (await heard(Outside(answer)))[0] == "heard None"


async def test_giving_up_by_itself_counts_as_no_answer() -> None:
    """A cancelled wait inside the outside is not the end of the caller."""

    async def answer(request: object) -> object:
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        return await gone

    assert (await heard(Outside(answer)))[0] == "heard None"


async def test_the_end_of_the_caller_is_its_end() -> None:
    store = open_inline()
    begun = asyncio.Event()

    async def answer(request: object) -> object:
        begun.set()
        return await asyncio.Event().wait()

    task = asyncio.create_task(exchange(store, Outside(answer), question()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.marks == []


async def test_who_answers_twice_is_heard_once() -> None:
    """A second answer, or one after the deadline, finds nobody waiting."""
    line: asyncio.Queue[str] = asyncio.Queue()

    async def answer(request: object) -> object:
        line.put_nowait("yes")
        line.put_nowait("no")
        return await line.get()

    value, store = await heard(Outside(answer))
    assert (value, store.marks) == ("heard yes", ["then"])


async def test_what_the_store_raises_is_raised() -> None:
    def then(tx: Tx, answer: Any) -> Reply[str]:
        raise LookupError("gone meanwhile")

    with pytest.raises(LookupError):
        await exchange(open_inline(), Nobody(), Ask("?", 10.0, then))


async def test_nobody_is_quick() -> None:
    assert (await heard(Nobody(), 60.0))[0] == "heard None"


# -- inside a link ---------------------------------------------------------------------------------


def asking(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    """Stores a fact, then asks; the answer decides the status."""
    stations.count_violations(tx, origin.station_id, ("asked",))

    def then(tx: Tx, answer: Any) -> Reply[Payload]:
        stations.count_violations(tx, origin.station_id, ("answered",))
        return Reply({"status": answer or "Rejected"})

    return Ask(payload["vendorId"], 0.2, then)


@pytest.fixture
def slow_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """1.6 with one route that asks outside."""
    table = {**routes.ROUTES, "DataTransfer": Route(asking)}
    known = versions.PROTOCOLS["ocpp1.6"]
    asks = replace(known, dialect=Dialect("1.6", table, strict_new=False))
    monkeypatch.setitem(versions.PROTOCOLS, "ocpp1.6", asks)  # type: ignore[arg-type]


async def counted(store: Any) -> dict[str, int]:
    (row,) = await store.reader.page(Station)
    return dict(row.violations)


@pytest.mark.usefixtures("slow_route")
async def test_a_link_goes_on_while_the_outside_is_asked() -> None:
    """DESIGN 2A: the facts are stored first; results and commands of that link keep flowing."""
    asked, let = asyncio.Event(), asyncio.Event()

    async def answer(request: object) -> object:
        asked.set()
        await let.wait()
        return "Accepted"

    store = open_inline()
    async with listening(store, outside=Outside(answer)) as central:
        await central.onboard()
        async with central.connect() as station:
            await station.sends([2, "m1", "DataTransfer", {"vendorId": "v"}])
            await asked.wait()
            assert await counted(store) == {"asked": 1}
            calling = asyncio.create_task(central.link().call("c", "Reset", {"type": "Soft"}, 5))
            assert (await station.reads())[1] == "c"
            await station.sends([3, "c", {"status": "Accepted"}])
            await calling
            await station.reads_nothing()
            let.set()
            assert await station.reads() == [3, "m1", {"status": "Accepted"}]
            assert await counted(store) == {"asked": 1, "answered": 1}


@pytest.mark.usefixtures("slow_route")
@pytest.mark.parametrize("how", ["dead", "raises", "gives up"])
async def test_a_link_survives_an_outside_that_does_not_answer(how: str) -> None:
    async def answer(request: object) -> object:
        if how == "raises":
            raise OSError("no route")
        gone = asyncio.get_running_loop().create_future()
        if how == "gives up":
            gone.cancel()
        return await gone

    store = open_inline()
    async with listening(store, outside=Outside(answer)) as central:
        await central.onboard()
        async with central.connect() as station:
            await station.sends([2, "m1", "DataTransfer", {"vendorId": "v"}])
            assert await station.reads() == [3, "m1", {"status": "Rejected"}]
            await station.is_alive()


def test_the_table_of_versions_is_whole_again() -> None:
    assert Inbound().answers("DataTransfer", vendorId="v") == {"status": "UnknownVendorId"}


# -- who answers what ------------------------------------------------------------------------------


async def test_the_type_of_a_request_says_who_answers() -> None:
    async def answer(request: object) -> object:
        return f"about {request}"

    outside = Outside(answer)
    value, _ = await heard(Answerers({str: outside}))
    assert value == "heard about are you there?"


async def test_what_nobody_is_there_for_has_no_answer() -> None:
    async def answer(request: object) -> object:
        return "yes"

    value, _ = await heard(Answerers({int: Outside(answer)}))
    assert value == "heard None"
