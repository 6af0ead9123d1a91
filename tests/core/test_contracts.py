"""What networks agree about money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from csms.core.contracts import Contract
from csms.core.errors import Invalid
from csms.core.pricing.money import Rounding, Treatment


def test_without_a_contract_roaming_costs_nothing_and_taxes_are_charged() -> None:
    """P13: no additional fee."""
    assert Contract.of(None) == Contract.of({}) == Contract()
    assert Contract().fee(Decimal("12.34")) == 0
    assert (Contract().taxes, Contract().rounding) == (Treatment.TAXED, Rounding())


def test_a_contract_survives_being_stored() -> None:
    contract = Contract(Treatment.REVERSE_CHARGE, 3, Decimal("2.5"))
    assert Contract.of(contract.stored()) == contract
    assert contract.fee(Decimal("10.01")) == Decimal("0.2503")
    assert contract.rounding == Rounding(3)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"taxes": "none"}, "taxes"),
        ({"rounding_digits": 5}, "rounding_digits"),
        ({"rounding_digits": "2"}, "rounding_digits"),
        ({"rounding_digits": True}, "rounding_digits"),
        ({"markup_percent": "-1"}, "markup_percent"),
        ({"markup_percent": "101"}, "markup_percent"),
        ({"markup_percent": "NaN"}, "markup_percent"),
        ({"markup_percent": "much"}, "markup_percent"),
    ],
)
def test_what_is_no_contract_is_named(given: Any, field: str) -> None:
    with pytest.raises(Invalid, match=field):
        Contract.of(given)
