"""The outside of a message that needs an answer from a home network (`core.ports.Outside`)."""

from __future__ import annotations

from collections.abc import Callable

from csms.core.visitors import HomeAnswer, HomeAsked
from csms.ocpi import tokens
from csms.ocpi.network import Network


class Homes:
    """Asks home networks. `network()` is there once the system is up."""

    def __init__(self, network: Callable[[], Network | None]) -> None:
        self._network = network

    async def ask(self, request: object) -> HomeAnswer | None:
        """The answer to a `HomeAsked`; None when the home network gives none. Raises `LookupError`
        for a question that is not for a home network."""
        network = self._network()
        if not isinstance(request, HomeAsked) or network is None:
            raise LookupError("nobody can answer that")
        return await tokens.ask_home(network, request)
