"""The headers of OCPI: whose token, which request, from which party to which.

The credentials token goes as Base64 of its UTF-8 (transport_and_format, Authorization header); many
peers send it raw, and some encode it with a line break at its end, so every reading of what came is
a candidate. The message ids are echoed; the routing headers are swapped in the answer, and used
with functional modules only.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

BASE64, RAW = "base64", "raw"
REQUEST_ID, CORRELATION_ID = "X-Request-ID", "X-Correlation-ID"
MAX_HEADER = 1_024
MAX_ID = 128

_TOKEN = re.compile(r"[\x21-\x7e]{1,64}")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")


def usable_token(token: str) -> bool:
    """Whether a text may be a credentials token: up to 64 characters U+0021 to U+007E."""
    return _TOKEN.fullmatch(token) is not None


def authorization(token: str, encoding: str = BASE64) -> str:
    """The value of the Authorization header."""
    if encoding == RAW:
        return f"Token {token}"
    return f"Token {base64.b64encode(token.encode()).decode()}"


def presented(value: str | None) -> Sequence[str]:
    """The tokens that an Authorization header may stand for, the specified reading first; none when
    it is not one of OCPI."""
    scheme, _, text = (value or "").strip().partition(" ")
    text = text.strip()
    if scheme.lower() != "token" or not 0 < len(text) <= MAX_HEADER:
        return ()
    readings: dict[str, None] = {}
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
        readings[decoded] = None
        readings[decoded.rstrip("\r\n")] = None
    except (binascii.Error, ValueError):
        pass
    readings[text] = None
    return tuple(reading for reading in readings if usable_token(reading))


class Ids(NamedTuple):
    """X-Request-ID is unique per request, X-Correlation-ID per chain of requests."""

    request: str
    correlation: str

    @classmethod
    def of(cls, headers: Mapping[str, str], fresh: str) -> Ids:
        """As they came; a fresh one where there is none that can be echoed."""
        request = _id(headers.get(REQUEST_ID), fresh)
        return cls(request, _id(headers.get(CORRELATION_ID), request))

    def headers(self) -> dict[str, str]:
        return {REQUEST_ID: self.request, CORRELATION_ID: self.correlation}


def _id(value: str | None, fresh: str) -> str:
    usable = value is not None and len(value) <= MAX_ID and _PRINTABLE.fullmatch(value)
    return str(value) if usable else fresh


class Routing(NamedTuple):
    """Parties as `CA*NTH`; None where the header is absent."""

    to: str | None = None
    sender: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Routing:
        return cls(_party(headers, "to"), _party(headers, "from"))

    def swapped(self) -> Routing:
        """For the answer."""
        return Routing(self.sender, self.to)

    def headers(self) -> dict[str, str]:
        made = {}
        for name, party in (("to", self.to), ("from", self.sender)):
            if party is not None:
                country, _, party_id = party.partition("*")
                made[f"OCPI-{name}-country-code"] = country
                made[f"OCPI-{name}-party-id"] = party_id
        return made


def _party(headers: Mapping[str, str], direction: str) -> str | None:
    country = headers.get(f"OCPI-{direction}-country-code")
    party_id = headers.get(f"OCPI-{direction}-party-id")
    if not country or not party_id:
        return None
    return f"{country}*{party_id}".upper()[:16]
