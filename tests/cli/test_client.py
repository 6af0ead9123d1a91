"""The client: pages, idempotency keys, retries, and every way in which a server can be wrong."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from csms.cli.client import Client, Surroundings, segment
from csms.cli.failures import ExitCode, Failure

from .conftest import Api, ok, page, problem


@pytest.fixture
def client(api: Api) -> Client:
    return Client("http://csms.test", "k1.secret", api.surroundings)


def failure_of(call: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        call()
    return caught.value


def test_the_key_goes_into_the_header_and_not_into_the_url(api: Api, client: Client) -> None:
    api.on("GET", "/keys", ok({}))
    client.get("/keys")
    assert api.requests[0].headers["Authorization"] == "Bearer k1.secret"
    assert "secret" not in str(api.requests[0].url)


def test_pages_are_followed_to_the_end(api: Api, client: Client) -> None:
    api.on("GET", "/tokens", page(1, 2, following="a+/="), page(3))
    assert list(client.pages("/tokens", {"open": None})) == [1, 2, 3]
    assert api.requests[0].url.params == httpx.QueryParams({"limit": "500"})
    assert api.requests[1].url.params["cursor"] == "a+/="


def test_a_limit_asks_for_no_more(api: Api, client: Client) -> None:
    api.on("GET", "/tokens", page(*range(500), following="x"), page(500, following="y"))
    assert len(list(client.pages("/tokens", limit=501))) == 501
    assert [r.url.params["limit"] for r in api.requests] == ["500", "1"]


@pytest.mark.parametrize("lost", [httpx.ReadError("x"), httpx.RemoteProtocolError("x")])
def test_a_write_is_sent_again_once_with_the_same_key(
    api: Api, client: Client, lost: Exception
) -> None:
    api.on("POST", "/stations", lost, ok({"id": 1}))
    assert client.write("POST", "/stations", {"a": 1}) == {"id": 1}
    assert [r.headers["Idempotency-Key"] for r in api.requests] == ["key-1", "key-1"]
    assert api.requests[0].content == api.requests[1].content == b'{"a":1}'
    assert api.slept == [1.0]


def test_two_writes_have_two_keys(api: Api, client: Client) -> None:
    api.on("POST", "/stations", ok({}))
    client.write("POST", "/stations", {})
    client.write("POST", "/stations", {})
    assert [r.headers["Idempotency-Key"] for r in api.requests] == ["key-1", "key-2"]


def test_a_write_that_is_lost_twice_says_that_nobody_knows(api: Api, client: Client) -> None:
    api.on("POST", "/stations", httpx.ReadError("x"), httpx.ConnectError("refused"))
    failure = failure_of(lambda: client.write("POST", "/stations", {}))
    assert failure.exit_code == ExitCode.UNREACHABLE
    assert "may have been carried out or not" in failure.line


def test_a_refused_connection_is_not_tried_again(api: Api, client: Client) -> None:
    api.on("GET", "/stations", httpx.ConnectError("Connection refused"))
    failure = failure_of(lambda: client.get("/stations"))
    assert (failure.exit_code, len(api.requests)) == (ExitCode.UNREACHABLE, 1)
    assert failure.line == (
        "cannot reach http://csms.test: Connection refused; is it running (csms serve), and is "
        "CSMS_URL right?"
    )


def test_a_server_that_does_not_answer(api: Api, client: Client) -> None:
    api.on("GET", "/stations", httpx.ReadTimeout(""))
    failure = failure_of(lambda: client.get("/stations"))
    assert failure.exit_code == ExitCode.UNREACHABLE
    assert "did not answer in time" in failure.line


def test_a_certificate_of_an_unknown_authority(api: Api, client: Client) -> None:
    api.on("GET", "/stations", httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] no issuer"))
    assert "SSL_CERT_FILE" in failure_of(lambda: client.get("/stations")).next_step


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (401, "unauthorized", ExitCode.FAILED),
        (403, "forbidden", ExitCode.FAILED),
        (404, "not_found", ExitCode.FAILED),
        (409, "already_exists", ExitCode.FAILED),
        (409, "refused", ExitCode.FAILED),
        (409, "station_offline", ExitCode.OFFLINE),
        (422, "invalid", ExitCode.FAILED),
        (429, "call_outstanding", ExitCode.FAILED),
        (503, "store_unavailable", ExitCode.FAILED),
        (500, "internal_error", ExitCode.FAILED),
        (418, "something_new", ExitCode.FAILED),
    ],
)
def test_a_problem_is_its_detail_and_a_next_step(
    api: Api, client: Client, status: int, code: str, exit_code: ExitCode
) -> None:
    api.on("GET", "/tokens", problem(status, code, "what happened", command_id="c9"))
    failure = failure_of(lambda: client.get("/tokens"))
    assert (failure.exit_code, failure.code, failure.what) == (exit_code, code, "what happened")
    assert failure.next_step
    assert failure.facts["command_id"] == "c9"


def test_a_detail_that_names_a_command_needs_no_other(api: Api, client: Client) -> None:
    detail = "no station X; csms station list shows those there are"
    api.on("GET", "/stations/X", problem(404, "not_found", detail))
    assert failure_of(lambda: client.get("/stations/X")).line == detail


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(404, text="<html>"),
        httpx.Response(404, json=[]),
        httpx.Response(502, text="Bad Gateway"),
    ],
)
def test_an_answer_of_something_else(api: Api, client: Client, answer: httpx.Response) -> None:
    api.on("GET", "/stations", answer)
    failure = failure_of(lambda: client.get("/stations"))
    assert failure.exit_code == ExitCode.UNREACHABLE
    assert "CSMS_URL" in failure.line


def test_a_redirect_is_said_and_not_followed(api: Api, client: Client) -> None:
    answer = httpx.Response(308, headers={"Location": "https://csms.test/api/v1/stations"})
    api.on("GET", "/stations", answer)
    failure = failure_of(lambda: client.get("/stations"))
    assert "https://csms.test" in failure.what
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("http://csms.test/", "http://csms.test/api/v1/x"),
        ("http://csms.test/api/v1", "http://csms.test/api/v1/x"),
        ("https://csms.test:8443/behind/", "https://csms.test:8443/behind/api/v1/x"),
        ("http://[::1]:8000", "http://[::1]:8000/api/v1/x"),
    ],
)
def test_addresses_as_people_write_them(url: str, reached: str) -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return ok({})

    around = Surroundings(transport=httpx.MockTransport(handle))
    Client(url, "a.b", around).get("/x")
    assert seen == [reached]


@pytest.mark.parametrize(
    "url",
    ["", "csms.test:8000", "ftp://csms.test", "http://", "http://a:b", "http://u:pw@csms.test"],
)
def test_addresses_that_cannot_be(url: str) -> None:
    failure = failure_of(lambda: Client(url, "a.b", Surroundings()))
    assert failure.exit_code == ExitCode.USAGE
    assert "pw" not in failure.line


@pytest.mark.parametrize("key", [None, "", "  ", "geheim-\u00fc", "a\nb"])
def test_keys_that_cannot_be(key: str | None) -> None:
    failure = failure_of(lambda: Client("http://csms.test", key, Surroundings()))
    assert failure.exit_code == ExitCode.USAGE
    assert "CSMS_API_KEY" in failure.line
    assert "geheim" not in failure.line


@pytest.mark.parametrize(
    ("text", "path"),
    [("CP-1", "CP-1"), ("a/b c?", "a%2Fb%20c%3F"), ("..", "%2E%2E"), ("a.b", "a.b")],
)
def test_a_name_is_one_part_of_the_path(text: str, path: str) -> None:
    assert segment(text, "STATION") == path


def test_an_empty_name_is_refused() -> None:
    assert failure_of(lambda: segment(" ", "STATION")).exit_code == ExitCode.USAGE
