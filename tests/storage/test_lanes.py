"""A store of several lanes: order where it matters, one limit, one face."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from csms.core.errors import StoreOverloaded
from csms.core.ports import Tx
from csms.storage.lanes import LanedStore
from csms.storage.store import QueuedStore
from tests.support.stores import (
    FaultyDatabase,
    PostgresSite,
    held,
    knock_again,
    postgres_lanes,
    running,
    until,
)

pytestmark = pytest.mark.postgres


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PostgresSite]:
    with postgres_lanes(tmp_path) as made:
        yield made


async def test_order_is_kept_within_a_lane(site: PostgresSite) -> None:
    ran: dict[str, list[int]] = {f"s{n}": [] for n in range(9)}

    def run(tx: Tx, lane: str, n: int) -> None:
        ran[lane].append(n)

    async with running(site) as store:
        calls = [store.transact(run, f"s{n % 9}", n, lane=f"s{n % 9}") for n in range(900)]
        await asyncio.gather(*calls)
    for lane, numbers in ran.items():
        assert numbers == list(range(int(lane[1:]), 900, 9))


async def test_lanes_go_on_while_one_is_busy(site: PostgresSite) -> None:
    async with running(site) as store:
        busy = {hash(f"s{n}") % 3: f"s{n}" for n in range(50)}
        async with held(store):
            assert await store.transact(knock_again, "A", lane=busy[1]) == 1
            assert await store.transact(knock_again, "A", lane=busy[2]) == 2


async def test_the_limit_is_one_for_all_lanes(site: PostgresSite) -> None:
    async with running(site, max_queue=5) as store:
        async with held(store), held(store.lanes[1]), held(store.lanes[2]):
            waiting = [lane.transact(knock_again, "A") for lane in store.lanes]
            waiting += [lane.transact(knock_again, "A") for lane in store.lanes[:2]]
            assert store.queued == 5
            for lane in (None, "s1", "s2", "s3"):
                with pytest.raises(StoreOverloaded):
                    await store.transact(knock_again, "A", lane=lane)
        assert sorted(await asyncio.gather(*waiting)) == [1, 2, 3, 4, 5]


async def test_trouble_of_one_lane_is_told_and_passes(site: PostgresSite) -> None:
    database = FaultyDatabase(site.database())
    async with running(site, database, grace_s=30.0) as store:
        database.down = "no connection"
        waiting = store.transact(knock_again, "A")
        await until(lambda: store.trouble == "no connection")
        database.down = None
        assert await waiting == 1
        await until(lambda: store.trouble is None)


async def test_what_is_counted_is_counted_over_all_lanes(site: PostgresSite) -> None:
    async with running(site) as store:
        await asyncio.gather(
            *(store.transact(knock_again, f"A{n}", lane=f"s{n}") for n in range(60))
        )
        assert store.batch_functions.sum == sum(lane.batch_functions.sum for lane in store.lanes)
        assert store.batch_functions.sum >= 60
        assert store.batch_seconds.count >= 3
        assert store.commit_seconds.count >= 3
        assert store.conflicts == sum(lane.conflicts for lane in store.lanes)


def test_a_store_has_a_lane() -> None:
    lanes: list[QueuedStore] = []
    with pytest.raises(AssertionError):
        LanedStore(None, lanes, 10)  # type: ignore[arg-type]
