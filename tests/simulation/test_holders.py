"""That a duty which two nodes hold is noticed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from tests.simulation.holders import LOOK_EVERY_S, Holders
from tests.support.virtual import passing, run_virtually


def node(name: str, *held: str, up: bool = True) -> Any:
    return SimpleNamespace(name=name, up=up, duties=SimpleNamespace(held=list(held)))


def seen(*nodes: Any) -> Holders:
    async def main() -> Holders:
        holders = Holders()
        watching = asyncio.create_task(holders.watch(nodes))
        await passing(LOOK_EVERY_S / 2)
        watching.cancel()
        return holders

    return run_virtually(main())


def test_a_duty_of_one_node_each_is_as_it_should_be() -> None:
    holders = seen(node("a", "x", "y"), node("b", "z"))
    assert (holders.twice, holders.seen) == ([], {"x", "y", "z"})


def test_a_duty_of_two_nodes_is_named() -> None:
    assert seen(node("a", "x", "y"), node("b", "y")).twice == ["0.0 s: y: a, b"]


def test_what_one_held_that_is_down_another_may_hold() -> None:
    assert seen(node("a", "x", up=False), node("b", "x")).twice == []
