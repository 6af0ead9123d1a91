"""What partners may call: a table of routes, and what a handler is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from csms.core.errors import CsmsError, Invalid, Refused
from csms.core.partners import Partner, PartnerToken
from csms.ocpi.envelope import INVALID, Answer
from csms.ocpi.headers import Ids, Routing
from csms.ocpi.network import Network


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a partner. `rest` are the segments behind the interface's address; `url` is
    ours without the query; `noted` collects what had to be forgiven."""

    network: Network
    partner: Partner
    token: PartnerToken
    method: str
    rest: tuple[str, ...]
    query: Mapping[str, str]
    body: Any
    ids: Ids
    routing: Routing
    url: str
    noted: list[str]

    def owner(self, *roles: str) -> str:
        """The party in the address of a client-owned object. Raises `Foreign` for one that the
        partner does not speak for (in one of these roles); a hub passes on what others own."""
        party = f"{self.rest[0]}*{self.rest[1]}".upper()
        if not may_tell(self.network, self.partner, party, *roles):
            raise Foreign(f"{party} is not one of your parties in this role")
        return party


def may_tell(network: Network, partner: Partner, party: str, *roles: str) -> bool:
    """Whether a partner may tell of what that party owns (in one of these roles): its own party, or
    as a hub any but ours. Who is connected here by itself is told by nobody else (`core`)."""
    if partner.speaks_for(party, *roles):
        return True
    return partner.is_hub and party not in network.parties()


def must_tell(network: Network, partner: Partner, party: str, *roles: str) -> None:
    """Raises `Refused` for what a partner may not tell of."""
    if not may_tell(network, partner, party, *roles):
        raise Refused(f"{party} is not theirs")


class Foreign(CsmsError):
    """An address of somebody else's objects (transport_and_format, errors: 404 is allowed)."""

    code = "not_found"


class Gone(CsmsError):
    """There is nothing at that address."""

    code = "not_found"


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Module:
    """One interface of a functional module: (method, number of segments) -> handler."""

    name: str
    interface: str
    routes: Mapping[tuple[str, int], Handler]

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.interface


def same_as_address(
    call: Call, country_code: str, party_id: str, object_id: str, field: str = "id"
) -> None:
    """Raises `Invalid` unless the body names the owner and the id of its address (compared without
    case; transport_and_format, errors: 2001)."""
    if f"{country_code}*{party_id}".upper() != f"{call.rest[0]}*{call.rest[1]}".upper():
        raise Invalid("country_code and party_id differ from the address")
    if object_id.casefold() != call.rest[2].casefold():
        raise Invalid(f"{field}: differs from the address")


def patch_of(call: Call) -> dict[str, Any]:
    """The body of a PATCH. Raises `Invalid` when it is none, or has no `last_updated`
    (status_codes, 2001)."""
    if not isinstance(call.body, Mapping):
        raise Invalid("the body must be an object")
    if not call.body.get("last_updated"):
        raise Invalid("a PATCH needs last_updated")
    return dict(call.body)


def invalid(message: str) -> Answer:
    """A request that cannot be used."""
    return Answer(status=INVALID, message=message)
