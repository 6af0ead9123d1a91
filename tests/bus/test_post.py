"""Questions and wake-ups between nodes, over a real MQTT broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import orjson
import pytest

from csms.bus.broker import broker_of
from csms.bus.post import ASK, PURPOSE, Post, PostLimits
from csms.core.errors import NodeUnreachable, Refused
from csms.core.nodes import Node, NodeState
from csms.vault import Vault
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.ocpp import NOW
from tests.support.waiting import until

pytestmark = pytest.mark.mosquitto

QUICK = PostLimits(taken_s=2.0, answer_s=2.0, first_s=0.05, most_s=0.1, at_once=20)
VAULT = Vault({"k": b"\1" * 32}, "k", PURPOSE, "a letter")


class Side:
    """One node: what it is asked, and how often it is woken."""

    def __init__(
        self, url: str, name: str, alive: dict[str, Node], vault: Vault = VAULT, **limits: Any
    ) -> None:
        self.node = Node(name, f"run-{name}", "", NodeState.UP, 0, 0, "1", "", NOW, NOW)
        alive[name] = self.node
        self.woken = 0
        self.post = Post(
            broker_of(url), "csms", vault, lambda: self.node, alive.get, self.wake, QUICK
        )
        self.asked: list[Mapping[str, Any]] = []
        self.release = asyncio.Event()
        self.release.set()
        self.post.handlers["echo"] = self.echo

    def wake(self) -> None:
        self.woken += 1

    async def echo(self, body: Mapping[str, Any]) -> Any:
        self.asked.append(body)
        await self.release.wait()
        if "refuse" in body:
            raise Refused("not now")
        if "fail" in body:
            raise RuntimeError("a fault of ours")
        return {"said": body["say"]}


@asynccontextmanager
async def connected(*sides: Side) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(side.post.run()) for side in sides]
    try:
        await until(lambda: all(side.post.trouble is None for side in sides))
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as made:
        yield made


@pytest.fixture
def alive() -> dict[str, Node]:
    return {}


async def said(by: Side, to: str, **body: Any) -> Any:
    asked = await by.post.ask(to, "echo", body)
    return await asked.answer(5)


async def test_a_question_is_answered(broker: Mosquitto, alive: dict[str, Node]) -> None:
    a, b = Side(broker.url, "a", alive), Side(broker.url, "b", alive)
    async with connected(a, b):
        assert await said(a, "b", say="été") == {"said": "été"}
        answers = await asyncio.gather(*(said(a, "b", say=n) for n in range(15)))
        assert answers == [{"said": n} for n in range(15)]
        assert await said(b, "a", say=1) == {"said": 1}
    assert a.post._waiting == b.post._waiting == {}


async def test_it_is_known_to_be_taken_before_it_is_answered(
    broker: Mosquitto, alive: dict[str, Node]
) -> None:
    a, b = Side(broker.url, "a", alive), Side(broker.url, "b", alive)
    b.release.clear()
    async with connected(a, b):
        asked = await a.post.ask("b", "echo", {"say": 1})
        assert b.post.under_way == 1
        with pytest.raises(NodeUnreachable, match="b gave no answer in"):
            await asked.answer(0.05)
        b.release.set()
        assert await said(a, "b", say=2) == {"said": 2}
    assert a.post._waiting == {}


@pytest.mark.parametrize(
    ("body", "why"),
    [({"refuse": 1}, "b: not now"), ({"fail": 1}, "b: an internal error; see its log")],
)
async def test_what_goes_wrong_there_is_told(
    broker: Mosquitto, alive: dict[str, Node], body: dict[str, Any], why: str
) -> None:
    a, b = Side(broker.url, "a", alive), Side(broker.url, "b", alive)
    async with connected(a, b):
        with pytest.raises(NodeUnreachable, match=why):
            await said(a, "b", **body)
        asked = await a.post.ask("b", "nothing known", {})
        with pytest.raises(NodeUnreachable, match="one version"):
            await asked.answer(5)


async def test_who_does_not_live_is_not_asked(broker: Mosquitto, alive: dict[str, Node]) -> None:
    a = Side(broker.url, "a", alive)
    async with connected(a):
        with pytest.raises(NodeUnreachable, match="csms node list"):
            await said(a, "b", say=1)


async def test_who_hangs_has_not_taken_it(broker: Mosquitto, alive: dict[str, Node]) -> None:
    a, b = Side(broker.url, "a", alive), Side(broker.url, "b", alive)
    a.post._limits = PostLimits(taken_s=0.2)
    async with connected(a):
        with pytest.raises(NodeUnreachable, match="did not answer over the broker"):
            await said(a, "b", say=1)
    assert b.asked == []
    assert a.post._waiting == {}


async def test_without_the_broker_it_fails_at_once_and_says_why(
    broker: Mosquitto, alive: dict[str, Node]
) -> None:
    a, b = Side(broker.url, "a", alive), Side(broker.url, "b", alive)
    async with connected(a, b):
        await broker.kill()
        await until(lambda: a.post.trouble is not None)
        async with asyncio.timeout(1):
            with pytest.raises(NodeUnreachable, match="the broker is away"):
                await said(a, "b", say=1)
        woken = b.woken
        await broker.start()
        await until(lambda: a.post.trouble is None and b.post.trouble is None)
        # What grew meanwhile is looked for.
        assert b.woken > woken
        assert await said(a, "b", say=2) == {"said": 2}


async def test_wake_ups_reach_the_others_and_come_together(
    broker: Mosquitto, alive: dict[str, Node]
) -> None:
    a, b = Side(broker.url, "a", alive), Side(broker.url, "b", alive)
    async with connected(a, b):
        mine, theirs = a.woken, b.woken
        for _ in range(1_000):
            a.post.wake()
        await until(lambda: b.woken > theirs)
        assert b.woken - theirs < 10
        assert await said(b, "a", say=1) == {"said": 1}
        assert a.woken == mine


async def test_nobody_else_on_the_broker_reads_or_makes_up_anything(
    broker: Mosquitto, alive: dict[str, Node]
) -> None:
    a, b = Side(broker.url, "a", alive), Side(broker.url, "b", alive)
    letter = {
        "from": "a",
        "run": "run-a",
        "kind": ASK,
        "number": 9_000,
        "parcel": {"what": "echo", "body": {"say": "made up"}},
    }
    other = Vault({"k": b"\2" * 32}, "k", PURPOSE, "a letter")
    text = orjson.dumps(letter).decode()
    heard: list[bytes] = []
    async with connected(a, b), aiomqtt.Client("127.0.0.1", broker.port) as eve:
        await eve.subscribe("csms/nodes/#")
        for forged in (
            text,
            other.seal(text, "run-b"),
            VAULT.seal(text, "an earlier life"),
            VAULT.seal("[]", "run-b"),
            VAULT.seal(orjson.dumps({**letter, "number": "x"}).decode(), "run-b"),
            "k:",
            "\xff",
        ):
            await eve.publish("csms/nodes/box/b", forged.encode("latin-1"))
        assert await said(a, "b", say="secret") == {"said": "secret"}
        async with asyncio.timeout(5):
            async for message in eve.messages:
                assert isinstance(message.payload, bytes)
                heard.append(message.payload)
                # The forged ones, the question, that it was taken, the answer.
                if len(heard) == 10:
                    break
    assert [body["say"] for body in b.asked] == ["secret"]
    assert not any(b"secret" in payload for payload in heard)


async def test_what_is_repeated_is_done_once(broker: Mosquitto, alive: dict[str, Node]) -> None:
    a, b = Side(broker.url, "a", alive), Side(broker.url, "b", alive)
    async with connected(a, b), aiomqtt.Client("127.0.0.1", broker.port) as eve:
        await eve.subscribe("csms/nodes/box/b")
        assert await said(a, "b", say="once") == {"said": "once"}
        async with asyncio.timeout(5):
            message = await anext(aiter(eve.messages))
        assert isinstance(message.payload, bytes)
        await eve.publish("csms/nodes/box/b", message.payload)
        assert await said(a, "b", say="after") == {"said": "after"}
    assert [body["say"] for body in b.asked] == ["once", "after"]


async def test_more_than_can_be_worked_on_is_refused(
    broker: Mosquitto, alive: dict[str, Node]
) -> None:
    a, b = Side(broker.url, "a", alive), Side(broker.url, "b", alive)
    b.release.clear()
    async with connected(a, b):
        asked = [await a.post.ask("b", "echo", {"say": n}) for n in range(20)]
        refused = await a.post.ask("b", "echo", {"say": 20})
        with pytest.raises(NodeUnreachable, match="more than 20 questions"):
            await refused.answer(5)
        b.release.set()
        assert await asked[0].answer(5) == {"said": 0}
