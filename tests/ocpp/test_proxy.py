"""The PROXY protocol, both versions of it, in whatever pieces it comes."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.ocpp.proxy import Announced, NoHeader, announced

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 9000\r\n"
SIX = b"PROXY TCP6 2001:db8::7 2001:db8::1 50123 9000\r\n"
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7")
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def binary(command: int, family: int, addresses: bytes) -> bytes:
    return SIGNATURE + bytes((command, family)) + len(addresses).to_bytes(2, "big") + addresses


def inet(client: str, more: bytes = b"") -> bytes:
    ends = socket.inet_aton(client) + socket.inet_aton("198.51.100.1") + b"\xc3\xcb\x23\x28"
    return binary(0x21, 0x11, ends + more)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (LINE, "192.0.2.7"),
        (SIX, "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN whatever is said\r\n", None),
        (inet("192.0.2.7"), "192.0.2.7"),
        (inet("192.0.2.7", b"\x01\x00\x02h2"), "192.0.2.7"),
        (binary(0x21, 0x21, V6 * 2 + b"1234"), "2001:db8::7"),
        (binary(0x20, 0x00, b""), None),
        (binary(0x21, 0x31, b"/path" * 43 + b"x"), None),
    ],
)
def test_the_client_is_known_and_what_follows_is_its_own(header: bytes, address: str) -> None:
    assert announced(header + b"GET /ocpp/CP-1 HTTP/1.1\r\n") == Announced(address, len(header))
    for cut in range(len(header)):
        assert announced(header[:cut]) is None, cut


@pytest.mark.parametrize(
    "data",
    [
        b"GET /ocpp/CP-1 HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 nonsense 198.51.100.1 1 2\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4 " + b"1" * 200,
        SIGNATURE + b"\x31\x11\x00\x0c" + b"\0" * 12,
        SIGNATURE + b"\x21\x11\xff\xff",
        binary(0x21, 0x11, b"\1\2"),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(NoHeader):
        announced(data)


@given(st.binary(max_size=300) | st.binary(max_size=80).map(lambda rest: b"PROXY " + rest))
def test_no_bytes_do_any_harm(data: bytes) -> None:
    try:
        found = announced(data)
    except NoHeader:
        return
    assert found is None or found.length <= len(data)
