"""The tokens module between two networks over real HTTP (OCPI 2.2.1 mod_tokens)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from csms.core import tokens as own
from csms.core.authorization import Outcome
from csms.core.disclosures import Disclosure
from csms.core.errors import PartnerUnreachable
from csms.core.tokens import Token
from csms.core.visitors import HomeAsked, VisitorToken
from csms.ocpi import tokens
from csms.ocpi.connections import Connections
from csms.ocpi.envelope import Answer, Heard, read
from csms.ocpi.network import CPO, EMSP, Limits
from csms.ocpi.routing import Call, Module
from tests.support import ocpi_objects as objects
from tests.support.ocpi import NOW, Answers, Side, connected

RECEIVER = "/2.2.1/receiver/tokens"
SENDER = "/2.2.1/sender/tokens"


@asynccontextmanager
async def networks(**limits: Any) -> AsyncIterator[tuple[Side, Side]]:
    """North is asked by South."""
    north = Side("CA*NTH", limits=Limits(**limits)).offers(*tokens.MODULES)
    south = Side("US*STH").offers(*tokens.MODULES)
    async with connected(north, south) as both:
        yield both


def add(side: Side, uid: str, kind: str = "rfid", **more: Any) -> None:
    side.store.run(own.add, Token(side.party, "", kind, uid, side.now, **more), side.now)


def token(party: str = "US*STH", uid: str = "CARD", **changes: Any) -> dict[str, Any]:
    country, _, party_id = party.partition("*")
    return objects.token(uid, country_code=country, party_id=party_id, **changes)


async def visitor(side: Side, party: str = "US*STH", uid: str = "card") -> VisitorToken | None:
    return await side.store.reader.get(VisitorToken, party, uid, "RFID")


# -- told to us ------------------------------------------------------------------------------------


async def test_a_home_network_tells_of_its_token_and_reads_it_again() -> None:
    async with networks() as (north, south):
        path = f"{RECEIVER}/US/STH/CARD"
        new = await south.asks(north, "PUT", path, token(later_field={"a": 1}))
        assert (new.status_code, new.json()["status_code"]) == (201, 1000)
        assert "data" not in new.json()
        again = await south.asks(north, "PUT", path, token(valid=False))
        assert (again.status_code, again.json()["status_code"]) == (200, 1000)
        kept = await visitor(north)
        assert kept is not None
        assert not kept.valid
        got = (await south.asks(north, "GET", f"{RECEIVER}/us/sth/card")).json()
        assert got["data"] == token(valid=False)


async def test_a_patch_changes_what_it_names_and_needs_last_updated() -> None:
    async with networks() as (north, south):
        path = f"{RECEIVER}/US/STH/CARD"
        await south.asks(north, "PUT", path, token())
        without = await south.asks(north, "PATCH", path, {"valid": False})
        assert (without.status_code, without.json()["status_code"]) == (200, 2001)
        change = {"valid": False, "last_updated": "2026-01-01T11:00:00Z"}
        assert (await south.asks(north, "PATCH", path, change)).json()["status_code"] == 1000
        kept = await visitor(north)
        assert kept is not None
        assert (kept.valid, kept.contract_id) == (False, token()["contract_id"])
        unknown = await south.asks(north, "PATCH", f"{RECEIVER}/US/STH/NONE", change)
        assert (unknown.status_code, unknown.json()["status_code"]) == (200, 2000)


class Slow:
    """A reader that takes its time to tell what was there when it was asked for a token."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def get(self, kind: type[Any], *key: Any) -> Any:
        found = await self._inner.get(kind, *key)
        if kind is VisitorToken:
            for _ in range(100):
                await asyncio.sleep(0)
        return found


async def test_two_changes_at_once_are_both_kept() -> None:
    async with networks() as (north, south):
        north.store.reader = Slow(north.store.reader)  # type: ignore[assignment]
        path = f"{RECEIVER}/US/STH/CARD"
        await south.asks(north, "PUT", path, token())
        for _ in range(5):
            when = south.later(minutes=1).strftime("%Y-%m-%dT%H:%M:%SZ")
            changes = [{"group_id": when}, {"visual_number": when}, {"issuer": when}]
            await asyncio.gather(
                *(south.asks(north, "PATCH", path, {**c, "last_updated": when}) for c in changes)
            )
            kept = await visitor(north)
            assert kept is not None
            for change in changes:
                assert change.items() <= kept.data.items()


async def test_what_is_older_is_taken_and_changes_nothing() -> None:
    async with networks() as (north, south):
        path = f"{RECEIVER}/US/STH/CARD"
        await south.asks(north, "PUT", path, token(valid=False))
        late = token(last_updated="2025-01-01T00:00:00Z")
        assert (await south.asks(north, "PUT", path, late)).json()["status_code"] == 1000
        kept = await visitor(north)
        assert kept is not None
        assert not kept.valid


async def test_types_are_tokens_of_their_own() -> None:
    async with networks() as (north, south):
        path = f"{RECEIVER}/US/STH/CARD"
        app = token(type="APP_USER", whitelist="NEVER")
        mixed = await south.asks(north, "PUT", path, app)
        assert mixed.json()["status_code"] == 2001
        assert (await south.asks(north, "PUT", f"{path}?type=APP_USER", app)).status_code == 201
        assert (await south.asks(north, "GET", path)).status_code == 404
        assert (await south.asks(north, "GET", f"{path}?type=APP_USER")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("US/STH/OTHER", token()),
        ("US/STH/CARD", token("CA*NTH")),
        ("US/STH/CARD", {**token(), "whitelist": "MAYBE"}),
        ("US/STH/CARD", [token()]),
    ],
)
async def test_what_cannot_be_used_is_2001(path: str, body: Any) -> None:
    async with networks() as (north, south):
        answer = await south.asks(north, "PUT", f"{RECEIVER}/{path}", body)
        assert (answer.status_code, answer.json()["status_code"]) == (200, 2001)
        assert await visitor(north) is None


async def test_a_partner_reaches_only_tokens_of_its_own_parties() -> None:
    async with networks() as (north, south):
        east = Side("DE*EST").offers(*tokens.MODULES)
        async with east.up():
            await east.register(north, north.invite(east.party))
            await south.asks(north, "PUT", f"{RECEIVER}/US/STH/CARD", token())
            change = {"valid": False, "last_updated": "2026-01-01T11:00:00Z"}
            for method, body in (("GET", None), ("PUT", token()), ("PATCH", change)):
                answer = await east.asks(north, method, f"{RECEIVER}/US/STH/CARD", body)
                assert answer.status_code == 404, method
            kept = await visitor(north)
            assert kept is not None
            assert kept.valid
            assert kept.partner_id == (await north.partner(south)).id


async def test_who_makes_itself_a_hub_reaches_nobody_else_and_not_us() -> None:
    """Any partner may name the role HUB in its credentials."""
    async with networks() as (north, south):
        east = Side("DE*EST", roles=(CPO, EMSP, "HUB")).offers(*tokens.MODULES)
        async with east.up():
            await east.register(north, north.invite(east.party))
            await south.asks(north, "PUT", f"{RECEIVER}/US/STH/CARD", token())
            taken = await east.asks(north, "PUT", f"{RECEIVER}/US/STH/CARD", token(valid=False))
            assert taken.json()["status_code"] == 2000
            ours = await east.asks(north, "PUT", f"{RECEIVER}/CA/NTH/CARD", token("CA*NTH"))
            assert ours.status_code == 404
            passed_on = await east.asks(north, "PUT", f"{RECEIVER}/FR/OTH/CARD", token("FR*OTH"))
            assert passed_on.status_code == 201
            kept = await visitor(north)
            assert kept is not None
            assert (kept.valid, kept.partner_id) == (True, (await north.partner(south)).id)
            assert await visitor(north, "CA*NTH") is None


async def test_deviations_are_counted() -> None:
    async with networks() as (north, south):
        long = token(visual_number="x" * 65)
        await south.asks(north, "PUT", f"{RECEIVER}/US/STH/CARD", long)
        assert (await north.partner(south)).deviations == {"visual_number: too_long": 1}


# -- told by us ------------------------------------------------------------------------------------


async def test_our_list_has_our_tokens_and_no_names() -> None:
    async with networks() as (north, south):
        add(north, "A1", label="Jo Smith", group_id="FLEET")
        add(north, "B2", "app", label="Jo Smith")
        add(north, "x" * 40)
        answer = await south.asks(north, "GET", SENDER)
        assert answer.headers["X-Total-Count"] == "2"
        card, app = answer.json()["data"]
        assert (card["uid"], card["type"], card["whitelist"]) == ("A1", "RFID", "ALLOWED")
        assert (app["uid"], app["type"], app["whitelist"]) == ("B2", "APP_USER", "NEVER")
        assert card["group_id"] == "FLEET"
        assert card["contract_id"].startswith("CA-NTH-C")
        assert card["contract_id"] != app["contract_id"]
        assert "Smith" not in answer.text


async def test_a_group_that_cannot_be_told_keeps_no_token_from_being_told() -> None:
    async with networks() as (north, south):
        add(north, "CARD", group_id="Fähre")
        add(north, "OTHER", group_id="ferry")
        told = (await south.asks(north, "GET", SENDER)).json()
        assert [(t["uid"], t.get("group_id")) for t in told["data"]] == [
            ("CARD", None),
            ("OTHER", "ferry"),
        ]
        asked = (await south.asks(north, "POST", f"{SENDER}/CARD/authorize")).json()
        assert (asked["status_code"], asked["data"]["allowed"]) == (1000, "ALLOWED")


async def test_pages_follow_the_order_of_creation_and_filters_the_last_change() -> None:
    async with networks(page=2) as (north, south):
        for n in range(5):
            add(north, f"T{4 - n}")
            north.later(minutes=1)
        north.store.run(own.set_blocked, "CA*NTH", "T4", "rfid", True, north.now)
        partner = await south.partner(north)
        url = partner.endpoint("tokens", "SENDER")
        assert url is not None
        uids = []
        async for heard in south.network.client.pages(url, south.network.access(partner)):
            uids += [t["uid"] for t in heard.data]
        assert uids == ["T4", "T3", "T2", "T1", "T0"]
        start = NOW + timedelta(minutes=3)
        asked = f"?date_from={start:%Y-%m-%dT%H:%M:%SZ}"
        page = (await south.asks(north, "GET", SENDER + asked)).json()["data"]
        assert [t["uid"] for t in page] == ["T4", "T1"]
        assert page[0]["valid"] is False
        until = f"?date_to={start:%Y-%m-%dT%H:%M:%SZ}"
        page = (await south.asks(north, "GET", SENDER + until)).json()["data"]
        assert [t["uid"] for t in page] == ["T3", "T2"]


async def test_a_token_that_ends_by_itself_is_asked_for() -> None:
    """The partner is not told at that moment."""
    async with networks() as (north, south):
        add(north, "ENDS", expires_at=north.now + timedelta(days=1))
        add(north, "STAYS")
        add(north, "APP", "app", expires_at=north.now + timedelta(days=1))
        told = (await south.asks(north, "GET", SENDER)).json()["data"]
        assert {t["uid"]: (t["whitelist"], t["valid"]) for t in told} == {
            "ENDS": ("ALLOWED_OFFLINE", True),
            "STAYS": ("ALLOWED", True),
            "APP": ("NEVER", True),
        }
        await tokens.pull(south.network, await south.partner(north), None)
        north.later(days=2)
        asked = HomeAsked((await south.partner(north)).id, "CA*NTH", "ENDS", "RFID")
        answer = await tokens.ask_home(south.network, asked)
        assert answer is not None
        assert answer.outcome == Outcome.EXPIRED


async def test_real_time_authorization_by_us() -> None:
    async with networks() as (north, south):
        add(north, "GOOD")
        add(north, "OLD", expires_at=north.now)
        add(north, "BAD")
        north.store.run(own.set_blocked, "CA*NTH", "BAD", "rfid", True, north.now)
        where = {"location_id": "LOC1", "evse_uids": ["E1"]}
        good = (await south.asks(north, "POST", f"{SENDER}/good/authorize", where)).json()["data"]
        assert good["allowed"] == "ALLOWED"
        assert good["token"]["uid"] == "GOOD"
        assert good["location"] == where
        assert 0 < len(good["authorization_reference"]) <= 36
        for uid, allowed in (("OLD", "EXPIRED"), ("BAD", "BLOCKED")):
            data = (await south.asks(north, "POST", f"{SENDER}/{uid}/authorize", {})).json()["data"]
            assert data["allowed"] == allowed
            assert "authorization_reference" not in data


async def test_a_token_that_is_not_known_is_404_and_2004() -> None:
    async with networks() as (north, south):
        add(north, "APP", "app")
        for path in ("NONE/authorize", "APP/authorize", "APP/authorize?type=EMAID"):
            answer = await south.asks(north, "POST", f"{SENDER}/{path}", {})
            assert (answer.status_code, answer.json()["status_code"]) == (404, 2004), path
            assert "data" not in answer.json()
        found = await south.asks(north, "POST", f"{SENDER}/APP/authorize?type=APP_USER", {})
        assert found.json()["data"]["allowed"] == "ALLOWED"
        wrong = await south.asks(north, "POST", f"{SENDER}/APP/explode", {})
        assert wrong.json()["status_code"] == 2000


async def test_an_authorization_without_a_body_is_answered() -> None:
    async with networks() as (north, south):
        add(north, "GOOD")
        heard = await south.network.client.call(
            "POST",
            f"{north.base}{SENDER}/GOOD/authorize",
            south.network.access(await south.partner(north)),
        )
        assert heard.ok


# -- asked by us -----------------------------------------------------------------------------------


async def test_a_visitor_is_asked_for_at_home() -> None:
    async with networks() as (north, south):
        add(south, "GUEST", "app")
        add(south, "OUT")
        south.store.run(own.set_blocked, "US*STH", "OUT", "rfid", True, south.now)
        partner = await north.partner(south)

        def asked(uid: str, kind: str = "RFID") -> HomeAsked:
            return HomeAsked(partner.id, "US*STH", uid, kind, "LOC1", ("E1",))

        answer = await tokens.ask_home(north.network, asked("GUEST", "APP_USER"))
        assert answer is not None
        assert answer.outcome is Outcome.ACCEPTED
        assert answer.reference
        request = north.faults.sent[-1]
        assert request.headers["OCPI-to-party-id"] == "STH"
        assert request.headers["OCPI-from-party-id"] == "NTH"
        for uid, outcome in (("OUT", Outcome.BLOCKED), ("NONE", Outcome.INVALID)):
            answer = await tokens.ask_home(north.network, asked(uid))
            assert answer is not None
            assert answer.outcome is outcome
        gone = HomeAsked("nobody", "US*STH", "GUEST", "RFID")
        assert await tokens.ask_home(north.network, gone) is None


async def test_an_authorization_in_a_list_is_understood_and_counted() -> None:
    async def authorize(call: Call) -> Answer:
        return Answer([{"allowed": "ALLOWED", "authorization_reference": "REF"}])

    north = Side("CA*NTH").offers(*tokens.MODULES)
    south = Side("US*STH").offers(
        Module("tokens", "SENDER", {("POST", 2): authorize}), tokens.MODULES[1]
    )
    async with connected(north, south):
        asked = HomeAsked((await north.partner(south)).id, "US*STH", "GUEST", "RFID")
        answer = await tokens.ask_home(north.network, asked)
        assert answer is not None
        assert (answer.outcome, answer.reference) == (Outcome.ACCEPTED, "REF")
        assert (await north.partner(south)).deviations == {"data: one_in_a_list": 1}


# -- the client ------------------------------------------------------------------------------------


@pytest.mark.parametrize("http", [400, 413, 415, 422])
def test_an_http_error_about_the_content_is_a_refusal(http: int) -> None:
    """status_codes: it should be a 2xxx in an envelope. Sent again, it would be the same."""
    assert tokens.refusal(Heard(http)) == f"HTTP {http}"


@pytest.mark.parametrize(
    "heard", [Heard(401), Heard(403), Heard(404), Heard(500), Heard(502), Heard(422, 3000)]
)
def test_what_may_work_later_is_no_refusal(heard: Heard) -> None:
    with pytest.raises(PartnerUnreachable):
        tokens.refusal(heard)


@pytest.mark.parametrize(
    ("http", "body", "taken"), [(200, b"", True), (204, b"", True), (200, b"<html>", False)]
)
async def test_a_push_that_is_taken_without_a_word_is_not_made_again(
    http: int, body: bytes, taken: bool
) -> None:
    """status_codes: an answer should have an envelope. A peer in the field answers an empty 200."""
    async with networks() as (north, south):
        partner = await north.partner(south)
        heard = read(http, body, {})
        if not taken:
            with pytest.raises(PartnerUnreachable):
                await tokens.refused(north.network, partner, heard)
            return
        assert await tokens.refused(north.network, partner, heard) == []
        assert (await north.partner(south)).deviations == {"answer: no_envelope": 1}


async def test_our_token_is_pushed_as_it_is_now() -> None:
    async with networks() as (north, south):
        add(north, "a/b")
        partner = await north.partner(south)
        assert await tokens.push(north.network, partner, "CA*NTH", "A/B") == []
        kept = await visitor(south, "CA*NTH", "a/b")
        assert kept is not None
        assert kept.valid
        north.later(seconds=1)
        north.store.run(own.set_blocked, "CA*NTH", "a/b", "rfid", True, north.now)
        await tokens.push(north.network, partner, "CA*NTH", "a/b")
        kept = await visitor(south, "CA*NTH", "a/b")
        assert kept is not None
        assert not kept.valid
        # Tokens of others are not ours to push.
        before = len(north.faults.sent)
        assert await tokens.push(north.network, partner, "DE*EST", "x") is None
        assert len(north.faults.sent) == before


async def test_a_list_is_pulled_in_full_and_from_a_time_on() -> None:
    async with networks(page=2) as (north, south):
        for n in range(5):
            add(north, f"T{n}")
            north.later(minutes=1)
        partner = await south.partner(north)
        pulled = await tokens.pull(south.network, partner, None)
        assert pulled.newest == NOW + timedelta(minutes=4)
        assert pulled.faults == []
        rows = await south.store.reader.page(VisitorToken, {"party_id": "CA*NTH"})
        assert {row.uid for row in rows} == {f"T{n}" for n in range(5)}
        south.faults.sent.clear()
        pulled = await tokens.pull(south.network, partner, NOW + timedelta(minutes=4))
        assert len(south.faults.sent) == 1
        assert pulled.newest == NOW + timedelta(minutes=4)


async def test_objects_that_are_wrong_or_of_others_are_left_out_of_a_list() -> None:
    async with networks() as (north, south):
        partner = await south.partner(north)
        listed = [token("CA*NTH"), token("DE*EST", "THEIRS"), {"uid": "BROKEN"}]

        def handle(request: httpx.Request) -> httpx.Response:
            body = {"status_code": 1000, "data": listed, "timestamp": objects.AT}
            return httpx.Response(200, json=body)

        south.network.client._connections = Connections(1, 10.0, Answers(handle))
        pulled = await tokens.pull(south.network, partner, None)
        assert len(pulled.faults) == 2
        assert [row.uid for row in await south.store.reader.page(VisitorToken)] == ["CARD"]


async def test_a_network_that_is_only_a_cpo_lists_nothing() -> None:
    north = Side("CA*NTH", (CPO,)).offers(*tokens.MODULES)
    south = Side("US*STH", (EMSP,)).offers(*tokens.MODULES)
    async with connected(north, south) as (_, _):
        add(north, "A1")
        assert (await south.asks(north, "GET", SENDER)).json()["data"] == []
        assert await tokens.push(north.network, await north.partner(south), "CA*NTH", "A1") is None


# -- who need not know -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "told"),
    [(("NSP",), False), ((EMSP, "NAP", "OTHER", "SCSP"), False), ((CPO,), True), (("HUB",), True)],
)
async def test_our_drivers_are_told_to_who_lets_them_charge_alone(
    roles: tuple[str, ...], told: bool
) -> None:
    """A map, another seller of charging: none of them is ever shown a card of ours. A hub passes on
    to those who are."""
    north = Side("CA*NTH").offers(*tokens.MODULES)
    east = Side("DE*EST", roles=roles).offers(*tokens.MODULES)
    async with connected(north, east):
        add(north, "CARD", group_id="FLEET")
        partner = await north.partner(east)
        pushed = await tokens.push(north.network, partner, "CA*NTH", "CARD")
        assert (pushed, len(north.faults.sent)) == (([], 1) if told else (None, 0))
        listed = await east.asks(north, "GET", SENDER)
        assert [t["uid"] for t in listed.json()["data"]] == (["CARD"] if told else [])
        assert listed.headers["X-Total-Count"] == ("1" if told else "0")
        asked = await east.asks(north, "POST", f"{SENDER}/CARD/authorize")
        none = await east.asks(north, "POST", f"{SENDER}/NONE/authorize")
        if told:
            assert asked.json()["data"]["allowed"] == "ALLOWED"
        else:
            assert (asked.status_code, asked.json()) == (none.status_code, none.json())
            assert (asked.status_code, asked.json()["status_code"]) == (404, 2004)
        noted = await north.store.reader.page(Disclosure, {"partner_id": partner.id})
        assert bool(noted) is told, "what was not told is not noted as told"
