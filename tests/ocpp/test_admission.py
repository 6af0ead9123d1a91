"""Who may open a link: identity, secret, and what a failure costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from csms.core import stations
from csms.core.errors import StoreUnavailable
from csms.core.stations import UnknownStation
from csms.ocpp.admission import Admitted, Denial, Failures, basic_credentials, identity_in
from tests.support.admission import HEX, Door
from tests.support.ocpp import NOW
from tests.support.ocpp_links import basic


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/ocpp/CS1", "CS1"),
        ("/CS1", "CS1"),
        ("CS1", "CS1"),
        ("/ocpp/CS1/", "CS1"),  # quirk 3
        ("//ocpp///CS1//", "CS1"),
        ("/ws://host:9000/CP_1/SERIAL", "SERIAL"),  # quirks 4, 5
        ("/a/b/c/d/CS1?token=x&y=/z", "CS1"),
        ("/ocpp/RDAM%7C123", "RDAM|123"),  # quirk 6
        ("/ocpp/CS%201", "CS 1"),
        ("/ocpp/CS+1", "CS+1"),
        ("/ocpp/cs-1_A.b", "cs-1_A.b"),  # quirk 7
        ("/ocpp/Stra%C3%9Fe", "Straße"),
        ("/ocpp/" + "x" * 48, "x" * 48),
        ("/ocpp/" + "x" * 49, None),
        ("/ocpp/a%2Fb", None),
        ("/ocpp/a%3Ab", None),  # OCPP 2.0.1 A00.FR.204
        ("/ocpp/a%00b", None),
        ("/ocpp/%20a", None),
        ("/ocpp/%FF%FE", None),
        ("/ocpp/%ED%A0%80", None),
        ("/", None),
        ("", None),
        ("?x", None),
        ("///", None),
    ],
)
def test_the_identity_is_the_last_segment(path: str, identity: str | None) -> None:
    assert identity_in(path) == identity


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (basic("CS1", "pass"), ("CS1", b"pass")),
        (basic("CS1", "pa:ss"), ("CS1", b"pa:ss")),
        (basic("CS1", ""), ("CS1", b"")),
        (basic("CS1", b"\xff\x00"), ("CS1", b"\xff\x00")),  # reference 7.3
        (basic(b"\xff", "x"), ("\ufffd", b"x")),
        (" basic   Q1MxOnBhc3M= ", ("CS1", b"pass")),
        ("Basic Q1MxOnBhc3M", None),
        ("Basic !!!", None),
        ("Basic", None),
        ("Bearer Q1MxOnBhc3M=", None),
        ("Basic Q1Mx", None),  # no colon
        ("", None),
        (None, None),
    ],
)
def test_basic_credentials(header: str | None, found: tuple[str, bytes] | None) -> None:
    assert basic_credentials(header) == found


# -- with a store ----------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [HEX, bytes.fromhex(HEX)])
async def test_a_right_secret_in_the_forms_of_the_field(password: Any) -> None:
    """Quirk 12; OCPP 1.6J 6.2.2: the decoded bytes, or the hex text of them."""
    found = await Door().knocks("CS 1", password=password)
    assert isinstance(found, Admitted)
    assert found.station.identity == "CS 1"


@pytest.mark.parametrize("password", [b"\x01\xff" * 10, (b"\x01\xff" * 10).hex()])
async def test_a_secret_of_bytes_is_known_in_both_forms(password: Any) -> None:
    door = Door()
    door.give("CS 1", b"\x01\xff" * 10)
    assert isinstance(await door.knocks("CS 1", password=password), Admitted)


async def test_a_secret_that_is_any_text() -> None:
    assert isinstance(await Door().knocks("CS 2", password="other secret"), Admitted)


@pytest.mark.parametrize(
    ("user", "password", "status", "reason"),
    [
        (None, None, 401, "no_credentials"),
        (None, "wrong", 401, "wrong_password"),
        (None, "", 401, "wrong_password"),
        (None, HEX[:-1], 401, "wrong_password"),
        (None, "other secret", 401, "wrong_password"),  # someone else's
        ("CS 2", HEX, 401, "wrong_user"),  # TC_A_02
        ("cs 1", HEX, 401, "wrong_user"),
        ("CS 2", "other secret", 401, "wrong_password"),
    ],
)
async def test_a_wrong_secret(user: Any, password: Any, status: int, reason: str) -> None:
    assert await Door().knocks("CS 1", user, password) == Denial(status, reason, "CS 1")


async def test_a_secret_that_was_replaced_is_worth_nothing() -> None:
    """TC_A_09."""
    door = Door()
    door.give("CS 1", b"new one")
    assert await door.knocks("CS 1", password=HEX) == Denial(401, "wrong_password", "CS 1")
    assert isinstance(await door.knocks("CS 1", password="new one"), Admitted)


async def test_a_refused_login_of_a_known_station_is_journaled() -> None:
    """For an operator who wonders why a station is silent."""
    door = Door()
    await door.knocks("CS 1")
    await door.knocks("CS 1", password="wrong")
    await door.knocks("CS 2", "CS 1", "other secret")
    assert await door.refusals() == [
        ("CS 1", "no_credentials", "192.0.2.7"),
        ("CS 1", "wrong_password", "192.0.2.7"),
        ("CS 2", "wrong_user", "192.0.2.7"),
    ]
    text = "".join(row.data for row in await door.store.reader.journal(0, 1_000))
    assert "secret" not in text


async def test_a_station_that_tries_again_and_again_is_journaled_once_a_minute() -> None:
    door = Door()
    for minutes in (0, 0, 0, 1, 1, 5):
        for password in ("wrong", "wrong as well", None):
            await door.knocks("CS 1", password=password, minutes=minutes)
    told = await door.refusals()
    assert [reason for _, reason, _ in told] == ["wrong_password", "no_credentials"] * 3


async def test_who_comes_in_and_who_is_unknown_is_no_refused_login() -> None:
    door = Door()
    await door.knocks("CS 1", password=HEX)
    await door.knocks("stranger", password="x")
    assert await door.refusals() == []


async def test_a_refusal_that_cannot_be_journaled_is_a_refusal() -> None:
    door = Door()

    works = door.store.transact

    async def transact(fn: Any, *args: Any, **more: Any) -> Any:
        if fn is stations.link_refused:
            raise StoreUnavailable("disk full")
        return await works(fn, *args, **more)

    door.store.transact = transact  # type: ignore[method-assign]
    denial = await door.knocks("CS 1", password="wrong")
    assert denial == Denial(401, "wrong_password", "CS 1")


async def test_unknown_stations_are_listed_and_counted() -> None:
    door = Door()
    for minutes in range(3):
        denial = await door.knocks("stranger", password="x", minutes=minutes)
        assert denial == Denial(404, "unknown_station", "stranger")
    (listed,) = await door.store.reader.page(UnknownStation)
    assert (listed.attempts, listed.remote_address) == (3, "192.0.2.7")
    assert (listed.first_seen_at, listed.last_seen_at) == (NOW, NOW + timedelta(minutes=2))


async def test_the_list_of_unknown_stations_is_bounded_and_shows_the_newest() -> None:
    door = Door(unknown=3)
    for n in range(5):
        assert (await door.knocks(f"stranger {n}", minutes=n)).status == 404
    assert await door.listed() == {"stranger 2", "stranger 3", "stranger 4"}
    # One that knocks again is as new as any.
    await door.knocks("stranger 2", minutes=6)
    await door.knocks("stranger 5", minutes=7)
    assert await door.listed() == {"stranger 2", "stranger 4", "stranger 5"}
    assert (await door.store.reader.get(UnknownStation, "stranger 2")).attempts == 2


async def test_a_scan_writes_no_more_than_so_much() -> None:
    door = Door(unknown=3, knocks=5, knocks_window_s=60.0)
    for n in range(50):
        assert await door.knocks(f"stranger {n}") == Denial(404, "unknown_station", f"stranger {n}")
    rows = await door.store.reader.journal(0, 1_000)
    assert len([row for row in rows if row.kind == "unknown_station_seen"]) == 5
    await door.knocks("later", minutes=1)
    assert "later" in await door.listed()


async def test_without_an_identity_there_is_nothing_to_list() -> None:
    door = Door()
    assert await door.admission.admit("/", None, "192.0.2.7", NOW) == Denial(404, "no_identity")
    assert await door.store.reader.count(UnknownStation) == 0


async def test_while_the_store_is_in_trouble_nobody_is_admitted() -> None:
    door = Door()
    door.store.trouble = "disk full"
    assert await door.knocks("CS 1", password=HEX) == Denial(503, "store_unavailable")


# -- what failures cost ----------------------------------------------------------------------------


def test_the_first_failures_are_free_and_then_each_waits_longer() -> None:
    failures = Failures(free=3, step_s=0.5, max_delay_s=2.0, half_life_s=60.0)
    delays = [failures.note("a", 0.0) for _ in range(10)]
    assert delays == [0, 0, 0, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0]
    assert failures.note("b", 0.0) == 0


def test_failures_are_forgotten_by_and_by() -> None:
    failures = Failures(free=3, step_s=0.5, half_life_s=60.0)
    for _ in range(9):
        failures.note("a", 0.0)
    assert failures.note("a", 60.0) == pytest.approx((9 / 2 + 1 - 3) * 0.5)
    assert failures.note("a", 100_000.0) == 0


def test_the_memory_of_failures_is_bounded() -> None:
    failures = Failures(free=0)
    for n in range(Failures.MAX_ADDRESSES + 10):
        failures.note(f"a{n}", 0.0)
    assert len(failures._weights) == Failures.MAX_ADDRESSES
    assert failures.note("a0", 0.0) == 0.5
