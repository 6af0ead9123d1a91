"""Which names from outside are accepted (OCPP 2.0.1 Part 4 3.1.1; OCPI party ids)."""

from __future__ import annotations

import pytest

from csms.core.errors import Invalid
from csms.core.ids import party_id, station_identity


@pytest.mark.parametrize("text", ["CS1", "a b|c", "Ü-1", "x" * 48, "=*+-_.@,;"])
def test_identities_as_the_field_has_them(text: str) -> None:
    assert station_identity(text) == text


@pytest.mark.parametrize(
    "text", ["", " ", "a ", "\ta", "x" * 49, "a:b", "a/b", "a?b", "a#b", "a\nb", "a\x7f", "a\0"]
)
def test_what_no_identity_may_be(text: str) -> None:
    with pytest.raises(Invalid):
        station_identity(text)


@pytest.mark.parametrize("text", ["CA*NTH", "US*A1B", "DE*123"])
def test_party_ids(text: str) -> None:
    assert party_id(text) == text


@pytest.mark.parametrize("text", ["", "CANTH", "ca*nth", "CA*NT", "CA*NTHX", "C1*NTH", "CA*NTH\n"])
def test_what_is_no_party_id(text: str) -> None:
    with pytest.raises(Invalid):
        party_id(text)
