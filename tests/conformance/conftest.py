"""A central system and the one station that the cases are about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.conformance import Network, Operator
from tests.support.conformance import network as network_in
from tests.support.conformance_2 import Station2
from tests.support.conformance_16 import Station16


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    async with network_in(tmp_path) as found:
        yield found


@pytest.fixture
def operator(network: Network) -> Operator:
    return network.operator


@pytest.fixture
async def station16(network: Network) -> AsyncIterator[Station16]:
    """A 1.6 station that is connected and has not booted."""
    async with network.link("ocpp1.6") as wire:
        yield Station16(wire)


@pytest.fixture(params=["ocpp2.0.1", "ocpp2.1"])
async def station(network: Network, request: pytest.FixtureRequest) -> AsyncIterator[Station2]:
    """A station of 2.0.1, and the same of 2.1, that is connected and has not booted."""
    async with network.link(request.param) as wire:
        yield Station2(wire)
