"""What a charger can be, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from chargers.profile import ChargerProfile, ProfileError


def test_a_profile_needs_only_an_id() -> None:
    profile = ChargerProfile(id="CP-1")
    assert profile.version == "1.6"
    assert profile.serial_number == "SN-CP-1"


def test_a_serial_number_fits_the_boot_message() -> None:
    assert len(ChargerProfile(id="x" * 48).serial_number) == 25


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "a:b"),
        ("version", "1.5"),
        ("evses", 0),
        ("power_w", 0),
        ("attempts", 0),
        ("vendor", "x" * 21),
        ("reconnect_max_s", 0.5),
    ],
)
def test_an_impossible_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(ProfileError, match="allowed is") as caught:
        ChargerProfile(**({"id": "CP-1"} | {field: value}))
    assert caught.value.field == field
