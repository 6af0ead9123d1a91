"""Systems in processes of their own, ended whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.system import System


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    """A configured system, not started."""
    made = System(tmp_path)
    try:
        yield made
    finally:
        if made.process is not None and made.process.returncode is None:
            await made.kill()
