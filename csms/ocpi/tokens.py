"""The tokens module (mod_tokens): ours told to others and answered for; theirs taken in and asked.

As eMSP (sender) we list our tokens and answer real-time authorization; as CPO (receiver) we keep
what home networks tell us and ask them at the moment where a token demands it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from csms.core import visitors
from csms.core.authorization import Outcome
from csms.core.disclosures import LOCATION, Told
from csms.core.disclosures import Module as Disclosing
from csms.core.errors import Invalid, PartnerUnreachable
from csms.core.partners import Partner, State
from csms.core.ports import Tx
from csms.core.tokens import Token, contract_id, uid_key
from csms.core.visitors import HomeAnswer, HomeAsked, VisitorToken
from csms.ocpi import lists, paging
from csms.ocpi.disclosing import disclose, of_token, where
from csms.ocpi.envelope import NO_ENVELOPE, UNKNOWN_TOKEN, Answer, Heard
from csms.ocpi.headers import Routing
from csms.ocpi.lists import Pulled
from csms.ocpi.network import CPO, EMSP, RECEIVER, SENDER, Network
from csms.ocpi.routing import Call, Gone, Module, must_tell, patch_of, same_as_address
from csms.ocpi.wire import reading
from csms.ocpi.wire.reading import Read
from csms.ocpi.wire.v221.tokens import AuthorizationInfo, LocationReferences
from csms.ocpi.wire.v221.tokens import Token as WireToken

NAME = "tokens"
RFID = "RFID"
MAX_WIRE_UID = 36
# HTTP errors about what is sent, as peers answer them where an envelope belongs (status_codes).
UNUSABLE = frozenset({400, 413, 415, 422})
_TYPES = {"rfid": RFID, "app": "APP_USER", "other": "OTHER"}
_KINDS = {name: kind for kind, name in _TYPES.items()}
# A card may be kept and believed; what an app makes up is asked for each time (mod_tokens).
_WHITELIST = {"rfid": "ALLOWED", "app": "NEVER", "other": "ALLOWED"}
_STANDING: Mapping[str, str] = {
    Outcome.ACCEPTED: "ALLOWED",
    Outcome.BLOCKED: "BLOCKED",
    Outcome.EXPIRED: "EXPIRED",
}
_ALLOWED = {
    "ALLOWED": Outcome.ACCEPTED,
    "BLOCKED": Outcome.BLOCKED,
    "EXPIRED": Outcome.EXPIRED,
    "NO_CREDIT": Outcome.BLOCKED,
    "NOT_ALLOWED": Outcome.BLOCKED,
}


# -- ours ------------------------------------------------------------------------------------------


def may_know(partner: Partner) -> bool:
    """Whether a partner is told of our drivers at all: who lets them charge, or passes on to who
    does. To all others (maps, sellers of charging) there are none."""
    return partner.is_hub or any(role["role"] == CPO for role in partner.roles)


def shown(token: Token, issuer: str, now: datetime) -> dict[str, Any] | None:
    """One of our tokens as others see it: no name, no label. None for one that OCPI cannot
    carry."""
    if not _carried(token.uid):
        return None
    country, _, party_id = token.party_id.partition("*")
    told = {
        "country_code": country,
        "party_id": party_id,
        "uid": token.uid,
        "type": _TYPES.get(token.kind, "OTHER"),
        "contract_id": contract_id(token),
        "issuer": issuer,
        "valid": token.standing(now) == Outcome.ACCEPTED,
        "whitelist": _whitelist(token),
        "last_updated": token.updated_at or token.created_at,
    }
    # One that cannot be told must not keep the token, and every other one, from being told.
    if token.group_id and _carried(token.group_id):
        told["group_id"] = token.group_id
    made: dict[str, Any] = reading.plain(WireToken.model_validate(told))
    return made


def _whitelist(token: Token) -> str:
    """Nobody is told when the time of a token is over, so one that ends is asked for while we can
    be reached."""
    found = _WHITELIST.get(token.kind, "NEVER")
    return "ALLOWED_OFFLINE" if found == "ALLOWED" and token.expires_at is not None else found


def _carried(text: str) -> bool:
    """Whether OCPI has room for it (CiString(36))."""
    return len(text) <= MAX_WIRE_UID and text.isascii() and text.isprintable()


def issuer(network: Network, party: str) -> str:
    named = (own.name for own in network.roles if own.party == party and own.role == EMSP)
    return next(named, party)[:64]


async def _list(call: Call) -> Answer:
    """All tokens of our eMSP parties, oldest first, as far as this partner may know."""
    network, asked, now = call.network, paging.query(call.query), call.network.clock()
    found: list[tuple[Any, ...]] = []
    for party in network.parties(EMSP) if may_know(call.partner) else ():
        if call.routing.to in (None, party):
            names = ("created_at", "updated_at", "uid")
            for made, changed, uid, *key in await network.every_key(
                Token, {"party_id": party}, *names
            ):
                if _carried(uid) and asked.takes(changed or made):
                    found.append((made, *key))
    found.sort()
    answer = paging.answer(found, asked, call.url, lambda row: row[1:], network.limits.page)
    told = []
    for key in answer.data:
        token = await network.store.reader.get(Token, *key)
        one = shown(token, issuer(network, key[0]), now) if token is not None else None
        if one is not None:
            told.append(one)
    await disclose(network, call.partner, [of_token(one, Disclosing.LIST) for one in told])
    return Answer(told, headers=answer.headers)


async def _authorize(call: Call) -> Answer:
    """Real-time authorization of one of our tokens (mod_tokens, POST). Opening hours and the state
    of an EVSE are the CPO's business."""
    if len(call.rest) != 2 or call.rest[1] != "authorize":
        raise Gone("POST goes to TOKEN_UID/authorize")
    network, now = call.network, call.network.clock()
    kind = _KINDS.get(call.query.get("type") or RFID)
    location = None
    if call.body:
        location = reading.parse(LocationReferences, call.body, now).value
    for party in network.parties(EMSP) if may_know(call.partner) else ():
        if call.routing.to not in (None, party) or kind is None:
            continue
        token = await network.store.reader.get(Token, party, uid_key(call.rest[0]), kind)
        told = shown(token, issuer(network, party), now) if token is not None else None
        if token is None or told is None:
            continue
        info = {"allowed": _STANDING[token.standing(now)], "token": told}
        if info["allowed"] == "ALLOWED":
            info["authorization_reference"] = network.new_id()[:36]
            if location is not None:
                info["location"] = reading.plain(location)
        place = where(location.location_id, *(location.evse_uids or ())) if location else None
        await disclose(network, call.partner, [of_token(told, Disclosing.AUTHORIZATION, place)])
        return Answer(AuthorizationInfo.model_validate(info))
    return Answer(status=UNKNOWN_TOKEN, http=404, message="this token is not known here")


# -- theirs ----------------------------------------------------------------------------------------


def visitor(value: WireToken, partner_id: str, now: datetime) -> VisitorToken:
    """A token of a home network as the core keeps it."""
    return VisitorToken(
        party_id=f"{value.country_code}*{value.party_id}".upper(),
        uid_key=uid_key(value.uid),
        type=value.type,
        uid=value.uid,
        partner_id=partner_id,
        contract_id=value.contract_id,
        issuer=value.issuer,
        valid=value.valid,
        whitelist=value.whitelist,
        last_updated=value.last_updated,
        received_at=now,
        group_id=value.group_id,
        data=reading.storable(value),
    )


def _key(call: Call) -> tuple[str, str, str]:
    """The key of the token of an address. Raises `Foreign`."""
    return call.owner(EMSP), uid_key(call.rest[2]), call.query.get("type") or RFID


def _known(found: VisitorToken | None, call: Call) -> VisitorToken:
    """A token as far as this partner may know. Raises `Gone`."""
    if found is None or found.partner_id != call.partner.id:
        raise Gone("this token is not known here")
    return found


async def _get(call: Call) -> Answer:
    found = await call.network.store.reader.get(VisitorToken, *_key(call))
    return Answer(dict(_known(found, call).data))


async def _put(call: Call) -> Answer:
    return await _take(call, _key(call), call.body, _whole)


async def _patch(call: Call) -> Answer:
    return await _take(call, _key(call), patch_of(call), _changed)


Body = Callable[[VisitorToken | None, Any, Call], Any]


def _whole(before: VisitorToken | None, given: Any, call: Call) -> Any:
    return given


def _changed(before: VisitorToken | None, given: Any, call: Call) -> Any:
    return {**_known(before, call).data, **given}


async def _take(call: Call, key: tuple[str, str, str], given: Any, body: Body) -> Answer:
    """Keep the token that becomes of what is known and what was given, in one transaction."""
    now = call.network.clock()
    new, deviations = await call.network.store.transact(_keep, call, key, given, body, now)
    call.noted.extend(deviations)
    return Answer(http=201 if new else 200)


def _keep(
    tx: Tx, call: Call, key: tuple[str, str, str], given: Any, body: Body, now: datetime
) -> tuple[bool, tuple[str, ...]]:
    read = reading.parse(WireToken, body(tx.get(VisitorToken, *key), given, call), now)
    value = read.value
    same_as_address(call, value.country_code, value.party_id, value.uid, "uid")
    if value.type != key[2]:
        raise Invalid("type: differs from the address")
    return visitors.put(tx, visitor(value, call.partner.id, now)), read.deviations


async def refused(network: Network, partner: Partner, heard: Heard) -> list[str]:
    """What a partner says against an object that was pushed; nothing when it took it, also without
    a word. Raises as `refusal`."""
    if heard.ok:
        return []
    if not heard.silent:
        return [refusal(heard)]
    await network.forgive(partner, (NO_ENVELOPE,))
    return []


def refusal(heard: Heard) -> str:
    """What a partner will not take however often it is sent. Raises `PartnerUnreachable` for what
    may work later."""
    final = heard.http in UNUSABLE if heard.status is None else 2000 <= heard.status < 3000
    if not final:
        raise PartnerUnreachable(heard.why)
    return heard.why


MODULES = (
    Module(NAME, SENDER, {("GET", 0): _list, ("POST", 2): _authorize}),
    Module(NAME, RECEIVER, {("GET", 3): _get, ("PUT", 3): _put, ("PATCH", 3): _patch}),
)


# -- as a client -----------------------------------------------------------------------------------


async def push(network: Network, partner: Partner, party: str, uid: str) -> list[str] | None:
    """Tell a partner the present state of our tokens with that uid; what it refused, None where
    there was nothing to tell. Raises `PartnerUnreachable` when it should be tried again."""
    url = partner.endpoint(NAME, RECEIVER)
    if url is None or party not in network.parties(EMSP):
        return None
    ways = network.ways(partner, (CPO,), (party,))
    if not ways:
        return None
    wrong: list[str] | None = None
    where = {"party_id": party, "uid_key": uid_key(uid)}
    for token in await network.store.reader.page(Token, where):
        told = shown(token, issuer(network, party), network.clock())
        if told is None:
            continue
        wrong = [] if wrong is None else wrong
        country, _, party_id = party.partition("*")
        address = paging.below(url, country, party_id, token.uid)
        if told["type"] != RFID:
            address += f"?type={told['type']}"
        await disclose(network, partner, [of_token(told, Disclosing.PUSH)])
        for way in ways:
            access = network.access(partner, way)
            heard = await network.client.call("PUT", address, access, told)
            wrong += await refused(network, partner, heard)
    return wrong


async def ask_home(network: Network, asked: HomeAsked) -> HomeAnswer | None:
    """Real-time authorization of a visitor at its home network; None when that gives no usable
    answer."""
    partner = await network.store.reader.get(Partner, asked.partner_id)
    if partner is None or partner.state != State.REGISTERED:
        return None
    url = partner.endpoint(NAME, SENDER)
    if url is None:
        return None
    address = paging.below(url, asked.uid, "authorize")
    if asked.type != RFID:
        address += f"?type={asked.type}"
    body = None
    if asked.location_id is not None:
        body = {"location_id": asked.location_id, "evse_uids": list(asked.evse_uids)}
    mine = next(iter(network.parties(CPO)), None)
    access = network.access(partner, Routing(asked.party_id, mine))
    facts = {"uid": asked.uid, "type": asked.type}
    if asked.location_id is not None:
        facts[LOCATION] = where(asked.location_id, *asked.evse_uids)
    asking = Told(asked.party_id, asked.uid, asked.type, Disclosing.AUTHORIZATION, facts)
    await disclose(network, partner, [asking])
    heard = await network.client.call("POST", address, access, body)
    if heard.status == UNKNOWN_TOKEN:
        return HomeAnswer(Outcome.INVALID)
    said = heard.one
    if not heard.ok or not isinstance(said, Mapping):
        return None
    await network.forgive(partner, heard.deviations)
    # Only the decision is needed; a token that is missing in the answer must not undo it.
    allowed = _ALLOWED.get(str(said.get("allowed")).upper())
    if allowed is None:
        return None
    reference = said.get("authorization_reference")
    usable = isinstance(reference, str) and 0 < len(reference) <= MAX_WIRE_UID
    return HomeAnswer(allowed, reference if usable else None)


def ways_to_read(network: Network, partner: Partner) -> list[Routing]:
    """In which ways their list is asked for."""
    return network.ways(partner, (EMSP,), network.parties(CPO)[:1])


async def pull(
    network: Network,
    partner: Partner,
    date_from: datetime | None,
    ways: Sequence[Routing] | None = None,
) -> Pulled:
    """Take in the tokens that a partner lists, in all ways or in these."""

    async def take(body: Any) -> Read[WireToken]:
        read = reading.parse(WireToken, body, network.clock())
        row = visitor(read.value, partner.id, network.clock())
        must_tell(network, partner, row.party_id, EMSP)
        await network.store.transact(visitors.put, row)
        return read

    asked = ways_to_read(network, partner) if ways is None else ways
    return await lists.pull(network, partner, NAME, asked, date_from, take)
