"""Locations, EVSEs, connectors (mod_locations)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from csms.ocpi.wire.types import (
    Address,
    Boolean,
    Ci,
    DateTime,
    Decimal4,
    Integer,
    Text,
    Wire,
    one_of,
)
from csms.ocpi.wire.v221.registration import BusinessDetails, DisplayText, Image
from csms.ocpi.wire.v221.tokens import TOKEN_TYPE

STATUS = one_of(
    "Status",
    "AVAILABLE BLOCKED CHARGING INOPERATIVE OUTOFORDER PLANNED REMOVED RESERVED UNKNOWN",
)
CAPABILITY = one_of(
    "Capability",
    "CHARGING_PROFILE_CAPABLE CHARGING_PREFERENCES_CAPABLE CHIP_CARD_SUPPORT "
    "CONTACTLESS_CARD_SUPPORT CREDIT_CARD_PAYABLE DEBIT_CARD_PAYABLE PED_TERMINAL "
    "REMOTE_START_STOP_CAPABLE RESERVABLE RFID_READER START_SESSION_CONNECTOR_REQUIRED "
    "TOKEN_GROUP_CAPABLE UNLOCK_CAPABLE",
    open=True,
)
CONNECTOR_TYPE = one_of(
    "ConnectorType",
    "CHADEMO CHAOJI DOMESTIC_A DOMESTIC_B DOMESTIC_C DOMESTIC_D DOMESTIC_E DOMESTIC_F DOMESTIC_G "
    "DOMESTIC_H DOMESTIC_I DOMESTIC_J DOMESTIC_K DOMESTIC_L DOMESTIC_M DOMESTIC_N DOMESTIC_O "
    "GBT_AC GBT_DC IEC_60309_2_single_16 IEC_60309_2_three_16 IEC_60309_2_three_32 "
    "IEC_60309_2_three_64 IEC_62196_T1 IEC_62196_T1_COMBO IEC_62196_T2 IEC_62196_T2_COMBO "
    "IEC_62196_T3A IEC_62196_T3C NEMA_5_20 NEMA_6_30 NEMA_6_50 NEMA_10_30 NEMA_10_50 NEMA_14_30 "
    "NEMA_14_50 PANTOGRAPH_BOTTOM_UP PANTOGRAPH_TOP_DOWN TESLA_R TESLA_S",
    open=True,
)
CONNECTOR_FORMAT = one_of("ConnectorFormat", "SOCKET CABLE")
POWER_TYPE = one_of("PowerType", "AC_1_PHASE AC_2_PHASE AC_2_PHASE_SPLIT AC_3_PHASE DC")
PARKING_TYPE = one_of(
    "ParkingType",
    "ALONG_MOTORWAY PARKING_GARAGE PARKING_LOT ON_DRIVEWAY ON_STREET UNDERGROUND_GARAGE",
    open=True,
)
PARKING_RESTRICTION = one_of(
    "ParkingRestriction", "EV_ONLY PLUGGED DISABLED CUSTOMERS MOTORCYCLES", open=True
)
FACILITY = one_of(
    "Facility",
    "HOTEL RESTAURANT CAFE MALL SUPERMARKET SPORT RECREATION_AREA NATURE MUSEUM BIKE_SHARING "
    "BUS_STOP TAXI_STAND TRAM_STOP METRO_STATION TRAIN_STATION AIRPORT PARKING_LOT "
    "CARPOOL_PARKING FUEL_STATION WIFI",
    open=True,
)
ENERGY_SOURCE_CATEGORY = one_of(
    "EnergySourceCategory",
    "NUCLEAR GENERAL_FOSSIL COAL GAS GENERAL_GREEN SOLAR WIND WATER",
)
ENVIRONMENTAL_IMPACT_CATEGORY = one_of(
    "EnvironmentalImpactCategory", "NUCLEAR_WASTE CARBON_DIOXIDE", open=True
)


class GeoLocation(Wire):
    latitude: Annotated[str, Text(10)]
    longitude: Annotated[str, Text(11)]


class AdditionalGeoLocation(Wire):
    latitude: Annotated[str, Text(10)]
    longitude: Annotated[str, Text(11)]
    name: DisplayText | None = None


class PublishTokenType(Wire):
    uid: Annotated[str, Ci(36)] | None = None
    type: Annotated[str, TOKEN_TYPE] | None = None
    visual_number: Annotated[str, Text(64)] | None = None
    issuer: Annotated[str, Text(64)] | None = None
    group_id: Annotated[str, Ci(36)] | None = None


class EnergySource(Wire):
    source: Annotated[str, ENERGY_SOURCE_CATEGORY]
    percentage: Decimal4


class EnvironmentalImpact(Wire):
    category: Annotated[str, ENVIRONMENTAL_IMPACT_CATEGORY]
    amount: Decimal4


class EnergyMix(Wire):
    is_green_energy: Boolean
    energy_sources: tuple[EnergySource, ...] = ()
    environ_impact: tuple[EnvironmentalImpact, ...] = ()
    supplier_name: Annotated[str, Text(64)] | None = None
    energy_product_name: Annotated[str, Text(64)] | None = None


class RegularHours(Wire):
    weekday: Integer
    period_begin: Annotated[str, Text(5)]
    period_end: Annotated[str, Text(5)]


class ExceptionalPeriod(Wire):
    period_begin: DateTime
    period_end: DateTime


class Hours(Wire):
    twentyfourseven: Boolean
    regular_hours: tuple[RegularHours, ...] = ()
    exceptional_openings: tuple[ExceptionalPeriod, ...] = ()
    exceptional_closings: tuple[ExceptionalPeriod, ...] = ()


class StatusSchedule(Wire):
    period_begin: DateTime
    period_end: DateTime | None = None
    status: Annotated[str, STATUS]


class Connector(Wire):
    id: Annotated[str, Ci(36)]
    standard: Annotated[str, CONNECTOR_TYPE]
    format: Annotated[str, CONNECTOR_FORMAT]
    power_type: Annotated[str, POWER_TYPE]
    max_voltage: Integer
    max_amperage: Integer
    max_electric_power: Integer | None = None
    tariff_ids: tuple[Annotated[str, Ci(36)], ...] = ()
    terms_and_conditions: Address | None = None
    last_updated: DateTime


class EVSE(Wire):
    uid: Annotated[str, Ci(36)]
    evse_id: Annotated[str, Ci(48)] | None = None
    status: Annotated[str, STATUS]
    status_schedule: tuple[StatusSchedule, ...] = ()
    capabilities: tuple[Annotated[str, CAPABILITY], ...] = ()
    connectors: tuple[Connector, ...] = Field(min_length=1)
    floor_level: Annotated[str, Text(4)] | None = None
    coordinates: GeoLocation | None = None
    physical_reference: Annotated[str, Text(16)] | None = None
    directions: tuple[DisplayText, ...] = ()
    parking_restrictions: tuple[Annotated[str, PARKING_RESTRICTION], ...] = ()
    images: tuple[Image, ...] = ()
    last_updated: DateTime


class Location(Wire):
    country_code: Annotated[str, Ci(2)]
    party_id: Annotated[str, Ci(3)]
    id: Annotated[str, Ci(36)]
    publish: Boolean
    publish_allowed_to: tuple[PublishTokenType, ...] = ()
    name: Annotated[str, Text(255)] | None = None
    address: Annotated[str, Text(255)]
    city: Annotated[str, Text(45)]
    postal_code: Annotated[str, Text(10)] | None = None
    state: Annotated[str, Text(45)] | None = None
    country: Annotated[str, Text(3)]
    coordinates: GeoLocation
    related_locations: tuple[AdditionalGeoLocation, ...] = ()
    parking_type: Annotated[str, PARKING_TYPE] | None = None
    evses: tuple[EVSE, ...] = ()
    directions: tuple[DisplayText, ...] = ()
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: tuple[Annotated[str, FACILITY], ...] = ()
    time_zone: Annotated[str, Text(255)]
    opening_times: Hours | None = None
    charging_when_closed: Boolean | None = None
    images: tuple[Image, ...] = ()
    energy_mix: EnergyMix | None = None
    last_updated: DateTime
