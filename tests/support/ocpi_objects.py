"""Objects of OCPI 2.2.1 as JSON values, the smallest that are complete; keywords change fields."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from csms.ocpi.envelope import Answer
from csms.ocpi.routing import Call, Module

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
AT = "2026-01-01T10:00:00Z"
OWNER = {"country_code": "NL", "party_id": "EXA"}


def role(name: str = "CPO", party: str = "NL*EXA") -> dict[str, Any]:
    country, _, party_id = party.partition("*")
    return {
        "role": name,
        "country_code": country,
        "party_id": party_id,
        "business_details": {"name": f"Network {party}"},
    }


def credentials(token: str = "t" * 20, **changes: Any) -> dict[str, Any]:
    made = {"token": token, "url": "https://example.com/ocpi/versions", "roles": [role()]}
    return {**made, **changes}


def token(uid: str = "04AABBCC", **changes: Any) -> dict[str, Any]:
    return {
        **OWNER,
        "uid": uid,
        "type": "RFID",
        "contract_id": "NL-EXA-C12345678-S",
        "issuer": "Example Provider",
        "valid": True,
        "whitelist": "ALLOWED",
        "last_updated": AT,
        **changes,
    }


PLUG: dict[str, Any] = {
    "id": "1",
    "standard": "IEC_62196_T2",
    "format": "SOCKET",
    "power_type": "AC_3_PHASE",
    "max_voltage": 230,
    "max_amperage": 32,
}
"""A connector as the core keeps it."""


def connector(**changes: Any) -> dict[str, Any]:
    return {**PLUG, "last_updated": AT, **changes}


def evse(uid: str = "E1", **changes: Any) -> dict[str, Any]:
    made = {"uid": uid, "status": "AVAILABLE", "connectors": [connector()], "last_updated": AT}
    return {**made, **changes}


def location(location_id: str = "LOC1", **changes: Any) -> dict[str, Any]:
    return {
        **OWNER,
        "id": location_id,
        "publish": True,
        "address": "Stationsweg 1",
        "city": "Utrecht",
        "country": "NLD",
        "coordinates": {"latitude": "52.090000", "longitude": "5.121000"},
        "evses": [evse()],
        "time_zone": "Europe/Amsterdam",
        "last_updated": AT,
        **changes,
    }


def tariff(tariff_id: str = "T1", **changes: Any) -> dict[str, Any]:
    component = {"type": "ENERGY", "price": Decimal("0.25"), "step_size": 1}
    return {
        **OWNER,
        "id": tariff_id,
        "currency": "EUR",
        "elements": [{"price_components": [component]}],
        "last_updated": AT,
        **changes,
    }


def cdr_token(**changes: Any) -> dict[str, Any]:
    kept = ("country_code", "party_id", "uid", "type", "contract_id")
    return {**{name: token()[name] for name in kept}, **changes}


def period(**changes: Any) -> dict[str, Any]:
    dimensions = [{"type": "ENERGY", "volume": Decimal("10.5")}]
    return {"start_date_time": AT, "dimensions": dimensions, **changes}


def session(session_id: str = "S1", **changes: Any) -> dict[str, Any]:
    return {
        **OWNER,
        "id": session_id,
        "start_date_time": AT,
        "kwh": Decimal("10.5"),
        "cdr_token": cdr_token(),
        "auth_method": "WHITELIST",
        "location_id": "LOC1",
        "evse_uid": "E1",
        "connector_id": "1",
        "currency": "EUR",
        "status": "ACTIVE",
        "last_updated": AT,
        **changes,
    }


def cdr(cdr_id: str = "C1", **changes: Any) -> dict[str, Any]:
    return {
        **OWNER,
        "id": cdr_id,
        "start_date_time": AT,
        "end_date_time": "2026-01-01T11:00:00Z",
        "cdr_token": cdr_token(),
        "auth_method": "WHITELIST",
        "cdr_location": {
            "id": "LOC1",
            "address": "Stationsweg 1",
            "city": "Utrecht",
            "country": "NLD",
            "coordinates": {"latitude": "52.090000", "longitude": "5.121000"},
            "evse_uid": "E1",
            "evse_id": "NL*EXA*E1",
            "connector_id": "1",
            "connector_standard": "IEC_62196_T2",
            "connector_format": "SOCKET",
            "connector_power_type": "AC_3_PHASE",
        },
        "currency": "EUR",
        "charging_periods": [period()],
        "total_cost": {"excl_vat": Decimal("2.63")},
        "total_energy": Decimal("10.5"),
        "total_time": 1,
        "last_updated": AT,
        **changes,
    }


def nothing(module: str, interface: str) -> tuple[Module]:
    """A module whose list is empty."""

    async def empty(call: Call) -> Answer:
        return Answer([])

    return (Module(module, interface, {("GET", 0): empty}),)
