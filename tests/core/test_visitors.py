"""Tokens of other networks: what decides, who is asked, and what holds when nobody answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.core import authorization, charging, commands, partners, tokens, visitors
from csms.core.authorization import Outcome
from csms.core.charging import Started, StartReport, StopReport
from csms.core.commands import Kind
from csms.core.errors import Refused
from csms.core.ids import Origin
from csms.core.partners import Agreed, PartnerToken, TokenKind
from csms.core.tokens import Shown, Token
from csms.core.transactions import ENDED, STARTED, UPDATED, Transaction, TransactionReport
from csms.core.visitors import ANSWER_HOLDS, HomeAnswer, VisitorToken
from csms.core.visits import Visit
from csms.storage.open import open_inline
from tests.support.stores import station

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = Origin("s1", "CS-s1", "1.6", NOW)
Run = Callable[..., Any]


@pytest.fixture
def run() -> Run:
    made = open_inline().run
    for partner_id, party in (("p1", "NL*EXA"), ("p2", "DE*OTH")):
        row = PartnerToken(f"{partner_id}t", partner_id, TokenKind.INVITATION, "k", party, NOW)
        made(partners.invite, partner_id, partner_id, row, NOW)
        role = {"role": "EMSP", "party": party, "name": "x"}
        agreed = Agreed("https://x", "sealed", "base64", (role,), ())
        made(partners.complete, partner_id, agreed, "t", timedelta(0), NOW)
    for station_id in ("s1", "s2"):
        made(lambda tx, station_id=station_id: tx.save(station(station_id)))
    return made


def visitor(uid: str = "CARD", party: str = "NL*EXA", **changes: Any) -> VisitorToken:
    made = VisitorToken(
        party_id=party,
        uid_key=uid.casefold(),
        type="RFID",
        uid=uid,
        partner_id="p1" if party == "NL*EXA" else "p2",
        contract_id="NL-EXA-C1",
        issuer="Example",
        valid=True,
        whitelist="ALLOWED",
        last_updated=NOW,
        received_at=NOW,
    )
    return made._replace(**changes)


def shown(run: Run, uid: str = "card", now: datetime = NOW) -> authorization.Authorization:
    found: authorization.Authorization = run(authorization.authorize, Shown(uid), now)
    return found


def test_nobody_is_asked_about_a_token_that_nobody_told_us_of(run: Run) -> None:
    found = shown(run)
    assert (found.outcome, found.ask) == (Outcome.INVALID, None)


@pytest.mark.parametrize(
    ("whitelist", "valid", "outcome", "asked"),
    [
        ("ALWAYS", True, Outcome.ACCEPTED, False),
        ("ALWAYS", False, Outcome.BLOCKED, False),
        ("ALLOWED", True, Outcome.ACCEPTED, False),
        ("ALLOWED", False, Outcome.BLOCKED, False),
        # Asked; what is said here holds if the home network does not answer.
        ("ALLOWED_OFFLINE", True, Outcome.ACCEPTED, True),
        ("ALLOWED_OFFLINE", False, Outcome.INVALID, True),
        ("NEVER", True, Outcome.INVALID, True),
        ("NEVER", False, Outcome.INVALID, True),
    ],
)
def test_the_whitelist_says_who_decides(
    run: Run, whitelist: str, valid: bool, outcome: Outcome, asked: bool
) -> None:
    run(visitors.put, visitor(whitelist=whitelist, valid=valid))
    found = shown(run)
    assert (found.outcome, found.ask is not None) == (outcome, asked)
    if found.ask is not None:
        assert (found.ask.partner_id, found.ask.party_id, found.ask.uid) == ("p1", "NL*EXA", "CARD")


def test_only_the_connection_of_a_party_tells_of_its_tokens(run: Run) -> None:
    """A hub passes on what others own; it must not take over who is connected here by itself."""
    run(visitors.put, visitor(whitelist="NEVER"))
    with pytest.raises(Refused, match="another connection"):
        run(visitors.put, visitor(whitelist="ALWAYS", partner_id="hub"))
    found = shown(run)
    assert found.ask is not None
    assert found.ask.partner_id == "p1"


def test_who_connects_by_itself_takes_its_tokens_back_from_a_hub(run: Run) -> None:
    late = NOW + timedelta(days=365)
    run(visitors.put, visitor(party="FR*NEW", partner_id="hub", last_updated=late))
    run(visitors.put, visitor(party="FR*NEW", partner_id="p2", valid=False))
    kept = run(lambda tx: tx.get(VisitorToken, "FR*NEW", "card", "RFID"))
    assert (kept.partner_id, kept.valid, kept.last_updated) == ("p2", False, NOW)


def test_our_own_token_comes_first(run: Run) -> None:
    run(visitors.put, visitor(whitelist="NEVER"))
    run(tokens.add, Token("CA*NTH", "", "rfid", "card", NOW), NOW)
    assert shown(run) == authorization.Authorization(Outcome.ACCEPTED)


def test_of_several_home_networks_the_only_one_that_may_be_good_counts(run: Run) -> None:
    run(visitors.put, visitor(valid=False))
    run(visitors.put, visitor(party="DE*OTH"))
    assert shown(run).outcome is Outcome.ACCEPTED
    run(visitors.put, visitor(valid=True, last_updated=NOW + timedelta(seconds=1)))
    assert shown(run).outcome is Outcome.INVALID


def test_a_uid_that_several_networks_claim_is_told_to_operators(run: Run) -> None:
    for party in ("NL*EXA", "DE*OTH"):
        run(visitors.put, visitor(party=party))
    found = run(authorization.ask, ORIGIN, Shown("card"))
    assert found.outcome == Outcome.INVALID
    assert found.reason == "several networks claim it: DE*OTH, NL*EXA"
    assert run(authorization.ask, ORIGIN, Shown("stranger")).reason is None


def test_a_partner_that_is_suspended_has_no_visitors(run: Run) -> None:
    run(visitors.put, visitor(whitelist="ALWAYS"))
    run(partners.suspend, "p1", NOW)
    assert shown(run).outcome is Outcome.INVALID


# -- what a home network has answered (OCPI 2.2.1 mod_tokens, WhitelistType NEVER) -----------------


def at_station(station_id: str = "s1", **later: float) -> Origin:
    """A message of that station, received then."""
    return Origin(station_id, f"CS-{station_id}", "1.6", NOW + timedelta(**later))


def authorized(
    run: Run, origin: Origin, outcome: Outcome | None = Outcome.ACCEPTED, reference: str = "REF-1"
) -> authorization.Authorization:
    """The station asks before it charges, and so its home network is asked (None: it is silent)."""
    asked = run(authorization.ask, origin, Shown("card")).ask
    assert asked is not None
    answer = None if outcome is None else HomeAnswer(outcome, reference)
    found: authorization.Authorization = run(
        authorization.told, origin, Shown("card"), asked, answer
    )
    assert found.ask is None
    return found


def started(run: Run, origin: Origin, evse: int = 1) -> Started:
    found: Started = run(charging.start, origin, StartReport(evse, Shown("card"), origin.at, 0))
    return found


def settled(run: Run, origin: Origin, start: Started, outcome: Outcome) -> Outcome:
    """The home network is asked about a start that was recorded; what the station is told."""
    asked = start.authorization.ask
    assert asked is not None
    given = (start.transaction_id, Shown("card"), asked, HomeAnswer(outcome))
    found: Outcome = run(charging.settle, origin, *given).outcome
    assert run(lambda tx: tx.get(Transaction, start.transaction_id)).outcome == found
    return found


@pytest.mark.parametrize("whitelist", ["NEVER", "ALLOWED_OFFLINE"])
def test_an_answer_holds_for_the_start_that_follows_there(run: Run, whitelist: str) -> None:
    run(visitors.put, visitor(whitelist=whitelist))
    assert authorized(run, at_station()).outcome is Outcome.ACCEPTED
    elsewhere = started(run, at_station("s2", minutes=1))
    assert elsewhere.authorization.ask is not None
    first = started(run, at_station(seconds=ANSWER_HOLDS.total_seconds()))
    assert (first.authorization.outcome, first.authorization.ask) == (Outcome.ACCEPTED, None)
    visit = run(lambda tx: tx.get(Visit, first.transaction_id))
    assert (visit.auth_method, visit.reference) == ("AUTH_REQUEST", "REF-1")


def test_an_answer_does_not_hold_for_ever(run: Run) -> None:
    run(visitors.put, visitor(whitelist="NEVER"))
    authorized(run, at_station())
    late = started(run, at_station(seconds=ANSWER_HOLDS.total_seconds() + 1))
    assert late.authorization.ask is not None


def test_the_first_start_takes_the_answer_and_the_next_one_asks(run: Run) -> None:
    """Whoever has the card may have come back with another car."""
    run(visitors.put, visitor(whitelist="NEVER"))
    authorized(run, at_station())
    first = started(run, at_station(minutes=1))
    assert first.authorization.ask is None
    second = started(run, at_station(minutes=2), evse=2)
    assert (second.authorization.outcome, second.authorization.ask is None) == ("invalid", False)
    # The station repeats the first one, an hour later: it is the same use.
    report = StartReport(1, Shown("card"), NOW + timedelta(minutes=1), 0)
    again = run(charging.start, at_station(hours=1), report)
    assert again.transaction_id == first.transaction_id
    assert (again.authorization.outcome, again.authorization.ask) == (Outcome.ACCEPTED, None)
    # And so is the end of it.
    end = StopReport(first.transaction_id, NOW + timedelta(hours=2), 10, Shown("card"))
    assert run(charging.stop, at_station(hours=2), end).outcome is Outcome.ACCEPTED


def test_what_was_answered_about_a_start_is_for_that_start_alone(run: Run) -> None:
    run(visitors.put, visitor(whitelist="NEVER"))
    first = started(run, at_station())
    assert settled(run, at_station(), first, Outcome.ACCEPTED) is Outcome.ACCEPTED
    for n, station_id in enumerate(("s1", "s2")):
        other = started(run, at_station(station_id, seconds=n + 1), evse=2)
        assert other.authorization.ask is not None


def test_a_refusal_holds_for_nothing_but_the_message_that_asked(run: Run) -> None:
    """A driver who has paid what was owed charges at the next try."""
    run(visitors.put, visitor(whitelist="ALLOWED_OFFLINE"))
    assert authorized(run, at_station(), Outcome.BLOCKED).outcome is Outcome.BLOCKED
    first = started(run, at_station())
    assert settled(run, at_station(), first, Outcome.EXPIRED) is Outcome.EXPIRED
    # Also the same start, repeated, is asked about.
    again = started(run, at_station())
    assert again.transaction_id == first.transaction_id
    assert settled(run, at_station(), again, Outcome.ACCEPTED) is Outcome.ACCEPTED


def test_a_card_that_is_shown_again_is_asked_about_again(run: Run) -> None:
    run(visitors.put, visitor(whitelist="NEVER"))
    assert authorized(run, at_station()).outcome is Outcome.ACCEPTED
    assert authorized(run, at_station(minutes=1), None).outcome is Outcome.INVALID
    assert authorized(run, at_station(minutes=2), Outcome.BLOCKED).outcome is Outcome.BLOCKED
    # What was said before is over with that.
    assert started(run, at_station(minutes=3)).authorization.ask is not None


@pytest.mark.parametrize(
    ("change", "stands"),
    [
        ({}, True),
        ({"issuer": "Other"}, True),
        ({"valid": False}, False),
        ({"whitelist": "ALLOWED_OFFLINE"}, False),
        ({"last_updated": NOW + timedelta(seconds=1)}, False),
    ],
)
def test_what_a_home_network_tells_of_a_token_ends_what_it_had_answered(
    run: Run, change: dict[str, Any], stands: bool
) -> None:
    run(visitors.put, visitor(whitelist="NEVER"))
    authorized(run, at_station())
    run(visitors.put, visitor(**{"whitelist": "NEVER", **change}))
    first = started(run, at_station(minutes=1))
    assert (first.authorization.ask is None) is stands


def test_a_token_that_stops_another_ones_charge_decides_nothing_about_it(run: Run) -> None:
    """OCPP 2.0.1 E07: an event may show the token that wants to stop."""
    run(tokens.add, Token("CA*NTH", "", "rfid", "OURS", NOW), NOW)
    run(visitors.put, visitor(whitelist="NEVER"))
    begin = TransactionReport("t1", STARTED, 0, NOW, evse=1, connector=1, token=Shown("OURS"))
    run(charging.event, ORIGIN, begin)
    stop = TransactionReport("t1", UPDATED, 1, NOW, evse=1, connector=1, token=Shown("card"))
    asked = run(charging.event, ORIGIN, stop).ask
    answer = HomeAnswer(Outcome.BLOCKED)
    assert run(charging.settle_event, ORIGIN, stop, asked, answer).outcome is Outcome.BLOCKED
    (t,) = run(lambda tx: tx.find(Transaction, "wire", "s1", "t1"))
    assert t.outcome == Outcome.ACCEPTED


def test_every_event_of_a_charge_may_show_its_token(run: Run) -> None:
    """OCPP 2.0.1 E01.FR.11: it is asked about once."""
    run(visitors.put, visitor(whitelist="NEVER"))
    asked = None
    for n, event in enumerate((STARTED, UPDATED, UPDATED, ENDED)):
        origin = at_station(minutes=20 * n)
        report = TransactionReport("t1", event, n, origin.at, evse=1, token=Shown("card"))
        found = run(charging.event, origin, report)
        assert (found.ask is None) is (n > 0)
        if found.ask is not None:
            asked = found.ask
            answer = HomeAnswer(Outcome.ACCEPTED, "REF-1")
            found = run(charging.settle_event, origin, report, asked, answer)
        assert found.outcome is Outcome.ACCEPTED
    assert asked is not None


def test_a_start_is_recorded_before_the_home_network_is_asked(run: Run) -> None:
    run(visitors.put, visitor(whitelist="NEVER"))
    report = StartReport(1, Shown("card"), NOW, 0)
    started = run(charging.start, ORIGIN, report)
    asked = started.authorization.ask
    stored = run(lambda tx: tx.get(Transaction, started.transaction_id))
    assert stored.outcome == Outcome.INVALID
    found = run(
        charging.settle,
        ORIGIN,
        started.transaction_id,
        Shown("card"),
        asked,
        HomeAnswer(Outcome.ACCEPTED),
    )
    assert (found.outcome, found.ask) == (Outcome.ACCEPTED, None)
    stored = run(lambda tx: tx.get(Transaction, started.transaction_id))
    assert stored.outcome == Outcome.ACCEPTED
    # The station repeats its start: the same answer, and nobody is asked again.
    again = run(charging.start, ORIGIN, report)
    assert again.transaction_id == started.transaction_id
    assert again.authorization.ask is None


@pytest.mark.parametrize(
    ("whitelist", "outcome"), [("NEVER", Outcome.INVALID), ("ALLOWED_OFFLINE", Outcome.ACCEPTED)]
)
def test_silence_of_the_home_network(run: Run, whitelist: str, outcome: Outcome) -> None:
    run(visitors.put, visitor(whitelist=whitelist))
    asked = run(authorization.ask, ORIGIN, Shown("card")).ask
    assert run(authorization.told, ORIGIN, Shown("card"), asked, None).outcome is outcome
    # Nothing was learned, so the next one asks again.
    assert shown(run).ask is not None


def test_a_visitor_charges_as_often_at_once_as_its_home_network_likes(run: Run) -> None:
    run(visitors.put, visitor())
    for evse in (1, 2):
        report = StartReport(evse, Shown("card"), NOW, 0)
        assert run(charging.start, ORIGIN, report).authorization.outcome is Outcome.ACCEPTED


def test_what_is_older_or_the_same_changes_nothing(run: Run) -> None:
    assert run(visitors.put, visitor())
    assert not run(visitors.put, visitor(received_at=NOW + timedelta(hours=1)))
    older = visitor(valid=False, last_updated=NOW - timedelta(seconds=1))
    assert not run(visitors.put, older)
    assert shown(run).outcome is Outcome.ACCEPTED
    # The same second with other content is news: clocks of partners are coarse.
    assert not run(visitors.put, visitor(valid=False))
    assert shown(run).outcome is Outcome.BLOCKED


def test_an_operator_may_start_a_charge_for_a_visitor(run: Run) -> None:
    run(visitors.put, visitor(type="APP_USER"))
    wish = {"token": "card"}
    command, _ = run(commands.submit, "c1", "s1", Kind.START_CHARGING, wish, "somebody", NOW)
    assert command.parameters["token_kind"] == "app"
    run(visitors.put, visitor("asked", whitelist="NEVER"))
    wish = {"token": "asked"}
    with pytest.raises(Refused):
        run(commands.submit, "c2", "s1", Kind.START_CHARGING, wish, "somebody", NOW)
