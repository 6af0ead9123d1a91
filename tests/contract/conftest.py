"""Makes `tests.support` importable however pytest is started, and gives each kind of store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from csms.storage.store import QueuedStore
from tests.support.stores import SITES, Site, kinds_of_site, running


@pytest.fixture(params=kinds_of_site())
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """An empty database of each kind."""
    with SITES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
async def store(site: Site) -> AsyncIterator[QueuedStore]:
    """A running store on it."""
    async with running(site) as running_store:
        yield running_store
