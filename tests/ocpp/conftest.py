"""Makes `tests.support` importable however pytest is started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.support.ocpp import Inbound  # noqa: E402


@pytest.fixture(params=["ocpp2.0.1", "ocpp2.1"])
def station2(request: pytest.FixtureRequest) -> Inbound:
    """An accepted station that speaks 2.x."""
    return Inbound(request.param)


@pytest.fixture
def station16() -> Inbound:
    """An accepted station that speaks 1.6."""
    return Inbound("ocpp1.6")


@pytest.fixture(params=["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)
