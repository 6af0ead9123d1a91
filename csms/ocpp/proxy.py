"""The PROXY protocol: what a balancer that does not read HTTP says first, of whom it passes on.

Both versions of it (haproxy.org, "The PROXY protocol", 2.1 and 2.2): one line of text, or a binary
header. Only what is needed of them: the address of the client.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

LONGEST_LINE = 107
LONGEST_HEADER = 16 + 2_048
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
# Version 2 commands, and the bytes of an address by its family.
_LOCAL, _PROXY = 0x20, 0x21
_INET, _INET6 = 1, 2


class NoHeader(ValueError):
    """What came first is no header of this protocol."""


@dataclass(frozen=True, slots=True)
class Announced:
    """`address`: of the client; None where the balancer speaks for itself (a health check).
    `length`: bytes of the header; what follows is the client's."""

    address: str | None
    length: int


def announced(data: bytes) -> Announced | None:
    """What a connection begins with; None when more bytes are needed. Raises `NoHeader`."""
    if _begins(data, _SIGNATURE):
        return _binary(data)
    if _begins(data, b"PROXY "):
        return _text(data)
    raise NoHeader("the balancer sent no PROXY header")


def _begins(data: bytes, word: bytes) -> bool:
    """Whether it begins so, as far as it goes."""
    return data[: len(word)] == word[: len(data)]


def _text(data: bytes) -> Announced | None:
    end = data.find(b"\r\n")
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise NoHeader("a PROXY line without an end")
        return None
    if end + 2 > LONGEST_LINE:
        raise NoHeader("a PROXY line that is too long")
    words = data[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return Announced(None, end + 2)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise NoHeader("a PROXY line that names no address")
    return Announced(_address(words[2]), end + 2)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise NoHeader("a PROXY line with no address in it") from None


def _binary(data: bytes) -> Announced | None:
    if len(data) < 16:
        return None
    command, family = data[12], data[13] >> 4
    length = 16 + int.from_bytes(data[14:16], "big")
    if length > LONGEST_HEADER:
        raise NoHeader("a PROXY header that is too long")
    if command not in (_LOCAL, _PROXY):
        raise NoHeader("a PROXY header of another version")
    if len(data) < length:
        return None
    size = {_INET: 4, _INET6: 16}.get(family)
    if command == _LOCAL or size is None:
        return Announced(None, length)
    packed = data[16 : 16 + size]
    if 16 + size > length:
        raise NoHeader("a PROXY header with half an address")
    return Announced(str(ipaddress.ip_address(packed)), length)
