"""Tokens and real-time authorization (mod_tokens)."""

from __future__ import annotations

from typing import Annotated

from csms.ocpi.wire.types import Boolean, Ci, DateTime, Text, Wire, one_of
from csms.ocpi.wire.v221.registration import DisplayText

TOKEN_TYPE = one_of("TokenType", "AD_HOC_USER APP_USER OTHER RFID", open=True)
WHITELIST_TYPE = one_of("WhitelistType", "ALWAYS ALLOWED ALLOWED_OFFLINE NEVER")
ALLOWED_TYPE = one_of("AllowedType", "ALLOWED BLOCKED EXPIRED NO_CREDIT NOT_ALLOWED")
PROFILE_TYPE = one_of("ProfileType", "CHEAP FAST GREEN REGULAR")


class EnergyContract(Wire):
    supplier_name: Annotated[str, Text(64)]
    contract_id: Annotated[str, Text(64)] | None = None


class Token(Wire):
    country_code: Annotated[str, Ci(2)]
    party_id: Annotated[str, Ci(3)]
    uid: Annotated[str, Ci(36)]
    type: Annotated[str, TOKEN_TYPE]
    contract_id: Annotated[str, Ci(36)]
    visual_number: Annotated[str, Text(64)] | None = None
    issuer: Annotated[str, Text(64)]
    group_id: Annotated[str, Ci(36)] | None = None
    valid: Boolean
    whitelist: Annotated[str, WHITELIST_TYPE]
    language: Annotated[str, Text(2)] | None = None
    default_profile_type: Annotated[str, PROFILE_TYPE] | None = None
    energy_contract: EnergyContract | None = None
    last_updated: DateTime


class LocationReferences(Wire):
    location_id: Annotated[str, Ci(36)]
    evse_uids: tuple[Annotated[str, Ci(36)], ...] = ()


class AuthorizationInfo(Wire):
    allowed: Annotated[str, ALLOWED_TYPE]
    token: Token
    location: LocationReferences | None = None
    authorization_reference: Annotated[str, Ci(36)] | None = None
    info: DisplayText | None = None
