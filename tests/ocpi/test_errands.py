"""What we ask of a partner's stations, over real HTTP (OCPI 2.2.1 mod_commands, sender)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from csms.bus.local import LocalBus
from csms.core import errands as own
from csms.core import partners
from csms.core.errands import Errand, Status
from csms.core.errors import Invalid, NotFound, Refused
from csms.ocpi import locations, sessions
from csms.ocpi.envelope import Answer
from csms.ocpi.errands import SLACK_S, Errands, Planned
from csms.ocpi.network import RECEIVER
from csms.ocpi.routing import Call, Module
from csms.ocpi.wire.v221.commands import CommandResponse
from tests.ocpi.test_tokens import add
from tests.support import ocpi_objects as objects
from tests.support.ocpi import NOW, Side, connected

SESSION = "/2.2.1/receiver/sessions/US/STH"


class Asked:
    """North asks for its driver; South's server takes it and says what the test wants."""

    def __init__(self, north: Side, south: Side) -> None:
        self.north, self.south = north, south
        self.bus = LocalBus()
        self.errands = Errands(north.network, self.bus, within_s=60)
        self.taken: list[tuple[str, Any, Any]] = []
        self.says: Any = {"result": "ACCEPTED", "timeout": 30}
        self.listed = False
        north.offers(self.errands.module, *locations.MODULES, *sessions.MODULES)
        south.offers(Module("commands", RECEIVER, {("POST", 1): self._take}))

    async def _take(self, call: Call) -> Answer:
        self.taken.append((call.rest[0], call.body, call.routing))
        says = CommandResponse.model_construct(**self.says)
        return Answer([says] if self.listed else says)

    async def tells_of(self, location_id: str = "LOC1", **changes: Any) -> None:
        owner = {"country_code": "US", "party_id": "STH"}
        body = objects.location(location_id, **owner, **changes)
        path = f"/2.2.1/receiver/locations/US/STH/{location_id}"
        answer = await self.south.asks(self.north, "PUT", path, body)
        assert answer.json()["status_code"] == 1000, answer.text

    async def session(self, session_id: str = "S1", **changes: Any) -> None:
        token = {
            "country_code": "CA",
            "party_id": "NTH",
            "uid": "CARD",
            "type": "RFID",
            "contract_id": "C",
        }
        owner = {"country_code": "US", "party_id": "STH", "cdr_token": token}
        body = {**objects.session(session_id), "kwh": 10.5, **owner, **changes}
        answer = await self.south.asks(self.north, "PUT", f"{SESSION}/{session_id}", body)
        assert answer.json()["status_code"] == 1000, answer.text

    async def start(self, uid: str = "CARD", **more: Any) -> Planned:
        return await self.errands.start("key", "US*STH", "LOC1", ("CA*NTH", uid, "rfid"), **more)

    async def send(self, planned: Planned) -> Errand:
        self.north.store.run(own.enter, planned.errand, planned.kind)
        return await self.errands.send(planned)

    async def result(self, result: str, errand_id: str | None = None, **more: Any) -> Any:
        """South tells the result where it was told to."""
        url = self.taken[-1][1]["response_url"]
        if errand_id is not None:
            url = f"{url.rsplit('/', 1)[0]}/{errand_id}"
        return (await self.south.asks(self.north, "POST", url, {"result": result, **more})).json()


@asynccontextmanager
async def desk() -> AsyncIterator[Asked]:
    made = Asked(Side("CA*NTH"), Side("US*STH"))
    async with connected(made.north, made.south):
        add(made.north, "CARD")
        await made.tells_of()
        yield made


async def test_a_start_carries_token_place_and_reference_and_gets_its_result() -> None:
    async with desk() as d:
        planned = await d.start()
        errand = await d.send(planned)
        assert errand.status == Status.TAKEN
        (command, body, routing) = d.taken[0]
        assert command == "START_SESSION"
        assert (body["location_id"], body["evse_uid"]) == ("LOC1", "E1")
        assert body["authorization_reference"] == errand.id
        assert (body["token"]["uid"], body["token"]["party_id"]) == ("CARD", "NTH")
        assert "connector_id" not in body
        assert (routing.sender, routing.to) == ("CA*NTH", "US*STH")
        expected = f"{d.north.base}/2.2.1/sender/commands/START_SESSION/{errand.id}"
        assert body["response_url"] == expected
        assert (await d.result("ACCEPTED"))["status_code"] == 1000
        assert (await d.errands.outcome(errand.id, 5)).status == Status.ACCEPTED


async def test_who_waits_is_woken_by_the_result() -> None:
    async with desk() as d:
        errand = await d.send(await d.start())
        waiting = asyncio.create_task(d.errands.outcome(errand.id, 20))
        await d.result("EVSE_OCCUPIED", message=[{"language": "en", "text": "a car is there"}])
        d.bus.wake()
        async with asyncio.timeout(10):
            done = await waiting
        assert (done.status, done.result, done.detail) == (
            Status.REJECTED,
            "EVSE_OCCUPIED",
            "a car is there",
        )


async def test_the_session_with_our_reference_is_the_one_that_began() -> None:
    async with desk() as d:
        errand = await d.send(await d.start())
        await d.session(authorization_reference=errand.id)
        assert (await d.errands.outcome(errand.id, 0)).session_id == "S1"


async def test_only_the_partner_that_was_asked_tells_the_result() -> None:
    async with desk() as d:
        errand = await d.send(await d.start())

        def elsewhere(tx: Any) -> None:
            tx.save(tx.get(Errand, errand.id)._replace(partner_id="somebody"))

        d.north.store.run(elsewhere)
        assert (await d.result("ACCEPTED"))["status_code"] == 2000
        assert (await d.result("ACCEPTED", "nothing"))["status_code"] == 2000
        assert (await d.errands.outcome(errand.id, 0)).status == Status.TAKEN


@pytest.mark.parametrize(
    ("says", "detail"),
    [
        ({"result": "REJECTED", "timeout": 0}, "REJECTED"),
        ({"result": "UNKNOWN_SESSION", "timeout": 30}, "UNKNOWN_SESSION"),
        ({"result": "NOT_SUPPORTED", "timeout": 30}, "NOT_SUPPORTED"),
        (
            {
                "result": "REJECTED",
                "timeout": 30,
                "message": [
                    {"language": "de", "text": "zu"},
                    {"language": "en", "text": "closed"},
                ],
            },
            "closed",
        ),
    ],
)
async def test_a_no_at_once_says_why(says: Any, detail: str) -> None:
    async with desk() as d:
        d.says = says
        errand = await d.send(await d.start())
        assert (errand.status, errand.detail) == (Status.REJECTED, detail)


async def test_an_answer_that_never_came_leaves_it_open_what_was_done() -> None:
    async with desk() as d:
        d.north.faults.break_at, d.north.faults.delivered = len(d.north.faults.sent) + 1, True
        errand = await d.send(await d.start())
        assert errand.status == Status.UNKNOWN
        d.north.heal()
        assert len(d.taken) == 1, "it had arrived"
        await d.result("ACCEPTED")
        assert (await d.errands.outcome(errand.id, 0)).status == Status.ACCEPTED


async def test_an_answer_that_cannot_be_read_does_the_same() -> None:
    async with desk() as d:
        d.says = {"result": "PERHAPS", "timeout": 30}
        errand = await d.send(await d.start())
        assert errand.status == Status.UNKNOWN
        assert "result" in (errand.detail or "")


async def test_an_answer_in_a_list_is_understood_and_counted() -> None:
    async with desk() as d:
        d.listed = True
        errand = await d.send(await d.start())
        assert errand.status == Status.TAKEN
        assert (await d.north.partner(d.south)).deviations == {"data: one_in_a_list": 1}


async def test_a_result_that_does_not_come_is_given_up_after_their_own_time() -> None:
    async with desk() as d:
        errand = await d.send(await d.start())
        d.north.later(seconds=30 + SLACK_S - 1)
        await d.errands.give_up()
        assert (await d.errands.outcome(errand.id, 0)).status == Status.TAKEN
        d.north.later(seconds=1)
        await d.errands.give_up()
        assert (await d.errands.outcome(errand.id, 0)).status == Status.TIMED_OUT


async def test_stop_and_unlock_go_where_the_session_and_the_place_are() -> None:
    async with desk() as d:
        await d.session()
        stop = await d.errands.stop("key", "US*STH", "s1")
        assert (await d.send(stop)).status == Status.TAKEN
        unlock = await d.errands.unlock("key", "US*STH", "LOC1", "e1", "1")
        assert (await d.send(unlock)).status == Status.TAKEN
        ((first, stopped, _), (second, unlocked, _)) = d.taken
        assert (first, stopped["session_id"]) == ("STOP_SESSION", "S1")
        assert second == "UNLOCK_CONNECTOR"
        assert (unlocked["evse_uid"], unlocked["connector_id"]) == ("E1", "1")


async def test_what_cannot_be_is_not_asked_for() -> None:
    async with desk() as d:
        for impossible, why in (
            (d.start(evse_uid="E9"), "has no EVSE E9; it has E1"),
            (d.errands.start("k", "US*STH", "LOC9", ("CA*NTH", "CARD", "rfid")), "LOC9"),
            (d.errands.stop("k", "US*STH", "S9"), "no session S9"),
        ):
            with pytest.raises(NotFound, match=why):
                await impossible
        await d.session(status="COMPLETED")
        with pytest.raises(Refused, match="has ended"):
            await d.errands.stop("k", "US*STH", "S1")
        add(d.north, "0123456789" * 4)
        with pytest.raises(Refused, match="at most 36"):
            await d.start("0123456789" * 4)
        partner = await d.north.partner(d.south)
        d.north.store.run(partners.suspend, partner.id, NOW)
        with pytest.raises(Refused, match="suspended"):
            await d.start()
        assert d.taken == []


async def test_a_free_evse_is_chosen_and_its_connector_named_where_that_is_required() -> None:
    async with desk() as d:
        required = ["START_SESSION_CONNECTOR_REQUIRED"]
        two = [objects.connector(id="1"), objects.connector(id="2")]
        await d.tells_of(
            evses=[
                objects.evse("E1", status="CHARGING"),
                objects.evse("E2", capabilities=required),
                objects.evse("E3", capabilities=required, connectors=two),
            ]
        )
        planned = await d.start()
        assert (planned.errand.evse_uid, planned.errand.connector_id) == ("E2", "1")
        with pytest.raises(Invalid, match="one of: 1, 2"):
            await d.start(evse_uid="E3")


async def test_a_partner_that_takes_no_commands_is_not_asked() -> None:
    north, south = Side("CA*NTH"), Side("US*STH")
    for side in (north, south):
        side.offers(*locations.MODULES)
    async with connected(north, south):
        body = objects.location("LOC1", country_code="US", party_id="STH")
        await south.asks(north, "PUT", "/2.2.1/receiver/locations/US/STH/LOC1", body)
        with pytest.raises(Refused, match="takes no commands"):
            await Errands(north.network, LocalBus()).start(
                "k", "US*STH", "LOC1", ("CA*NTH", "CARD", "rfid")
            )
