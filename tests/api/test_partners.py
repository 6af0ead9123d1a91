"""/partners: connections to other networks, for those who run this one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from csms.core import disclosures, partners
from csms.core.disclosures import Module, Told
from csms.core.errors import PartnerUnreachable
from csms.core.partners import Agreed, Partner, PartnerToken, TokenKind
from csms.core.security import Role

from .conftest import KEYRING, NOW, Api, serving

ROLES = ({"role": "CPO", "party": "US*STH", "name": "South"},)
AGREED = Agreed("https://south.example.com/ocpi/versions", "sealed", "base64", ROLES, ())


class Network:
    """The other side, as far as the API sees it."""

    versions_url = "https://north.example.com/ocpi/versions"

    def __init__(self, api: Api) -> None:
        self.api = api
        self.done: list[str] = []
        self.unreachable = False

    def invitation(self, secret: str) -> PartnerToken:
        key_id, hashed = KEYRING.hash(secret.encode())
        token_id = f"t{len(self.done)}{hashed[:6]}"
        return PartnerToken(token_id, "", TokenKind.INVITATION, key_id, hashed, NOW)

    async def find(self, name_or_id: str) -> Partner:
        return self.api.store.run(partners.require, name_or_id)

    async def register(self, name: str, url: str, token: str) -> tuple[Partner, list[str]]:
        self.done.append(f"register {name}")
        if self.unreachable:
            raise PartnerUnreachable("south.example.com: no whole answer in 30 s")
        self.api.store.run(partners.enter, "p1", name, url, "sealed", NOW)
        done = self.api.store.run(partners.complete, "p1", AGREED, "t", timedelta(days=1), NOW)
        return done, ["one", "two"]

    async def act(self, action: str, partner: Partner) -> tuple[Partner, list[str]]:
        self.done.append(f"{action} {partner.name}")
        if action == "remove":
            return self.api.store.run(partners.remove, partner.id, NOW), []
        return partner, [f"{action} done"]


@asynccontextmanager
async def roaming() -> AsyncIterator[tuple[Api, Network]]:
    async with serving() as api:
        network = Network(api)
        object.__setattr__(api.app.state.system, "connections", network)
        yield api, network


BODY = {"name": "South", "url": AGREED.versions_url, "token": "their-invitation"}


async def test_an_invitation_shows_its_token_once() -> None:
    async with roaming() as (api, network):
        answer = await api("POST", "/partners", json={"name": "South"})
        assert answer.status_code == 201
        invited = answer.json()
        assert invited["url"] == network.versions_url
        assert (invited["state"], len(invited["token"])) == ("invited", 40)
        shown = (await api("GET", "/partners")).json()["items"]
        assert [p["name"] for p in shown] == ["South"]
        assert invited["token"] not in str(shown)
        (audit,) = [a for a in await api.audits() if a["action"] == "partner_invited"]
        assert invited["token"] not in str(audit)


async def test_a_repeated_invitation_is_the_same_one() -> None:
    async with roaming() as (api, _):
        headers = {"Idempotency-Key": "once"}
        first = await api("POST", "/partners", json={"name": "South"}, headers=headers)
        again = await api("POST", "/partners", json={"name": "South"}, headers=headers)
        assert again.json() == first.json()


async def test_registering_tells_its_steps_and_hides_the_token() -> None:
    async with roaming() as (api, _):
        answer = await api("POST", "/partners/register", json=BODY)
        assert answer.status_code == 201
        assert (answer.json()["state"], answer.json()["steps"]) == ("registered", ["one", "two"])
        details = (await api("GET", "/partners/p1")).json()
        assert details["roles"] == list(ROLES)
        assert details["modules"] == []
        assert "sealed" not in str(details)
        assert "their-invitation" not in str(await api.audits())


async def test_a_repeated_registration_does_not_ask_the_other_side_again() -> None:
    async with roaming() as (api, network):
        headers = {"Idempotency-Key": "once"}
        first = await api("POST", "/partners/register", json=BODY, headers=headers)
        again = await api("POST", "/partners/register", json=BODY, headers=headers)
        assert again.json() == first.json()
        assert network.done == ["register South"]
        other = await api(
            "POST", "/partners/register", json={**BODY, "name": "Other"}, headers=headers
        )
        assert other.status_code == 422


async def test_a_partner_that_does_not_answer_is_a_502() -> None:
    async with roaming() as (api, network):
        network.unreachable = True
        answer = await api("POST", "/partners/register", json=BODY)
        assert (answer.status_code, answer.json()["code"]) == (502, "partner_unreachable")
        assert not [a for a in await api.audits() if a["action"] == "partner_registered"]


async def test_actions_and_removal() -> None:
    async with roaming() as (api, network):
        await api("POST", "/partners/register", json=BODY)
        for action in ("sync", "rotate", "suspend", "resume"):
            answer = await api("POST", f"/partners/p1/{action}")
            assert answer.json()["steps"] == [f"{action} done"]
        assert (await api("POST", "/partners/p1/explode")).status_code == 422
        assert (await api("DELETE", "/partners/p1")).json()["state"] == "removed"
        assert network.done[-1] == "remove South"
        assert (await api("GET", "/partners/nobody")).status_code == 404


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, None])
async def test_only_an_admin_connects_networks(role: Any) -> None:
    async with roaming() as (api, _):
        for method, path in (
            ("POST", "/partners"),
            ("POST", "/partners/register"),
            ("POST", "/partners/p1/rotate"),
            ("DELETE", "/partners/p1"),
        ):
            answer = await api(method, path, role, json={**BODY} if method == "POST" else None)
            assert answer.status_code == (401 if role is None else 403)


async def test_a_system_without_roaming_says_so(api: Api) -> None:
    answer = await api("POST", "/partners", json={"name": "South"})
    assert (answer.status_code, answer.json()["code"]) == (409, "refused")


async def test_what_is_agreed_about_money_is_shown_and_changed() -> None:
    async with roaming() as (api, _):
        await api("POST", "/partners/register", json=BODY)
        shown = (await api("GET", "/partners/p1")).json()
        assert shown["contract"] == {
            "taxes": "taxed",
            "rounding_digits": None,
            "markup_percent": "0",
        }
        agreed = {"taxes": "reverse_charge", "rounding_digits": 3, "markup_percent": "0"}
        answer = await api("PUT", "/partners/p1/contract", json=agreed)
        assert answer.status_code == 200, answer.text
        assert answer.json()["contract"] == agreed
        wrong = await api("PUT", "/partners/p1/contract", json={"markup_percent": "much"})
        assert (wrong.status_code, "markup_percent" in wrong.json()["detail"]) == (422, True)


async def test_what_a_partner_was_told_of_drivers_in_pages_and_of_one_token() -> None:
    async with roaming() as (api, _network):
        api.store.run(partners.enter, "p1", "South", AGREED.versions_url, "sealed", NOW)
        told = [Told("CA*NTH", uid, "RFID", Module.PUSH, {"valid": True}) for uid in "ABCDE"]
        api.store.run(disclosures.note, "p1", told, NOW)
        api.store.run(disclosures.note, "p2", told, NOW)
        seen, cursor = [], ""
        while cursor is not None:
            page = (await api("GET", f"/partners/p1/disclosures?limit=2{cursor}")).json()
            seen += [row["uid"] for row in page["items"]]
            cursor = f"&cursor={page['next']}" if page["next"] else None
        assert seen == list("ABCDE")
        one = (await api("GET", "/partners/p1/disclosures?token=c", Role.VIEWER)).json()["items"]
        assert [row["uid"] for row in one] == ["C"]
        assert one[0]["facts"] == {"valid": [True]}
        assert (await api("GET", "/partners/nobody/disclosures")).status_code == 404
