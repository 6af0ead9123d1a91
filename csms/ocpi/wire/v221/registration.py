"""Versions and credentials (version_information_endpoint, credentials); what all modules use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from csms.ocpi.wire.types import Address, Ci, Decimal4, Integer, Text, Wire, one_of

ROLE = one_of("Role", "CPO EMSP HUB NAP NSP OTHER SCSP", open=True)
INTERFACE_ROLE = one_of("InterfaceRole", "SENDER RECEIVER")
MODULE_ID = one_of(
    "ModuleID",
    "cdrs chargingprofiles commands credentials hubclientinfo locations sessions tariffs tokens",
    open=True,
)
VERSION_NUMBER = one_of("VersionNumber", "2.0 2.1 2.1.1 2.2 2.2.1", open=True)
IMAGE_CATEGORY = one_of(
    "ImageCategory", "CHARGER ENTRANCE LOCATION NETWORK OPERATOR OTHER OWNER", open=True
)


class DisplayText(Wire):
    language: Annotated[str, Text(2)]
    text: Annotated[str, Text(512)]


class Price(Wire):
    excl_vat: Decimal4
    incl_vat: Decimal4 | None = None


class Image(Wire):
    url: Address
    thumbnail: Address | None = None
    category: Annotated[str, IMAGE_CATEGORY]
    type: Annotated[str, Ci(4)]
    width: Integer | None = None
    height: Integer | None = None


class BusinessDetails(Wire):
    name: Annotated[str, Text(100)]
    website: Address | None = None
    logo: Image | None = None


class Version(Wire):
    version: Annotated[str, VERSION_NUMBER]
    url: Address


class Endpoint(Wire):
    identifier: Annotated[str, MODULE_ID]
    role: Annotated[str, INTERFACE_ROLE]
    url: Address


class VersionDetails(Wire):
    version: Annotated[str, VERSION_NUMBER]
    endpoints: tuple[Endpoint, ...] = Field(min_length=1)


class CredentialsRole(Wire):
    role: Annotated[str, ROLE]
    business_details: BusinessDetails
    party_id: Annotated[str, Ci(3)]
    country_code: Annotated[str, Ci(2)]


class Credentials(Wire):
    token: Annotated[str, Text(64)]
    url: Address
    roles: tuple[CredentialsRole, ...] = Field(min_length=1)
