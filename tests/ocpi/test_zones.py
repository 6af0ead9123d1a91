"""A country with one time zone has that one; anything else would be a guess."""

from __future__ import annotations

import pytest

from csms.ocpi.zones import only_zone


@pytest.mark.parametrize(
    ("country", "zone"),
    [
        ("NLD", "Europe/Amsterdam"),
        ("fr", "Europe/Paris"),
        ("BEL", "Europe/Brussels"),
        ("CAN", None),
        ("USA", None),
        ("XYZ", None),
        ("", None),
    ],
)
def test_only_zone(country: str, zone: str | None) -> None:
    found = only_zone(country)
    assert (found.key if found else None) == zone
