"""Whose a charge is: the token that it is for, and what its network wants to see again."""

from __future__ import annotations

from dataclasses import dataclass

from csms.core.cdrs import Driver
from csms.core.orders import Order
from csms.core.ports import Reader
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken

AT_ONCE = 100
# Kinds of our own tokens as others know them (OCPI 2.2.1 mod_tokens, TokenType).
_TYPES = {"rfid": "RFID", "app": "APP_USER", "other": "OTHER"}


@dataclass(frozen=True, slots=True)
class Whose:
    """The driver of a charge. `partner_id`: the connection that spoke for the token, None for one
    of ours; `reference`: of the order or of the answer that let it charge."""

    driver: Driver
    partner_id: str | None = None
    reference: str | None = None
    ordered: bool = False


async def whose(reader: Reader, t: Transaction) -> Whose | None:
    """Whose charge that is; None: nobody's that we know. What a partner ordered is its driver's;
    else our own tokens go before those of others, as when they were shown."""
    if t.command_id is not None:
        for order in await reader.page(Order, {"command_id": t.command_id}, limit=1):
            token = await reader.get(VisitorToken, order.party_id, order.uid_key, order.token_type)
            if token is not None and order.party_id is not None:
                reference = order.reference or token.reference
                return Whose(_visitor(token), order.partner_id, reference, ordered=True)
    if t.token_key is None or t.token_uid is None:
        return None
    where = {"uid_key": t.token_key}
    own = await reader.page(Token, where, limit=AT_ONCE)
    if own:
        mine = next((token for token in own if not token.blocked), own[0])
        return Whose(Driver(mine.party_id, mine.uid, _TYPES.get(mine.kind, "OTHER")))
    visitors = await reader.page(VisitorToken, where, limit=AT_ONCE)
    if not visitors:
        return None
    visitor = next((v for v in visitors if v.valid), visitors[0])
    return Whose(_visitor(visitor), visitor.partner_id, visitor.reference)


def _visitor(token: VisitorToken) -> Driver:
    return Driver(token.party_id, token.uid, token.type, token.contract_id)
