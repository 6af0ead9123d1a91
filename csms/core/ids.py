"""Identifiers: how each thing is named, and which forms from outside are accepted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from csms.core.errors import Invalid

# A station's identity on the wire: OCPP 2.0.1 Part 4 3.1.1 allows 48 characters of identifierString
# and no colon (HTTP Basic would split the user name there). Real identities hold spaces and pipes
# too, so everything printable but the two URL and Basic separators is taken.
_STATION_IDENTITY = re.compile(r"[^\x00-\x1f\x7f:/?#]{1,48}")
_PARTY = re.compile(r"[A-Z]{2}\*[A-Z0-9]{3}")

MAX_INT32 = 2**31 - 1


def station_identity(text: str) -> str:
    """Checked identity of a station; raises `Invalid` with what is allowed."""
    if not _STATION_IDENTITY.fullmatch(text) or text != text.strip():
        raise Invalid(
            "a station identity has 1 to 48 printable characters, no ':', '/', '?' or '#', "
            "and no space at its ends"
        )
    return text


def party_id(text: str) -> str:
    """Checked party id `CA*NTH` (ISO 3166 country, three letters or digits)."""
    if not _PARTY.fullmatch(text):
        raise Invalid("a party id looks like CA*NTH: country code, '*', three letters or digits")
    return text


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when a report entered: given to every core function that a station's message
    reaches."""

    station_id: str
    identity: str
    protocol: str
    at: datetime


def folded(text: str) -> str:
    """The form in which identifiers of OCPI are compared and looked up: without regard to case
    (OCPI 2.2.1 16.1, CiString); the text itself is kept as it came."""
    return text.strip().casefold()
