"""Which rows of the journal hint at what."""

from __future__ import annotations

from csms.ocpi.feeds import collapsed


def test_an_evse_goes_with_its_place_where_that_goes() -> None:
    changed = [("P", "L1", "E1"), ("P", "L2", "E1"), ("P", "L1", ""), ("P", "L2", "E1"), ("P", "U")]
    assert collapsed(changed) == [("P", "L2", "E1"), ("P", "L1", ""), ("P", "U")]
