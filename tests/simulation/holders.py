"""Who does what only one may do: looked at all the while, and asserted at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

LOOK_EVERY_S = 0.5


class Holders:
    """`await watch(nodes)` until cancelled. `twice`: each time that a duty was held by more than
    one node that is up; `seen`: the duties that were held at all."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.twice: list[str] = []

    async def watch(self, nodes: Iterable[Any]) -> None:
        while True:
            holders: dict[str, list[str]] = {}
            for node in nodes:
                if node.up:
                    for duty in node.duties.held:
                        holders.setdefault(duty, []).append(node.name)
            self.seen |= holders.keys()
            time = asyncio.get_running_loop().time()
            for duty, names in holders.items():
                if len(names) > 1:
                    self.twice.append(f"{time:.1f} s: {duty}: {', '.join(names)}")
            await asyncio.sleep(LOOK_EVERY_S)
