"""Who may open a link: identity from the path, secret from HTTP Basic, before the upgrade.

Pure but for the store. The gateway turns a `Denial` into an HTTP answer; a right secret is never
turned away because of what others at its address did (carriers put thousands of stations behind
one).
"""

from __future__ import annotations

import base64
import binascii
import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote

from csms.core import security, stations
from csms.core.errors import CsmsError, Invalid, StoreUnavailable
from csms.core.ids import station_identity
from csms.core.ports import Store
from csms.core.security import Credential, Keyring
from csms.core.stations import Station, UnknownStation

MAX_CREDENTIALS = 8
TELL_AGAIN = timedelta(minutes=1)
MAX_TOLD = 10_000


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a link is not opened. `status` is the HTTP status."""

    status: int
    reason: str
    identity: str | None = None


def identity_in(path: str) -> str | None:
    """The identity in a request path: its last segment, percent-decoded. Any prefix, doubled and
    trailing slashes are tolerated; None when nothing usable is left."""
    segments = [segment for segment in path.partition("?")[0].split("/") if segment]
    if not segments:
        return None
    try:
        return station_identity(unquote(segments[-1], errors="strict"))
    except (Invalid, UnicodeDecodeError):
        return None


def basic_credentials(header: str | None) -> tuple[str, bytes] | None:
    """User and password of an `Authorization: Basic` header. The password stays bytes: stations
    send keys that are no text (OCPP 1.6J 6.2.2)."""
    if header is None:
        return None
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        raw = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = raw.partition(b":")
    if not colon:
        return None
    return user.decode("utf-8", "replace"), password


class Admission:
    """Decides about each attempt to open a link."""

    def __init__(self, store: Store, keyring: Keyring, max_unknown_stations: int = 1_000) -> None:
        self._store = store
        self._keyring = keyring
        self._max_unknown = max_unknown_stations
        self._told: dict[tuple[str, str], datetime] = {}

    async def admit(
        self, path: str, authorization: str | None, remote_address: str, now: datetime
    ) -> Station | Denial:
        """The station that knocks, or why it may not come in."""
        if self._store.trouble is not None:
            return Denial(503, "store_unavailable")
        identity = identity_in(path)
        if identity is None:
            return Denial(404, "no_identity")
        try:
            return await self._known(identity, authorization, remote_address, now)
        except StoreUnavailable:
            return Denial(503, "store_unavailable", identity)

    async def _known(
        self, identity: str, authorization: str | None, remote_address: str, now: datetime
    ) -> Station | Denial:
        found = await self._store.reader.page(Station, {"identity": identity}, limit=1)
        if not found:
            await self._remember(identity, remote_address, now)
            return Denial(404, "unknown_station", identity)
        station = found[0]
        presented = basic_credentials(authorization)
        if presented is None:
            return await self._denied(station, "no_credentials", remote_address, now)
        user, password = presented
        credentials = await self._store.reader.page(
            Credential, {"station_id": station.id}, limit=MAX_CREDENTIALS
        )
        matched = security.verify_any(self._keyring, credentials, password)
        # OCPP 2.0.1 A00.FR.204: the user name is the identity. Both are checked in any case, so
        # that the time taken does not tell which was wrong.
        if user != identity or matched is None:
            reason = "wrong_user" if matched is not None else "wrong_password"
            return await self._denied(station, reason, remote_address, now)
        return station

    async def _denied(
        self, station: Station, reason: str, remote_address: str, now: datetime
    ) -> Denial:
        """401, journaled."""
        await self.tell(station, reason, remote_address, now)
        return Denial(401, reason, station.identity)

    async def tell(self, station: Station, reason: str, remote_address: str, now: datetime) -> None:
        """Journal that a station could not get in, once a minute and reason."""
        told_at = self._told.get((station.id, reason))
        if told_at is None or now - told_at >= TELL_AGAIN:
            self._told.pop((station.id, reason), None)
            self._told[station.id, reason] = now
            while len(self._told) > MAX_TOLD:
                del self._told[next(iter(self._told))]
            try:
                await self._store.transact(
                    stations.link_refused, station.id, reason, remote_address, now
                )
            except CsmsError:
                pass  # The log has it; the answer is the same.

    async def _remember(self, identity: str, remote_address: str, now: datetime) -> None:
        try:
            known = await self._store.reader.count(UnknownStation)
            room = self._max_unknown - known
            await self._store.transact(stations.knock, identity, remote_address, now, room)
        except CsmsError:
            # Not being able to list a stranger is no reason to answer otherwise.
            return


class Failures:
    """How often each address has failed lately; bounded in memory, oldest address first out.

    A failure halves in weight each `half_life_s`. The delay is for the answer to a *failed* attempt
    only, so a right secret from the same address is served at once.
    """

    MAX_ADDRESSES = 10_000

    def __init__(
        self,
        free: int = 5,
        step_s: float = 0.5,
        max_delay_s: float = 10.0,
        half_life_s: float = 60.0,
    ) -> None:
        self._free = free
        self._step_s = step_s
        self._max_delay_s = max_delay_s
        self._half_life_s = half_life_s
        self._weights: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def note(self, address: str, now_s: float) -> float:
        """One more failure: how many seconds its answer should wait."""
        weight, since = self._weights.pop(address, (0.0, now_s))
        weight = weight * math.exp2((since - now_s) / self._half_life_s) + 1.0
        self._weights[address] = (weight, now_s)
        while len(self._weights) > self.MAX_ADDRESSES:
            self._weights.popitem(last=False)
        return min(self._max_delay_s, max(0.0, weight - self._free) * self._step_s)
