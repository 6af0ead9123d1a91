"""Calling partners: bounded, pinned, without following anybody anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest

from csms.core.errors import Invalid, PartnerUnreachable
from csms.ocpi.addresses import Policy
from csms.ocpi.client import Access, Client, ClientLimits
from csms.ocpi.headers import Routing
from tests.support.ocpi import Answers

ACCESS = Access("secret", routing=Routing("NL*EXA", "CA*NTH"))
HOST = "partner.example.com"
URL = f"https://{HOST}/ocpi/2.2.1/x"


def client(handle: Callable[[httpx.Request], Any], **limits: Any) -> Client:
    async def look_up(host: str, port: int) -> Sequence[str]:
        return ["93.184.216.34"]

    numbers = iter(range(1, 1_000))
    return Client(
        Policy(),
        lambda: f"id-{next(numbers)}",
        ClientLimits(**limits),
        look_up=look_up,
        transport=Answers(handle),
    )


def ok(data: Any, **headers: str) -> httpx.Response:
    body = json.dumps({"status_code": 1000, "data": data, "timestamp": "2026-01-01T00:00:00Z"})
    return httpx.Response(200, content=body, headers=headers)


async def test_a_request_carries_token_ids_parties_and_the_name_of_the_host() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return ok({"n": 1})

    heard = await client(handle).call("PUT", URL, ACCESS, {"a": 1}, correlation="chain")
    assert heard.data == {"n": 1}
    (request,) = seen
    assert request.url.host == "93.184.216.34"
    assert request.headers["Host"] == HOST
    assert request.extensions["sni_hostname"] == HOST
    assert request.headers["Authorization"] == "Token c2VjcmV0"
    assert request.headers["X-Request-ID"] == "id-1"
    assert request.headers["X-Correlation-ID"] == "chain"
    assert request.headers["OCPI-to-party-id"] == "EXA"
    assert request.headers["OCPI-from-country-code"] == "CA"
    assert request.headers["Content-Type"] == "application/json"
    assert request.content == b'{"a":1}'


async def test_only_a_get_follows_a_redirect_and_only_on_the_same_host() -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.headers['Host']}{request.url.path}")
        if request.url.path.endswith("/x"):
            return httpx.Response(307, headers={"Location": f"https://{HOST}/there"})
        if request.url.path == "/there":
            return httpx.Response(302, headers={"Location": "https://other.example.com/y"})
        raise AssertionError(request.url)

    assert (await client(handle).call("POST", URL, ACCESS, {})).http == 307
    assert (await client(handle).call("GET", URL, ACCESS)).http == 302
    assert seen == [f"POST {HOST}/ocpi/2.2.1/x", f"GET {HOST}/ocpi/2.2.1/x", f"GET {HOST}/there"]


async def test_names_at_one_address_never_share_a_connection() -> None:
    """The certificate is checked for the name that a connection was opened for, and who is behind
    an address may be chosen by that name: another one's token must not go there."""
    connections: list[list[str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hosts: list[str] = []
        connections.append(hosts)
        while line := await reader.readline():
            if line.lower().startswith(b"host:"):
                hosts.append(line.decode().split()[1].partition(":")[0])
            if line == b"\r\n":
                body = ok(None).content
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    async def look_up(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    calling = Client(Policy.of(True, ["127.0.0.0/8"]), lambda: "id", look_up=look_up)
    try:
        for host in ("north.example.com", "south.example.com", "north.example.com"):
            assert (await calling.call("GET", f"http://{host}:{port}/x", ACCESS)).ok
    finally:
        await calling.close()
        server.close()
    assert [set(hosts) for hosts in connections if len(set(hosts)) > 1] == []
    assert sum(map(len, connections)) == 3


async def test_redirects_have_an_end() -> None:
    calls = []

    def handle(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        return httpx.Response(301, headers={"Location": URL})

    assert (await client(handle).call("GET", URL, ACCESS)).http == 301
    assert len(calls) == 4


async def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"x" * 5_000)

    with pytest.raises(PartnerUnreachable, match="longer than 1000"):
        await client(handle, max_bytes=1_000).call("GET", URL, ACCESS)


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "identity, deflate", "br"])
async def test_an_answer_that_is_compressed_is_not_read(encoding: str) -> None:
    """A few bytes can be compressed from more than there is memory. We ask for what it is itself
    (RFC 9110 12.5.3), and say why another answer is of no use."""
    seen: list[str] = []

    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Accept-Encoding"])
        return httpx.Response(200, headers={"Content-Encoding": encoding}, content=body())

    with pytest.raises(PartnerUnreachable, match=f"{HOST}: the answer is compressed"):
        await client(handle).call("GET", URL, ACCESS)
    assert seen == ["identity"]


async def test_an_answer_that_says_that_it_is_as_it_is_is_read() -> None:
    heard = await client(lambda request: ok(1, **{"Content-Encoding": "Identity"})).call(
        "GET", URL, ACCESS
    )
    assert heard.data == 1


async def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_allowed() -> None:
    async def handle(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(PartnerUnreachable, match="no whole answer"):
        await client(handle, timeout_s=0.05).call("GET", URL, ACCESS)


async def test_what_breaks_names_the_host_and_never_the_token() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(PartnerUnreachable, match=HOST) as caught:
        await client(handle).call("GET", URL, ACCESS)
    assert "secret" not in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


async def test_addresses_that_are_not_allowed_are_not_called() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise AssertionError

    with pytest.raises(Invalid):
        await client(handle).call("GET", "http://partner.example.com", ACCESS)


# -- lists -----------------------------------------------------------------------------------------


async def pages(handle: Callable[[httpx.Request], Any], url: str = URL) -> list[Any]:
    return [heard.data async for heard in client(handle).pages(url, ACCESS)]


async def test_pages_are_followed_as_they_are_linked() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if "opaque" in request.url.params:
            return ok([3])
        return ok([1, 2], Link=f'<https://{HOST}/elsewhere?opaque=7>; rel="next"')

    assert await pages(handle) == [[1, 2], [3]]


async def test_a_page_that_links_to_itself_ends_the_list() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return ok([1], Link=f'<{URL}>; rel="next"')

    assert await pages(handle) == [[1]]


async def test_a_link_to_another_host_does_not_get_our_token() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["Host"] == HOST
        return ok([1], Link='<https://evil.example.com/>; rel="next"')

    with pytest.raises(Invalid, match="another host"):
        await pages(handle)


@pytest.mark.parametrize("link", [f"http://{HOST}", f"http://{HOST}:80", f"http://{HOST}:8080"])
@pytest.mark.parametrize("allow_http", [False, True])
async def test_a_link_over_http_is_followed_over_https(link: str, allow_http: bool) -> None:
    """A peer behind a proxy that ends TLS does not know how it is reached; our token never goes in
    the clear to whom it is not sent in the clear otherwise."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.url.scheme} {request.headers['Host']}{request.url.path}")
        if "offset" in request.url.params:
            return ok([2])
        return ok([1], Link=f'<{link}/ocpi/2.2.1/x?offset=1>; rel="next"')

    calling = client(handle)
    calling.policy = Policy(allow_http)
    url = f"https://{HOST}:8443/ocpi/2.2.1/x"
    assert [heard.data async for heard in calling.pages(url, ACCESS)] == [[1], [2]]
    assert asked == [f"https {HOST}:8443/ocpi/2.2.1/x"] * 2


async def test_when_the_total_falls_the_page_is_read_again_further_back() -> None:
    objects = list(range(6))
    asked: list[int] = []

    def handle(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params.get("offset", "0"))
        asked.append(offset)
        found = objects[offset : offset + 2]
        headers = {"X-Total-Count": str(len(objects))}
        if offset + 2 < len(objects):
            headers["Link"] = f'<{URL}?offset={offset + 2}>; rel="next"'
        if len(asked) == 1:
            # Between the first page and the second one object goes away.
            objects.pop(0)
        return ok(found, **headers)

    got = [n for page in await pages(handle) for n in page]
    assert set(got) == {0, 1, 2, 3, 4, 5}
    assert asked[:3] == [0, 2, 1]


async def test_a_page_that_is_not_well_is_the_last_one() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b'{"status_code": 3000}')

    assert await pages(handle) == [None]


async def test_too_many_requests_are_made_again_when_the_partner_wants_them() -> None:
    answers = [httpx.Response(429, headers={"Retry-After": "0"}) for _ in range(3)]
    answers.append(ok("done"))
    assert (await client(lambda request: answers.pop(0)).call("PUT", URL, ACCESS, {})).ok
    assert answers == []


async def test_a_partner_that_never_takes_a_request_is_not_reached() -> None:
    always = httpx.Response(
        429, headers={"Retry-After": "0"}, json={"status_code": 2000, "timestamp": "x"}
    )
    with pytest.raises(PartnerUnreachable, match="429"):
        await client(lambda request: always).call("PUT", URL, ACCESS, {})


async def test_what_becomes_of_every_request_is_told() -> None:
    said = iter((200, 200, 404, None))

    def handle(request: httpx.Request) -> httpx.Response:
        status = next(said)
        if status is None:
            raise httpx.ConnectError("refused")
        return ok({}) if status == 200 else httpx.Response(status)

    calling = client(handle)
    told: list[str] = []
    calling.on_called = lambda outcome, seconds: told.append(outcome)
    for _ in range(3):
        await calling.call("GET", URL, ACCESS)
    with pytest.raises(PartnerUnreachable):
        await calling.limited(1).call("GET", URL, ACCESS)
    assert told == ["answered", "answered", "refused", "unreachable"]
    assert calling.under_way == 0


async def test_requests_under_way_are_counted_for_all_uses_together() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def handle(request: httpx.Request) -> httpx.Response:
        asked.set()
        await go_on.wait()
        return ok({})

    calling = client(handle)
    call = asyncio.create_task(calling.limited(1).call("GET", URL, ACCESS))
    async with asyncio.timeout(5):
        await asked.wait()
        assert calling.under_way == 1
        go_on.set()
        await call
    assert calling.under_way == 0
