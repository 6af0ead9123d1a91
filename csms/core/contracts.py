"""Contracts: what is agreed with another network about money.

Kept with the partner, and with each charge as it was when the charge began: a contract that changes
holds for charges that begin afterwards. Without one, taxes of the place are charged, amounts are
rounded as the currency is, and nothing is added to the price of the network that sold the energy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from csms.core.errors import Invalid
from csms.core.pricing.money import Rounding, Treatment, wire

MAX_DIGITS = 4
MAX_MARKUP = Decimal(100)


@dataclass(frozen=True, slots=True)
class Contract:
    """`taxes`: how they are treated between the two networks. `rounding_digits` of totals and tax
    lines; None: those of the currency. `markup_percent`: what our drivers pay beyond the price of
    the other network; 0 keeps the promise that roaming costs nothing."""

    taxes: Treatment = Treatment.TAXED
    rounding_digits: int | None = None
    markup_percent: Decimal = Decimal(0)

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> Contract:
        """From what `stored` gave, or an operator. Raises `Invalid`."""
        given = given or {}
        try:
            taxes = Treatment(given.get("taxes", Treatment.TAXED))
        except ValueError as error:
            known = ", ".join(Treatment)
            raise Invalid(f"taxes: one of {known}") from error
        digits = given.get("rounding_digits")
        if digits is not None and (type(digits) is not int or not 0 <= digits <= MAX_DIGITS):
            raise Invalid(f"rounding_digits: 0 to {MAX_DIGITS}")
        try:
            markup = Decimal(str(given.get("markup_percent", 0)))
        except InvalidOperation as error:
            raise Invalid("markup_percent: a number") from error
        if not (markup.is_finite() and 0 <= markup <= MAX_MARKUP):
            raise Invalid(f"markup_percent: 0 to {MAX_MARKUP}")
        return cls(taxes, digits, markup)

    def stored(self) -> dict[str, Any]:
        """As a JSON column holds it."""
        return {
            "taxes": self.taxes.value,
            "rounding_digits": self.rounding_digits,
            "markup_percent": format(self.markup_percent, "f"),
        }

    @property
    def rounding(self) -> Rounding:
        """How amounts are rounded."""
        return Rounding(self.rounding_digits)

    def fee(self, price: Decimal) -> Decimal:
        """What our driver pays beyond that price."""
        return wire(price * self.markup_percent / 100)
