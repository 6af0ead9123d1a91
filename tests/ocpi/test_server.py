"""What partners call, over real HTTP: who is let in, and what is said to whom."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from csms.core.partners import PartnerModule
from csms.ocpi.envelope import Answer
from csms.ocpi.headers import authorization
from csms.ocpi.network import Limits
from csms.ocpi.routing import Call, Gone, Module
from csms.ocpi.server import Budget, beside
from tests.support.ocpi import Side, connected, two


async def _echo(call: Call) -> Answer:
    return Answer({"rest": list(call.rest), "body": call.body, "to": call.routing.to})


async def _missing(call: Call) -> Answer:
    raise Gone("nothing there")


async def _fault(call: Call) -> Answer:
    raise ZeroDivisionError


ROUTES = {
    ("GET", 0): _echo,
    ("PUT", 3): _echo,
    ("PATCH", 3): _echo,
    ("GET", 1): _missing,
    ("PUT", 1): _missing,
    ("GET", 2): _fault,
}


def side(party: str, **limits: Any) -> Side:
    modules = (Module("tokens", i, ROUTES) for i in ("SENDER", "RECEIVER"))
    return Side(party, limits=Limits(**limits)).offers(*modules)


async def opened(a: Side, b: Side) -> httpx.AsyncClient:
    """A client with the right token of `a` at `b`."""
    token = a.network.access(await a.partner(b)).token
    return httpx.AsyncClient(base_url=b.base, headers={"Authorization": authorization(token)})


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Token abc"}, {"Authorization": "Bearer x"}]
)
async def test_without_a_known_token_everything_is_401(headers: dict[str, str]) -> None:
    async with two(second=side("US*STH")) as (_, b), httpx.AsyncClient(headers=headers) as client:
        for path in ("/versions", "/2.2.1", "/2.2.1/credentials", "/2.2.1/sender/tokens", "/x"):
            answer = await client.get(f"{b.base}{path}")
            assert answer.status_code == 401
            assert answer.json()["status_code"] == 2000
            assert answer.headers["X-Request-ID"]


async def test_versions_lead_to_endpoints_with_both_roles() -> None:
    async with connected(side("CA*NTH"), side("US*STH")) as (a, b), await opened(a, b) as client:
        (version,) = (await client.get("/versions")).json()["data"]
        details = (await client.get(version["url"])).json()["data"]
        assert details["version"] == "2.2.1"
        listed = {(e["identifier"], e["role"]): e["url"] for e in details["endpoints"]}
        assert set(listed) == {
            ("credentials", "SENDER"),
            ("tokens", "SENDER"),
            ("tokens", "RECEIVER"),
        }
        assert (await client.get(listed["tokens", "SENDER"])).status_code == 200
        assert (await client.post(version["url"], json={})).status_code == 405


async def test_slashes_make_no_difference_and_ids_are_decoded() -> None:
    async with connected(side("CA*NTH"), side("US*STH")) as (a, b), await opened(a, b) as client:
        assert (await client.get("/versions/")).status_code == 200
        answer = await client.put(f"{b.base}//2.2.1/receiver/tokens/CA/NTH/a%2Fb%20c/", json={})
        assert answer.json()["data"]["rest"] == ["CA", "NTH", "a/b c"]


async def test_an_address_that_is_put_on_without_a_slash_is_taken_apart_and_counted() -> None:
    """mod_commands and mod_tokens write `{commands_endpoint_url}{command}` and
    `{tokens_endpoint_url}{token_uid}/authorize`; there are peers that do so everywhere."""
    async with connected(side("CA*NTH"), side("US*STH")) as (a, b), await opened(a, b) as client:
        answer = await client.put("/2.2.1/receiver/tokensCA/NTH/x", json={})
        assert answer.json()["data"]["rest"] == ["CA", "NTH", "x"]
        assert (await b.partner(a)).deviations == {"address: no_slash": 1}
        assert (await client.get("/2.2.1/receiver/tok/CA/NTH/x")).status_code == 404
        assert (await client.get("/2.2.1/receiver/sessionsCA/NTH/x")).status_code == 404


async def test_ids_and_routing_headers_come_back() -> None:
    async with connected(side("CA*NTH"), side("US*STH")) as (a, b), await opened(a, b) as client:
        headers = {
            "X-Request-ID": "r1",
            "X-Correlation-ID": "c1",
            "OCPI-to-country-code": "us",
            "ocpi-to-party-id": "sth",
            "OCPI-from-country-code": "CA",
            "OCPI-from-party-id": "NTH",
        }
        answer = await client.get("/2.2.1/sender/tokens", headers=headers)
        assert answer.json()["data"]["to"] == "US*STH"
        assert answer.headers["X-Request-ID"] == "r1"
        assert answer.headers["X-Correlation-ID"] == "c1"
        assert answer.headers["OCPI-to-party-id"] == "NTH"
        assert answer.headers["OCPI-from-party-id"] == "STH"
        # Never with versions and credentials.
        assert "OCPI-to-party-id" not in (await client.get("/versions", headers=headers)).headers


@pytest.mark.parametrize(
    "headers",
    [
        {"OCPI-to-country-code": "US", "OCPI-to-party-id": "XXX"},
        {"OCPI-from-country-code": "US", "OCPI-from-party-id": "STH"},
    ],
)
async def test_messages_to_others_and_from_others_are_refused(headers: dict[str, str]) -> None:
    async with connected(side("CA*NTH"), side("US*STH")) as (a, b), await opened(a, b) as client:
        answer = await client.get("/2.2.1/sender/tokens", headers=headers)
        assert (answer.status_code, answer.json()["status_code"]) == (200, 2001)


async def test_http_errors_are_for_transport_only() -> None:
    async with connected(side("CA*NTH"), side("US*STH")) as (a, b), await opened(a, b) as client:
        module = "/2.2.1/receiver/tokens"
        cases = {
            ("PUT", f"{module}/CA/NTH/1", b"{"): (400, 2001),
            ("GET", f"{module}/x", None): (404, 2000),
            ("PUT", f"{module}/x", b"{}"): (200, 2000),
            ("DELETE", f"{module}/CA/NTH/1", None): (405, 2000),
            ("GET", f"{module}/1/2/3/4/5", None): (404, 2000),
            ("GET", f"{module}/1/2", None): (200, 3000),
            ("GET", "/2.2.1/receiver/cdrs", None): (404, 2000),
            ("GET", "/2.1.1", None): (404, 2000),
        }
        for (method, path, content), expected in cases.items():
            answer = await client.request(method, path, content=content)
            found = answer.status_code, answer.json()["status_code"]
            assert found == expected, (method, path)
            assert answer.headers["content-type"] == "application/json"


async def test_a_body_has_a_limit_with_and_without_a_length() -> None:
    async with (
        connected(side("CA*NTH"), side("US*STH", max_body_bytes=20_000)) as (a, b),
        await opened(a, b) as client,
    ):

        async def chunks() -> Any:
            for _ in range(5):
                yield b" " * 5_000

        for content in (b" " * 20_001, chunks()):
            answer = await client.put("/2.2.1/receiver/tokens/CA/NTH/1", content=content)
            assert (answer.status_code, answer.json()["status_code"]) == (413, 2001)


async def test_requests_of_one_partner_have_a_budget() -> None:
    async with (
        connected(side("CA*NTH"), side("US*STH", per_s=0.001, burst=8)) as (a, b),
        await opened(a, b) as client,
    ):
        answers = [await client.get("/versions") for _ in range(8)]
        assert answers[-1].status_code == 429
        assert answers[-1].headers["Retry-After"] == "1"
        assert answers[-1].json()["status_code"] == 3000, "it is not refused for good"


def test_a_budget_refills_and_is_each_partners_own() -> None:
    now = [0.0]
    budget = Budget(2.0, 2, lambda: now[0])
    assert [budget.takes("a") for _ in range(3)] == [True, True, False]
    assert budget.takes("b")
    now[0] = 0.5
    assert [budget.takes("a") for _ in range(2)] == [True, False]


async def test_a_partner_is_heard_and_its_deviations_are_counted() -> None:
    first, second = side("CA*NTH"), side("US*STH")
    async with two(first, second) as (a, b):
        token = b.invite("North")
        answer = await a.register(b, token)
        assert answer.state == "registered"
        there = (await b.store.reader.page(type(answer), {"name": "North"}))[0]
        assert there.heard_at == b.now
        assert there.deviations == {}


async def test_what_becomes_of_their_pushes_is_kept_for_people() -> None:
    async with connected(side("CA*NTH"), side("US*STH")) as (a, b):
        partner = await b.partner(a)

        async def noted() -> tuple[int, str | None]:
            row = await b.store.reader.get(PartnerModule, partner.id, "tokens", "in")
            assert row is not None
            return row.failures, row.error

        assert (await a.asks(b, "GET", "/2.2.1/receiver/tokens")).status_code == 200
        assert await b.store.reader.get(PartnerModule, partner.id, "tokens", "in") is None
        await a.asks(b, "PUT", "/2.2.1/receiver/tokens/a/b/c", {})
        assert await noted() == (0, None)
        for failures in (1, 2):
            await a.asks(b, "PUT", "/2.2.1/receiver/tokens/a", {})
            assert await noted() == (failures, "OCPI 2000: nothing there")
        for _ in range(2):
            await a.asks(b, "PATCH", "/2.2.1/receiver/tokens/a/b/c", {})
        assert await noted() == (0, None)


async def test_two_applications_share_one_address() -> None:
    called: list[str] = []

    def app(name: str) -> Any:
        async def run(scope: Any, receive: Any, send: Any) -> None:
            called.append(f"{name} {scope.get('path', scope['type'])}")

        return run

    both = beside(app("api"), app("ocpi"))
    nothing: Any = None
    for path in ("/ocpi", "/ocpi/versions", "/ocpix", "/api/v1/partners"):
        await both({"type": "http", "path": path}, nothing, nothing)
    await both({"type": "lifespan"}, nothing, nothing)
    assert called == [
        "ocpi /ocpi",
        "ocpi /ocpi/versions",
        "api /ocpix",
        "api /api/v1/partners",
        "api lifespan",
    ]


async def test_an_answer_that_takes_too_long_is_given_up_and_said_to_be_so() -> None:
    """And nothing of it is stored: what was being done is cancelled."""
    began = asyncio.Event()

    async def endless(call: Call) -> Answer:
        began.set()
        await asyncio.Event().wait()
        return Answer()

    slow = Side("US*STH").offers(Module("tokens", "RECEIVER", {("PUT", 3): endless}))
    async with connected(side("CA*NTH"), slow) as (a, b), await opened(a, b) as client:
        b.server._network = replace(b.network, limits=Limits(request_timeout_s=0.05))
        answer = await client.put("/2.2.1/receiver/tokens/CA/NTH/X", json={})
        assert began.is_set()
        assert (answer.status_code, answer.json()["status_code"]) == (200, 3000)
        assert "too long" in answer.json()["status_message"]


async def test_every_answer_is_told_by_module_and_status() -> None:
    told: list[tuple[str, int]] = []
    there = side("US*STH", burst=12)
    async with connected(side("CA*NTH"), there) as (a, b), await opened(a, b) as client:
        b.server.on_answered = lambda module, status: told.append((module, status))
        await client.get("/2.2.1/sender/tokens")
        await client.get("/2.2.1/nowhere")
        await client.get("/versions", headers={"Authorization": "Token no"})
    assert told == [("tokens", 200), ("other", 404), ("versions", 401)]
