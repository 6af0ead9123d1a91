"""What an operator does with partners: invite, register, synchronise, rotate, remove.

Each operation tells what it has done in steps, and may be made again after a failure.
"""

from __future__ import annotations

from csms.core import partners
from csms.core.partners import Partner, PartnerToken, TokenKind
from csms.ocpi import exchange
from csms.ocpi.exchange import Progress
from csms.ocpi.network import Network
from csms.ocpi.publisher import Publisher


class Roaming:
    """The operations on partners, for the operator's side."""

    def __init__(self, network: Network, publisher: Publisher) -> None:
        self._network = network
        self._publisher = publisher

    @property
    def versions_url(self) -> str:
        """What a partner is given beside its invitation."""
        return self._network.versions_url

    def invitation(self, secret: str) -> PartnerToken:
        """The row of a new invitation, ready for `core.partners.invite`."""
        return self._network.token_row(secret, "", TokenKind.INVITATION)

    async def find(self, name_or_id: str) -> Partner:
        """Raises `NotFound`."""
        return await exchange.by_name(self._network, name_or_id)

    async def register(self, name: str, url: str, token: str) -> tuple[Partner, list[str]]:
        """Complete a connection from their invitation. Raises as `exchange.register`."""
        progress = Progress()
        with progress.told():
            partner = await exchange.register(self._network, name, url, token, progress)
        return partner, progress.steps

    async def act(self, action: str, partner: Partner) -> tuple[Partner, list[str]]:
        """`sync`, `rotate`, `suspend`, `resume` or `remove`. Raises `Refused` for one that the
        state does not allow, and what a partner's answer raises."""
        network, progress = self._network, Progress()
        match action:
            case "sync":
                with progress.told():
                    partner = await exchange.refresh(network, partner, progress)
                progress.steps += await self._publisher.pull_all(partner)
            case "rotate":
                with progress.told():
                    partner = await exchange.rotate(network, partner, progress)
            case "remove":
                partner = await exchange.unregister(network, partner, progress)
            case "suspend":
                partner = await network.store.transact(
                    partners.suspend, partner.id, network.clock()
                )
            case "resume":
                partner = await network.store.transact(partners.resume, partner.id, network.clock())
            case _:
                raise AssertionError(action)
        return partner, progress.steps
