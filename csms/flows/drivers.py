"""Whose a charge is: the token that it is for, and what its network wants to see again."""

from __future__ import annotations

from dataclasses import dataclass, field

from csms.core.cdrs import Driver
from csms.core.contracts import Contract
from csms.core.ports import Reader
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from csms.core.visits import COMMAND, WHITELIST, Visit

AT_ONCE = 100
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
