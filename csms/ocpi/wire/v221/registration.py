"""Versions and credentials (version_information_endpoint, credentials); what all modules use."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, model_validator

from csms.ocpi.wire.types import Address, Ci, Decimal4, Integer, Leniency, Text, Wire, one_of

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

    @model_validator(mode="before")
    @classmethod
    def _of_2_3_0(cls, given: Any, info: ValidationInfo) -> Any:
        """Peers mix up the shapes of the versions: before taxes, and a list of these."""
        if not isinstance(info.context, Leniency) or not isinstance(given, Mapping):
            return given
        if given.get("excl_vat") is not None or "before_taxes" not in given:
            return given
        info.context.note("price: in the shape of 2.3.0")
        made = {**given, "excl_vat": given["before_taxes"]}
        try:
            taxes = [Decimal(str(tax["amount"])) for tax in given.get("taxes") or ()]
            made["incl_vat"] = Decimal(str(given["before_taxes"])) + sum(taxes, Decimal(0))
        except (ArithmeticError, KeyError, TypeError):
            return made
        return made if taxes else {**made, "incl_vat": given.get("incl_vat")}


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
