"""Partners: the platforms that this network is connected to, and what they may do.

A partner is one connection; it speaks for parties in roles, and what a party owns belongs to the
connection that speaks for it. States: invited (somebody gave a token, the exchange of credentials
is not complete), registered, suspended (kept, but nothing is exchanged), removed.

Our tokens are kept as keyed hashes, theirs sealed by the shell (we have to send them). An exchange
of credentials may be interrupted anywhere: a new token works beside the old ones until the other
side has been seen to use it or the grace is over, so that neither side is locked out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from csms.core import events
from csms.core.contracts import Contract
from csms.core.entities import entity
from csms.core.errors import AlreadyExists, Invalid, NotFound, Refused
from csms.core.ports import Tx

MAX_NAME = 64
MAX_FAULT = 500
MAX_TOKENS = 8
MAX_DEVIATION_KINDS = 200
HUB = "HUB"
# Directions of `PartnerModule`: by us, by us, by them.
PUSH, PULL, IN = "push", "pull", "in"


class State(StrEnum):
    """Where a connection stands."""

    INVITED = "invited"
    REGISTERED = "registered"
    SUSPENDED = "suspended"
    REMOVED = "removed"


class TokenKind(StrEnum):
    """An invitation opens versions and credentials only; a connection token everything."""

    INVITATION = "invitation"
    CONNECTION = "connection"


@entity("partners", key=("id",), finders={"name": ("name",)})
class Partner(NamedTuple):
    """One connection. `their_token` is sealed; `encoding` is how they want it in the header
    (base64 or raw). `roles`: lists of role, party and name; `endpoints`: of module, interface and
    address. `heard_at`: their last request. `deviations`: how often they sent what had to be
    forgiven. `contract`: what is agreed about money (`contracts.Contract`)."""

    id: str
    name: str
    state: str
    created_at: datetime
    versions_url: str | None = None
    their_token: str | None = None
    encoding: str = "base64"
    roles: Sequence[Mapping[str, str]] = ()
    endpoints: Sequence[Mapping[str, str]] = ()
    registered_at: datetime | None = None
    heard_at: datetime | None = None
    deviations: Mapping[str, int] = {}
    contract: Mapping[str, Any] = {}

    def endpoint(self, module: str, interface: str) -> str | None:
        """The address of an interface of theirs."""
        for known in self.endpoints:
            if known["module"] == module and known["interface"] == interface:
                return known["url"]
        return None

    def speaks_for(self, party: str, *roles: str) -> bool:
        """Whether the party is one of theirs (in one of these roles); compared without case."""
        wanted = party.upper()
        return any(
            known["party"] == wanted and (not roles or known["role"] in roles)
            for known in self.roles
        )

    @property
    def is_hub(self) -> bool:
        """A hub passes on what others own."""
        return any(known["role"] == HUB for known in self.roles)


@entity(
    "partner_tokens",
    key=("id",),
    finders={"partner": ("partner_id",), "hash": ("hash",)},
    unique=("hash",),
)
class PartnerToken(NamedTuple):
    """One of our tokens in a partner's hands. `used_at`: when it was first shown to us."""

    id: str
    partner_id: str
    kind: str
    key_id: str
    hash: str
    created_at: datetime
    used_at: datetime | None = None
    expires_at: datetime | None = None

    def good(self, now: datetime) -> bool:
        """Whether it still opens anything."""
        return self.expires_at is None or now < self.expires_at


@entity("partner_parties", key=("party_id", "role"), finders={"partner": ("partner_id",)})
class PartnerParty(NamedTuple):
    """Which connection speaks for a party in a role: one."""

    party_id: str
    role: str
    partner_id: str
    name: str


@entity("partner_modules", key=("partner_id", "module", "direction"))
class PartnerModule(NamedTuple):
    """How one module of a connection is doing. `direction`: push or pull by us, in by them; a party
    whose list cannot be read while others can has a row of its own (`pull of ...`). `cursor`: how
    far the journal was handled, of a pull when the last full one was, in seconds; `watermark`: how
    far their list was read, and of what is owed to them (CDRs) when all of it was last looked for,
    None: that is to be done. `failures` in a row since the last success, `error` the last of them;
    `fault` is the last one ever; `behind_s`: how far we lag; `missing`: how much of what is known
    here their list did not hold when it was last read in full."""

    partner_id: str
    module: str
    direction: str
    cursor: int = 0
    watermark: datetime | None = None
    last_at: datetime | None = None
    done: int = 0
    failures: int = 0
    error: str | None = None
    behind_s: int = 0
    missing: int = 0
    fault: str | None = None
    fault_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Agreed:
    """What an exchange of credentials has brought. `pushed`: the modules that are told to them from
    `journal_end` on, which was read before they could read any list: what they saw changing later
    is pushed."""

    versions_url: str
    their_token: str
    encoding: str
    roles: tuple[Mapping[str, str], ...]
    endpoints: tuple[Mapping[str, str], ...]
    pushed: tuple[str, ...] = ()
    journal_end: int = 0


def require(tx: Tx, partner_id: str) -> Partner:
    """The partner, or `NotFound`."""
    found = tx.get(Partner, partner_id)
    if found is None:
        raise NotFound("no such partner")
    return found


# -- beginning -------------------------------------------------------------------------------------


def invite(tx: Tx, partner_id: str, name: str, token: PartnerToken, now: datetime) -> Partner:
    """Open a connection that the other side completes with this token. For a name that is invited
    already: the new token takes the place of the old invitation. Raises `AlreadyExists` for a
    connection that is further, `Invalid` for a name."""
    partner = _named(tx, partner_id, name, now)
    for old in tx.find(PartnerToken, "partner", partner.id):
        if old.kind == TokenKind.INVITATION:
            tx.delete(PartnerToken, old.id)
    tx.save(token._replace(partner_id=partner.id))
    return partner


def enter(
    tx: Tx, partner_id: str, name: str, versions_url: str, sealed: str, now: datetime
) -> Partner:
    """Open a connection that we complete: their invitation is at hand. May be repeated with another
    token until the exchange is complete. Raises as `invite`."""
    partner = _named(tx, partner_id, name, now)
    partner = partner._replace(versions_url=versions_url, their_token=sealed)
    tx.save(partner)
    return partner


def _named(tx: Tx, partner_id: str, name: str, now: datetime) -> Partner:
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise Invalid(f"the name of a partner has 1 to {MAX_NAME} printable characters")
    for known in tx.find(Partner, "name", name):
        if known.state == State.INVITED:
            return known
        if known.state != State.REMOVED:
            raise AlreadyExists(f"there is a partner {name}, and it is {known.state}")
    partner = Partner(partner_id, name, State.INVITED, now, roles=[], endpoints=[])
    tx.save(partner)
    _journal(tx, partner, now)
    return partner


# -- the exchange of credentials -------------------------------------------------------------------


def hand_out(tx: Tx, token: PartnerToken, now: datetime) -> None:
    """A new token of ours is about to be sent: it works from now on, beside the others. Tokens that
    never arrived make room."""
    require(tx, token.partner_id)
    held = list(tx.find(PartnerToken, "partner", token.partner_id))
    for old in held:
        if not old.good(now):
            tx.delete(PartnerToken, old.id)
    unused = sorted(
        (t for t in held if t.good(now) and t.used_at is None and t.kind == TokenKind.CONNECTION),
        key=lambda t: (t.created_at, t.id),
    )
    for old in unused[: max(0, len(unused) - MAX_TOKENS + 1)]:
        tx.delete(PartnerToken, old.id)
    tx.save(token)


def complete(
    tx: Tx, partner_id: str, agreed: Agreed, token_id: str, grace: timedelta, now: datetime
) -> Partner:
    """Both sides have exchanged credentials: the connection is registered with what they said. The
    token of ours named is the one that they have now; older ones end after the grace. Raises
    `Refused` when somebody else speaks for one of their parties."""
    partner = require(tx, partner_id)
    if partner.state == State.REMOVED:
        raise Refused("this connection was removed")
    _claim(tx, partner, agreed.roles)
    for token in tx.find(PartnerToken, "partner", partner_id):
        if token.id != token_id and token.kind == TokenKind.CONNECTION:
            ends = min(token.expires_at or now + grace, now + grace)
            tx.save(token._replace(expires_at=ends))
    suspended = partner.state == State.SUSPENDED
    other_roles = list(partner.roles) != list(agreed.roles)
    partner = partner._replace(
        state=State.SUSPENDED if suspended else State.REGISTERED,
        versions_url=agreed.versions_url,
        their_token=agreed.their_token,
        encoding=agreed.encoding,
        roles=[dict(role) for role in agreed.roles],
        endpoints=[dict(endpoint) for endpoint in agreed.endpoints],
        registered_at=partner.registered_at or now,
    )
    tx.save(partner)
    for module in agreed.pushed:
        row = tx.get(PartnerModule, partner_id, module, PUSH)
        if row is None:
            tx.save(PartnerModule(partner_id, module, PUSH, agreed.journal_end, last_at=now))
        elif other_roles:
            # What an earlier connection was owed may be theirs now.
            tx.save(row._replace(watermark=None))
    _journal(tx, partner, now)
    return partner


def _claim(tx: Tx, partner: Partner, roles: Sequence[Mapping[str, str]]) -> None:
    claimed = {(role["party"], role["role"]): role["name"] for role in roles}
    if len(claimed) != len(roles):
        raise Refused("a role, party and country may be named once only")
    for party, role in claimed:
        holder = tx.get(PartnerParty, party, role)
        if holder is not None and holder.partner_id != partner.id:
            raise Refused(f"{party} in the role {role} belongs to another connection")
    for old in tx.find(PartnerParty, "partner", partner.id):
        if (old.party_id, old.role) not in claimed:
            tx.delete(PartnerParty, old.party_id, old.role)
    for (party, role), name in claimed.items():
        row = PartnerParty(party, role, partner.id, name)
        if tx.get(PartnerParty, party, role) != row:
            tx.save(row)


def shown(tx: Tx, token_id: str, now: datetime) -> None:
    """A partner has shown this token for the first time. A connection token ends the invitation
    that it came from: the exchange has arrived on the other side. Repeating changes nothing."""
    token = tx.get(PartnerToken, token_id)
    if token is None or token.used_at is not None:
        return
    tx.save(token._replace(used_at=now))
    if token.kind == TokenKind.CONNECTION:
        for other in tx.find(PartnerToken, "partner", token.partner_id):
            if other.kind == TokenKind.INVITATION:
                tx.delete(PartnerToken, other.id)


# -- afterwards ------------------------------------------------------------------------------------


def suspend(tx: Tx, partner_id: str, now: datetime) -> Partner:
    """Exchange nothing with a partner until it is resumed; repeating changes nothing. Raises
    `Refused` for one that is not registered."""
    return _move(tx, partner_id, State.REGISTERED, State.SUSPENDED, now)


def resume(tx: Tx, partner_id: str, now: datetime) -> Partner:
    """End a suspension; repeating changes nothing."""
    return _move(tx, partner_id, State.SUSPENDED, State.REGISTERED, now)


def agree(tx: Tx, partner_id: str, contract: Contract, now: datetime) -> Partner:
    """What is agreed with a partner about money, for charges that begin from now on; repeating
    changes nothing."""
    partner = require(tx, partner_id)
    if Contract.of(partner.contract) != contract:
        partner = partner._replace(contract=contract.stored())
        tx.save(partner)
        _journal(tx, partner, now)
    return partner


def _move(tx: Tx, partner_id: str, before: State, after: State, now: datetime) -> Partner:
    partner = require(tx, partner_id)
    if partner.state == after:
        return partner
    if partner.state != before:
        raise Refused(f"{partner.name} is {partner.state}, not {before}")
    partner = partner._replace(state=after)
    tx.save(partner)
    _journal(tx, partner, now)
    return partner


def remove(tx: Tx, partner_id: str, now: datetime) -> Partner:
    """End a connection: no token of either side works any more, its parties are free again. The
    row stays, for what refers to it. Repeating changes nothing."""
    partner = require(tx, partner_id)
    for token in tx.find(PartnerToken, "partner", partner_id):
        tx.delete(PartnerToken, token.id)
    for party in tx.find(PartnerParty, "partner", partner_id):
        tx.delete(PartnerParty, party.party_id, party.role)
    if partner.state != State.REMOVED:
        partner = partner._replace(state=State.REMOVED, their_token=None, endpoints=[])
        tx.save(partner)
        _journal(tx, partner, now)
    return partner


def reseal(tx: Tx, partner_id: str, before: str, after: str) -> None:
    """Their token, sealed with the current key in place of an older one; nothing happens when it
    has changed meanwhile."""
    partner = require(tx, partner_id)
    if partner.their_token == before:
        tx.save(partner._replace(their_token=after))


def heard(tx: Tx, partner_id: str, deviations: Sequence[str], now: datetime) -> None:
    """A partner made a request; what had to be forgiven is counted by kind."""
    partner = require(tx, partner_id)
    tx.save(partner._replace(heard_at=now, deviations=_counted(partner, deviations)))


def forgive(tx: Tx, partner_id: str, deviations: Sequence[str]) -> None:
    """Count what had to be forgiven in what we fetched from a partner."""
    partner = require(tx, partner_id)
    tx.save(partner._replace(deviations=_counted(partner, deviations)))


def _counted(partner: Partner, deviations: Sequence[str]) -> Mapping[str, int]:
    counted = dict(partner.deviations)
    for deviation in deviations:
        if deviation in counted or len(counted) < MAX_DEVIATION_KINDS:
            counted[deviation] = counted.get(deviation, 0) + 1
    return counted


def note(
    tx: Tx,
    partner_id: str,
    module: str,
    direction: str,
    now: datetime,
    error: str | None = None,
    **changes: Any,
) -> PartnerModule:
    """What became of an exchange in one module; `changes` to its other fields."""
    row = tx.get(PartnerModule, partner_id, module, direction)
    row = row or PartnerModule(partner_id, module, direction)
    row = row._replace(
        last_at=now,
        error=error[:MAX_FAULT] if error else None,
        fault=error[:MAX_FAULT] if error else row.fault,
        fault_at=now if error else row.fault_at,
        failures=row.failures + 1 if error else 0,
        done=row.done if error else row.done + 1,
        **changes,
    )
    tx.save(row)
    return row


def speaking_for(tx: Tx, party: str, role: str) -> Partner | None:
    """The registered partner that speaks for a party in a role."""
    holder = tx.get(PartnerParty, party, role)
    partner = tx.get(Partner, holder.partner_id) if holder else None
    return partner if partner is not None and partner.state == State.REGISTERED else None


def succeeds(partner: Partner, before: Partner, party: str, role: str) -> bool:
    """Whether what came over a connection that was removed is this one's now: that of the same
    network, made anew. That it is the same says the operator, by the name that it was given again;
    that somebody claims the party, in that role, proves nothing of what was before the claim. A hub
    stands for whom it stood for."""
    anew = before.state == State.REMOVED and before.name == partner.name
    return anew and (partner.is_hub or partner.speaks_for(party, role))


def check_teller(tx: Tx, partner_id: str, party: str, role: str) -> None:
    """Raises `Refused` when another connection speaks for that party: a hub passes on what others
    own, and never in place of who is connected here by itself."""
    holder = tx.get(PartnerParty, party, role)
    if holder is not None and holder.partner_id != partner_id:
        raise Refused(f"{party} in the role {role} belongs to another connection")


def _journal(tx: Tx, partner: Partner, now: datetime) -> None:
    tx.record(
        events.PartnerChanged(at=now, partner_id=partner.id, name=partner.name, state=partner.state)
    )
