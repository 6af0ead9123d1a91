"""Versions and credentials (version_information_endpoint, credentials)."""

from __future__ import annotations

import pytest

from csms.core.errors import Invalid
from csms.ocpi.wire.reading import parse, plain
from csms.ocpi.wire.v221.registration import Credentials, VersionDetails
from tests.support.ocpi_objects import NOW, credentials, role


def test_one_connection_speaks_for_many_roles() -> None:
    given = credentials(roles=[role("CPO"), role("EMSP"), role("CPO", "BE*EXA")])
    read = parse(Credentials, given, NOW)
    assert [r.role for r in read.value.roles] == ["CPO", "EMSP", "CPO"]
    assert plain(read.value) == given
    assert read.deviations == ()


def test_credentials_name_at_least_one_role_and_keep_roles_of_later_versions() -> None:
    with pytest.raises(Invalid, match="roles"):
        parse(Credentials, credentials(roles=[]), NOW)
    assert parse(Credentials, credentials(roles=[role("PTP")]), NOW).value.roles[0].role == "PTP"


def test_modules_that_are_not_known_are_listed_and_interfaces_are_two() -> None:
    endpoint = {"identifier": "bookings", "role": "SENDER", "url": "https://example.com/b"}
    details = {"version": "2.2.1", "endpoints": [endpoint]}
    assert parse(VersionDetails, details, NOW).value.endpoints[0].identifier == "bookings"
    with pytest.raises(Invalid, match="role"):
        parse(VersionDetails, {**details, "endpoints": [{**endpoint, "role": "CPO"}]}, NOW)
