"""The strategies make what they say: payloads that fit, and payloads with one thing wrong."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.oracle import FAULT_CODES, broken_keywords, first_fault
from tests.fuzz.payloads import Bent, nearly, requests, schema, to_station, valid

FEW = settings(
    max_examples=2, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
VERSIONS = ("1.6", "2.0.1", "2.1")
COUNTS = {"1.6": 39, "2.0.1": 64, "2.1": 91}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_request_of_a_version_is_known(version: str) -> None:
    assert len(requests(version)) == COUNTS[version]
    assert not to_station("Heartbeat")
    assert to_station("GetCertificateChainStatus") is False
    assert to_station("TriggerMessage")
    assert schema(version, requests(version)["Heartbeat"])["type"] == "object"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_called_valid_fits_its_schema(version: str) -> None:
    for name in requests(version).values():
        _fits(version, name)


def _fits(version: str, name: str) -> None:
    @seed(1)
    @FEW
    @given(valid(version, name))
    def fits(payload: object) -> None:
        assert first_fault(version, name, payload) is None

    fits()


def test_one_thing_wrong_is_what_it_is_called() -> None:
    seen: set[str] = set()
    names = {
        "missing_field": {"required"},
        "unknown_field": {"additionalProperties"},
        "too_long": {"maxLength"},
        "unknown_value": {"enum"},
        "wrong_type": {"type"},
    }

    @seed(1)
    @settings(FEW, max_examples=120)
    @given(nearly("2.0.1", "TransactionEventRequest"))
    def has_its_fault(bent: Bent) -> None:
        if bent.fault is not None:
            seen.add(bent.fault)
            broken = broken_keywords("2.0.1", "TransactionEventRequest", bent.payload)
            assert broken >= names[bent.fault], (bent, broken)
            assert broken <= set(FAULT_CODES)

    has_its_fault()
    assert seen == set(names)
