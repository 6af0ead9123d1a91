"""The envelope (transport_and_format, response format; status_codes)."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from csms.core.errors import Invalid, NotFound, StoreUnavailable
from csms.ocpi.envelope import Answer, failure, read

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_answer_without_data_has_none() -> None:
    assert json.loads(Answer().body(NOW)) == {
        "status_code": 1000,
        "timestamp": "2026-01-01T00:00:00Z",
    }
    assert json.loads(Answer([]).body(NOW))["data"] == []


@pytest.mark.parametrize(
    ("error", "status"),
    [(Invalid("x"), 2001), (NotFound("x"), 2000), (StoreUnavailable("x"), 3000)],
)
def test_errors_are_said_in_a_200(error: Invalid, status: int) -> None:
    answer = failure(error)
    assert (answer.http, answer.status, answer.message) == (200, status, "x")


def test_an_answer_is_judged_by_its_envelope_whatever_the_http_status_is() -> None:
    assert read(500, b'{"status_code": 1000, "data": 1}', {}).ok
    assert not read(200, b'{"status_code": 2001, "status_message": "no"}', {}).ok
    assert read(200, b'{"status_code": 2001, "status_message": "no"}', {}).why == "OCPI 2001: no"
    assert read(200, b'{"status_code": "1000"}', {}).ok


def test_one_object_that_comes_in_a_list_is_that_object() -> None:
    """transport_and_format, response format: one object (cardinality 1) is no list. A library in
    the field answers with a list all the same."""
    bare = read(200, b'{"status_code": 1000, "data": {"a": 1}}', {})
    assert (bare.one, bare.deviations) == ({"a": 1}, ())
    listed = read(200, b'{"status_code": 1000, "data": [{"a": 1}]}', {})
    assert (listed.one, listed.deviations) == ({"a": 1}, ("data: one_in_a_list",))
    for data in (b"[]", b"[1, 2]", b"null"):
        heard = read(200, b'{"status_code": 1000, "data": ' + data + b"}", {})
        assert (heard.one, heard.deviations) == (heard.data, ())


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"status_code": true}'])
def test_an_answer_without_an_envelope_is_its_http_status(body: bytes) -> None:
    heard = read(502, body, {})
    assert heard.status is None
    assert heard.why == "HTTP 502"
    assert not heard.ok
