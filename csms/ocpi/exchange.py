"""Exchanging credentials (credentials module), as the side that begins and the side that answers.

The order of steps is what keeps both sides able to talk when either dies in between: a token of
ours works before it is sent, their token replaces the stored one only in the commit that completes
the exchange, an invitation lives until the token that replaces it is shown to us, and a replaced
token works for the grace. So every exchange can simply be made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from csms.core import partners
from csms.core.errors import CsmsError, Invalid, NotFound, PartnerRefused, Refused
from csms.core.partners import Agreed, Partner, PartnerToken, State, TokenKind
from csms.core.ports import Tx
from csms.ocpi.client import Access
from csms.ocpi.envelope import CANNOT_CALL_BACK, INVALID, NO_ENDPOINTS, WRONG_VERSION, Answer, Heard
from csms.ocpi.feeds import FEEDS
from csms.ocpi.headers import BASE64, RAW, usable_token
from csms.ocpi.network import OPPOSITE, SENDER, VERSION, Network
from csms.ocpi.wire import reading
from csms.ocpi.wire.v221.registration import Credentials, Version, VersionDetails

log = structlog.get_logger("ocpi.exchange")
MAX_ENDPOINTS = 100
MAX_ROLES = 500


class LookFailed(CsmsError):
    """Their versions or endpoints are not what an exchange needs; `status` is OCPI's code."""

    code = "partner_refused"

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Looked:
    """What their versions and details say. `encoding`: how they took the token."""

    encoding: str
    endpoints: tuple[Mapping[str, str], ...]
    credentials_url: str


@dataclass
class Progress:
    """What has been done, in words, for the operator who waits for it."""

    steps: list[str] = field(default_factory=list)

    def done(self, step: str) -> None:
        self.steps.append(step)

    @contextmanager
    def told(self) -> Iterator[None]:
        """What goes wrong inside says as well what had been done before."""
        try:
            yield
        except CsmsError as error:
            if self.steps:
                error.detail = f"{error.detail} (before that: {'; '.join(self.steps)})"
            raise


async def look(network: Network, versions_url: str, token: str) -> Looked:
    """Fetch their versions and the details of ours. Raises `LookFailed`, `PartnerUnreachable`,
    `Invalid`."""
    encoding, heard = BASE64, await _get(network, versions_url, token, BASE64)
    if heard.http == 401:
        encoding, heard = RAW, await _get(network, versions_url, token, RAW)
    if not heard.ok:
        raise LookFailed(CANNOT_CALL_BACK, f"their versions: {heard.why}")
    listed, _ = reading.parse_list(Version, heard.data, network.clock())
    ours = [read.value for read in listed if read.value.version == VERSION]
    if not ours:
        versions = ", ".join(read.value.version for read in listed) or "none"
        raise LookFailed(WRONG_VERSION, f"they offer {versions}, not {VERSION}")
    heard = await _get(network, ours[0].url, token, encoding)
    if not heard.ok:
        raise LookFailed(CANNOT_CALL_BACK, f"their endpoints: {heard.why}")
    details = reading.parse(VersionDetails, heard.data, network.clock()).value
    endpoints = tuple(
        {"module": e.identifier, "interface": e.role, "url": e.url}
        for e in details.endpoints[:MAX_ENDPOINTS]
    )
    # The role of the credentials endpoint has no meaning (version_information_endpoint).
    url = next((e["url"] for e in endpoints if e["module"] == "credentials"), None)
    if url is None:
        raise LookFailed(NO_ENDPOINTS, "their endpoints have no credentials module")
    theirs = {(e["module"], e["interface"]) for e in endpoints}
    shared = {(m, i) for m, i in network.offered if (m, OPPOSITE[i]) in theirs}
    if network.offered and not shared:
        raise LookFailed(NO_ENDPOINTS, "there is no module that both sides have")
    return Looked(encoding, endpoints, url)


async def _get(network: Network, url: str, token: str, encoding: str) -> Heard:
    return await network.client.call("GET", url, Access(token, encoding))


def agreed_on(
    network: Network, partner_id: str, theirs: Credentials, looked: Looked, journal_end: int
) -> Agreed:
    """Their side of the exchange, checked; `journal_end`: of before they could read anything.
    Raises `Invalid`."""
    if not usable_token(theirs.token):
        raise Invalid("token: only printable ASCII without spaces")
    roles = []
    for role in theirs.roles[:MAX_ROLES]:
        party = f"{role.country_code}*{role.party_id}".upper()
        if party in network.parties():
            raise Invalid(f"roles: {party} is one of our own parties")
        roles.append({"role": role.role, "party": party, "name": role.business_details.name})
    sealed = network.vault.seal(theirs.token, partner_id)
    return Agreed(
        theirs.url,
        sealed,
        looked.encoding,
        tuple(roles),
        looked.endpoints,
        tuple(feed.name for feed in FEEDS),
        journal_end,
    )


def _finish(tx: Tx, network: Network, agreed: Agreed, row: PartnerToken, issue: bool) -> Partner:
    now = row.created_at
    if issue:
        partners.hand_out(tx, row, now)
    return partners.complete(tx, row.partner_id, agreed, row.id, network.limits.grace, now)


# -- the side that answers -------------------------------------------------------------------------


async def accept(network: Network, partner: Partner, body: Any) -> Answer:
    """POST or PUT of their credentials: look at their endpoints with the token that they sent, then
    answer with a new token of ours."""
    theirs = reading.parse(Credentials, body, network.clock())
    journal_end = await network.store.reader.journal_end()
    try:
        looked = await look(network, theirs.value.url, theirs.value.token)
    except LookFailed as error:
        return Answer(status=error.status, message=error.detail)
    except Invalid as error:
        return Answer(status=CANNOT_CALL_BACK, message=error.detail)
    try:
        agreed = agreed_on(network, partner.id, theirs.value, looked, journal_end)
        secret = network.new_secret()
        row = network.token_row(secret, partner.id, TokenKind.CONNECTION)
        await network.store.transact(_finish, network, agreed, row, True)
    except (Invalid, Refused) as error:
        return Answer(status=INVALID, message=error.detail)
    log.info("partner_registered", partner=partner.name, roles=len(agreed.roles))
    return Answer(network.credentials(secret))


# -- the side that begins --------------------------------------------------------------------------


async def register(
    network: Network, name: str, versions_url: str, token: str, progress: Progress
) -> Partner:
    """Complete a connection from the invitation of the other side. May be made again after any
    failure. Raises `PartnerUnreachable`, `PartnerRefused`, `Invalid`, `AlreadyExists`."""
    if not usable_token(token):
        raise Invalid("a credentials token has 1 to 64 printable characters without spaces")
    known = await network.store.reader.page(Partner, {"name": name.strip()}, limit=100)
    begun = next((p for p in known if p.state == State.INVITED), None)
    partner_id = begun.id if begun else network.new_id()
    sealed = network.vault.seal(token, partner_id)
    partner = await network.store.transact(
        partners.enter, partner_id, name, versions_url, sealed, network.clock()
    )
    if partner.id != partner_id:
        raise Refused(f"somebody else is inviting {name} at this moment; try again")
    return await _exchange(network, "POST", partner, versions_url, token, progress)


async def rotate(network: Network, partner: Partner, progress: Progress) -> Partner:
    """Give each other new tokens, and read their endpoints again. May be made again."""
    if partner.state not in (State.REGISTERED, State.SUSPENDED) or partner.versions_url is None:
        raise Refused(f"{partner.name} is {partner.state}")
    token = network.access(partner).token
    return await _exchange(network, "PUT", partner, partner.versions_url, token, progress)


async def _exchange(
    network: Network, method: str, partner: Partner, url: str, token: str, progress: Progress
) -> Partner:
    looked = await look(network, url, token)
    progress.done(f"they offer {VERSION} with {len(looked.endpoints)} endpoints")
    secret = network.new_secret()
    row = network.token_row(secret, partner.id, TokenKind.CONNECTION)
    journal_end = await network.store.reader.journal_end()
    # Before it is sent: they call us with it before they answer.
    await network.store.transact(partners.hand_out, row, row.created_at)
    heard = await network.client.call(
        method, looked.credentials_url, Access(token, looked.encoding), network.credentials(secret)
    )
    if not heard.ok:
        raise PartnerRefused(f"they did not take our credentials: {heard.why}")
    progress.done("they took our credentials")
    theirs = reading.parse(Credentials, heard.data, network.clock()).value
    agreed = agreed_on(network, partner.id, theirs, looked, journal_end)
    partner = await network.store.transact(_finish, network, agreed, row, False)
    progress.done("their credentials are stored")
    return await _confirm(network, partner, theirs, progress)


async def _confirm(
    network: Network, partner: Partner, theirs: Credentials, progress: Progress
) -> Partner:
    """Show them their new token, so that they see that it has arrived; what goes wrong here does
    not undo the exchange."""
    try:
        looked = await look(network, theirs.url, theirs.token)
    except CsmsError as error:
        progress.done(f"their new token was not taken yet: {error.detail}")
        return partner
    progress.done("their new token works")
    return await network.store.transact(_learn, partner.id, looked)


def _learn(tx: Tx, partner_id: str, looked: Looked) -> Partner:
    partner = partners.require(tx, partner_id)
    endpoints = [dict(endpoint) for endpoint in looked.endpoints]
    partner = partner._replace(encoding=looked.encoding, endpoints=endpoints)
    tx.save(partner)
    return partner


async def unregister(network: Network, partner: Partner, progress: Progress) -> Partner:
    """End the connection on both sides; ours ends whatever they answer. May be made again."""
    url = partner.endpoint("credentials", SENDER) or partner.endpoint("credentials", "RECEIVER")
    if partner.state != State.REMOVED and url is not None:
        try:
            heard = await network.client.call("DELETE", url, network.access(partner))
            progress.done("they were told" if heard.ok else f"they answered {heard.why}")
        except CsmsError as error:
            progress.done(f"they could not be told: {error.detail}")
    return await network.store.transact(partners.remove, partner.id, network.clock())


async def refresh(network: Network, partner: Partner, progress: Progress) -> Partner:
    """Read their versions and endpoints again."""
    if partner.state != State.REGISTERED or partner.versions_url is None:
        raise Refused(f"{partner.name} is {partner.state}")
    looked = await look(network, partner.versions_url, network.access(partner).token)
    progress.done(f"they offer {VERSION} with {len(looked.endpoints)} endpoints")
    return await network.store.transact(_learn, partner.id, looked)


async def by_name(network: Network, name_or_id: str) -> Partner:
    """A partner by its id, or by its name (the one that is not removed first). Raises
    `NotFound`."""
    found = await network.store.reader.get(Partner, name_or_id)
    if found is None:
        named = await network.store.reader.page(Partner, {"name": name_or_id}, limit=1_000)
        named.sort(key=lambda p: (p.state == State.REMOVED, p.created_at))
        found = named[0] if named else None
    if found is None:
        raise NotFound(f"no partner {name_or_id}")
    return found


async def reseal(network: Network) -> int:
    """Seal every token of theirs with the current key; how many were sealed with an older one."""
    done, after = 0, None
    while True:
        page = await network.store.reader.page(Partner, after=after, limit=500)
        for partner in page:
            sealed = partner.their_token
            if sealed is None or network.vault.is_current(sealed):
                continue
            try:
                fresh = network.vault.seal(network.vault.open(sealed, partner.id), partner.id)
            except Invalid as error:
                log.warning("partner_token_lost", partner=partner.name, why=error.detail)
                continue
            await network.store.transact(partners.reseal, partner.id, sealed, fresh)
            done += 1
        if len(page) < 500:
            return done
        after = (page[-1].id,)
