"""Whatever leaves about a driver is noted before it leaves, by every way that it can leave."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from csms.core.disclosures import Disclosure
from csms.core.errors import StoreUnavailable
from csms.core.visitors import HomeAsked
from csms.ocpi import tokens
from csms.ocpi.network import Network
from tests.ocpi import test_cdrs as cdrs
from tests.ocpi.test_errands import desk
from tests.ocpi.test_sessions import SENDER as SESSIONS
from tests.ocpi.test_sessions import SINCE, two
from tests.ocpi.test_tokens import SENDER, add, networks, token
from tests.support.ocpi import Side


async def noted(side: Side) -> dict[str, Disclosure]:
    """Module -> what this side has told, of one driver."""
    rows = await side.store.reader.page(Disclosure)
    assert len({(row.uid_key, row.type) for row in rows}) <= 1
    return {row.module: row for row in rows}


async def test_a_token_that_is_pushed_with_what_was_said_of_it() -> None:
    async with networks() as (north, south):
        add(north, "CARD", label="Jo Smith", group_id="FLEET")
        partner = await north.partner(south)
        await tokens.push(north.network, partner, "CA*NTH", "CARD")
        (row,) = await north.store.reader.page(Disclosure)
        assert (row.partner_id, row.party_id, row.uid, row.type) == (
            partner.id,
            "CA*NTH",
            "CARD",
            "RFID",
        )
        assert row.module == "token_push"
        assert (row.facts["valid"], row.facts["whitelist"]) == ([True], ["ALLOWED"])
        assert row.facts["group_id"] == ["FLEET"]
        assert row.facts["contract_id"][0].startswith("CA-NTH-C")
        assert "Smith" not in str(row)


async def test_a_page_that_a_partner_reads_and_no_other_page() -> None:
    async with networks(page=2) as (north, south):
        for n in range(3):
            add(north, f"T{n}")
            north.later(minutes=1)
        await south.asks(north, "GET", f"{SENDER}?limit=2")
        rows = await north.store.reader.page(Disclosure)
        assert [(row.module, row.uid) for row in rows] == [
            ("token_list", "T0"),
            ("token_list", "T1"),
        ]
        writes = north.store.writes
        await south.asks(north, "GET", SENDER)
        # That they were heard, and the notes of the whole page.
        assert north.store.writes - writes <= 2


async def test_an_answer_to_a_question_and_where_it_was_asked() -> None:
    async with networks() as (north, south):
        add(north, "CARD")
        body = {"location_id": "LOC1", "evse_uids": ["E1"]}
        await south.asks(north, "POST", f"{SENDER}/CARD/authorize", body)
        await south.asks(north, "POST", f"{SENDER}/NONE/authorize", body)
        row = (await noted(north))["authorization"]
        assert row.facts["location"] == ["LOC1 E1"]
        assert row.facts["valid"] == [True]


async def test_a_question_about_a_visitor() -> None:
    async with networks() as (north, south):
        add(south, "CARD")
        partner = await north.partner(south)
        asked = HomeAsked(partner.id, "US*STH", "CARD", "RFID", "LOC1", ("E1",))
        assert await tokens.ask_home(north.network, asked) is not None
        row = (await noted(north))["authorization"]
        assert (row.party_id, row.uid) == ("US*STH", "CARD")
        assert row.facts == {"uid": ["CARD"], "type": ["RFID"], "location": ["LOC1 E1"]}


async def test_a_session_pushed_and_listed() -> None:
    async with two() as t:
        number = t.start()
        await t.push()
        for wh in (1_000, 2_000, 3_000):
            t.meter(number, wh)
            await t.push()
        row = (await noted(t.north))["session"]
        assert (row.party_id, row.uid, row.times) == ("US*STH", "CARD", 1)
        assert row.facts["location"] == ["LOC1 E1"]
        assert row.facts["contract_id"] == [token()["contract_id"]]
        t.north.later(hours=1)
        await t.south.asks(t.north, "GET", f"{SESSIONS}{SINCE}")
        assert (await noted(t.north))["session"].times == 2


async def test_a_record_pushed_with_each_attempt_and_listed() -> None:
    async with cdrs.networks() as (north, south):
        await cdrs.turn(north, south)
        cdrs.sealed(north, cdrs.record())
        north.faults.break_at = len(north.faults.sent) + 1
        await cdrs.turn(north, south)
        row = (await noted(north))["cdr"]
        assert row.facts["location"] == ["LOC-1 E-1"]
        assert (row.facts["uid"], row.facts["contract_id"]) == (["CARD"], ["US-STH-C1"])
        north.heal()
        north.later(hours=2)
        await south.asks(north, "GET", cdrs.SENDER)
        row = (await noted(north))["cdr"]
        assert (row.times, row.last_at - row.first_at) == (2, timedelta(hours=2))


async def test_nothing_is_told_that_cannot_be_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with networks() as (north, south):
        add(north, "CARD")
        partner = await north.partner(south)

        def refusing(fn: Any, *args: Any, needs: Any = ()) -> Any:
            raise StoreUnavailable("on purpose")

        network: Network = north.network
        monkeypatch.setattr(network.store, "transact", refusing)
        north.faults.sent.clear()
        with pytest.raises(StoreUnavailable):
            await tokens.push(network, partner, "CA*NTH", "CARD")
        asked = HomeAsked(partner.id, "US*STH", "CARD", "RFID")
        with pytest.raises(StoreUnavailable):
            await tokens.ask_home(network, asked)
        assert north.faults.sent == []
        listed = await south.asks(north, "GET", SENDER)
        assert "CARD" not in listed.text


async def test_a_start_that_another_network_is_asked_for() -> None:
    async with desk() as t:
        await t.send(await t.start())
        row = (await noted(t.north))["command"]
        assert (row.party_id, row.uid, row.facts["valid"]) == ("CA*NTH", "CARD", [True])
        assert row.facts["location"] == ["LOC1 E1"]
