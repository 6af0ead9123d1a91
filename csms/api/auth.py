"""Who is asking: API keys, roles, and the frame of every write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request
from fastapi.security import HTTPBearer

from csms.api.problems import Forbidden, Unauthorized
from csms.api.system import System, system_of
from csms.core.audit import Actor
from csms.core.errors import Invalid, Refused
from csms.core.security import ApiKey, Role
from csms.core.writes import Write, once

_RANK = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}
MAX_IDEMPOTENCY_KEY = 128
# A retry of a bulk import shows the tokens of its rows again.
MAX_RECENT_SECRETS = 5_000

Provided = Annotated[System, Depends(system_of)]


@dataclass(frozen=True, slots=True)
class Principal:
    """A key that has been verified. `parties`: it sees and writes only what these own (of other
    things it is told that they do not exist); none: everything."""

    key_id: str
    role: Role
    name: str = ""
    parties: tuple[str, ...] = ()

    @property
    def only(self) -> tuple[str, ...] | None:
        """The parties as a filter of a list, None for no filter."""
        return self.parties or None

    def sees(self, party: str) -> bool:
        """Whether what this party owns exists for this key."""
        return not self.parties or party in self.parties

    def party_for(self, wanted: str | None, default: str) -> str:
        """The owner of something new: as wanted, else the key's only party, else `default`. Raises
        `Forbidden` for the party of somebody else, `Invalid` when it could be several."""
        if not self.parties:
            return wanted or default
        if wanted is None:
            if len(self.parties) > 1:
                raise Invalid(f"name the party_id, one of: {', '.join(self.parties)}")
            return self.parties[0]
        if wanted not in self.parties:
            raise Forbidden(f"this key is for {', '.join(self.parties)}, not for {wanted}")
        return wanted


_BEARER = HTTPBearer(auto_error=False, description="An API key, made by: csms key create")


async def principal(
    request: Request,
    provided: Provided,
    described: Annotated[object, Depends(_BEARER)] = None,
) -> Principal:
    """The key of a request. Raises `Unauthorized`."""
    scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
    key_id, dot, secret = presented.strip().partition(".")
    if scheme.lower() == "bearer" and presented.strip() and not dot:
        raise Unauthorized("this API key is not valid: it is not whole")
    if scheme.lower() != "bearer" or not dot:
        raise Unauthorized("send an API key: Authorization: Bearer KEY (csms: set CSMS_API_KEY)")
    key = await provided.store.reader.get(ApiKey, key_id)
    # The hash is compared for an unknown key as well, so that the time taken is the same.
    expected = key.hash if key else ""
    right = provided.keyring.verify(key.key_id if key else "", expected, secret.encode())
    if key is None or not right or key.revoked_at is not None:
        raise Unauthorized("this API key is not valid")
    return Principal(key.id, Role(key.role), key.name, key.parties)


async def is_good(provided: System, who: Principal) -> bool:
    """Whether the key of an answer that goes on and on has not been revoked meanwhile."""
    key = await provided.store.reader.get(ApiKey, who.key_id)
    return key is not None and key.revoked_at is None


def require(role: Role, *, network: bool = False) -> Callable[..., Any]:
    """A dependency: the principal, with at least that role. `network`: it is about all parties, so
    the key must be for all. Raises `Forbidden`."""

    async def check(who: Annotated[Principal, Depends(principal)]) -> Principal:
        if _RANK[who.role] < _RANK[role]:
            raise Forbidden(f"this needs the role {role}; the key has {who.role}")
        if network and who.parties:
            raise Forbidden(f"this needs a key for all parties; this one is for {who.parties[0]}")
        return who

    return check


Viewer = Annotated[Principal, Depends(require(Role.VIEWER))]
Operator = Annotated[Principal, Depends(require(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(require(Role.ADMIN))]
NetworkAdmin = Annotated[Principal, Depends(require(Role.ADMIN, network=True))]
NetworkViewer = Annotated[Principal, Depends(require(Role.VIEWER, network=True))]


def idempotency_key(
    idempotency_key: Annotated[str | None, Header(max_length=MAX_IDEMPOTENCY_KEY)] = None,
) -> str | None:
    """The header of that name (IETF draft-ietf-httpapi-idempotency-key-header)."""
    if idempotency_key is not None and not idempotency_key.strip():
        raise Invalid("Idempotency-Key is empty")
    return idempotency_key


Key = Annotated[str | None, Depends(idempotency_key)]


@dataclass(frozen=True, slots=True)
class Writer:
    """Carries out writes of one request: once, and audited."""

    provided: System
    who: Principal
    key: str | None
    request_digest: str
    remote_address: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict, repr=False)

    async def run(
        self,
        action: str,
        target: str,
        fn: Callable[..., Mapping[str, Any]],
        *args: Any,
        station_id: str | None = None,
        party_id: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        """`fn(tx, *args)` in a transaction; the answer of the first time for a repeated key. The
        audit trail gets `facts`, by default the body of the request, without what is named like a
        secret."""
        write = Write(
            actor=self.actor,
            action=action,
            target=target,
            at=self.provided.clock(),
            request=self.request_digest,
            key=self.scoped_key,
            station_id=station_id,
            party_id=party_id,
            facts=self.asked if facts is None else facts,
        )
        return await self.provided.store.transact(once, write, fn, *args, lane=station_id)

    @property
    def actor(self) -> Actor:
        """Who writes, for the audit trail."""
        return Actor(self.who.key_id, self.who.name, self.remote_address)

    @property
    def scoped_key(self) -> str | None:
        """The Idempotency-Key, unique to its sender."""
        return None if self.key is None else f"{self.who.key_id}:{self.key}"

    def secret(self) -> str:
        """A new random secret; the one of the first time while this process remembers it."""
        known = self.provided.recent_secrets.get(self.scoped_key or "")
        return known or self.provided.new_secret()

    def issued(self, secret: str, *, again: bool) -> None:
        """Remember a secret for a retry of the same request; it is stored nowhere else. `again`:
        the request had been carried out before. Raises `Refused` when its secret is forgotten."""
        recent = self.provided.recent_secrets
        if again and recent.get(self.scoped_key or "") != secret:
            raise Refused(
                "this request was carried out before and its secret was shown then; "
                "rotate it to get another"
            )
        if self.scoped_key is not None:
            recent[self.scoped_key] = secret
            while len(recent) > MAX_RECENT_SECRETS:
                del recent[next(iter(recent))]


async def _writer(request: Request, provided: Provided, who: Principal, key: str | None) -> Writer:
    body = await request.body()
    text = f"{request.method} {request.url.path}\n".encode() + body
    # Keyed, because a body may hold a secret that can be guessed.
    _, digest = provided.keyring.hash(text)
    address = request.client.host if request.client else None
    return Writer(provided, who, key, digest, address, _object(body))


def _object(body: bytes) -> Mapping[str, Any]:
    """The body for the audit trail; what is wrong with it is said elsewhere."""
    try:
        found = orjson.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def operator_writer(request: Request, provided: Provided, who: Operator, key: Key) -> Writer:
    """Writes with the role operator."""
    return await _writer(request, provided, who, key)


async def admin_writer(request: Request, provided: Provided, who: Admin, key: Key) -> Writer:
    """Writes with the role admin."""
    return await _writer(request, provided, who, key)


async def network_admin_writer(
    request: Request, provided: Provided, who: NetworkAdmin, key: Key
) -> Writer:
    """Writes with the role admin about all parties."""
    return await _writer(request, provided, who, key)


OperatorWriter = Annotated[Writer, Depends(operator_writer)]
AdminWriter = Annotated[Writer, Depends(admin_writer)]
NetworkAdminWriter = Annotated[Writer, Depends(network_admin_writer)]
