"""Countries, regions and currencies: the codes of ISO 3166 and ISO 4217."""

from __future__ import annotations

import pytest

from csms.core.countries import ALPHA_2, ALPHA_3, alpha_2, minor_digits, region_of


def test_the_list_of_countries_is_one_to_one() -> None:
    assert len(ALPHA_3) == len(ALPHA_2) == 249
    assert all(len(two) == 2 and len(three) == 3 for two, three in ALPHA_3.items())


@pytest.mark.parametrize(
    ("given", "found"),
    [("CAN", "CA"), ("can", "CA"), (" de ", "DE"), ("NLD", "NL"), ("XXX", None), ("", None)],
)
def test_two_or_three_letters_name_a_country(given: str, found: str | None) -> None:
    assert alpha_2(given) == found


@pytest.mark.parametrize(
    ("country", "given", "found"),
    [
        ("CA", "QC", "QC"),
        ("CA", "qc", "QC"),
        ("CA", "CA-QC", "QC"),
        ("CA", "Quebec", "QC"),
        ("CA", "Québec", "QC"),
        ("CA", "newfoundland and labrador", "NL"),
        ("US", "California", "CA"),
        ("US", "CA", "CA"),
        ("CA", "Bavaria", None),
        ("CA", None, None),
        ("CA", " ", None),
        ("DE", "by", "BY"),
    ],
)
def test_a_region_is_found_by_code_or_name(
    country: str, given: str | None, found: str | None
) -> None:
    assert region_of(country, given) == found


@pytest.mark.parametrize(
    ("currency", "digits"), [("CAD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3), ("ISK", 0)]
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, digits: int) -> None:
    assert minor_digits(currency) == digits
