"""A cursor goes forward only."""

from __future__ import annotations

from csms.core import cursors
from csms.core.cursors import Cursor
from csms.storage.open import open_inline
from tests.support.ocpp import NOW


def test_it_never_goes_back() -> None:
    store = open_inline()
    assert store.run(cursors.advance, "feed", 7, NOW) == Cursor("feed", 7, NOW)
    assert store.run(cursors.advance, "feed", 5, NOW).seq == 7
    assert store.run(cursors.advance, "feed", 9, NOW).seq == 9
    assert store.run(cursors.advance, "other", 1, NOW).seq == 1
