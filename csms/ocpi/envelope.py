"""The envelope around every answer, and the one table from our errors to OCPI's codes.

A request that is valid JSON, authenticated and addressed to what exists never gets an HTTP error
(status_codes): what is wrong with it is said in the envelope of a 200. HTTP errors are for 400 no
JSON, 401 no token, 404 nothing there on GET, 405 no such method or wrong state of registration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from csms.core.errors import CsmsError
from csms.ocpi.wire import reading

OK = 1000
CLIENT_ERROR, INVALID, NOT_ENOUGH, UNKNOWN_LOCATION, UNKNOWN_TOKEN = 2000, 2001, 2002, 2003, 2004
SERVER_ERROR, CANNOT_CALL_BACK, WRONG_VERSION, NO_ENDPOINTS = 3000, 3001, 3002, 3003
MAX_MESSAGE = 500
LISTED = "data: one_in_a_list"
NO_ENVELOPE = "answer: no_envelope"

STATUS = {
    "not_found": CLIENT_ERROR,
    "already_exists": CLIENT_ERROR,
    "refused": CLIENT_ERROR,
    "invalid": INVALID,
    "store_refused": INVALID,
    "partner_unreachable": CANNOT_CALL_BACK,
    "partner_refused": CANNOT_CALL_BACK,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler answers. `data` None: the envelope has none."""

    data: Any = None
    status: int = OK
    message: str | None = None
    http: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def wrong(self) -> str | None:
        """What is said to be wrong, for people; None where all is well."""
        if self.status < CLIENT_ERROR:
            return None
        return f"OCPI {self.status}: {self.message}" if self.message else f"OCPI {self.status}"

    def body(self, now: datetime) -> bytes:
        """The envelope as JSON."""
        made: dict[str, Any] = {"status_code": self.status}
        if self.data is not None:
            made["data"] = reading.plain(self.data)
        if self.message:
            made["status_message"] = self.message[:MAX_MESSAGE]
        made["timestamp"] = now
        return reading.dump(made)


def failure(error: CsmsError) -> Answer:
    """The answer to an authenticated request that cannot be carried out."""
    status = STATUS.get(error.code, SERVER_ERROR)
    message = error.detail or error.code
    return Answer(status=status, message=message)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a partner answered. `status` None: no envelope was in it; `empty`: nothing at all."""

    http: int
    status: int | None = None
    data: Any = None
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    empty: bool = False

    @property
    def silent(self) -> bool:
        """Done as HTTP says, and nothing else is said. Enough for what may be sent again and has
        no answer; the envelope is missing (status_codes)."""
        return self.empty and self.http in (200, 201, 204)

    @property
    def ok(self) -> bool:
        """Done, as the envelope says; whatever the HTTP status is (peers mix them up)."""
        return self.status is not None and 1000 <= self.status < 2000

    @property
    def one(self) -> Any:
        """`data` where one object is asked for; there are peers that put it into a list."""
        return self.data[0] if self._listed else self.data

    @property
    def deviations(self) -> tuple[str, ...]:
        """What `one` forgives (transport_and_format, response format)."""
        return (LISTED,) if self._listed else ()

    @property
    def _listed(self) -> bool:
        return isinstance(self.data, list) and len(self.data) == 1 and type(self.data[0]) is dict

    @property
    def why(self) -> str:
        """What is wrong, for people."""
        told = f"OCPI {self.status}" if self.status is not None else f"HTTP {self.http}"
        return f"{told}: {self.message}" if self.message else told


def read(http: int, body: bytes, headers: Mapping[str, str]) -> Heard:
    """An answer of a partner; one without an envelope is kept as its HTTP status alone."""
    try:
        value = reading.load(body)
    except CsmsError:
        value = None
    if not isinstance(value, dict):
        return Heard(http, headers=headers, empty=not body.strip())
    status = value.get("status_code")
    if isinstance(status, str) and status.isdigit() and len(status) <= 4:
        status = int(status)
    if isinstance(status, bool) or not isinstance(status, int):
        status = None
    message = str(value.get("status_message") or "")[:MAX_MESSAGE]
    return Heard(http, status, value.get("data"), message, headers)
