"""Which addresses we connect to: partners tell us where to call, so they must not be able to make
us call ourselves or our neighbours.

A name is resolved first, every address of it is judged, and the connection goes to the very address
that was judged. Loopback, private, link-local and reserved addresses are refused unless a setting
names their network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

from csms.core.errors import Invalid, PartnerUnreachable

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Policy:
    """`allow_http`: plain http is taken as well. `networks`: taken although they are not public."""

    allow_http: bool = False
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, allow_http: bool, networks: Sequence[str]) -> Policy:
        return cls(allow_http, tuple(ipaddress.ip_network(network) for network in networks))

    def takes(self, address: str) -> bool:
        """Whether we connect to that address."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        found = mapped or found
        if any(found.version == n.version and found in n for n in self.networks):
            return True
        return found.is_global and not found.is_multicast


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def checked(url: str, policy: Policy) -> httpx.URL:
    """The URL, if we would call it at all. Raises `Invalid`."""
    try:
        parsed = httpx.URL(url)
        port = parsed.port
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise Invalid(f"not a URL: {url[:100]!r}") from error
    allowed = ("https", "http") if policy.allow_http else ("https",)
    if parsed.scheme not in allowed or not parsed.host or not 0 < (port or 443) < 65_536:
        raise Invalid(f"{parsed.scheme or 'no'} address: only {' or '.join(allowed)} is called")
    if parsed.userinfo:
        raise Invalid("an address must not carry a user name or password")
    return parsed.copy_with(fragment=None)


async def pinned(url: httpx.URL, policy: Policy, look_up: Resolve = resolve) -> httpx.URL:
    """The URL with the checked address in place of the name. Raises `PartnerUnreachable`."""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        addresses = await look_up(url.host, port)
    except OSError as error:
        raise PartnerUnreachable(f"{url.host} cannot be resolved") from error
    refused = [address for address in addresses if not policy.takes(address)]
    if refused or not addresses:
        # One bad address is enough: which of them is tried first is not ours to choose.
        raise PartnerUnreachable(
            f"{url.host} is at {', '.join(refused) or 'no address'}, which is not public; "
            "ocpi.allow_networks names networks that are called all the same"
        )
    return url.copy_with(host=addresses[0])
