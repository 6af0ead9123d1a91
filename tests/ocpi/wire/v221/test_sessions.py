"""Sessions (mod_sessions)."""

from __future__ import annotations

from csms.ocpi.wire.reading import parse, plain
from csms.ocpi.wire.v221.sessions import ChargingPreferences, Session
from tests.support.ocpi_objects import NOW, period, session


def test_a_session_survives() -> None:
    given = session(charging_periods=[period()], total_cost={"excl_vat": 2})
    assert plain(parse(Session, given, NOW).value) == given


def test_both_words_for_a_reservation_are_read() -> None:
    for status in ("RESERVATION", "RESERVED"):
        assert parse(Session, session(status=status), NOW).value.status == status


def test_charging_preferences() -> None:
    given = {"profile_type": "CHEAP", "energy_need": 20}
    assert plain(parse(ChargingPreferences, given, NOW).value) == given
