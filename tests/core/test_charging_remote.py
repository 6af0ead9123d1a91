"""Charges that somebody asked for, and what stations are told of the tokens they show (OCPP 1.6
5.11, OCPP 2.0.1 F01, E01.FR.11, C12.FR.03)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from csms.core import charging, commands
from csms.core.authorization import Outcome
from csms.core.charging import StartReport
from csms.core.commands import START_MATCH_WINDOW, Command, Kind
from csms.core.errors import NotFound
from csms.core.tokens import Shown
from csms.core.transactions import STARTED, UPDATED, TransactionReport
from tests.support.charging import Site, at, origin

UNSET = datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)


def wish(site: Site, seconds: float = 0, **parameters: Any) -> Command:
    """Somebody asks station `s1` to start."""
    given_parameters = {"token": "CARD", **parameters}
    number = len(site.journal())
    command, _ = site.run(
        commands.submit,
        f"c{number}",
        "s1",
        Kind.START_CHARGING,
        given_parameters,
        "me",
        at(seconds),
    )
    return command


def test_a_start_is_matched_to_the_wish_by_token_and_evse(site: Site) -> None:
    """OCPP 1.6 has no id for it (4a.10)."""
    elsewhere, here = wish(site, evse=2), wish(site, evse=1, token="card")
    started = site.start(30)
    assert site.transaction(started.transaction_id).command_id == here.id
    assert site.get(Command, here.id).transaction_id == started.transaction_id
    assert not site.get(Command, here.id).awaiting
    assert site.get(Command, elsewhere.id).awaiting
    assert site.start(30, received=40) == started
    assert site.get(Command, elsewhere.id).awaiting


def test_a_wish_is_matched_once_and_not_for_ever(site: Site) -> None:
    command = wish(site)
    late = START_MATCH_WINDOW.total_seconds() + 1
    other = site.start(0, card="NOBODY")
    assert site.transaction(other.transaction_id).command_id is None
    started = site.start(late)
    assert site.transaction(started.transaction_id).command_id is None
    assert not site.get(Command, command.id).awaiting


def test_a_2x_start_is_matched_by_remote_start_id(site: Site) -> None:
    """F01.FR.25: the id comes in the first event after the request, whatever its type."""
    first, second = wish(site), wish(site)
    report = TransactionReport("T", STARTED, 0, at(10), evse=1)
    site.event(report)
    assert site.wire("T").command_id is None
    update = TransactionReport(
        "T", UPDATED, 1, at(20), token=Shown("CARD"), remote_start_id=second.number
    )
    site.event(update)
    assert site.wire("T").command_id == second.id
    assert site.get(Command, first.id).awaiting


def test_a_2x_start_without_the_id_is_matched_by_its_token(site: Site) -> None:
    """Also where the token comes after the cable."""
    command = wish(site)
    site.event(TransactionReport("T", STARTED, 0, at(10), evse=1))
    site.event(TransactionReport("T", UPDATED, 1, at(20), token=Shown("CARD")))
    assert site.wire("T").command_id == command.id


# -- answers to events -----------------------------------------------------------------------------


def test_every_event_that_shows_a_token_is_answered(site: Site) -> None:
    """E01.FR.11, C12.FR.03."""
    assert site.event(TransactionReport("T", STARTED, 0, at(0))) is None
    for seq, event in enumerate((UPDATED, UPDATED, "ended"), 1):
        found = site.event(TransactionReport("T", event, seq, at(seq), token=Shown("CARD")))
        assert found is not None
        assert found.outcome is Outcome.ACCEPTED
    unknown = site.event(TransactionReport("U", "ended", 0, at(9), token=Shown("NOBODY")))
    assert unknown is not None
    assert unknown.outcome is Outcome.INVALID


def test_an_event_sent_again_does_not_change_how_its_charge_began(site: Site) -> None:
    """A second charge is concurrent; that its first event is repeated later does not undo it."""
    site.event(TransactionReport("T", STARTED, 0, at(0), evse=1, token=Shown("CARD")))
    second = TransactionReport("U", UPDATED, 1, at(10), evse=2, token=Shown("CARD"))
    for seconds in (10, 20):
        found = site.event(second, seconds)
        assert found is not None
        assert found.outcome is Outcome.CONCURRENT
    assert site.wire("U").outcome == "concurrent"
    site.event(TransactionReport("T", "ended", 1, at(30)))
    site.event(second, 40)
    assert site.wire("U").outcome == "concurrent"


def test_the_token_that_begins_the_charge_is_checked_for_another_charge(site: Site) -> None:
    """Cable first, card second: the card is as much a start as one shown with Started."""
    site.start(0, station="s2")
    site.event(TransactionReport("T", STARTED, 0, at(0), evse=1))
    found = site.event(TransactionReport("T", UPDATED, 1, at(5), token=Shown("CARD")))
    assert found is not None
    assert found.outcome is Outcome.CONCURRENT


def test_a_charge_that_is_concurrent_is_told_so_until_it_is_not(site: Site) -> None:
    """Stations show the card with many events, and go on with a charge when the newest answer
    accepts it."""
    site.start(0, station="s2")
    site.event(TransactionReport("T", STARTED, 0, at(0), evse=1))
    outcomes = []
    for seq in (1, 2):
        report = TransactionReport("T", UPDATED, seq, at(5 * seq), token=Shown("CARD"))
        found = site.event(report, 5 * seq)
        assert found is not None
        outcomes.append(found.outcome)
    site.stop(1, 20, station="s2")
    found = site.event(TransactionReport("T", UPDATED, 3, at(30), token=Shown("CARD")), 30)
    assert found is not None
    assert [*outcomes, found.outcome] == [
        Outcome.CONCURRENT,
        Outcome.CONCURRENT,
        Outcome.ACCEPTED,
    ]


def test_a_fault_of_one_report_leaves_nothing(site: Site) -> None:
    """A function that raises leaves no row, no event and no number in use."""
    report = StartReport(1, Shown("CARD"), at(0), 1_000)

    def start_and_fail(tx: Any) -> None:
        charging.start(tx, origin(0), report)
        raise NotFound("on purpose")

    before = site.state()
    with pytest.raises(NotFound):
        site.store.run(start_and_fail)
    assert site.state() == before
