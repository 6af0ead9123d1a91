"""The command ledger: queued, sent, an outcome; never sent again by itself (DESIGN 6)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import commands, stations
from csms.core.commands import PARAMETERS, Command, Kind, Status
from csms.core.errors import Invalid, NotFound, Refused
from csms.core.stations import Registration
from tests.support.charging import NOW, Site, at

RESET = Kind.RESET


def submit(
    site: Site,
    kind: Kind = RESET,
    parameters: dict[str, Any] | None = None,
    *,
    key: str | None = None,
    name: str = "c1",
    station: str = "s1",
) -> tuple[Command, bool]:
    return site.run(commands.submit, name, station, kind, parameters or {}, "me", NOW, key)


def status(site: Site, name: str = "c1") -> str:
    return site.get(Command, name).status


def finish(site: Site, outcome: Status, seconds: float = 9, **fields: Any) -> Command:
    return site.run(commands.finish, "c1", outcome, at(seconds), **fields)


# -- submitting ----------------------------------------------------------------------------------


def test_a_wish_is_entered(site: Site) -> None:
    command, is_new = submit(site, RESET, {"immediate": True})
    assert is_new
    assert site.get(Command, "c1") == command
    assert (command.status, command.kind, command.awaiting) == ("queued", "reset", False)
    assert command.parameters == {"immediate": True}
    assert 0 < command.number < 2**31
    assert site.journal()[-2:] == ["command_changed", "audit_recorded"]


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (Kind.RESET, {"now": True}),
        (Kind.RESET, {"immediate": 1}),
        (Kind.RESET, {"evse": True}),
        (Kind.RESET, {"evse": -1}),
        (Kind.RESET, {"evse": 2**31}),
        (Kind.UNLOCK, {}),
        (Kind.CLEAR_CACHE, {"evse": 1}),
        (Kind.START_CHARGING, {"evse": 1}),
        (Kind.START_CHARGING, {"token": 5}),
        (Kind.TRIGGER, {"message": "coffee"}),
        (Kind.CALL, {"action": "Reset"}),
    ],
)
def test_what_is_no_wish(site: Site, kind: Kind, parameters: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        submit(site, kind, parameters)
    assert site.get(Command, "c1") is None
    assert set(PARAMETERS) == set(Kind)


def test_a_wish_about_no_station(site: Site) -> None:
    with pytest.raises(NotFound):
        submit(site, station="nobody")


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ({}, "rfid"),
        ({"technology": "iso15693"}, "iso15693"),
        ({"kind": "app"}, "app"),
    ],
    ids=str,
)
def test_a_start_knows_how_its_token_is_read(site: Site, token: dict[str, str], kind: str) -> None:
    site.card("T", **token)
    command, _ = submit(site, Kind.START_CHARGING, {"token": "T"}, key="k")
    assert command.parameters == {"token": "T", "token_kind": kind}
    again, is_new = submit(site, Kind.START_CHARGING, {"token": "T"}, key="k", name="c2")
    assert (again.id, is_new) == ("c1", False)


# A wish of each kind that an accepted station would be asked.
WISHES: dict[Kind, dict[str, Any]] = {
    Kind.START_CHARGING: {"token": "CARD"},
    Kind.STOP_CHARGING: {},
    Kind.RESET: {},
    Kind.UNLOCK: {"evse": 1},
    Kind.SET_AVAILABILITY: {"available": True},
    Kind.TRIGGER: {"message": "boot"},
    Kind.CLEAR_CACHE: {},
    Kind.CALL: {"action": "GetConfiguration", "payload": {}},
}


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("registration", list(Registration))
def test_what_is_asked_of_a_station_depends_on_its_registration(
    site: Site, registration: Registration, kind: Kind
) -> None:
    """OCPP 1.6 4.2: no remote start or stop while pending; 2.0.1 B03.FR.03: a rejected station is
    sent nothing at all."""
    site.start(0)
    site.run(stations.change, "s1", NOW, registration=registration)
    charging = kind in (Kind.START_CHARGING, Kind.STOP_CHARGING)
    held_back = registration is Registration.PENDING and charging
    if held_back or registration is Registration.REJECTED:
        with pytest.raises(Refused, match=registration):
            submit(site, kind, WISHES[kind])
        assert site.get(Command, "c1") is None
        assert "audit_recorded" not in site.journal()
    else:
        assert submit(site, kind, WISHES[kind])[1]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_wish_is_audited_once(site: Site, kind: Kind) -> None:
    """DESIGN 6: who wants what of which station."""
    site.start(0)
    for _ in range(2):
        submit(site, kind, WISHES[kind], key="k")
    (fact,) = site.facts("audit_recorded")
    assert (fact["actor"], fact["action"], fact["target"]) == ("me", kind, "CS-s1")


def test_the_same_key_gives_the_first_command_again(site: Site) -> None:
    first, _ = submit(site, RESET, {"immediate": True}, key="k")
    events = site.journal()
    again, is_new = submit(site, RESET, {"immediate": True}, key="k", name="c2")
    assert (again, is_new) == (first, False)
    assert site.journal() == events
    assert site.get(Command, "c2") is None


@pytest.mark.parametrize(
    "other",
    [
        {"kind": Kind.TRIGGER, "parameters": {"message": "boot"}},
        {"parameters": {}},
        {"parameters": {"immediate": False}},
        {"parameters": {"immediate": True, "evse": 1}},
        {"station": "s2"},
    ],
    ids=str,
)
def test_the_same_key_for_another_wish_is_refused(site: Site, other: dict[str, Any]) -> None:
    submit(site, RESET, {"immediate": True}, key="k")
    with pytest.raises(Invalid):
        submit(site, **{"parameters": {"immediate": True}, "key": "k", "name": "c2", **other})


@pytest.mark.parametrize("wanted", [{}, {"evse": 1}, {"transaction_id": 1}], ids=str)
def test_a_stop_is_the_same_wish_after_its_transaction_was_named(
    site: Site, wanted: dict[str, Any]
) -> None:
    """The row names the transaction by then, and it may have ended."""
    site.start(0)
    first, _ = submit(site, Kind.STOP_CHARGING, wanted, key="k")
    site.stop(1)
    assert submit(site, Kind.STOP_CHARGING, wanted, key="k", name="c2") == (first, False)
    with pytest.raises(Invalid):
        submit(site, Kind.STOP_CHARGING, {"evse": 2}, key="k", name="c3")


# -- stops name their transaction ------------------------------------------------------------------


def test_a_stop_means_the_only_transaction(site: Site) -> None:
    tid = site.start(0).transaction_id
    command, _ = submit(site, Kind.STOP_CHARGING)
    assert command.parameters == {"transaction_id": tid, "wire_id": f"#{tid}"}


def test_a_stop_among_several_must_name_one(site: Site) -> None:
    first, second = site.start(0).transaction_id, site.start(0, evse=2).transaction_id
    with pytest.raises(Invalid, match=f"{first}, {second}"):
        submit(site, Kind.STOP_CHARGING)
    command, _ = submit(site, Kind.STOP_CHARGING, {"evse": 2})
    assert command.parameters["transaction_id"] == second
    command, _ = submit(site, Kind.STOP_CHARGING, {"transaction_id": first}, name="c2")
    assert command.parameters["wire_id"] == f"#{first}"


def test_a_stop_of_nothing(site: Site) -> None:
    with pytest.raises(Refused):
        submit(site, Kind.STOP_CHARGING)
    ended = site.start(0).transaction_id
    site.stop(ended)
    with pytest.raises(Refused):
        submit(site, Kind.STOP_CHARGING, {"transaction_id": ended})
    other = site.start(0, station="s2").transaction_id
    for wanted in (other, 4_711):
        with pytest.raises(NotFound):
            submit(site, Kind.STOP_CHARGING, {"transaction_id": wanted})


# -- outcomes --------------------------------------------------------------------------------------


def test_a_command_is_sent_and_answered(site: Site) -> None:
    submit(site)
    command = site.run(commands.sent, "c1", "n1", at(1))
    assert (command.status, command.node, command.sent_at) == ("sent", "n1", at(1))
    command = finish(site, Status.ACCEPTED, result={"status": "Accepted"}, detail="fine")
    assert (command.status, command.finished_at) == ("accepted", at(9))
    assert (command.result, command.detail) == ({"status": "Accepted"}, "fine")
    assert site.get(Command, "c1") == command
    assert site.journal().count("command_changed") == 3


@pytest.mark.parametrize("first", list(Status))
def test_a_command_is_sent_once(site: Site, first: Status) -> None:
    """Two senders of one command: the second must not reach the wire."""
    submit(site)
    if first is Status.QUEUED:
        site.run(commands.sent, "c1", "n1", at(1))
    else:
        finish(site, first)
    before = site.get(Command, "c1")
    with pytest.raises(Refused):
        site.run(commands.sent, "c1", "n2", at(2))
    assert site.get(Command, "c1") == before


FINAL = [Status.ACCEPTED, Status.REJECTED, Status.FAILED]
OPEN_END = [Status.TIMED_OUT, Status.UNKNOWN]


@pytest.mark.parametrize("second", FINAL + OPEN_END)
@pytest.mark.parametrize("first", FINAL)
def test_an_outcome_stays(site: Site, first: Status, second: Status) -> None:
    submit(site)
    before = finish(site, first, result={"a": 1})
    events = site.journal()
    assert finish(site, second, 99, result={"a": 2}) == before
    assert (site.get(Command, "c1"), site.journal()) == (before, events)
    assert site.marks() == ["command_finished_twice"]


@pytest.mark.parametrize("first", OPEN_END)
def test_only_a_real_answer_replaces_not_knowing(site: Site, first: Status) -> None:
    submit(site)
    before = finish(site, first)
    for again in OPEN_END:
        assert finish(site, again, 50) == before
    assert finish(site, Status.ACCEPTED, 99).status == "accepted"


def test_a_node_that_died_leaves_what_it_sent_unknown(site: Site) -> None:
    submit(site, name="c0")
    submit(site, name="c1")
    site.run(commands.sent, "c1", "n1", at(1))
    for name, expected in (("c0", "failed"), ("c1", "unknown")):
        for _ in range(2):
            site.run(commands.node_died, name, at(5))
        assert status(site, name) == expected
        assert site.get(Command, name).finished_at == at(5)
    finish(site, Status.REJECTED)
    site.run(commands.node_died, "c1", at(50))
    assert status(site) == "rejected"


@pytest.mark.parametrize(
    "call",
    [
        lambda tx: commands.sent(tx, "c9", "n1", NOW),
        lambda tx: commands.finish(tx, "c9", Status.FAILED, NOW),
        lambda tx: commands.node_died(tx, "c9", NOW),
    ],
)
def test_a_command_that_does_not_exist(site: Site, call: Any) -> None:
    with pytest.raises(NotFound):
        site.store.run(call)


@pytest.mark.parametrize(
    ("outcome", "waits"),
    [
        (Status.ACCEPTED, True),
        (Status.TIMED_OUT, True),
        (Status.UNKNOWN, True),
        (Status.REJECTED, False),
        (Status.FAILED, False),
    ],
)
def test_accepted_is_not_started(site: Site, outcome: Status, waits: bool) -> None:
    """The transaction that follows is matched; none follows a refusal."""
    submit(site, Kind.START_CHARGING, {"token": "CARD"})
    finish(site, outcome)
    assert site.get(Command, "c1").awaiting is waits
    tid = site.start(20).transaction_id
    assert site.transaction(tid).command_id == ("c1" if waits else None)
    assert not site.get(Command, "c1").awaiting


def test_a_start_that_overtakes_its_answer_stays_matched(site: Site) -> None:
    submit(site, Kind.START_CHARGING, {"token": "CARD"})
    tid = site.start(5).transaction_id
    command = finish(site, Status.ACCEPTED)
    assert (command.status, command.transaction_id, command.awaiting) == ("accepted", tid, False)
