"""Partners: states, tokens beside each other, and who speaks for whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.core import partners
from csms.core.errors import AlreadyExists, Invalid, NotFound, Refused
from csms.core.partners import Agreed, PartnerModule, PartnerToken, State, TokenKind
from csms.storage.open import open_inline

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GRACE = timedelta(days=1)
Run = Callable[..., Any]


@pytest.fixture
def run() -> Run:
    return open_inline().run


def token(token_id: str, kind: TokenKind = TokenKind.CONNECTION, **more: Any) -> PartnerToken:
    return PartnerToken(token_id, "p1", kind, "k", f"hash of {token_id}", NOW, **more)


def agreed(*roles: tuple[str, str]) -> Agreed:
    said = tuple({"role": role, "party": party, "name": "x"} for role, party in roles)
    endpoint = {"module": "tokens", "interface": "SENDER", "url": "https://x/t"}
    return Agreed("https://x/versions", "sealed", "base64", said, (endpoint,))


def invited(run: Run, partner_id: str = "p1", name: str = "South") -> Any:
    row = token(f"{partner_id} a", TokenKind.INVITATION)
    return run(partners.invite, partner_id, name, row, NOW)


def registered(run: Run, partner_id: str = "p1", party: str = "NL*EXA") -> Any:
    invited(run, partner_id, f"name of {partner_id}")
    fresh = token(f"{partner_id} c")._replace(partner_id=partner_id)
    run(partners.hand_out, fresh, NOW)
    return run(partners.complete, partner_id, agreed(("CPO", party)), f"{partner_id} c", GRACE, NOW)


def tokens(run: Run, partner_id: str = "p1") -> dict[str, PartnerToken]:
    return {t.id: t for t in run(lambda tx: tx.find(PartnerToken, "partner", partner_id))}


def test_a_connection_begins_with_an_invitation_and_a_new_one_takes_its_place(run: Run) -> None:
    assert invited(run).state == State.INVITED
    row = token("second", TokenKind.INVITATION)
    assert run(partners.invite, "p2", " South ", row, NOW).id == "p1"
    assert list(tokens(run)) == ["second"]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 65])
def test_names_are_checked(run: Run, name: str) -> None:
    with pytest.raises(Invalid):
        run(partners.invite, "p1", name, token("a", TokenKind.INVITATION), NOW)


def test_a_registered_connection_is_not_invited_again_until_it_is_removed(run: Run) -> None:
    registered(run)
    for begin in (partners.invite, partners.enter):
        rest = (token("x", TokenKind.INVITATION), NOW)
        arguments = rest if begin is partners.invite else ("https://x", "sealed", NOW)
        with pytest.raises(AlreadyExists):
            run(begin, "p2", "name of p1", *arguments)
    run(partners.remove, "p1", NOW)
    assert invited(run, "p2", "name of p1").id == "p2"


def test_an_older_token_works_for_the_grace_and_an_invitation_until_it_is_replaced(
    run: Run,
) -> None:
    registered(run)
    run(partners.hand_out, token("d"), NOW)
    run(partners.complete, "p1", agreed(("CPO", "NL*EXA")), "d", GRACE, NOW)
    held = tokens(run)
    assert held["p1 c"].expires_at == NOW + GRACE
    assert held["d"].expires_at is None
    assert held["p1 a"].good(NOW + timedelta(days=9))
    run(partners.shown, "d", NOW)
    run(partners.shown, "d", NOW + GRACE)
    run(partners.shown, "nobody's", NOW)
    held = tokens(run)
    assert "p1 a" not in held
    assert held["d"].used_at == NOW


def test_an_earlier_end_is_not_put_off(run: Run) -> None:
    registered(run)
    for n, name in enumerate("de"):
        at = NOW + timedelta(hours=n)
        run(partners.hand_out, token(name), at)
        run(partners.complete, "p1", agreed(("CPO", "NL*EXA")), name, GRACE, at)
    assert tokens(run)["p1 c"].expires_at == NOW + GRACE


def test_expired_tokens_and_those_that_never_arrived_make_room(run: Run) -> None:
    registered(run)
    run(partners.shown, "p1 c", NOW)
    run(partners.hand_out, token("old", expires_at=NOW), NOW)
    for n in range(20):
        run(partners.hand_out, token(f"t{n:02}"), NOW)
    held = tokens(run)
    assert "old" not in held
    assert "p1 c" in held
    assert "t19" in held
    assert len(held) <= partners.MAX_TOKENS + 2


def test_a_party_in_a_role_belongs_to_one_connection(run: Run) -> None:
    registered(run)
    invited(run, "p2", "Other")
    with pytest.raises(Refused, match=r"NL\*EXA"):
        run(partners.complete, "p2", agreed(("CPO", "NL*EXA")), "x", GRACE, NOW)
    run(partners.complete, "p2", agreed(("EMSP", "NL*EXA")), "x", GRACE, NOW)
    assert run(partners.speaking_for, "NL*EXA", "CPO").id == "p1"
    assert run(partners.speaking_for, "NL*EXA", "EMSP").id == "p2"
    # What somebody gives up is free for others.
    run(partners.complete, "p1", agreed(("CPO", "BE*EXA")), "p1 c", GRACE, NOW)
    assert run(partners.speaking_for, "NL*EXA", "CPO") is None
    run(partners.remove, "p2", NOW)
    assert run(partners.speaking_for, "NL*EXA", "EMSP") is None


def test_a_role_is_named_once(run: Run) -> None:
    invited(run)
    twice = agreed(("CPO", "NL*EXA"), ("CPO", "NL*EXA"))
    with pytest.raises(Refused, match="once"):
        run(partners.complete, "p1", twice, "x", GRACE, NOW)


def test_suspending_resuming_and_removing(run: Run) -> None:
    invited(run, "p2", "Other")
    with pytest.raises(Refused):
        run(partners.suspend, "p2", NOW)
    registered(run)
    for _ in range(2):
        assert run(partners.suspend, "p1", NOW).state == State.SUSPENDED
    assert run(partners.speaking_for, "NL*EXA", "CPO") is None
    # New credentials do not end a suspension.
    suspended = run(partners.complete, "p1", agreed(("CPO", "NL*EXA")), "p1 c", GRACE, NOW)
    assert suspended.state == State.SUSPENDED
    for _ in range(2):
        assert run(partners.resume, "p1", NOW).state == State.REGISTERED
    for _ in range(2):
        removed = run(partners.remove, "p1", NOW)
        assert (removed.state, removed.their_token, removed.endpoints) == ("removed", None, [])
    assert tokens(run) == {}
    with pytest.raises(Refused):
        run(partners.complete, "p1", agreed(("CPO", "NL*EXA")), "x", GRACE, NOW)
    with pytest.raises(NotFound):
        run(partners.remove, "nobody", NOW)


def test_what_a_partner_speaks_for_and_offers(run: Run) -> None:
    partner = registered(run)
    assert partner.speaks_for("nl*exa")
    assert partner.speaks_for("NL*EXA", "EMSP", "CPO")
    assert not partner.speaks_for("NL*EXA", "EMSP")
    assert not partner.is_hub
    assert partner.endpoint("tokens", "SENDER") == "https://x/t"
    assert partner.endpoint("tokens", "RECEIVER") is None


def test_deviations_are_counted_by_kind_within_a_bound(run: Run) -> None:
    registered(run)
    kinds = [f"field{n}: odd" for n in range(partners.MAX_DEVIATION_KINDS + 5)]
    run(partners.heard, "p1", kinds, NOW)
    run(partners.heard, "p1", ["field0: odd"], NOW)
    partner = run(partners.require, "p1")
    assert partner.deviations["field0: odd"] == 2
    assert len(partner.deviations) == partners.MAX_DEVIATION_KINDS
    assert partner.heard_at == NOW


def test_exchanges_are_noted_per_module(run: Run) -> None:
    where = "p1", "tokens", "push", NOW
    run(partners.note, *where, "HTTP 500")
    row = run(lambda tx: partners.note(tx, *where, "HTTP 500", behind_s=9))
    assert (row.failures, row.error, row.behind_s, row.done) == (2, "HTTP 500", 9, 0)
    row = run(lambda tx: partners.note(tx, *where, cursor=5))
    assert (row.failures, row.error, row.cursor, row.done) == (0, None, 5, 1)
    assert (row.fault, row.fault_at) == ("HTTP 500", NOW), "what was is not forgotten"


def test_a_seal_is_replaced_only_while_it_is_still_the_same(run: Run) -> None:
    registered(run)
    run(partners.reseal, "p1", "another", "fresh")
    assert run(partners.require, "p1").their_token == "sealed"
    run(partners.reseal, "p1", "sealed", "fresh")
    assert run(partners.require, "p1").their_token == "fresh"


def test_who_follows_a_removed_connection_says_the_name_that_it_was_given_again(run: Run) -> None:
    """A party that somebody claims after another is no proof that it is the same network."""
    before = registered(run, "p1", "US*STH")
    registered(run, "p2", "DE*EST")
    gone = run(partners.remove, "p1", NOW)
    claims = run(partners.complete, "p2", agreed(("CPO", "US*STH")), "x", GRACE, NOW)
    anew = claims._replace(name=before.name)
    assert not partners.succeeds(claims, gone, "US*STH", "CPO")
    assert partners.succeeds(anew, gone, "US*STH", "CPO")
    assert not partners.succeeds(anew, gone, "US*STH", "EMSP"), "in that role"
    assert not partners.succeeds(anew, gone, "FR*OTH", "CPO"), "of that party"
    assert not partners.succeeds(anew, before, "US*STH", "CPO"), "it is there"
    hub = anew._replace(roles=[{"role": "HUB", "party": "NL*HUB", "name": "x"}])
    assert partners.succeeds(hub, gone, "FR*OTH", "EMSP"), "a hub passes on"


def test_what_is_owed_is_looked_for_again_when_a_partner_names_other_roles(run: Run) -> None:
    registered(run)

    def exchanged(*roles: tuple[str, str]) -> Any:
        again = replace(agreed(*roles), pushed=("cdrs",), journal_end=7)
        run(partners.complete, "p1", again, "p1 c", GRACE, NOW)
        return run(lambda tx: tx.get(PartnerModule, "p1", "cdrs", "push"))

    row = exchanged(("CPO", "NL*EXA"))
    assert (row.cursor, row.watermark) == (7, None)
    run(lambda tx: partners.note(tx, "p1", "cdrs", "push", NOW, cursor=9, watermark=NOW))
    assert exchanged(("CPO", "NL*EXA")).watermark == NOW, "new tokens change nothing"
    row = exchanged(("CPO", "NL*EXA"), ("EMSP", "NL*EXA"))
    assert (row.cursor, row.watermark) == (9, None)
