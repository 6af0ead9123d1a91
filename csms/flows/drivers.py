"""Whose a charge is: the token that it is for, what its network wants to see again, and by which
connection that network is reached."""

from __future__ import annotations

from dataclasses import dataclass, field

from csms.core import partners
from csms.core.cdrs import Driver
from csms.core.contracts import Contract
from csms.core.partners import Partner, State
from csms.core.ports import Reader
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from csms.core.visits import COMMAND, WHITELIST, Visit

AT_ONCE = 100
MOST_ANEW = 1_000
EMSP = "EMSP"
# Kinds of our own tokens as others know them (OCPI 2.2.1 mod_tokens, TokenType).
_TYPES = {"rfid": "RFID", "app": "APP_USER", "other": "OTHER"}


@dataclass(frozen=True, slots=True)
class Whose:
    """The driver of a charge. `partner_id`: the connection that spoke for the token, None for one
    of ours; `auth_method`: how it was let in; `reference`: of the order or of the answer that let
    it charge; `contract`: with its network, as it was then."""

    driver: Driver
    partner_id: str | None = None
    auth_method: str = WHITELIST
    reference: str | None = None
    contract: Contract = field(default_factory=Contract)


async def whose(reader: Reader, t: Transaction) -> Whose | None:
    """Whose charge that is; None: nobody's that we know. What was entered when it began counts;
    else our own tokens go before those of others, as when they are shown."""
    visit = await reader.get(Visit, t.id)
    if visit is not None:
        driver = Driver(visit.party_id, visit.uid, visit.type, visit.contract_id)
        agreed = Contract.of(visit.contract)
        return Whose(driver, visit.partner_id, visit.auth_method, visit.reference, agreed)
    if t.token_key is None or t.token_uid is None:
        return None
    method = COMMAND if t.command_id is not None else WHITELIST
    where = {"uid_key": t.token_key}
    own = await reader.page(Token, where, limit=AT_ONCE)
    if own:
        mine = next((token for token in own if not token.blocked), own[0])
        return Whose(Driver(mine.party_id, mine.uid, _TYPES.get(mine.kind, "OTHER")), None, method)
    # Nobody had told of it when it began.
    visitors = await reader.page(VisitorToken, where, limit=AT_ONCE)
    if not visitors:
        return None
    late = next((v for v in visitors if v.valid), visitors[0])
    driver = Driver(late.party_id, late.uid, late.type, late.contract_id)
    return Whose(driver, late.partner_id, method)


async def earlier(reader: Reader, partner: Partner) -> list[Partner]:
    """The connections to the same network that were removed before this one was made."""
    where = {"name": partner.name, "state": State.REMOVED}
    found = await reader.page(Partner, where, limit=MOST_ANEW)
    return [before for before in found if before.id != partner.id]


async def is_theirs(reader: Reader, partner: Partner, partner_id: str | None, party: str) -> bool:
    """Whether a driver of that party who came over the connection `partner_id` is this partner's:
    it is that connection, or the one which took its place (`partners.succeeds`)."""
    if partner_id is None or partner_id == partner.id:
        return partner_id is not None
    before = await reader.get(Partner, partner_id)
    return before is not None and partners.succeeds(partner, before, party, EMSP)


async def present(reader: Reader, partner_id: str | None, party: str) -> Partner | None:
    """The connection by which the network of such a driver is reached now; the one that was removed
    where none took its place. None: it is not known over which the driver came."""
    partner = await reader.get(Partner, partner_id) if partner_id is not None else None
    if partner is None or partner.state != State.REMOVED:
        return partner
    where = {"name": partner.name, "state": (State.REGISTERED, State.SUSPENDED)}
    for after in await reader.page(Partner, where, limit=MOST_ANEW):
        if partners.succeeds(after, partner, party, EMSP):
            return after
    return partner
