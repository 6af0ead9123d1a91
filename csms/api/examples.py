"""One body for every request that has one: what a client would really send.

They stand in the description of the API (`/openapi.json`, `/docs`); each is accepted as it stands
by the API, which the tests see to.
"""

from __future__ import annotations

from typing import Any

_CONNECTOR = {"id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE"}
LOCATION = {
    "id": "LOC-1",
    "name": "Old Port",
    "address": "1 Rue de la Commune",
    "city": "Montreal",
    "state": "QC",
    "country": "CAN",
    "coordinates": {"latitude": "45.50", "longitude": "-73.55"},
    "time_zone": "America/Toronto",
    "publish": True,
    "evses": [
        {
            "station": "CP-1",
            "evse": 1,
            "uid": "E1",
            "connectors": [{**_CONNECTOR, "max_voltage": 230, "max_amperage": 32}],
        }
    ],
}
TARIFF = {
    "id": "DAY",
    "currency": "CAD",
    "elements": [
        {
            "price_components": [
                {"type": "ENERGY", "price": 0.35, "step_size": 1},
                {"type": "PARKING_TIME", "price": 6.0, "step_size": 60},
            ]
        }
    ],
}
_START = {"party_id": "US*STH", "location_id": "LOC1", "evse_uid": "E1", "token": "04E1A2B3"}

# Method and path below /api/v1 -> body.
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/stations"): {"identity": "CP-1", "evses": 2, "party_id": "CA*NTH"},
    ("PATCH", "/stations/{station}"): {"registration": "accepted"},
    ("POST", "/nodes/{node}/{action}"): {"force": True},
    ("POST", "/stations/{station}/commands"): {
        "kind": "start_charging",
        "parameters": {"token": "04E1A2B3", "evse": 1},
    },
    ("POST", "/stations/{station}/ocpp/{action}"): {"type": "Soft"},
    ("PATCH", "/stations/{station}/configuration"): {"values": {"HeartbeatInterval": "300"}},
    ("POST", "/stations/{station}/configuration/refresh"): {"names": ["HeartbeatInterval"]},
    ("POST", "/stations/{station}/reports"): {"scope": "full"},
    ("PUT", "/configuration-templates/{template}"): {
        "values": {"MeterValueSampleInterval": "60"},
        "vendor": "ABB*",
    },
    ("POST", "/station-imports"): {
        "rows": [{"identity": "CP-1", "evses": 2, "secret": "4f1c9a7e5b3d2f6081a9c7e5"}],
        "dry_run": True,
    },
    ("POST", "/stations/{station}/credentials"): {"by_hand": True},
    ("POST", "/stations/{station}/profile"): {
        "profile": 2,
        "url": "wss://csms.example.com/ocpp",
        "slot": 2,
    },
    ("PATCH", "/stations/{station}/exceptions"): {"no_auth": ["10.20.0.0/16"]},
    ("POST", "/stations/{station}/accept"): {"party_id": "CA*NTH"},
    ("PUT", "/stations/{station}/switches/{name}"): {"value": False},
    ("POST", "/tokens"): {"uid": "04E1A2B3", "label": "Fleet car 7", "group_id": "FLEET"},
    ("PATCH", "/tokens/{party_id}/{kind}/{uid}"): {"blocked": True},
    ("POST", "/quarantine/{quarantine_id}/assign"): {"transaction_id": 17, "dry_run": True},
    ("PUT", "/locations"): LOCATION,
    ("PATCH", "/locations/{party}/{location_id}/evses/{uid}"): {"operative": False},
    ("POST", "/tariffs"): TARIFF,
    ("POST", "/tariffs/price"): {
        "tariff": TARIFF,
        "kwh": "21.5",
        "minutes": 55,
        "idle_minutes": 10,
        "time_zone": "America/Toronto",
        "country": "CA",
        "state": "QC",
    },
    ("POST", "/tariffs/{party}/{tariff_id}/assignments"): {"location_id": "LOC-1"},
    ("POST", "/tariffs/{party}/{tariff_id}/assignments/remove"): {"location_id": "LOC-1"},
    ("POST", "/cdrs/{party}/{cdr_id}/credit"): {"reason": "The driver was charged twice"},
    ("POST", "/roaming/errands/start"): _START,
    ("POST", "/roaming/errands/stop"): {"party_id": "US*STH", "session_id": "17"},
    ("POST", "/roaming/errands/unlock"): {
        "party_id": "US*STH",
        "location_id": "LOC1",
        "evse_uid": "E1",
        "connector_id": "1",
    },
    ("POST", "/keys"): {"name": "night shift", "role": "operator", "parties": ["CA*NTH"]},
    ("POST", "/partners"): {"name": "South Network"},
    ("POST", "/partners/register"): {
        "name": "South Network",
        "url": "https://south.example.com/ocpi/versions",
        "token": "the-token-of-their-invitation",
    },
    ("PUT", "/partners/{partner}/contract"): {"taxes": "taxed", "markup_percent": "0"},
    ("POST", "/forgettings"): {"uid": "04E1A2B3", "party_id": "CA*NTH"},
}


def add(document: dict[str, Any], prefix: str) -> None:
    """Put each body into an OpenAPI document, at its operation."""
    for (method, path), body in BODIES.items():
        operation = document["paths"][f"{prefix}{path}"][method.lower()]
        operation["requestBody"]["content"]["application/json"]["example"] = body
