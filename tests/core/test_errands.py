"""What we ask of another network's station: entered once, one result, late ones noted (OCPI 2.2.1
mod_commands)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import errands, tokens
from csms.core.errands import Charge, Errand, Status
from csms.core.errors import NotFound, Refused
from csms.core.orders import Wish
from tests.support.charging import NOW, Site, at


@pytest.fixture
def site() -> Site:
    return Site()


def errand(**changes: Any) -> Errand:
    made = Errand("e1", Wish.STOP, Status.SENT, "p1", "US*STH", "key", NOW, at(60), session_id="7")
    return made._replace(**changes)


def start(uid: str = "CARD", **changes: Any) -> Errand:
    return errand(wish=Wish.START, session_id=None, token_party="CA*NTH", token_uid=uid, **changes)


def stands(site: Site) -> tuple[str, str | None, str | None]:
    found = site.get(Errand, "e1")
    return found.status, found.result, found.detail


def entered(site: Site) -> None:
    site.run(errands.enter, errand())


def test_a_start_needs_a_token_of_ours_that_may_charge(site: Site) -> None:
    with pytest.raises(NotFound, match="no token STRANGER"):
        site.run(errands.enter, start("STRANGER"), "rfid")
    assert site.run(errands.enter, start("card"), "rfid").token_uid == "CARD"
    site.run(tokens.set_blocked, "CA*NTH", "CARD", "rfid", True, NOW)
    with pytest.raises(Refused, match="token CARD is blocked"):
        site.run(errands.enter, start(id="e2"), "rfid")
    assert site.get(Errand, "e2") is None


def test_taken_then_accepted(site: Site) -> None:
    entered(site)
    site.run(errands.answered, "e1", True, None, at(40), at(1))
    assert (stands(site)[0], site.get(Errand, "e1").expires_at) == (Status.TAKEN, at(40))
    site.run(errands.told, "e1", "ACCEPTED", None, at(2))
    assert stands(site) == (Status.ACCEPTED, "ACCEPTED", None)
    assert site.get(Errand, "e1").finished_at == at(2)


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ("ACCEPTED", Status.ACCEPTED),
        ("REJECTED", Status.REJECTED),
        ("EVSE_OCCUPIED", Status.REJECTED),
        ("EVSE_INOPERATIVE", Status.REJECTED),
        ("NOT_SUPPORTED", Status.REJECTED),
        ("FAILED", Status.FAILED),
        ("SOMETHING_NEW", Status.FAILED),
        ("TIMEOUT", Status.TIMED_OUT),
    ],
)
def test_every_result_has_its_status(site: Site, result: str, status: Status) -> None:
    entered(site)
    site.run(errands.told, "e1", result, "why", at(2))
    assert stands(site) == (status, result, "why")


def test_the_first_result_holds(site: Site) -> None:
    entered(site)
    site.run(errands.told, "e1", "REJECTED", None, at(1))
    site.run(errands.told, "e1", "ACCEPTED", None, at(2))
    assert stands(site)[:2] == (Status.REJECTED, "REJECTED")
    assert "errand_told_twice" in site.marks()


def test_a_result_may_overtake_the_answer_at_once(site: Site) -> None:
    entered(site)
    site.run(errands.told, "e1", "ACCEPTED", None, at(1))
    site.run(errands.answered, "e1", True, None, at(40), at(2))
    assert stands(site)[0] == Status.ACCEPTED


def test_a_no_at_once_is_the_end(site: Site) -> None:
    entered(site)
    site.run(errands.answered, "e1", False, "UNKNOWN_SESSION", at(40), at(1))
    assert stands(site) == (Status.REJECTED, None, "UNKNOWN_SESSION")


def test_what_may_not_have_been_heard_is_unknown_and_a_late_result_is_noted(site: Site) -> None:
    entered(site)
    site.run(errands.not_heard, "e1", "no whole answer in 30 s", at(30))
    assert stands(site)[0] == Status.UNKNOWN
    site.run(errands.told, "e1", "ACCEPTED", None, at(90))
    assert stands(site)[0] == Status.ACCEPTED


def test_an_errand_without_a_result_is_given_up(site: Site) -> None:
    entered(site)
    site.run(errands.overdue, "e1", at(59))
    assert stands(site)[0] == Status.SENT
    site.run(errands.overdue, "e1", at(60))
    assert stands(site)[0] == Status.UNKNOWN, "nobody knows whether it was heard"
    site.run(errands.enter, errand(id="e2"))
    site.run(errands.answered, "e2", True, None, at(40), at(1))
    site.run(errands.overdue, "e2", at(41))
    assert site.get(Errand, "e2").status == Status.TIMED_OUT


def test_the_session_that_began_is_known_by_its_reference(site: Site) -> None:
    site.run(errands.enter, start(), "rfid")
    site.run(errands.began, "e1", "p2", "9", at(3))
    assert site.get(Errand, "e1").session_id is None, "only the partner that was asked tells it"
    site.run(errands.began, "e1", "p1", "9", at(3))
    site.run(errands.began, "e1", "p1", "10", at(4))
    assert site.get(Errand, "e1").session_id == "9"
    site.run(errands.began, None, "p1", "9", at(3))


@pytest.mark.parametrize(
    ("charge", "known"),
    [
        (Charge("CARD", "E1", at(10)), True),
        (Charge("CARD", "e1", at(-60)), True),
        (Charge("CARD", "E2", at(10)), False),
        (Charge("OTHER", "E1", at(10)), False),
        (Charge("CARD", "E1", at(-3_600)), False),
        (Charge("CARD", "E1", at(901)), False),
    ],
)
def test_a_session_without_a_reference_is_known_by_its_charge(
    site: Site, charge: Charge, known: bool
) -> None:
    """Peers that leave out the reference: token, EVSE and time."""
    site.run(errands.enter, start(evse_uid="E1"), "rfid")
    site.run(errands.began, None, "p2", "9", at(20), charge)
    assert site.get(Errand, "e1").session_id is None, "only the partner that was asked tells it"
    site.run(errands.began, None, "p1", "9", at(20), charge)
    assert site.get(Errand, "e1").session_id == ("9" if known else None)


def test_each_session_is_one_start(site: Site) -> None:
    for name, status in (("e1", Status.SENT), ("e2", Status.SENT), ("e3", Status.REJECTED)):
        row = start(id=name, evse_uid="E1", status=status)
        site.run(errands.enter, row, "rfid")
    for session, when in (("8", 1), ("8", 2), ("9", 3), ("10", 4)):
        site.run(errands.began, None, "p1", session, at(when), Charge("CARD", "E1", at(when)))
    begun = {site.get(Errand, name).session_id for name in ("e1", "e2")}
    assert begun == {"8", "9"}
    assert site.get(Errand, "e3").session_id is None
