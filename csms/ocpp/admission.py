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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote

from csms.core import guests, logins, policies, security, stations
from csms.core.errors import CsmsError, Invalid, StoreUnavailable
from csms.core.ids import station_identity
from csms.core.logins import Login, Profile
from csms.core.policies import Policy
from csms.core.ports import Need, Store, Tx
from csms.core.security import BASIC, Credential, Keyring
from csms.core.stations import Registration, Station, UnknownStation
from csms.ocpp.allowance import Allowance

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


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """`unknown`: how many unknown identities are listed; the one longest not seen makes room for
    another. `let_in`: whether they may connect and wait to be accepted, and `guests` how many may;
    one that is offline makes room for another. `knocks`: how often in `knocks_window_s` any of that
    is written down; who knocks beyond that is refused and leaves no trace."""

    unknown: int = 1_000
    let_in: bool = False
    guests: int = 100
    knocks: int = 120
    knocks_window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """A station that may open a link, what it proved, and what is decided about it."""

    station: Station
    login: Login
    policy: Policy


def _decisive(tx: Tx, station_id: str) -> tuple[Sequence[Credential], Policy]:
    """What decides about an attempt to open a link; changes nothing."""
    credentials = tx.find(Credential, "station", station_id)[:MAX_CREDENTIALS]
    return credentials, policies.of(tx, station_id)


class Admission:
    """Decides about each attempt to open a link. `new_id`: for the rows of stations that come by
    themselves, `party`: whose they are while they wait."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        limits: AdmissionLimits | None = None,
        new_id: Callable[[], str] = lambda: "",
        party: str = "",
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._limits = limits or AdmissionLimits()
        self._new_id = new_id
        self._party = party
        self._told: dict[tuple[str, str], datetime] = {}
        self._knocks = Allowance(self._limits.knocks, self._limits.knocks_window_s)

    async def admit(
        self,
        path: str,
        authorization: str | None,
        remote_address: str,
        now: datetime,
        *,
        secure: bool = False,
    ) -> Admitted | Denial:
        """The station that knocks, or why it may not come in. `secure`: over TLS."""
        if self._store.trouble is not None:
            return Denial(503, "store_unavailable")
        identity = identity_in(path)
        if identity is None:
            return Denial(404, "no_identity")
        attempt = Attempt(identity, basic_credentials(authorization), remote_address, now, secure)
        try:
            # With others that connect at the same time, in one batch: a read of its own for each
            # would cost a thread's turn each, and thousands come at once after an outage.
            station = await self._store.transact(
                stations.by_identity, identity, needs=(Need(Station, "identity", (identity,)),)
            )
            if station is not None and not station.guest:
                return await self._known(station, attempt)
            if not self._limits.let_in:
                await self._remember(attempt)
                return Denial(404, "unknown_station", identity)
            return await self._guest(station, attempt)
        except StoreUnavailable:
            return Denial(503, "store_unavailable", identity)

    # -- stations of the network -------------------------------------------------------------------

    async def _known(self, station: Station, attempt: Attempt) -> Admitted | Denial:
        credentials, policy = await self._store.transact(
            _decisive,
            station.id,
            needs=(security.needs_credentials(station.id), policies.needs(station.id)),
        )
        proved = self._proved(policy, credentials, attempt)
        if isinstance(proved, str):
            return await self._denied(station, 401, proved, attempt)
        if proved.profile < policy.min_profile:
            return await self._denied(station, 403, "profile_too_low", attempt)
        return Admitted(station, proved, policy)

    def _proved(
        self, policy: Policy, credentials: Sequence[Credential], attempt: Attempt
    ) -> Login | str:
        """What an attempt proves, or the reason why that is too little."""
        user, password = attempt.presented or ("", b"")
        matched = security.verify_any(self._keyring, credentials, password)
        # OCPP 2.0.1 A00.FR.204: the user name is the identity. Both are checked in any case, so
        # that the time taken does not tell which was wrong.
        right_user = user in (attempt.identity, policy.exceptions.get(logins.USER))
        if matched is not None and right_user and attempt.presented is not None:
            if not matched.weak or policy.exceptions.get(logins.WEAK_SECRET):
                return attempt.login(matched)
            return "weak_secret"
        if logins.needs_no_secret(policy, attempt.remote_address):
            return Login(Profile.NO_SECRET, None)
        if attempt.presented is None:
            return "no_credentials"
        return "wrong_user" if matched is not None else "wrong_password"

    async def _denied(self, station: Station, status: int, reason: str, attempt: Attempt) -> Denial:
        """The refusal, journaled."""
        await self.tell(station, reason, attempt.remote_address, attempt.now)
        return Denial(status, reason, station.identity)

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
                    stations.link_refused, station.id, reason, remote_address, now, lane=station.id
                )
            except CsmsError:
                pass  # The log has it; the answer is the same.

    # -- stations that nobody has added ------------------------------------------------------------

    async def _guest(self, known: Station | None, attempt: Attempt) -> Admitted | Denial:
        """Let an unknown station in to wait. The secret that it showed first is what it is known
        by: nobody else can come under its name and be accepted in its place."""
        if known is None:
            user = attempt.presented[0] if attempt.presented else attempt.identity
            if user != attempt.identity:
                return Denial(401, "wrong_user", attempt.identity)
            if not await self._remember(attempt):
                return Denial(404, "unknown_station", attempt.identity)
            known = await self._let_in(attempt)
            if known is None:
                return Denial(503, "too_many_guests", attempt.identity)
        credentials = await self._store.reader.page(
            Credential, {"station_id": known.id}, limit=MAX_CREDENTIALS
        )
        if not credentials:
            return Admitted(known, Login(Profile.NO_SECRET, None), Policy(known.id))
        proved = self._proved(
            Policy(known.id, exceptions={logins.WEAK_SECRET: True}), credentials, attempt
        )
        if isinstance(proved, str):
            return await self._denied(known, 401, proved, attempt)
        return Admitted(known, proved, Policy(known.id))

    async def _let_in(self, attempt: Attempt) -> Station | None:
        """The row of a new guest, None when there is no room."""
        waiting = await self._store.reader.page(
            Station, {"guest": True}, limit=self._limits.guests + 1
        )
        offline = sorted((g for g in waiting if g.node is None), key=lambda g: g.created_at)
        too_many = len(waiting) - self._limits.guests + 1
        if too_many > len(offline):
            return None
        guest = Station(
            self._new_id(), attempt.identity, self._party, Registration.PENDING, attempt.now
        )
        credential = None
        if attempt.presented is not None and attempt.presented[1]:
            secret = attempt.presented[1]
            key_id, hashed = self._keyring.hash(secret)
            credential = Credential(
                self._new_id(),
                guest.id,
                BASIC,
                key_id,
                hashed,
                attempt.now,
                weak=logins.is_weak(secret),
            )
        put_out = tuple(g.id for g in offline[: max(0, too_many)])
        return await self._store.transact(guests.welcome, guest, credential, attempt.now, put_out)

    async def _remember(self, attempt: Attempt) -> bool:
        """List an unknown identity; False when too many knock."""
        if not self._knocks.take(attempt.now):
            return False
        reader = self._store.reader
        try:
            oldest = None
            if await reader.count(UnknownStation) >= self._limits.unknown:
                listed = await reader.page(UnknownStation, limit=self._limits.unknown)
                oldest = min(listed, key=lambda one: one.last_seen_at).identity
            await self._store.transact(
                stations.knock, attempt.identity, attempt.remote_address, attempt.now, oldest
            )
        except StoreUnavailable:
            raise
        except CsmsError:
            # Not being able to list a stranger is no reason to answer otherwise.
            return True
        return True


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of one attempt before anything was looked up."""

    identity: str
    presented: tuple[str, bytes] | None
    remote_address: str
    now: datetime
    secure: bool

    def login(self, credential: Credential) -> Login:
        """A secret was right: the profile that this makes (OCPP 2.0.1 A00)."""
        profile = Profile.BASIC_OVER_TLS if self.secure else Profile.BASIC
        return Login(profile, credential.id)


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
