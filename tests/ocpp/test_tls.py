"""TLS for stations, in real handshakes (OCPP Security Whitepaper A00.FR.3xx; TC_086,
TC_A_04, TC_A_06).
"""

from __future__ import annotations

import asyncio
import gc
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from websockets.exceptions import InvalidStatus

from csms.core.errors import Invalid
from csms.observability import Metrics
from csms.ocpp.certificates import Pair
from csms.ocpp.tls import Certificates, server_context
from csms.storage.open import open_inline
from tests.support.certificates import EC, RSA, served, station_context, today, write_pair
from tests.support.ocpp_links import WITHIN_S, Central, listening, until

MANDATED = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
FORWARD_SECRET_RSA = ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384")


@asynccontextmanager
async def central_with(certificates: Certificates, **how: Any) -> AsyncIterator[Central]:
    async with listening(open_inline(), certificates=certificates, **how) as central:
        await central.onboard()
        yield central


@pytest.fixture
async def central(tmp_path: Path) -> AsyncIterator[Central]:
    async with central_with(served(tmp_path)) as central:
        yield central


def negotiated(station: Any) -> tuple[str, str]:
    """Protocol and cipher suite of a link."""
    cipher = station.connection.transport.get_extra_info("cipher")
    return cipher[1], cipher[0]


def serial(station: Any) -> int:
    """Serial number of the certificate that the server showed."""
    secured = station.connection.transport.get_extra_info("ssl_object")
    return x509.load_der_x509_certificate(secured.getpeercert(True)).serial_number


def serial_in(pair: Pair) -> int:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number


def refusal(server: ssl.SSLContext, station: ssl.SSLContext) -> str | None:
    """Why the server refuses a handshake, in OpenSSL's word; None when it does not. Without a
    socket, because the server's loop does not tell."""
    to_server, to_station = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = server.wrap_bio(to_server, to_station, server_side=True)
    there = station.wrap_bio(to_station, to_server, server_hostname="localhost")
    for _ in range(10):
        with suppress(ssl.SSLWantReadError):
            there.do_handshake()
        try:
            here.do_handshake()
            return None
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            return error.reason
    raise AssertionError("the handshake does not end")


# -- handshakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", [*MANDATED, *FORWARD_SECRET_RSA])
async def test_every_mandated_suite(central: Central, suite: str) -> None:
    """A00.FR.317, FR.421: a station that knows no other suite is served."""
    async with central.connect(ssl=station_context(suite)) as station:
        assert negotiated(station)[1] == suite
        await station.is_alive()


async def test_tls_1_3_is_used_where_both_can(central: Central) -> None:
    async with central.connect(ssl=station_context()) as station:
        assert station.connection.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        await station.is_alive()


@pytest.mark.parametrize(
    "suite",
    [
        "AES128-SHA",
        "AES256-SHA256",
        "ECDHE-RSA-AES128-SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "DHE-RSA-AES128-GCM-SHA256",
    ],
)
def test_no_other_suite(tmp_path: Path, suite: str) -> None:
    refused = refusal(served(tmp_path).context, station_context(suite))
    assert refused == "NO_SHARED_CIPHER"


async def test_tls_1_1_is_refused(central: Central, tmp_path: Path) -> None:
    """TC_A_06, A00.FR.312: because of its version, and nothing comes of it on the wire."""
    context = station_context("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert refusal(served(tmp_path).context, context) == "UNSUPPORTED_PROTOCOL"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        async with central.connect(ssl=context, wait=False):
            pass


async def test_nothing_is_compressed_on_the_tls_layer(central: Central) -> None:
    """A00.FR.313."""
    async with central.connect(ssl=station_context(MANDATED[0])) as station:
        assert station.connection.transport.get_extra_info("compression") is None
    assert server_context().options & ssl.OP_NO_COMPRESSION


async def test_a_station_that_trusts_another_authority_does_not_come(central: Central) -> None:
    """TC_086: it checks the certificate; that is for the station to refuse."""
    with pytest.raises(ssl.SSLCertVerificationError):
        async with central.connect(ssl=ssl.create_default_context(), wait=False):
            pass


async def test_plain_text_on_the_port_with_tls_gets_nowhere(central: Central) -> None:
    async with asyncio.timeout(WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", central.gateway.tls_port)
        writer.write(b"GET /ocpp/CS%201 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not (await reader.read()).startswith(b"HTTP")
        writer.close()


# -- two listeners, one gateway --------------------------------------------------------------------


async def test_both_ports_serve_the_same_stations(central: Central) -> None:
    async with central.connect() as plain:
        await plain.is_alive()
        async with central.connect(ssl=station_context()) as secure:
            # The newest connection wins, whatever it came by.
            assert (await plain.closed())[0] == 1008
            await secure.is_alive()


async def test_the_port_without_tls_can_be_left_out(tmp_path: Path) -> None:
    async with central_with(served(tmp_path), port=None) as central:
        assert central.gateway.port is None
        async with central.connect(ssl=station_context()) as station:
            await station.is_alive()


async def test_a_wrong_secret_is_refused_on_either_port(central: Central) -> None:
    for context in (None, station_context()):
        with pytest.raises(InvalidStatus) as caught:
            async with central.connect(authorization="Basic eDp5", ssl=context, wait=False):
                pass
        assert caught.value.response.status_code == 401


async def test_the_limit_of_links_counts_both_ports(tmp_path: Path) -> None:
    async with central_with(served(tmp_path), max_links=1) as central:
        await central.onboard("CS 2")
        async with central.connect(ssl=station_context()):
            with pytest.raises(InvalidStatus) as caught:
                async with central.connect("CS 2", wait=False):
                    pass
            assert caught.value.response.status_code == 503


async def test_stopping_closes_links_of_both_ports(tmp_path: Path) -> None:
    async with central_with(served(tmp_path)) as central:
        await central.onboard("CS 2")
        connecting = central.connect(), central.connect("CS 2", ssl=station_context())
        links = [await link.__aenter__() for link in connecting]
        closed = [asyncio.create_task(link.closed()) for link in links]
    for task in closed:
        assert (await task)[0] == 1001


async def test_handshakes_under_way_are_bounded(tmp_path: Path) -> None:
    """One more is cut off at once; when one has ended there is room again."""
    pairs = [write_pair(tmp_path)]
    certificates = Certificates(pairs, Metrics(), today, max_handshakes=2)
    async with central_with(certificates) as central, asyncio.timeout(3 * WITHIN_S):
        context: Any = certificates.context
        waiting = [
            await asyncio.open_connection("127.0.0.1", central.gateway.tls_port) for _ in range(2)
        ]
        await until(lambda: len(context.under_way) == 2)
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            async with central.connect(ssl=station_context(), wait=False):
                pass
        for _, writer in waiting:
            writer.close()
        # uvloop lets go of a handshake at its end, asyncio's own loop leaves it to the collector.
        await until(lambda: gc.collect() < 0 or not context.under_way)
        async with central.connect(ssl=station_context()) as station:
            await station.is_alive()
            assert not context.under_way


async def test_a_handshake_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    pairs = [write_pair(tmp_path)]
    certificates = Certificates(pairs, Metrics(), today, handshake_timeout_s=0.05)
    async with central_with(certificates) as central, asyncio.timeout(WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", central.gateway.tls_port)
        assert await reader.read() == b""
        writer.close()


# -- files that change -----------------------------------------------------------------------------


async def test_new_files_are_used_from_the_next_handshake_on(tmp_path: Path) -> None:
    certificates = served(tmp_path)
    async with central_with(certificates) as central:
        for suite, kind in ((MANDATED[2], RSA), (MANDATED[0], EC)):
            async with central.connect(ssl=station_context(suite)) as old:
                before = serial(old)
                pair = write_pair(tmp_path, kind, number=2)
                certificates.look()
                await old.is_alive()
                async with central.connect(ssl=station_context(suite)) as new:
                    assert serial(new) == serial_in(pair) != before
    assert certificates.warnings == []


@pytest.mark.parametrize("broken", ["half a file", "another key", "expired", "gone"])
async def test_files_that_cannot_be_used_leave_the_old_ones(tmp_path: Path, broken: str) -> None:
    metrics = Metrics()
    certificates = served(tmp_path, metrics=metrics)
    pair = Pair(tmp_path / "rsa.pem", tmp_path / "rsa-key.pem")
    before = serial_in(pair)
    good = pair.certificate.read_bytes(), pair.key.read_bytes()
    if broken == "half a file":
        pair.certificate.write_bytes(good[0][:200])
    elif broken == "another key":
        write_pair(tmp_path, RSA, number=3)
        pair.certificate.write_bytes(good[0])
    elif broken == "expired":
        write_pair(tmp_path, RSA, days=5, began_days_ago=10)
    else:
        pair.key.unlink()
    async with central_with(certificates) as central:
        certificates.look()
        (said,) = certificates.warnings
        assert str(tmp_path) in said
        assert metrics.registry.get_sample_value("csms_tls_files_broken") == 1
        async with central.connect(ssl=station_context(MANDATED[2])) as station:
            assert serial(station) == before
        pair.certificate.write_bytes(good[0])
        pair.key.write_bytes(good[1])
        certificates.look()
        assert certificates.warnings == []
        assert metrics.registry.get_sample_value("csms_tls_files_broken") == 0


async def test_the_watch_finds_out_by_itself(tmp_path: Path) -> None:
    certificates = served(tmp_path, EC)
    watch = asyncio.create_task(certificates.watch(0.01))
    async with central_with(certificates) as central:
        pair = write_pair(tmp_path, EC, number=2)

        async def shows_the_new_one() -> bool:
            async with central.connect(ssl=station_context()) as station:
                return serial(station) == serial_in(pair)

        async with asyncio.timeout(WITHIN_S):
            while not await shows_the_new_one():
                pass
    watch.cancel()


def test_files_that_cannot_be_used_at_all_stop_the_start(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    pair.key.write_text("no key")
    with pytest.raises(Invalid, match=r"rsa-key\.pem: holds no private key.*csms check"):
        Certificates([pair], Metrics(), today)


def test_one_that_has_expired_does_not_stop_the_start(tmp_path: Path) -> None:
    """The other pair may serve, and nothing better is there."""
    pairs = [write_pair(tmp_path, RSA), write_pair(tmp_path, EC, days=5, began_days_ago=10)]
    certificates = Certificates(pairs, Metrics(), today)
    (said,) = certificates.warnings
    assert "expired on" in said


def test_one_that_expires_soon_is_a_warning_and_a_metric(tmp_path: Path) -> None:
    metrics = Metrics()
    certificates = Certificates([write_pair(tmp_path, days=10)], metrics, today)
    (said,) = certificates.warnings
    assert "expires in" in said
    label = {"file": str(tmp_path / "rsa.pem")}
    ends = metrics.registry.get_sample_value("csms_tls_certificate_expires_seconds", label)
    assert ends is not None
    assert 8 < (ends - today().timestamp()) / 86_400 < 10
