"""What became of the transactions of a station that was away: asked, never guessed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from csms.core import availability, charging, ends, reconciliation, stations
from csms.core.availability import ConnectorReport
from csms.core.charging import StartReport, StopReport
from csms.core.doubts import Doubt
from csms.core.ids import Origin
from csms.core.inquiries import TransactionState
from csms.core.reconciliation import FORGOTTEN_AFTER, FREE_AFTER, SILENT_AFTER, Question
from csms.core.stations import BootReport, NewStation
from csms.core.tokens import Shown
from csms.core.transactions import ENDED, STARTED, UPDATED, Transaction, TransactionReport
from csms.storage.open import open_inline
from tests.support.charging import wh
from tests.support.ocpp import NOW, PARTY, at_once

AGAIN = timedelta(seconds=60)
OVER = TransactionState(ongoing=False, queued=False)


class Away:
    """A station that comes back with an open transaction here."""

    def __init__(self) -> None:
        self.store = open_inline()
        self.now = NOW
        self.store.run(stations.onboard, "s1", NewStation("CP-1", PARTY, 2), NOW)
        self.store.run(stations.boot, self.origin, BootReport("V", "M"))
        self.comes()

    @property
    def origin(self) -> Origin:
        return Origin("s1", "CP-1", "2.0.1", self.now)

    def comes(self) -> None:
        self.store.run(stations.link_opened, self.origin, "node", "192.0.2.1")

    def tells(self, event: str, seq: int, *, reading: int | None = None) -> None:
        samples = () if reading is None else (wh(reading, (self.now - NOW).total_seconds()),)
        report = TransactionReport("T", event, seq, self.now, evse=1, connector=1, samples=samples)
        self.store.run(charging.event, self.origin, report)

    def reports(self, status: str) -> None:
        self.store.run(availability.record, self.origin, ConnectorReport(1, 1, status, None))

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def returns(self) -> None:
        """Charging began, the station went away and came back."""
        self.tells(STARTED, 0, reading=1_000)
        self.later(minutes=5)
        self.tells(UPDATED, 1, reading=1_500)
        self.later(minutes=5)
        self.comes()
        self.later(seconds=10)

    def questions(self) -> list[Question]:
        found, _ = self.store.run(
            lambda tx: reconciliation.questions(tx, stations.require(tx, "s1"), self.now, AGAIN)
        )
        return found

    def says(self, state: TransactionState) -> None:
        number = self.transaction.id
        self.store.run(reconciliation.answered, "s1", number, state, self.now, AGAIN)

    def is_judged(self) -> None:
        self.store.run(reconciliation.judge, "s1", self.now)

    @property
    def transaction(self) -> Transaction:
        (only,) = at_once(self.store.reader.page(Transaction))
        return only

    @property
    def doubts(self) -> list[Doubt]:
        return at_once(self.store.reader.page(Doubt))


@pytest.fixture
def station() -> Away:
    return Away()


# -- when to ask -----------------------------------------------------------------------------------


def test_an_open_transaction_is_asked_about_after_a_reconnect(station: Away) -> None:
    station.returns()
    t = station.transaction
    assert station.questions() == [Question(t.id, "T", 1, True)]


def test_one_that_the_station_speaks_of_is_not_asked_about(station: Away) -> None:
    station.returns()
    station.tells(UPDATED, 2)
    assert station.questions() == []
    station.now += SILENT_AFTER
    assert len(station.questions()) == 1, "but after an hour of silence it is"


def test_the_same_is_not_asked_again_at_once(station: Away) -> None:
    station.returns()
    station.says(TransactionState(ongoing=True, queued=True))
    assert station.questions() == []
    station.now += AGAIN
    assert len(station.questions()) == 1


def test_one_that_goes_on_is_not_asked_about_until_it_is_silent_again(station: Away) -> None:
    """TC_E_30."""
    station.returns()
    station.says(TransactionState(ongoing=True, queued=False))
    station.now += AGAIN
    assert station.questions() == []
    assert station.doubts == []
    assert station.transaction.open


# -- what an answer means --------------------------------------------------------------------------


def test_what_waits_in_the_queue_is_waited_for(station: Away) -> None:
    """TC_E_29; a system that ended it here dropped the queued end: no final meter, no price."""
    station.returns()
    for _ in range(5):
        station.says(TransactionState(ongoing=False, queued=True))
        station.now += AGAIN
    assert station.transaction.open
    station.tells(ENDED, 2, reading=2_000)
    assert (station.transaction.end_kind, station.transaction.energy_wh) == ("reported", 1_000)


def test_it_is_over_when_the_station_says_so_twice(station: Away) -> None:
    """The end may be on its way when the first answer says that nothing is queued."""
    station.returns()
    station.says(OVER)
    assert station.transaction.open
    station.says(OVER)
    assert station.transaction.open, "not some time apart"
    station.now += AGAIN
    station.says(OVER)
    t = station.transaction
    assert (t.open, t.end_kind, t.flags) == (False, "lost", ("end_missing",))
    assert (t.energy_wh, t.ended_at) == (500, NOW + timedelta(minutes=5)), "its last sign of life"
    assert station.doubts == []


def test_an_end_between_the_two_answers_counts(station: Away) -> None:
    station.returns()
    station.says(OVER)
    station.later(seconds=1)
    station.tells(ENDED, 2, reading=2_000)
    station.now += AGAIN
    station.says(OVER)
    assert (station.transaction.end_kind, station.transaction.flags) == ("reported", ())


def test_a_message_between_the_two_answers_needs_two_more(station: Away) -> None:
    station.returns()
    station.says(OVER)
    station.later(seconds=1)
    station.tells(UPDATED, 2)
    station.now += AGAIN
    station.says(OVER)
    assert station.transaction.open


def test_an_end_that_comes_after_all_takes_its_place(station: Away) -> None:
    station.returns()
    station.says(OVER)
    station.now += AGAIN
    station.says(OVER)
    assert station.transaction.end_kind == "lost"
    station.tells(ENDED, 2, reading=2_000)
    t = station.transaction
    assert (t.end_kind, t.flags, t.energy_wh) == ("reported", (), 1_000)


def test_a_station_that_does_not_say_whether_it_goes_on_ends_nothing(station: Away) -> None:
    station.returns()
    for _ in range(3):
        station.says(TransactionState(ongoing=None, queued=False))
        station.now += AGAIN
    assert station.transaction.open


# -- gaps ------------------------------------------------------------------------------------------


def test_missing_messages_of_an_ended_transaction_are_asked_about_and_come(station: Away) -> None:
    """TC_E_31."""
    station.returns()
    station.tells(ENDED, 4, reading=2_000)
    t = station.transaction
    assert t.flags == ("sequence_gap",)
    assert station.questions() == [Question(t.id, "T", 1, False)]
    station.says(TransactionState(ongoing=False, queued=True))
    station.tells(UPDATED, 2)
    station.tells(UPDATED, 3)
    assert (station.transaction.flags, station.doubts) == ((), [])


def test_a_gap_that_nothing_will_fill_stays_marked(station: Away) -> None:
    """E04.FR.07: stations low on memory drop what is in the middle; it blocks nothing."""
    station.returns()
    station.tells(ENDED, 4, reading=2_000)
    station.says(OVER)
    assert (station.transaction.flags, station.doubts) == (("sequence_gap",), [])
    assert station.transaction.energy_wh == 1_000


# -- stations that cannot be asked -----------------------------------------------------------------


def start16(station: Away) -> Transaction:
    report = StartReport(1, Shown("CARD"), station.now, 1_000)
    station.store.run(charging.start, station.origin, report)
    return station.transaction


def test_a_free_connector_makes_an_open_transaction_doubtful_and_no_more(station: Away) -> None:
    t = start16(station)
    station.reports("charging")
    station.later(minutes=30)
    station.reports("available")
    station.is_judged()
    assert station.transaction.flags == (), "a status overtakes what is queued"
    station.now += FREE_AFTER
    station.is_judged()
    assert (station.transaction.open, station.transaction.flags) == (True, ("end_missing?",))
    stop = StopReport(t.id, station.now, 2_000)
    station.store.run(charging.stop, station.origin, stop)
    assert (station.transaction.flags, station.transaction.energy_wh) == ((), 1_000)


def test_a_doubt_goes_when_the_car_charges_after_all(station: Away) -> None:
    start16(station)
    station.later(minutes=1)
    station.reports("available")
    station.now += FREE_AFTER
    station.is_judged()
    assert station.transaction.flags == ("end_missing?",)
    station.reports("charging")
    station.is_judged()
    assert station.transaction.flags == ()


def test_a_connector_that_was_free_before_it_began_says_nothing(station: Away) -> None:
    station.reports("available")
    station.later(minutes=1)
    start16(station)
    station.now += FREE_AFTER
    station.is_judged()
    assert station.transaction.flags == ()


def test_a_station_that_cannot_say_is_not_asked_at_once_again(station: Away) -> None:
    t = start16(station)
    station.later(minutes=5)
    station.comes()
    assert len(station.questions()) == 1
    station.store.run(reconciliation.not_answered, "s1", t.id, station.now)
    assert station.questions() == []
    assert station.transaction.open


def test_an_operator_may_close_what_is_doubtful(station: Away) -> None:
    start16(station)
    station.later(minutes=1)
    station.reports("available")
    station.now += FREE_AFTER
    station.is_judged()
    closed = station.store.run(ends.close, station.transaction.id, station.now)
    assert (closed.end_kind, closed.flags) == ("closed", ())


# -- what people should look at --------------------------------------------------------------------


def test_what_is_doubtful_is_listed(station: Away) -> None:
    t = start16(station)
    assert not reconciliation.is_doubtful(t, station.now)
    assert reconciliation.is_doubtful(t, station.now + FORGOTTEN_AFTER)
    for flag in ("end_missing", "end_missing?", "sequence_gap", "register_suspect"):
        assert reconciliation.is_doubtful(t._replace(flags=(flag,)), station.now)
    assert not reconciliation.is_doubtful(t._replace(flags=("clock_suspect",)), station.now)
    assert reconciliation.is_doubtful(t._replace(open=False, end_kind="superseded"), station.now)
    ended = t._replace(open=False)
    assert not reconciliation.is_doubtful(ended, station.now + FORGOTTEN_AFTER)
