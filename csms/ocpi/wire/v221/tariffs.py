"""Tariffs (mod_tariffs)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from csms.ocpi.wire.types import Address, Ci, DateTime, Decimal4, Integer, Text, Wire, one_of
from csms.ocpi.wire.v221.locations import EnergyMix
from csms.ocpi.wire.v221.registration import DisplayText, Price

DAY_OF_WEEK = one_of("DayOfWeek", "MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY")
# Closed, all of them: a price that is not understood must not be guessed.
TARIFF_DIMENSION_TYPE = one_of("TariffDimensionType", "ENERGY FLAT PARKING_TIME TIME")
RESERVATION_RESTRICTION_TYPE = one_of(
    "ReservationRestrictionType", "RESERVATION RESERVATION_EXPIRES"
)
TARIFF_TYPE = one_of(
    "TariffType", "AD_HOC_PAYMENT PROFILE_CHEAP PROFILE_FAST PROFILE_GREEN REGULAR"
)


class PriceComponent(Wire):
    type: Annotated[str, TARIFF_DIMENSION_TYPE]
    price: Decimal4
    vat: Decimal4 | None = None
    step_size: Integer


class TariffRestrictions(Wire):
    start_time: Annotated[str, Text(5)] | None = None
    end_time: Annotated[str, Text(5)] | None = None
    start_date: Annotated[str, Text(10)] | None = None
    end_date: Annotated[str, Text(10)] | None = None
    min_kwh: Decimal4 | None = None
    max_kwh: Decimal4 | None = None
    min_current: Decimal4 | None = None
    max_current: Decimal4 | None = None
    min_power: Decimal4 | None = None
    max_power: Decimal4 | None = None
    min_duration: Integer | None = None
    max_duration: Integer | None = None
    day_of_week: tuple[Annotated[str, DAY_OF_WEEK], ...] = ()
    reservation: Annotated[str, RESERVATION_RESTRICTION_TYPE] | None = None


class TariffElement(Wire):
    price_components: tuple[PriceComponent, ...] = Field(min_length=1)
    restrictions: TariffRestrictions | None = None


class Tariff(Wire):
    country_code: Annotated[str, Ci(2)]
    party_id: Annotated[str, Ci(3)]
    id: Annotated[str, Ci(36)]
    currency: Annotated[str, Text(3)]
    type: Annotated[str, TARIFF_TYPE] | None = None
    tariff_alt_text: tuple[DisplayText, ...] = ()
    tariff_alt_url: Address | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    elements: tuple[TariffElement, ...] = Field(min_length=1)
    start_date_time: DateTime | None = None
    end_date_time: DateTime | None = None
    energy_mix: EnergyMix | None = None
    last_updated: DateTime
