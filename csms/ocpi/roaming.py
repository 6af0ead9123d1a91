"""What an operator does with partners: invite, register, synchronise, rotate, remove.

Each operation tells what it has done in steps, and may be made again after a failure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from csms.core import partners
from csms.core.partners import Partner, PartnerToken, TokenKind
from csms.ocpi import exchange
from csms.ocpi.exchange import Progress
from csms.ocpi.network import Network
from csms.ocpi.publisher import Publisher


class Roaming:
    """The operations on partners, for the operator's side."""

    def __init__(
        self,
        network: Network,
        publisher: Publisher,
        elsewhere: Callable[[str], Awaitable[list[str] | None]] | None = None,
    ) -> None:
        """`elsewhere(partner id)`: have all lists of a partner read by the node that serves it, and
        what became of it; None where that is this one."""
        self._network = network
        self._publisher = publisher
        self._elsewhere = elsewhere

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
                progress.steps += await self._read_all(partner)
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

    async def _read_all(self, partner: Partner) -> list[str]:
        steps = await self._elsewhere(partner.id) if self._elsewhere is not None else None
        return await self._publisher.pull_all(partner) if steps is None else steps

    async def read_all(self, partner_id: str) -> list[str]:
        """Read every list of a partner, for another node that was asked to."""
        partner = await self._network.store.reader.get(Partner, partner_id)
        return [] if partner is None else await self._publisher.pull_all(partner)
