"""This network as its partners see it: who we are, what we offer, and what we work with."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from csms.core import partners
from csms.core.entities import SHAPES
from csms.core.partners import Partner, PartnerToken, TokenKind
from csms.core.ports import Store
from csms.core.security import Keyring
from csms.flows.prices import Priced
from csms.ocpi.client import Access, Client
from csms.ocpi.headers import Routing
from csms.vault import Vault

E = TypeVar("E")
READ_AT_ONCE = 1_000
# Things whose present state is looked at together before each is sent.
LOOKED_AT_ONCE = 32
VERSION = "2.2.1"
SENDER, RECEIVER = "SENDER", "RECEIVER"
CPO, EMSP = "CPO", "EMSP"
# Which of our roles an interface belongs to.
OPPOSITE = {SENDER: RECEIVER, RECEIVER: SENDER}


@dataclass(frozen=True, slots=True)
class OwnRole:
    """One of our parties in one of its roles; `name` is what drivers read."""

    role: str
    party: str
    name: str
    website: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """`grace`: how long a replaced token of ours still works; `page`: most objects of a page, ours
    or theirs; `max_body_bytes` of a request; `request_timeout_s` for its answer; `per_s` and
    `burst` requests of one partner; `redeliver`: records are sent until a partner has settled them,
    else once."""

    grace: timedelta = timedelta(days=1)
    page: int = 100
    max_body_bytes: int = 1_048_576
    request_timeout_s: float = 20.0
    per_s: float = 200.0
    burst: int = 1_000
    redeliver: bool = True


@dataclass(frozen=True)
class Network:
    """What the modules are given. `base` holds where partners reach us, such as
    `https://csms.example.com/ocpi`, once it is known; `offered` are (module, interface) pairs, as
    the server has them. `price` says what a transaction costs by now."""

    store: Store
    keyring: Keyring
    vault: Vault
    client: Client
    roles: tuple[OwnRole, ...]
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    new_secret: Callable[[], str]
    price: Callable[[int], Awaitable[Priced | None]] | None = None
    limits: Limits = field(default_factory=Limits)
    offered: list[tuple[str, str]] = field(default_factory=list)
    base: list[str] = field(default_factory=list)

    def reachable_at(self, url: str) -> None:
        """From now on partners find us at this address."""
        self.base[:] = [url.rstrip("/")]

    def base_url(self) -> str:
        """Where partners reach us."""
        assert self.base, "nobody has said where we are reached"
        return self.base[0]

    @property
    def versions_url(self) -> str:
        """What partners are told to begin with."""
        return f"{self.base_url()}/versions"

    def url(self, *parts: str) -> str:
        """An address of this version."""
        return "/".join((self.base_url(), VERSION, *parts))

    def interface_url(self, module: str, interface: str) -> str:
        """The address of one of our interfaces."""
        return self.url(interface.lower(), module)

    def parties(self, *roles: str) -> tuple[str, ...]:
        """Our parties in one of these roles (none named: in any)."""
        mine = (own.party for own in self.roles if not roles or own.role in roles)
        return tuple(dict.fromkeys(mine))

    def ways(
        self, partner: Partner, roles: Collection[str], senders: Iterable[str]
    ) -> list[Routing]:
        """From each of these parties of ours to each of theirs in one of these roles. A hub that
        has none is called as a whole; anybody else who has none has nothing to do with it."""
        known = (role["party"] for role in partner.roles if role["role"] in roles)
        theirs = tuple(dict.fromkeys(known)) or ((None,) if partner.is_hub else ())
        return [Routing(to, sender) for sender in tuple(senders) or (None,) for to in theirs]

    async def every(self, kind: type[E], where: Mapping[str, Any]) -> AsyncIterator[E]:
        """Every stored entity that matches, a page at a time."""
        after = None
        while True:
            page = await self.store.reader.page(kind, where, after=after, limit=READ_AT_ONCE)
            for entity in page:
                yield entity
            if len(page) < READ_AT_ONCE:
                return
            after = SHAPES[kind].key_of(page[-1])

    async def every_key(
        self, kind: type[Any], where: Mapping[str, Any], *names: str
    ) -> list[tuple[Any, ...]]:
        """Of every stored entity that matches these fields and its key: what a long list is
        ordered by, without what it says."""
        key = SHAPES[kind].key
        found: list[tuple[Any, ...]] = []
        after: tuple[Any, ...] | None = None
        while True:
            rows = await self.store.reader.fields(
                kind, (*names, *key), where, after=after, limit=READ_AT_ONCE
            )
            found += rows
            if len(rows) < READ_AT_ONCE:
                return found
            after = rows[-1][len(names) :]

    async def forgive(self, partner: Partner, deviations: Sequence[str]) -> None:
        """Count what had to be forgiven in an answer of a partner."""
        if deviations:
            await self.store.transact(partners.forgive, partner.id, tuple(deviations))

    # -- tokens of ours --

    def token_row(self, secret: str, partner_id: str, kind: TokenKind) -> PartnerToken:
        """A new token of ours, ready to be kept."""
        key_id, hashed = self.keyring.hash(secret.encode())
        return PartnerToken(self.new_id(), partner_id, kind, key_id, hashed, self.clock())

    async def holder(self, secret: str) -> tuple[Partner, PartnerToken] | None:
        """Whose token that is. The look-up is by keyed hash, under each of our keys; what it finds
        is compared in constant time."""
        found = None
        for key_id in self.keyring.keys:
            _, hashed = replace(self.keyring, current=key_id).hash(secret.encode())
            for row in await self.store.reader.page(PartnerToken, {"hash": hashed}, limit=1):
                if self.keyring.verify(row.key_id, row.hash, secret.encode()):
                    found = row
        if found is None or not found.good(self.clock()):
            return None
        partner = await self.store.reader.get(Partner, found.partner_id)
        return (partner, found) if partner is not None else None

    # -- tokens of theirs --

    def access(self, partner: Partner, routing: Routing | None = None) -> Access:
        """How to call a partner. Raises `Invalid` when its token cannot be opened or is gone."""
        token = self.vault.open(partner.their_token or "", partner.id)
        return Access(token, partner.encoding, routing or Routing())

    def credentials(self, secret: str) -> Mapping[str, Any]:
        """Our credentials object, with a token of ours for the other side."""
        roles = []
        for own in self.roles:
            country, _, party_id = own.party.partition("*")
            details: dict[str, Any] = {"name": own.name}
            if own.website:
                details["website"] = own.website
            roles.append(
                {
                    "role": own.role,
                    "business_details": details,
                    "party_id": party_id,
                    "country_code": country,
                }
            )
        return {"token": secret, "url": self.versions_url, "roles": roles}
