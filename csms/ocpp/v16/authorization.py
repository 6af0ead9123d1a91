"""Authorize, and idTagInfo wherever it occurs (OCPP 1.6 4.1, 7.28 to 7.30)."""

from __future__ import annotations

from csms.core import aliases, authorization
from csms.core.authorization import Authorization, Outcome
from csms.core.ids import Origin
from csms.core.ports import Ask, Need, Reply, Tx
from csms.core.tokens import Shown
from csms.core.visitors import ASK_WITHIN_S, HomeAnswer
from csms.ocpp import wire
from csms.ocpp.routing import Answer, Payload, unusable

STATUS = {
    Outcome.ACCEPTED: "Accepted",
    Outcome.BLOCKED: "Blocked",
    Outcome.EXPIRED: "Expired",
    Outcome.INVALID: "Invalid",
    Outcome.CONCURRENT: "ConcurrentTx",
}
# IdToken is CiString20Type; a longer group cannot be said.
MAX_ID_TOKEN = 20


def shown(payload: Payload) -> Shown | None:
    """The token of a message, None when there is none to speak of."""
    uid = wire.name(payload, "idTag")
    return Shown(uid) if uid else None


def meant(tx: Tx, payload: Payload) -> Shown | None:
    """The token that a message means: what a station shows may be an alias of ours."""
    token = shown(payload)
    return aliases.meant(tx, token) if token else None


def token_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    token = shown(payload)
    return authorization.needs(token.uid) if token else ()


def authorize(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    token = meant(tx, payload)
    if token is None:
        return unusable(payload, "idTag")
    found = authorization.ask(tx, origin, token)
    asked = found.ask
    if asked is None:
        return Reply({"idTagInfo": id_tag_info(found)})

    def answered(tx: Tx, answer: HomeAnswer | None) -> Reply[Payload]:
        settled = authorization.told(tx, origin, token, asked, answer)
        return Reply({"idTagInfo": id_tag_info(settled)})

    return Ask(asked, ASK_WITHIN_S, answered)


def id_tag_info(found: Authorization) -> Payload:
    """What a station is told of a token."""
    info = {"status": STATUS[found.outcome]}
    if found.expires_at is not None:
        info["expiryDate"] = wire.rfc3339(found.expires_at)
    if found.group_id and len(found.group_id) <= MAX_ID_TOKEN:
        info["parentIdTag"] = found.group_id
    return info
