"""What an operator does with partners."""

from __future__ import annotations

import pytest

from csms.bus.local import LocalBus
from csms.core.errors import NotFound, PartnerUnreachable, Refused
from csms.core.partners import State
from csms.ocpi.publisher import Publisher
from csms.ocpi.roaming import Roaming
from tests.support.ocpi import Side, connected, two


def roaming(side: Side) -> Roaming:
    return Roaming(side.network, Publisher(side.network, LocalBus()))


async def test_every_operation_tells_its_steps() -> None:
    async with two() as (a, b):
        north, south = roaming(a), roaming(b)
        partner, steps = await north.register("South", south.versions_url, b.invite("North"))
        assert partner.state == State.REGISTERED
        assert len(steps) == 4
        for action, state in (
            ("sync", State.REGISTERED),
            ("rotate", State.REGISTERED),
            ("suspend", State.SUSPENDED),
            ("resume", State.REGISTERED),
            ("remove", State.REMOVED),
        ):
            partner, steps = await north.act(action, await north.find("South"))
            assert partner.state == state, action
        assert steps == ["they were told"]


async def test_what_the_state_does_not_allow_is_refused() -> None:
    async with connected() as (a, b):
        north = roaming(a)
        partner, _ = await north.act("remove", await north.find(b.party))
        for action in ("sync", "rotate", "suspend", "resume"):
            with pytest.raises(Refused):
                await north.act(action, partner)
        with pytest.raises(NotFound):
            await north.find("nobody")


async def test_a_failure_says_how_far_it_went() -> None:
    """The operator who waits for it sees on which side to look."""
    async with two() as (a, b):
        token = b.invite("North")
        # Their versions and endpoints are read; the exchange itself breaks.
        a.faults.break_at = 3
        with pytest.raises(PartnerUnreachable) as failed:
            await roaming(a).register("South", b.network.versions_url, token)
        assert "(before that: they offer 2.2.1 with" in failed.value.detail
