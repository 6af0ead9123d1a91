"""The operator API as the commands call it: one request, one answer, or a `Failure`.

Writes carry an Idempotency-Key; a request whose connection was lost on the way is sent once more
with the same key, so that it is carried out once. Knows no command and prints nothing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from csms.cli.failures import ExitCode, Failure, of_problem, usage

DEFAULT_URL = "http://127.0.0.1:8000"
PREFIX = "/api/v1"
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
# The server says something on an event stream every 15 s.
SILENT_STREAM_S = 45.0
RETRY_AFTER_S = 1.0
# The most items that the server puts in one page.
PAGE_ITEMS = 500
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Row = Mapping[str, Any]
# The connection broke while a request was on its way or its answer was coming.
LOST = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the commands need of the world; tests hand in their own.

    `transport` None: the network.
    """

    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep
    new_key: Callable[[], str] = lambda: str(uuid.uuid4())


def segment(text: str, what: str) -> str:
    """One part of a path, encoded. Raises `Failure` when it is empty; `what` names it."""
    if not text.strip():
        raise usage(f"{what} is empty", "--help shows an example")
    # A dot alone would be taken for "this folder", so it is encoded as well.
    return quote(text, safe="").replace(".", "%2E") if set(text) == {"."} else quote(text, safe="")


def _checked_url(url: str) -> httpx.URL:
    example = f"an example is {DEFAULT_URL}"
    try:
        parsed = httpx.URL(url.strip().rstrip("/").removesuffix(PREFIX))
    except httpx.InvalidURL as error:
        raise usage(
            f"the address of the server (CSMS_URL) is not valid: {error}", example
        ) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise usage(
            "the address of the server (CSMS_URL) must begin with http:// or https://", example
        )
    if parsed.userinfo:
        # The value is not repeated: it holds a secret.
        raise usage("the address of the server (CSMS_URL) holds a user name", "use CSMS_API_KEY")
    return parsed


def _checked_key(key: str | None) -> str:
    key = (key or "").strip()
    if not key:
        raise usage("no API key is given", "set CSMS_API_KEY (csms init shows the first one)")
    if not key.isascii() or not key.isprintable():
        raise usage("the API key (CSMS_API_KEY) holds characters that no key has", "copy it again")
    return key


class Client:
    """Calls of the operator API. Every method raises `Failure`."""

    def __init__(self, url: str, api_key: str | None, surroundings: Surroundings) -> None:
        parsed = _checked_url(url)
        self.url = str(parsed).rstrip("/")
        self._around = surroundings
        self._http = httpx.Client(
            base_url=self.url + PREFIX,
            headers={"Authorization": f"Bearer {_checked_key(api_key)}"},
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            transport=surroundings.transport,
            # A proxy from the environment cannot know what is on this machine.
            trust_env=parsed.host not in LOOPBACK,
        )

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def get(self, path: str, params: Row | None = None) -> Any:
        """The answer to a GET."""
        return self._exchange("GET", path, params=params)

    def pages(
        self, path: str, params: Row | None = None, limit: int | None = None
    ) -> Iterator[Row]:
        """The items of a list over all its pages, at most `limit`."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE_ITEMS if left is None else min(left, PAGE_ITEMS)
            asked = {**(params or {}), "limit": size, "cursor": cursor}
            page = self.get(path, asked)
            items = page["items"]
            yield from items
            cursor = page.get("next")
            if cursor is None:
                return
            if left is not None:
                left -= len(items)

    def write(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Row | None = None,
        wait_s: float = 0.0,
        hints: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer to a write. `wait_s`: how long the server may take beyond the usual; `hints`:
        next steps by the problem's code."""
        return self._exchange(
            method,
            path,
            params=params,
            body=body,
            headers={"Idempotency-Key": self._around.new_key()},
            timeout=httpx.Timeout(READ_TIMEOUT_S + wait_s, connect=CONNECT_TIMEOUT_S),
            hints=hints,
        )

    @contextmanager
    def stream(
        self, path: str, params: Row, headers: Mapping[str, str]
    ) -> Iterator[httpx.Response]:
        """A response that is read while it comes. Errors of the network while reading it are
        raised as httpx's own, so that the reader can go on elsewhere; connecting raises
        `Failure`."""
        request = self._http.build_request(
            "GET",
            path,
            params=_present(params),
            headers={"Accept": "text/event-stream", **headers},
            timeout=httpx.Timeout(SILENT_STREAM_S, connect=CONNECT_TIMEOUT_S),
        )
        try:
            response = self._http.send(request, stream=True)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        try:
            if response.status_code != 200:
                try:
                    response.read()
                except httpx.TransportError as error:
                    raise self._unreachable(error) from None
                raise self._refused(response, path, None)
            yield response
        finally:
            response.close()

    # -- one exchange ------------------------------------------------------------------------------

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        params: Row | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
        hints: Mapping[str, str] | None = None,
    ) -> Any:
        request = self._http.build_request(
            method,
            path,
            params=_present(params),
            json=body,
            headers=headers,
            timeout=timeout or self._http.timeout,
        )
        response = self._send(request)
        if not response.is_success:
            raise self._refused(response, path, hints)
        try:
            return response.json()
        except ValueError:
            raise self._foreign(response) from None

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._http.send(request)
        except LOST:
            self._around.sleep(RETRY_AFTER_S)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        try:
            return self._http.send(request)
        except httpx.TransportError as error:
            failure = self._unreachable(error)
            if request.method != "GET":
                failure.what = f"the connection to {self.url} was lost on the way"
                failure.next_step = "it may have been carried out or not: look before you repeat it"
            raise failure from None

    def _unreachable(self, error: httpx.TransportError) -> Failure:
        reason = str(error) or type(error).__name__
        if isinstance(error, httpx.ReadTimeout):
            what = f"{self.url} did not answer in time"
            return Failure(ExitCode.UNREACHABLE, what, f"{self.url}/readyz says how it is")
        next_step = "is it running (csms serve), and is CSMS_URL right?"
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            next_step = "for an authority of your own set SSL_CERT_FILE to its certificate"
        return Failure(ExitCode.UNREACHABLE, f"cannot reach {self.url}: {reason}", next_step)

    def _refused(
        self, response: httpx.Response, path: str, hints: Mapping[str, str] | None
    ) -> Failure:
        if response.is_redirect:
            what = f"{self.url} redirects to {response.headers.get('Location', 'nowhere')}"
            return Failure(ExitCode.UNREACHABLE, what, "set CSMS_URL to the address that answers")
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if isinstance(problem, dict) and ("code" in problem or "detail" in problem):
            return of_problem(response.status_code, problem, path, hints)
        return self._foreign(response)

    def _foreign(self, response: httpx.Response) -> Failure:
        what = f"{self.url} answered {response.status_code}, but not as this API does"
        return Failure(ExitCode.UNREACHABLE, what, "is CSMS_URL right?")


def _present(params: Row | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}
