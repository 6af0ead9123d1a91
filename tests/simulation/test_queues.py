"""That what waits beyond its limit is noticed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from csms.flows.contact import ContactLimits
from csms.ocpp.link import LinkLimits
from tests.simulation.queues import LOOK_EVERY_S, Queues
from tests.support.virtual import passing, run_virtually

ASKED = ContactLimits().at_once
CALLS = LinkLimits().waiting_commands


def link(waiting: int) -> Any:
    return SimpleNamespace(waiting=waiting)


def node(*links: Any, asked: int = 0, up: bool = True) -> Any:
    contact = SimpleNamespace(under_way=asked)
    return SimpleNamespace(name="a", up=up, registry=links, contact=contact)


def seen(*nodes: Any, changes: int = 0) -> Queues:
    async def main() -> Queues:
        queues = Queues()
        way: Any = SimpleNamespace(most=changes)
        watching = asyncio.create_task(queues.watch(nodes, lambda: [way]))
        await passing(LOOK_EVERY_S / 2)
        watching.cancel()
        return queues

    return run_virtually(main())


def test_what_is_within_its_limit_is_only_told() -> None:
    queues = seen(node(link(CALLS), link(1), asked=ASKED))
    assert queues.over == []
    assert queues.most["calls of a link"] == CALLS


def test_each_that_is_over_is_named() -> None:
    queues = seen(node(link(CALLS + 1), asked=ASKED + 1), changes=5)
    assert queues.over == [
        f"a: calls of a link: {CALLS + 1} of {CALLS}",
        f"a: stations being asked: {ASKED + 1} of {ASKED}",
        "a partner: changes under way to a partner: 5 of 4",
    ]


def test_one_that_is_down_is_not_looked_at() -> None:
    assert seen(node(link(CALLS + 1), up=False)).over == []
