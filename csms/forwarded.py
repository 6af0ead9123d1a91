"""For whom a proxy connects: X-Forwarded-For, and who is believed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class Proxies:
    """The networks whose word about an address counts."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def __contains__(self, address: str) -> bool:
        return any(ipaddress.ip_address(address) in network for network in self._networks)

    def client(self, peer: str, forwarded: Iterable[str]) -> str:
        """The address that a request comes from. `peer` has connected; behind a trusted proxy it is
        the last one that this did not add itself. `forwarded`: the headers, in their order."""
        claimed = ",".join(forwarded).split(",")
        while claimed and peer in self:
            try:
                peer = str(ipaddress.ip_address(claimed.pop().strip()))
            except ValueError:
                break
        return peer
