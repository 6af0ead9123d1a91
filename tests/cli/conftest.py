"""The command line against an API that a test writes itself, at the lowest seam: the transport."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from csms.cli.client import Surroundings
from csms.cli.main import app

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]
STATION = {
    "id": "s1",
    "identity": "CP-1",
    "party_id": "XX*CSM",
    "registration": "accepted",
    "connected": True,
    "version": "1.6",
    "vendor": "Maker",
    "model": "One",
    "serial": "SN-1",
    "firmware": "1.2.3",
    "node": "node-1",
    "remote_address": "192.0.2.7",
    "connected_at": "2031-05-01T10:00:00Z",
    "disconnected_at": None,
    "last_seen_at": "2031-05-01T11:00:00Z",
    "booted_at": "2031-05-01T10:00:01Z",
    "created_at": "2031-04-01T00:00:00Z",
    "violations": {"extra_field": 2, "bad_time": 1},
    "connectors": [
        {"evse": 1, "connector": 1, "status": "charging"},
        {"evse": 2, "connector": 1, "status": "available"},
    ],
}
COMMAND = {
    "id": "c1",
    "station_id": "s1",
    "kind": "start_charging",
    "parameters": {"token": "CARD"},
    "status": "accepted",
    "detail": None,
    "result": {"status": "Accepted"},
    "transaction_id": None,
    "created_at": "2031-05-01T10:00:00Z",
    "sent_at": "2031-05-01T10:00:00Z",
    "finished_at": "2031-05-01T10:00:01Z",
    "requested_by": "k1",
}


def ok(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def page(*items: Any, following: str | None = None) -> httpx.Response:
    return ok({"items": list(items), "next": following})


def problem(status: int, code: str, detail: str, **facts: Any) -> httpx.Response:
    body = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail}
    return httpx.Response(
        status,
        content=json.dumps(body | facts),
        headers={"content-type": "application/problem+json"},
    )


@dataclass
class Api:
    """`on` says what is answered; several answers are given in turn, the last one for ever."""

    requests: list[httpx.Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    keys: Iterator[str] = field(default_factory=lambda: (f"key-{n}" for n in range(1, 100)))
    _answers: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self._answers[method, f"/api/v1{path}"] = list(answers)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        raw_path = request.url.raw_path.decode().partition("?")[0]
        answers = self._answers.get((request.method, raw_path))
        assert answers, f"no answer to {request.method} {raw_path}"
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return answer(request)

    @property
    def surroundings(self) -> Surroundings:
        return Surroundings(
            transport=httpx.MockTransport(self.handle),
            sleep=self.slept.append,
            new_key=lambda: next(self.keys),
        )

    def run(self, *args: str, stdin: str | None = None, **env: str | None) -> Result:
        """One run of `csms`; only `SystemExit` may come out of it."""
        result = CliRunner().invoke(
            app,
            args,
            input=stdin,
            obj=self.surroundings,
            env={
                "CSMS_URL": "http://csms.test",
                "CSMS_API_KEY": "k1.secret",
                "CSMS_TRACEBACK": None,
                "COLUMNS": "100",
                "TZ": "UTC",
                **env,
            },
        )
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    def body(self, number: int = -1) -> Any:
        return json.loads(self.requests[number].content)


@pytest.fixture
def api() -> Api:
    return Api()
