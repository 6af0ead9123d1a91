"""Tokens of other networks: what decides, who is asked, and what holds when nobody answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.core import authorization, charging, commands, partners, tokens, visitors
from csms.core.authorization import Outcome
from csms.core.charging import StartReport
from csms.core.commands import Kind
from csms.core.errors import Refused
from csms.core.ids import Origin
from csms.core.partners import Agreed, PartnerToken, TokenKind
from csms.core.tokens import Shown, Token
from csms.core.transactions import Transaction
from csms.core.visitors import ANSWER_HOLDS, HomeAnswer, VisitorToken
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
    made(lambda tx: tx.save(station("s1")))
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


def test_an_answer_holds_for_the_start_that_follows(run: Run) -> None:
    run(visitors.put, visitor(whitelist="NEVER"))
    asked = run(authorization.ask, ORIGIN, Shown("card")).ask
    answer = HomeAnswer(Outcome.ACCEPTED, "REF-1")
    told = run(authorization.told, ORIGIN, Shown("card"), asked, answer)
    assert (told.outcome, told.ask) == (Outcome.ACCEPTED, None)
    assert shown(run, now=NOW + ANSWER_HOLDS).outcome is Outcome.ACCEPTED
    assert shown(run, now=NOW + ANSWER_HOLDS).ask is None
    later = shown(run, now=NOW + ANSWER_HOLDS + timedelta(seconds=1))
    assert later.ask is not None
    kept = run(lambda tx: tx.get(VisitorToken, "NL*EXA", "card", "RFID"))
    assert kept.reference == "REF-1"


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
