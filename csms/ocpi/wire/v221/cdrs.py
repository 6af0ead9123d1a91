"""Charge detail records (mod_cdrs), and what sessions share with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, model_validator

from csms.ocpi.wire.types import (
    Boolean,
    Ci,
    DateTime,
    Decimal4,
    Integer,
    Leniency,
    Text,
    Wire,
    one_of,
)
from csms.ocpi.wire.v221.locations import (
    CONNECTOR_FORMAT,
    CONNECTOR_TYPE,
    POWER_TYPE,
    GeoLocation,
)
from csms.ocpi.wire.v221.registration import Price
from csms.ocpi.wire.v221.tariffs import Tariff
from csms.ocpi.wire.v221.tokens import TOKEN_TYPE

AUTH_METHOD = one_of("AuthMethod", "AUTH_REQUEST COMMAND WHITELIST")
# Those that only a Session may have are in `SESSION_ONLY`.
CDR_DIMENSION_TYPE = one_of(
    "CdrDimensionType",
    "CURRENT ENERGY ENERGY_EXPORT ENERGY_IMPORT MAX_CURRENT MIN_CURRENT MAX_POWER MIN_POWER "
    "PARKING_TIME POWER RESERVATION_TIME STATE_OF_CHARGE TIME",
)
# transport_and_format, no data available.
NOT_AVAILABLE = "#NA"
SESSION_ONLY = frozenset({"CURRENT", "ENERGY_EXPORT", "ENERGY_IMPORT", "POWER", "STATE_OF_CHARGE"})


class CdrDimension(Wire):
    type: Annotated[str, CDR_DIMENSION_TYPE]
    volume: Decimal4


class ChargingPeriod(Wire):
    start_date_time: DateTime
    dimensions: tuple[CdrDimension, ...] = Field(min_length=1)
    tariff_id: Annotated[str, Ci(36)] | None = None


class CdrToken(Wire):
    country_code: Annotated[str, Ci(2)]
    party_id: Annotated[str, Ci(3)]
    uid: Annotated[str, Ci(36)]
    type: Annotated[str, TOKEN_TYPE]
    contract_id: Annotated[str, Ci(36)]


class CdrLocation(Wire):
    """A bill without `evse_uid` still says what is to be paid: it is read as one whose EVSE is not
    known."""

    id: Annotated[str, Ci(36)]
    name: Annotated[str, Text(255)] | None = None
    address: Annotated[str, Text(45)]
    city: Annotated[str, Text(45)]
    postal_code: Annotated[str, Text(10)] | None = None
    state: Annotated[str, Text(20)] | None = None
    country: Annotated[str, Text(3)]
    coordinates: GeoLocation
    evse_uid: Annotated[str, Ci(36)]
    evse_id: Annotated[str, Ci(48)]
    connector_id: Annotated[str, Ci(36)]
    connector_standard: Annotated[str, CONNECTOR_TYPE]
    connector_format: Annotated[str, CONNECTOR_FORMAT]
    connector_power_type: Annotated[str, POWER_TYPE]

    @model_validator(mode="before")
    @classmethod
    def _without_evse(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(info.context, Leniency) or not isinstance(given, Mapping):
            return given
        if given.get("evse_uid") is not None:
            return given
        info.context.note("evse_uid: missing")
        return {**given, "evse_uid": NOT_AVAILABLE}


class SignedValue(Wire):
    nature: Annotated[str, Ci(32)]
    plain_data: Annotated[str, Text(5000)]
    signed_data: Annotated[str, Text(5000)]


class SignedData(Wire):
    encoding_method: Annotated[str, Ci(36)]
    encoding_method_version: Integer | None = None
    public_key: Annotated[str, Text(512)] | None = None
    signed_values: tuple[SignedValue, ...] = Field(min_length=1)
    url: Annotated[str, Text(512)] | None = None


class CDR(Wire):
    country_code: Annotated[str, Ci(2)]
    party_id: Annotated[str, Ci(3)]
    id: Annotated[str, Ci(39)]
    start_date_time: DateTime
    end_date_time: DateTime
    session_id: Annotated[str, Ci(36)] | None = None
    cdr_token: CdrToken
    auth_method: Annotated[str, AUTH_METHOD]
    authorization_reference: Annotated[str, Ci(36)] | None = None
    cdr_location: CdrLocation
    meter_id: Annotated[str, Text(255)] | None = None
    currency: Annotated[str, Text(3)]
    tariffs: tuple[Tariff, ...] = ()
    charging_periods: tuple[ChargingPeriod, ...] = Field(min_length=1)
    signed_data: SignedData | None = None
    total_cost: Price
    total_fixed_cost: Price | None = None
    total_energy: Decimal4
    total_energy_cost: Price | None = None
    total_time: Decimal4
    total_time_cost: Price | None = None
    total_parking_time: Decimal4 | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    remark: Annotated[str, Text(255)] | None = None
    invoice_reference_id: Annotated[str, Ci(39)] | None = None
    credit: Boolean | None = None
    credit_reference_id: Annotated[str, Ci(39)] | None = None
    home_charging_compensation: Boolean | None = None
    last_updated: DateTime
