"""Makes `tests.support` importable however pytest is started, and gives each kind of store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from csms.storage.store import QueuedStore
from tests.support.stores import SITES, Site, running


@pytest.fixture(params=sorted(SITES))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """An empty database of each kind."""
    return SITES[request.param](tmp_path)


@pytest.fixture
async def store(site: Site) -> AsyncIterator[QueuedStore]:
    """A running store on it."""
    async with running(site) as running_store:
        yield running_store
