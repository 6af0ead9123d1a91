"""Exchanging credentials between two networks over real HTTP (OCPI 2.2.1 credentials)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from csms.core import partners
from csms.core.errors import (
    AlreadyExists,
    CsmsError,
    Invalid,
    PartnerRefused,
    PartnerUnreachable,
    Refused,
)
from csms.core.partners import Partner, State, TokenKind
from csms.ocpi import exchange, tokens
from csms.ocpi.exchange import Progress
from csms.ocpi.headers import presented
from csms.ocpi.network import CPO, EMSP
from tests.support import ocpi_objects as objects
from tests.support.ocpi import Side, connected, two


async def both_talk(a: Side, b: Side) -> bool:
    return await a.talks_to(b) and await b.talks_to(a)


async def test_a_network_registers_with_the_invitation_of_another() -> None:
    async with two() as (a, b):
        token = b.invite(a.party)
        progress = Progress()
        partner = await exchange.register(
            a.network, "South", b.network.versions_url, token, progress
        )
        assert partner.state == State.REGISTERED
        assert [(r["role"], r["party"]) for r in partner.roles] == [
            (CPO, "US*STH"),
            (EMSP, "US*STH"),
        ]
        assert progress.steps[-1] == "their new token works"
        there = await b.partner(a)
        assert there.state == State.REGISTERED
        assert there.speaks_for("ca*nth", EMSP)
        heard = await a.network.client.call(
            "GET", b.network.versions_url, a.network.access(partner)
        )
        assert heard.ok
        assert await b.talks_to(a)


async def test_an_invitation_is_worth_nothing_after_the_exchange() -> None:
    async with two() as (a, b):
        token = b.invite(a.party)
        await a.register(b, token)
        answer = await a.asks(b, "GET", "/versions", token=token)
        assert answer.status_code == 401
        assert answer.json()["status_code"] == 2000
        assert [t.kind for t in await b.tokens()] == [TokenKind.CONNECTION]


async def test_an_invitation_opens_versions_and_credentials_only() -> None:
    async with two(second=Side("US*STH").offers(*objects.nothing("tokens", "RECEIVER"))) as (a, b):
        token = b.invite(a.party)
        async with httpx.AsyncClient(headers={"Authorization": f"Token {token}"}) as client:
            assert (await client.get(f"{b.base}/versions")).status_code == 200
            assert (await client.get(f"{b.base}/2.2.1")).status_code == 200
            there = await client.get(f"{b.base}/2.2.1/receiver/tokens")
            assert there.status_code == 401


async def test_tokens_are_stored_hashed_and_sealed() -> None:
    async with connected() as (a, b):
        partner = await a.partner(b)
        token = a.network.access(partner).token
        assert token not in str(partner)
        assert all(token not in str(row) for row in await b.tokens())


async def test_both_sides_ask_with_base64_and_take_both_forms() -> None:
    async with connected() as (a, b):
        partner = await a.partner(b)
        token = a.network.access(partner).token
        await a.talks_to(b)
        value = a.faults.sent[-1].headers["Authorization"]
        assert value != f"Token {token}"
        assert presented(value)[0] == token
        assert (await a.asks(b, "GET", "/versions")).status_code == 200


# -- states (credentials, methods) -----------------------------------------------------------------


async def test_post_when_registered_and_put_and_delete_when_not_are_405() -> None:
    async with two() as (a, b):
        invitation = b.invite(a.party)
        a.store.run(_known, a.network, b)
        for method in ("PUT", "DELETE"):
            body = objects.credentials() if method == "PUT" else None
            answer = await a.asks(b, method, "/2.2.1/credentials", body, token=invitation)
            assert answer.status_code == 405, method
        await a.register(b, invitation)
        answer = await a.asks(b, "POST", "/2.2.1/credentials", objects.credentials())
        assert answer.status_code == 405
        assert await both_talk(a, b)


def _known(tx: object, network: object, other: Side) -> None:
    """A row to hang requests by hand on."""
    sealed = network.vault.seal("x" * 20, "p0")  # type: ignore[attr-defined]
    row = Partner(
        "p0",
        other.party,
        State.INVITED,
        other.now,
        other.network.versions_url,
        sealed,
        roles=[],
        endpoints=[],
    )
    tx.save(row)  # type: ignore[attr-defined]


async def test_get_tells_the_credentials_that_are_in_use() -> None:
    async with connected() as (a, b):
        answer = (await a.asks(b, "GET", "/2.2.1/credentials")).json()
        assert answer["status_code"] == 1000
        assert answer["data"]["token"] == a.network.access(await a.partner(b)).token
        assert answer["data"]["url"] == b.network.versions_url
        assert {role["role"] for role in answer["data"]["roles"]} == {CPO, EMSP}


async def test_delete_ends_the_connection_on_both_sides() -> None:
    async with connected() as (a, b):
        progress = Progress()
        token = a.network.access(await a.partner(b)).token
        partner = await exchange.unregister(a.network, await a.partner(b), progress)
        assert partner.state == State.REMOVED
        assert partner.their_token is None
        assert progress.steps == ["they were told"]
        assert (await b.partner(a)).state == State.REMOVED
        assert await a.tokens() == await b.tokens() == []
        async with httpx.AsyncClient(headers={"Authorization": f"Token {token}"}) as client:
            assert (await client.get(f"{b.base}/versions")).status_code == 401
        # And again from the beginning.
        await a.register(b, b.invite(a.party))
        assert await both_talk(a, b)


async def test_a_connection_ends_here_also_when_they_cannot_be_told() -> None:
    async with connected() as (a, b):
        a.faults.break_at = 1
        progress = Progress()
        partner = await exchange.unregister(a.network, await a.partner(b), progress)
        assert partner.state == State.REMOVED
        assert "could not be told" in progress.steps[0]


async def test_rotation_changes_both_tokens_and_the_old_one_works_for_the_grace() -> None:
    async with connected() as (a, b):
        before = a.network.access(await a.partner(b)).token
        theirs = b.network.access(await b.partner(a)).token
        await exchange.rotate(a.network, await a.partner(b), Progress())
        assert a.network.access(await a.partner(b)).token != before
        assert b.network.access(await b.partner(a)).token != theirs
        assert await both_talk(a, b)
        assert (await a.asks(b, "GET", "/versions", token=before)).status_code == 200
        b.later(hours=25)
        assert (await a.asks(b, "GET", "/versions", token=before)).status_code == 401
        assert await both_talk(a, b)


async def test_either_side_may_rotate() -> None:
    async with connected() as (a, b):
        await exchange.rotate(b.network, await b.partner(a), Progress())
        await exchange.rotate(a.network, await a.partner(b), Progress())
        assert await both_talk(a, b)


# -- refusals --------------------------------------------------------------------------------------


async def test_credentials_that_cannot_be_called_back_get_3001() -> None:
    async with two() as (a, b):
        token = b.invite(a.party)
        a.store.run(_known, a.network, b)
        url = f"http://127.0.0.1:{a.port}/nowhere"
        answer = await a.asks(
            b, "POST", "/2.2.1/credentials", objects.credentials(url=url), token=token
        )
        assert (answer.status_code, answer.json()["status_code"]) == (200, 3001)
        assert (await b.partner(a)).state == State.INVITED


@pytest.mark.parametrize(
    ("listed", "endpoints", "status"),
    [
        ([{"version": "2.1.1", "url": "https://x.example.com/2.1.1"}], [], 3002),
        ([], [], 3002),
        (None, [("tokens", "SENDER")], 3003),
        (None, [("credentials", "SENDER"), ("chargingprofiles", "SENDER")], 3003),
    ],
)
async def test_who_answers_says_what_is_missing_over_there(
    listed: list[Any] | None, endpoints: list[tuple[str, str]], status: int
) -> None:
    """C2: 3002 without a version in common, 3003 without the modules that are needed."""
    first, second = (Side(p).offers(*tokens.MODULES) for p in ("CA*NTH", "US*STH"))
    async with two(first, second) as (a, b):
        versions = listed if listed is not None else [{"version": "2.2.1", "url": a.network.url()}]
        details = {
            "version": "2.2.1",
            "endpoints": [
                {"identifier": m, "role": role, "url": a.network.url(m)} for m, role in endpoints
            ],
        }

        def told(request: httpx.Request) -> httpx.Response:
            data = versions if request.url.path.endswith("/versions") else details
            return httpx.Response(200, json={"status_code": 1000, "data": data})

        b.faults.instead = told
        token = b.invite(a.party)
        body = objects.credentials(url=a.network.versions_url)
        async with httpx.AsyncClient(headers={"Authorization": f"Token {token}"}) as client:
            answer = await client.post(f"{b.base}/2.2.1/credentials", json=body)
        assert (answer.status_code, answer.json()["status_code"]) == (200, status)
        assert (await b.partner(a)).state == State.INVITED


async def test_a_party_belongs_to_one_connection() -> None:
    async with connected() as (a, b):
        impostor = Side("CA*NTH")
        async with impostor.up():
            with pytest.raises(PartnerRefused, match="belongs to another connection"):
                await impostor.register(b, b.invite("Impostor"))
        assert (await exchange.by_name(b.network, "Impostor")).state == State.INVITED
        assert await both_talk(a, b)


async def test_nobody_speaks_for_our_own_parties() -> None:
    async with two(Side("US*STH"), Side("US*STH")) as (a, b):
        with pytest.raises(PartnerRefused, match="one of our own parties"):
            await a.register(b, b.invite("Twin"))


async def test_a_wrong_token_or_name_registers_nothing() -> None:
    async with two() as (a, b):
        with pytest.raises(CsmsError, match="OCPI 2000"):
            await a.register(b, "wrong")
        with pytest.raises(Invalid):
            await a.register(b, "a token with spaces")
        assert (await a.partner(b)).state == State.INVITED
        await a.register(b, b.invite(a.party))
        with pytest.raises(AlreadyExists):
            await a.register(b, b.invite("again"))
        with pytest.raises(AlreadyExists):
            b.invite(a.party)


async def test_a_module_that_only_one_side_has_is_no_connection() -> None:
    first = Side("CA*NTH").offers(*objects.nothing("tokens", "RECEIVER"))
    second = Side("US*STH").offers(*objects.nothing("cdrs", "SENDER"))
    async with two(first, second) as (a, b):
        with pytest.raises(CsmsError, match="no module that both sides have"):
            await a.register(b, b.invite(a.party))
        assert (await b.partner(a)).state == State.INVITED


async def test_a_suspended_partner_gets_nothing_and_keeps_its_place() -> None:
    offers = objects.nothing("tokens", "RECEIVER"), objects.nothing("tokens", "SENDER")
    first, second = (Side(p).offers(*offers[0], *offers[1]) for p in ("CA*NTH", "US*STH"))
    async with connected(first, second) as (a, b):
        b.store.run(partners.suspend, (await b.partner(a)).id, b.now)
        answer = await a.asks(b, "GET", "/2.2.1/receiver/tokens")
        assert (answer.status_code, answer.json()["status_code"]) == (200, 2000)
        with pytest.raises(Refused):
            await exchange.refresh(b.network, await b.partner(a), Progress())
        b.store.run(partners.resume, (await b.partner(a)).id, b.now)
        answer = await a.asks(b, "GET", "/2.2.1/receiver/tokens")
        assert answer.json()["status_code"] == 1000


# -- interruptions ---------------------------------------------------------------------------------


async def _again(a: Side, b: Side, token: str) -> None:
    """Everything works again; the operator repeats what failed."""
    a.heal()
    b.heal()
    if (await a.partner(b)).state != State.REGISTERED:
        await a.register(b, token)
    assert await both_talk(a, b)


@pytest.mark.parametrize("delivered", [False, True], ids=["not sent", "answer lost"])
@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("at", range(1, 6))
async def test_a_registration_that_breaks_anywhere_can_be_made_again(
    side: str, at: int, delivered: bool
) -> None:
    async with two() as (a, b):
        token = b.invite(a.party)
        broken = a if side == "a" else b
        broken.faults.break_at, broken.faults.delivered = at, delivered
        try:
            await a.register(b, token)
        except (PartnerUnreachable, PartnerRefused, exchange.LookFailed):
            pass
        await _again(a, b, token)


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("at", range(1, 8))
async def test_a_registration_that_cannot_be_stored_can_be_made_again(side: str, at: int) -> None:
    async with two() as (a, b):
        token = b.invite(a.party)
        (a if side == "a" else b).store.fail_at = at
        try:
            await a.register(b, token)
        except CsmsError:
            pass
        a.heal()
        b.heal()
        if not await a.store.reader.page(Partner, {"name": b.party}):
            await a.register(b, token)
        await _again(a, b, token)


@pytest.mark.parametrize("fault", ["not sent", "answer lost", "not stored"])
@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("at", range(1, 7))
async def test_a_rotation_that_breaks_anywhere_locks_nobody_out(
    side: str, at: int, fault: str
) -> None:
    async with connected() as (a, b):
        broken = a if side == "a" else b
        broken.store.heal()
        if fault == "not stored":
            broken.store.fail_at = at
        else:
            broken.faults.break_at, broken.faults.delivered = at, fault == "answer lost"
        try:
            await exchange.rotate(a.network, await a.partner(b), Progress())
        except CsmsError:
            pass
        a.heal()
        b.heal()
        assert await both_talk(a, b)
        await exchange.rotate(a.network, await a.partner(b), Progress())
        await exchange.rotate(b.network, await b.partner(a), Progress())
        assert await both_talk(a, b)


async def test_tokens_that_never_arrived_do_not_pile_up() -> None:
    async with connected() as (a, b):
        for _ in range(20):
            a.faults.heal()
            a.faults.break_at = 3
            with pytest.raises(PartnerUnreachable):
                await exchange.rotate(a.network, await a.partner(b), Progress())
        a.heal()
        assert len(await a.tokens()) <= 10
        assert await both_talk(a, b)


# -- keys ------------------------------------------------------------------------------------------


async def test_tokens_are_sealed_again_with_a_new_key() -> None:
    async with connected() as (a, b):
        before = await a.partner(b)
        object.__setattr__(a.network, "vault", type(a.network.vault)(_KEYS, "k2"))
        assert await exchange.reseal(a.network) == 1
        after = await a.partner(b)
        assert str(after.their_token).startswith("k2:")
        assert after.their_token != before.their_token
        assert await exchange.reseal(a.network) == 0
        assert await a.talks_to(b)


_KEYS = {"k1": b"\1" * 32, "k2": b"\2" * 32}


async def test_no_routing_headers_go_with_versions_and_credentials() -> None:
    """transport_and_format, message routing: they are for functional modules only."""
    async with two() as (a, b):
        await a.register(b, b.invite(a.party))
        await exchange.rotate(a.network, await a.partner(b), Progress())
        await exchange.unregister(a.network, await a.partner(b), Progress())
        sent = [*a.faults.sent, *b.faults.sent]
        assert {r.method for r in sent} == {"GET", "POST", "PUT", "DELETE"}
        assert not [r for r in sent if any(name.startswith("ocpi-") for name in r.headers)]
