"""A readable object that cannot be used: HTTP 200, code 2001, and a message that names the field
(OCPI 2.2.1 status_codes); the good objects of a list are kept (transport_and_format)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.ocpi import cdrs, locations, sessions, tariffs, tokens
from csms.ocpi.envelope import INVALID
from csms.ocpi.wire import reading
from tests.support import ocpi_objects as objects
from tests.support.ocpi import Side, connected

MODULES = (
    *tokens.MODULES,
    *locations.MODULES,
    *tariffs.MODULES,
    *sessions.MODULES,
    *cdrs.MODULES,
)
OURS = {"country_code": "US", "party_id": "STH"}
PLACE = objects.location("LOC1", **OURS)
SESSION = objects.session("S1", **OURS)
CDR = objects.cdr("C1", **OURS)
IN = "/2.2.1/receiver"


def without(body: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != field}


ROWS: list[tuple[str, str, Any, str]] = [
    ("PUT", "/tokens/US/STH/CARD", without(objects.token("CARD", **OURS), "valid"), "valid"),
    ("PUT", "/tokens/US/STH/CARD", objects.token("CARD", **OURS, whitelist=7), "whitelist"),
    ("PUT", "/tokens/US/STH/CARD", objects.token("OTHER", **OURS), "uid"),
    ("PUT", "/locations/US/STH/LOC1", without(PLACE, "coordinates"), "coordinates"),
    ("PUT", "/locations/US/STH/LOC1", {**PLACE, "evses": 7}, "evses"),
    ("PUT", "/tariffs/US/STH/T1", objects.tariff("T1", **OURS, elements="none"), "elements"),
    ("PUT", "/sessions/US/STH/S1", without(SESSION, "currency"), "currency"),
    ("PUT", "/sessions/US/STH/S1", {**SESSION, "kwh": "many"}, "kwh"),
    ("POST", "/cdrs", without(CDR, "cdr_token"), "cdr_token"),
    ("POST", "/cdrs", {**CDR, "total_energy": "all"}, "total_energy"),
    ("PATCH", "/tokens/US/STH/CARD", {"valid": False}, "last_updated"),
    ("PUT", "/tokens/US/STH/CARD", [], "object"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"), ROWS, ids=lambda value: str(value)[:40]
)
async def test_the_message_names_the_field(method: str, path: str, body: Any, field: str) -> None:
    sides = [Side(party).offers(*MODULES) for party in ("CA*NTH", "US*STH")]
    body = reading.storable(body)
    async with connected(*sides) as (north, south):
        answer = await south.asks(north, method, f"{IN}{path}", body)
    assert (answer.status_code, answer.json()["status_code"]) == (200, INVALID)
    assert field in answer.json()["status_message"]
