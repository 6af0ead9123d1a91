"""No table is forgotten when a driver is: each says where it names drivers, or why it does not."""

from __future__ import annotations

from csms.core.entities import SHAPES
from csms.core.identity import ELSEWHERE, NAMELESS, PLACES


def test_every_table_is_in_one_list() -> None:
    named = [place.kind for place in PLACES]
    assert len(set(named)) == len(named)
    assert set(SHAPES) == {*named, *ELSEWHERE, *NAMELESS}
    assert len(SHAPES) == len(named) + len(ELSEWHERE) + len(NAMELESS)
