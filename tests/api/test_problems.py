"""Every error is a problem document with a stable code."""

from __future__ import annotations

import pytest

from csms.api.problems import STATUS
from csms.core import errors
from csms.core.errors import StoreUnavailable
from tests.api.conftest import Api


def test_every_error_of_the_core_has_a_status() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.CsmsError):
            assert kind.code in STATUS or kind is errors.CsmsError, kind


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/stations/nowhere", 404, "not_found"),
        ("GET", "/nothing", 404, "not_found"),
        ("PUT", "/stations", 405, "method_not_allowed"),
        ("GET", "/transactions/xyz", 422, "invalid"),
        ("GET", "/stations?cursor=%00", 422, "invalid"),
        ("GET", "/stations?limit=0", 422, "invalid"),
    ],
)
async def test_what_goes_wrong_is_said(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    answer = await api(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


async def test_a_field_that_does_not_exist_is_named(api: Api) -> None:
    answer = await api("POST", "/stations", json={"identity": "CP-1", "evse": 2})
    assert answer.status_code == 422
    assert "evse" in answer.json()["detail"]


async def test_a_store_that_cannot_write_is_503(api: Api) -> None:
    def fail(*args: object, **more: object) -> None:
        raise StoreUnavailable("disk full")

    api.store.transact = fail  # type: ignore[method-assign, assignment]
    answer = await api("POST", "/tokens", json={"uid": "A"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == "disk full"


async def test_a_fault_of_ours_shows_nothing_of_the_inside(api: Api) -> None:
    def fail(*args: object, **more: object) -> None:
        raise ZeroDivisionError("inside")

    api.store.transact = fail  # type: ignore[method-assign, assignment]
    answer = await api("POST", "/tokens", json={"uid": "A"})
    assert answer.status_code == 500
    assert "inside" not in answer.text
