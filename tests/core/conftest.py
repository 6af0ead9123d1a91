"""Makes `tests.support` importable however pytest is started, and gives a network in memory."""

from __future__ import annotations

import pytest

from tests.support.charging import Site


@pytest.fixture
def site() -> Site:
    """A network with stations and a card, on a real database in memory."""
    return Site()
