"""Sessions and charging preferences (mod_sessions)."""

from __future__ import annotations

from typing import Annotated

from csms.ocpi.wire.types import Boolean, Ci, DateTime, Decimal4, Text, Wire, one_of
from csms.ocpi.wire.v221.cdrs import AUTH_METHOD, CdrToken, ChargingPeriod
from csms.ocpi.wire.v221.registration import Price
from csms.ocpi.wire.v221.tokens import PROFILE_TYPE

# Open, because the text of the specification also says RESERVED (errata): kept as it came.
SESSION_STATUS = one_of("SessionStatus", "ACTIVE COMPLETED INVALID PENDING RESERVATION", open=True)
CHARGING_PREFERENCES_RESPONSE = one_of(
    "ChargingPreferencesResponse",
    "ACCEPTED DEPARTURE_REQUIRED ENERGY_NEED_REQUIRED NOT_POSSIBLE PROFILE_TYPE_NOT_SUPPORTED",
)


class Session(Wire):
    country_code: Annotated[str, Ci(2)]
    party_id: Annotated[str, Ci(3)]
    id: Annotated[str, Ci(36)]
    start_date_time: DateTime
    end_date_time: DateTime | None = None
    kwh: Decimal4
    cdr_token: CdrToken
    auth_method: Annotated[str, AUTH_METHOD]
    authorization_reference: Annotated[str, Ci(36)] | None = None
    location_id: Annotated[str, Ci(36)]
    evse_uid: Annotated[str, Ci(36)]
    connector_id: Annotated[str, Ci(36)]
    meter_id: Annotated[str, Text(255)] | None = None
    currency: Annotated[str, Text(3)]
    charging_periods: tuple[ChargingPeriod, ...] = ()
    total_cost: Price | None = None
    status: Annotated[str, SESSION_STATUS]
    last_updated: DateTime


class ChargingPreferences(Wire):
    profile_type: Annotated[str, PROFILE_TYPE]
    departure_time: DateTime | None = None
    energy_need: Decimal4 | None = None
    discharge_allowed: Boolean | None = None
