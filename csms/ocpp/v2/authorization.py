"""Authorize, and idTokenInfo wherever it occurs (OCPP 2.0.1 C01 to C12)."""

from __future__ import annotations

from typing import Any

from csms.core import authorization
from csms.core.authorization import NO_AUTHORIZATION, Authorization, Outcome
from csms.core.ids import Origin
from csms.core.ports import Ask, Need, Reply, Tx
from csms.core.tokens import KEY_CODE, Shown
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
_KINDS = {
    "ISO14443": "rfid",
    "ISO15693": "rfid",
    "Central": "app",
    "KeyCode": KEY_CODE,
    "NoAuthorization": NO_AUTHORIZATION,
}
MAX_ID_TOKEN = 36
# What a group is called on the wire; its technology does not matter for comparing (C09.FR.09).
GROUP_TYPE = "Central"


def shown(payload: Payload) -> Shown | None:
    """The token of a message, None when there is none to speak of."""
    token = wire.mapping(payload, "idToken")
    kind = _KINDS.get(str(token.get("type")), "other")
    uid = wire.name(token, "idToken")
    if kind == NO_AUTHORIZATION:
        return Shown(uid or "", kind)
    return Shown(uid, kind) if uid else None


def token_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    token = shown(payload)
    return authorization.needs(token.uid) if token else ()


def authorize(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    token = shown(payload)
    if token is None:
        return unusable(payload, "idToken", "idToken")
    found = authorization.ask(tx, origin, token)
    asked = found.ask
    if asked is None:
        return Reply({"idTokenInfo": id_token_info(found)})

    def answered(tx: Tx, answer: HomeAnswer | None) -> Reply[Payload]:
        settled = authorization.told(tx, origin, token, asked, answer)
        return Reply({"idTokenInfo": id_token_info(settled)})

    return Ask(asked, ASK_WITHIN_S, answered)


def id_token_info(found: Authorization) -> Payload:
    """What a station is told of a token; the group in every answer that has one (C09.FR.12)."""
    info: dict[str, Any] = {"status": STATUS[found.outcome]}
    if found.expires_at is not None:
        info["cacheExpiryDateTime"] = wire.rfc3339(found.expires_at)
    if found.group_id and len(found.group_id) <= MAX_ID_TOKEN:
        info["groupIdToken"] = {"idToken": found.group_id, "type": GROUP_TYPE}
    return info
