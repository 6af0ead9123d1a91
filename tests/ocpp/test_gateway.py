"""The listener, over real sockets."""

from __future__ import annotations

import asyncio
import http.client
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus, NegotiationError

from csms.core import stations
from csms.core.ids import Origin
from csms.core.stations import Station, UnknownStation
from csms.ocpp import gateway
from csms.ocpp.admission import Failures
from csms.ocpp.gateway import end_of
from csms.storage.open import open_inline
from tests.support.ocpp import NOW
from tests.support.ocpp_links import Central, basic, listening, until
from tests.support.stores import FaultyDatabase, SqliteSite, running


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with listening(open_inline(), close_timeout_s=1.0) as central:
        await central.onboard()
        yield central


async def refused(central: Central, **how: Any) -> Any:
    """The HTTP answer to an attempt that is refused before the upgrade."""
    with pytest.raises(InvalidStatus) as caught:
        async with central.connect(wait=False, **how):
            pass
    return caught.value.response


# -- sub-protocols ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["ocpp1.6"], "ocpp1.6"),
        (["ocpp2.0.1", "ocpp1.6"], "ocpp2.0.1"),
        (["ocpp1.6", "ocpp2.1"], "ocpp1.6"),
        (["ocpp1.5", "ocpp2.1"], "ocpp2.1"),
    ],
)
async def test_the_station_prefers(central: Central, offered: Sequence[str], chosen: str) -> None:
    async with central.connect(subprotocols=offered) as station:
        assert station.connection.subprotocol == chosen
        await station.is_alive()
        assert (await central.station()).protocol == central.link().version.version


@pytest.mark.parametrize("offered", [["ocpp1.5"], ["mqtt", "OCPP1.6"], []])
async def test_without_a_common_version_the_handshake_ends_and_the_link_with_it(
    central: Central, offered: Sequence[str]
) -> None:
    """OCPP-J 1.6, 2.0.1 3.2; TC_088, TC_B_58: 101 without the header, then closed at once."""
    try:
        async with central.connect(subprotocols=offered, wait=False) as station:
            assert station.connection.response.status_code == 101
            assert "Sec-WebSocket-Protocol" not in station.connection.response.headers
            code, reason = await station.closed()
    except NegotiationError:
        pytest.fail("the handshake did not end as it must")
    assert (code, reason) == (
        1002,
        "no common sub-protocol; offer one of ocpp1.6, ocpp2.0.1, ocpp2.1",
    )
    assert (await central.station()).generation == 0
    assert central.metric("csms_handshakes_refused_total", reason="no_subprotocol") == 1


# -- identity and secret ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/CS%201", "/ocpp/CS%201/", "//a///CS%201//", "/ws://h:9/x/CS%201", "/CS%201?a=b"]
)
async def test_the_identity_has_many_forms(central: Central, path: str) -> None:
    async with central.connect(path=path) as station:
        await station.is_alive()


async def test_an_identity_of_other_letters(central: Central) -> None:
    await central.onboard("Straße 7")
    async with central.connect("Straße 7", path="/ocpp/Stra%C3%9Fe%207") as station:
        await station.is_alive()


@pytest.mark.parametrize(
    "authorization", [None, basic("CS 1", "wrong"), basic("CS 2", "x"), "junk"]
)
async def test_a_wrong_secret_is_told_before_the_upgrade(
    central: Central, authorization: str | None
) -> None:
    """OCPP 2.0.1 A00.FR.207; TC_A_02, TC_A_03."""
    response = await refused(central, authorization=authorization)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="OCPP", charset="UTF-8"'
    assert b"secret" not in response.body
    assert (await central.station()).generation == 0


async def test_two_authorization_headers_are_none(central: Central) -> None:
    headers = [("Authorization", basic("CS 1", "wrong"))]
    assert (await refused(central, headers=headers)).status_code == 401


async def test_an_unknown_station(central: Central) -> None:
    response = await refused(central, path="/ocpp/stranger")
    assert response.status_code == 404
    assert b"csms station add" in response.body
    (listed,) = await central.store.reader.page(UnknownStation)
    assert (listed.identity, listed.remote_address) == ("stranger", "127.0.0.1")


async def test_no_identity(central: Central) -> None:
    assert (await refused(central, path="/")).status_code == 404


async def test_a_browser_is_told_something(central: Central) -> None:
    def get() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", central.gateway.port, timeout=5)
        connection.request("GET", "/ocpp/CS%201")
        return connection.getresponse().status

    assert await asyncio.to_thread(get) in (400, 401, 426)


async def test_while_the_store_is_away(tmp_path: Path) -> None:
    site = SqliteSite(tmp_path)
    database = FaultyDatabase(site.database())
    async with running(site, database, grace_s=0.0) as store, listening(store) as central:
        await central.onboard()
        database.down = "disk full"
        with pytest.raises(Exception, match="disk full"):
            await store.transact(lambda tx: tx.get(Station, "x"))
        response = await refused(central)
        assert response.status_code == 503
        assert 5 <= int(response.headers["Retry-After"]) <= 30
        database.down = None
        await until(lambda: store.trouble is None)
        async with central.connect() as station:
            await station.is_alive()


async def test_failures_are_slowed_and_a_right_secret_is_not() -> None:
    """DESIGN rule 8: thousands of stations may be behind one address."""
    async with listening(open_inline()) as central:
        await central.onboard()
        central.gateway._failures = Failures(free=2, step_s=60.0, max_delay_s=60.0)
        for _ in range(2):
            assert (await refused(central, authorization=None)).status_code == 401
        slowed = asyncio.create_task(refused(central, authorization=None))
        await until(lambda: central.gateway._slowed == 1)
        assert central.gateway.handshakes == 0
        async with asyncio.timeout(5), central.connect() as station:
            await station.is_alive()
        assert not slowed.done()
    # The node has stopped; it did not wait out the delay.
    async with asyncio.timeout(5):
        await asyncio.gather(slowed, return_exceptions=True)


async def test_only_so_many_are_slowed() -> None:
    async with listening(open_inline(), slowed=1) as central:
        await central.onboard()
        central.gateway._failures = Failures(free=0, step_s=60.0, max_delay_s=60.0)
        slowed = asyncio.create_task(refused(central, authorization=None))
        await until(lambda: central.gateway._slowed == 1)
        async with asyncio.timeout(5):
            assert (await refused(central, authorization=None)).status_code == 401
    await asyncio.gather(slowed, return_exceptions=True)


# -- limits ----------------------------------------------------------------------------------------


async def test_more_links_than_the_limit_get_503() -> None:
    async with listening(open_inline(), max_links=1) as central:
        await central.onboard("CS 1")
        await central.onboard("CS 2")
        async with central.connect("CS 1"):
            response = await refused(central, identity="CS 2")
            assert response.status_code == 503
            assert "Retry-After" in response.headers
        await until(lambda: len(central.registry) == 0)
        async with central.connect("CS 2") as station:
            await station.is_alive()


async def test_more_handshakes_than_the_limit_get_503() -> None:
    async with listening(open_inline(), max_handshakes=1) as central:
        await central.onboard()
        # One that is under way: it waits for the store, say.
        assert central.gateway._line.enter(0.0) is None
        denied = await refused(central)
        assert denied.status_code == 503
        assert int(denied.headers["Retry-After"]) >= 10
        central.gateway._line.leave(0.0, opened=False)
        async with central.connect() as station:
            await station.is_alive()
        assert central.metric("csms_handshakes_refused_total", reason="too_many_handshakes") == 1


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        ((), ["203.0.113.9"], "127.0.0.1"),
        (("10.0.0.0/8",), ["203.0.113.9"], "127.0.0.1"),
        (("127.0.0.1/32",), ["203.0.113.9"], "203.0.113.9"),
        (("127.0.0.0/8",), ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (("127.0.0.0/8", "203.0.113.0/24"), ["2001:db8::1, 203.0.113.9"], "2001:db8::1"),
        (("127.0.0.0/8",), ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (("127.0.0.0/8",), ["<script>"], "127.0.0.1"),
        (("127.0.0.0/8",), [], "127.0.0.1"),
        (("0.0.0.0/0",), ["6.6.6.6, 203.0.113.9"], "6.6.6.6"),
    ],
)
async def test_whose_word_about_an_address_counts(
    trusted: tuple[str, ...], forwarded: list[str], address: str
) -> None:
    async with listening(open_inline(), trusted_proxies=trusted) as central:
        await central.onboard()
        async with central.connect(headers=[("X-Forwarded-For", f) for f in forwarded]):
            assert (await central.station()).remote_address == address


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("connection lost", "lost"),
        ("1008 no answer to several calls", "not_answering"),
        ("1009 a message over the limit (over 10 bytes)", "message_too_large"),
        ("1011 keepalive ping timeout", "keepalive"),
        ("1000", "closed_by_station"),
        ("1001 whatever a station says", "closed_by_station"),
        (f"1009 {'x' * 100}", "closed_by_station"),
    ],
)
def test_ends_are_counted_by_a_few_words(reason: str, word: str) -> None:
    """What stations say makes no labels."""
    assert end_of(reason) == word


def test_every_reason_that_we_close_a_link_for_has_a_word() -> None:
    """They are written where links are closed; one that is changed there must not get lost here."""
    ours = Path(gateway.__file__).parents[1]
    codes = {"POLICY": 1008, "GOING_AWAY": 1001, "TRY_AGAIN_LATER": 1013}
    found = [
        (codes[code], words)
        for file in (ours / "app.py", *(ours / "ocpp").glob("*.py"))
        for code, words in re.findall(
            r"(?:\bclose\(|_end\(link,)\s*(POLICY|GOING_AWAY|TRY_AGAIN_LATER),\s*\"([^\"]+)\"",
            file.read_text(),
        )
        # That link never ran: its end is called `replaced`.
        if words != "a newer connection exists"
    ]
    assert len({words for _, words in found}) >= 6
    for code, words in found:
        assert end_of(f"{code} {words}") != "closed_by_station", words


# -- compression and pings -------------------------------------------------------------------------


async def test_compression_without_context_takeover(central: Central) -> None:
    """OCPP 2.0.1 part 4 3.3; and nothing is kept between messages (DESIGN 7)."""
    async with central.connect(compression="deflate") as station:
        agreed = station.connection.response.headers["Sec-WebSocket-Extensions"]
        assert "permessage-deflate" in agreed
        assert "server_no_context_takeover" in agreed
        assert "client_no_context_takeover" in agreed
        # Windows of 2 KiB: enough for a message, and what a station of little memory can hold.
        assert "server_max_window_bits=11" in agreed
        assert "client_max_window_bits=11" in agreed
        for _ in range(3):
            await station.calls("DataTransfer", {"vendorId": "v", "data": "x" * 5_000})


async def test_no_compression_for_who_does_not_offer_it(central: Central) -> None:
    """Reference 7.9: C++ and Java stacks."""
    async with central.connect(compression=None) as station:
        assert "Sec-WebSocket-Extensions" not in station.connection.response.headers
        await station.is_alive()


async def test_a_station_that_does_not_survive_pings_gets_none() -> None:
    """Quirks 15, 17."""
    async with listening(open_inline(), ping_interval_s=0.02, ping_timeout_s=30.0) as central:
        await central.onboard("CS 1", switches={"ping": False})
        await central.onboard("CS 2")
        async with central.connect("CS 1") as quiet, central.connect("CS 2") as other:
            await until(lambda: central.link("CS 2")._websocket.latency > 0)
            assert central.link("CS 1")._websocket.latency == 0
            assert central.link("CS 1")._websocket.keepalive_task is None
            await quiet.is_alive()
            await other.is_alive()


async def test_silence_ends_only_links_that_are_not_pinged() -> None:
    """A station that answers pings may be silent for a day (heartbeats are for its clock)."""
    async with listening(open_inline(), silent_link_s=0.1, close_timeout_s=1.0) as central:
        await central.onboard("CS 1", switches={"ping": False})
        await central.onboard("CS 2")
        async with central.connect("CS 1") as silent, central.connect("CS 2") as other:
            assert await silent.closed() == (1001, "silent for too long")
            await other.is_alive()


@pytest.mark.parametrize("hours", [7, -7])
async def test_a_clock_that_jumps_silences_nobody(hours: int) -> None:
    """Silence is measured, not read off a clock: all stations without pings were thrown out when
    the time of day was set forward."""
    async with listening(open_inline(), silent_link_s=1.0, close_timeout_s=1.0) as central:
        await central.onboard("CS 1", switches={"ping": False})
        async with central.connect("CS 1") as quiet:
            central.clock.later(hours=hours)
            await quiet.is_alive()
            before = asyncio.get_running_loop().time()
            assert await quiet.closed() == (1001, "silent for too long")
            assert asyncio.get_running_loop().time() - before > 0.9


# -- takeover --------------------------------------------------------------------------------------


async def test_the_newest_connection_wins(central: Central) -> None:
    """Quirk 18."""
    async with central.connect() as old:
        await old.is_alive()
        async with central.connect() as new:
            assert await old.closed() == (1008, "replaced by a newer connection")
            await new.is_alive()
            # Quirk 19: the end of the old link touches nothing.
            row = await central.station()
            assert (row.generation, row.node) == (2, "node-1")
            assert len(central.registry) == 1
    await until(lambda: len(central.registry) == 0)
    row = await central.station()
    assert (row.node, row.disconnected_at) == (None, NOW)
    assert central.metric("csms_links_ended_total", reason="replaced") == 1
    await until(lambda: central.metric("csms_links_ended_total", reason="lost") == 1)


@pytest.mark.parametrize("later_first", [True, False])
async def test_two_links_of_a_station_that_open_at_once(
    central: Central, later_first: bool
) -> None:
    """Whatever order they come to the registry in, the one that the store saw last stays."""
    async with central.connect() as first, central.connect(wait=False) as second:
        await until(lambda: central.link().generation == 2)
        newer = central.link()
        older = type("Older", (), {"generation": 1, "station_id": newer.station_id})()
        if later_first:
            assert central.registry.attach(older) is False
        central.registry.detach(older)
        assert central.link() is newer
        assert (await first.closed())[0] == 1008
        await second.is_alive()


async def test_a_link_that_was_overtaken_while_it_opened(central: Central) -> None:
    """Another node has the station since: this link's end changes nothing."""
    async with central.connect() as station:
        origin = Origin("id CS 1", "CS 1", "1.6", NOW)
        await central.store.transact(stations.link_opened, origin, "node-2", "192.0.2.1")
        await station.is_alive()
    await until(lambda: len(central.registry) == 0)
    row = await central.station()
    assert (row.generation, row.node) == (2, "node-2")
    await until(lambda: "stale_link_end_ignored" in central.store.marks)


# -- life of a node --------------------------------------------------------------------------------


async def test_an_orderly_stop_closes_the_links_and_writes_it_down() -> None:
    store = open_inline()
    async with listening(store) as central:
        await central.onboard()
        context = central.connect()
        station = await context.__aenter__()
        row = await central.station()
        assert (row.node, row.connected_at, row.remote_address) == ("node-1", NOW, "127.0.0.1")
        central.clock.later(minutes=5)
    assert await station.closed() == (1001, "the central system is stopping")
    await context.__aexit__(None, None, None)
    assert central.metric("csms_links_ended_total", reason="stopping") == 1
    row = await central.station()
    assert (row.node, row.last_seen_at) == (None, NOW)
    assert row.disconnected_at == central.clock.now


async def test_an_end_that_cannot_be_written_is_written_later(tmp_path: Path) -> None:
    site = SqliteSite(tmp_path)
    database = FaultyDatabase(site.database())
    async with running(site, database, grace_s=0.0) as store, listening(store) as central:
        await central.onboard()
        async with central.connect():
            database.down = "disk full"
        await until(lambda: len(central.registry) == 0)
        database.down = None
        async with asyncio.timeout(10):
            while (await central.station()).node is not None:
                await asyncio.sleep(0)
