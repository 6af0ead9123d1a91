"""Charge detail records (mod_cdrs)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from csms.core.errors import Invalid
from csms.ocpi.wire.reading import parse, plain
from csms.ocpi.wire.v221.cdrs import CDR, CDR_DIMENSION_TYPE, SESSION_ONLY
from tests.support.ocpi_objects import NOW, cdr, tariff


def test_a_cdr_survives_with_its_tariff() -> None:
    given = cdr(tariffs=[tariff()])
    assert plain(parse(CDR, given, NOW).value) == given


def test_a_credit_has_a_negative_total() -> None:
    given = cdr(credit=True, credit_reference_id="C0", total_cost={"excl_vat": Decimal("-2.63")})
    assert parse(CDR, given, NOW).value.total_cost.excl_vat == Decimal("-2.63")


def test_a_cdr_has_at_least_one_period_and_a_location() -> None:
    for wrong in ({"charging_periods": []}, {"cdr_location": None}, {"total_cost": "2.63"}):
        with pytest.raises(Invalid):
            parse(CDR, cdr(**wrong), NOW)


def test_what_only_a_session_may_measure_is_named() -> None:
    assert CDR_DIMENSION_TYPE.values > SESSION_ONLY
