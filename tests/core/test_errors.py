"""Errors: one hierarchy, stable codes, facts for the adapters."""

from __future__ import annotations

from csms.core import errors


def all_errors(base: type[errors.CsmsError]) -> list[type[errors.CsmsError]]:
    return [base, *(e for kind in base.__subclasses__() for e in all_errors(kind))]


def test_errors_have_codes_of_their_own_and_carry_facts() -> None:
    ours = [e for e in all_errors(errors.CsmsError) if e.__module__ == errors.__name__]
    codes = [e.code for e in ours]
    assert len(codes) == len(set(codes))
    error = errors.StationOffline("gone", station_id="s1")
    assert (str(error), error.detail, error.facts) == ("gone", "gone", {"station_id": "s1"})
    assert issubclass(errors.StoreOverloaded, errors.StoreUnavailable)
