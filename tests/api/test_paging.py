"""Cursors: opaque, complete, and not to be forged into an error of ours."""

from __future__ import annotations

import base64

import pytest

from csms.api.paging import page
from csms.core import stations
from csms.core.errors import Invalid
from csms.core.stations import UnknownStation
from csms.storage.open import open_inline
from tests.api.conftest import NOW


async def names(
    limit: int, cursor: str | None = None, **more: bool
) -> tuple[list[str], str | None]:
    store = open_inline()
    for number in range(5):
        store.run(stations.knock, f"CP-{number}", "192.0.2.1", NOW, 10)
    found = await page(
        store.reader, UnknownStation, lambda u: u.identity, cursor=cursor, limit=limit, **more
    )
    return found.items, found.next


async def test_the_last_page_has_no_next() -> None:
    assert await names(5) == ([f"CP-{n}" for n in range(5)], None)


async def test_pages_follow_one_another() -> None:
    first, cursor = await names(3)
    assert (first, await names(3, cursor)) == (["CP-0", "CP-1", "CP-2"], (["CP-3", "CP-4"], None))


async def test_newest_first() -> None:
    first, cursor = await names(2, newest_first=True)
    assert first == ["CP-4", "CP-3"]
    assert (await names(9, cursor, newest_first=True))[0] == ["CP-2", "CP-1", "CP-0"]


@pytest.mark.parametrize(
    "forged", [b"", b"{}", b"[]", b"[1,2]", b"[null]", b"[[1]]", b"[1.5]", b'[["x"]]', b"1"]
)
async def test_a_forged_cursor_is_refused(forged: bytes) -> None:
    cursor = base64.urlsafe_b64encode(forged).decode() or "="
    with pytest.raises(Invalid, match="cursor"):
        await names(2, cursor)
