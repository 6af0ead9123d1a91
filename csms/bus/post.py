"""The bus between nodes, over an MQTT broker: wake-ups, and what one node asks of another.

A wake-up says that the journal grew; it carries nothing and may be lost. A question goes to one
life of one node, is acknowledged by it at once, and answered later. Questions and answers are
sealed with a key that nodes have in common, so that nobody else on the broker can read them or make
them up; a number that grows makes a repeated one worthless. While the broker is away questions fail
at once, and whoever waits for the journal looks at it from time to time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import orjson
import structlog

from csms.bus.broker import Broker, client_of
from csms.core.errors import CsmsError, Invalid, NodeUnreachable
from csms.core.nodes import Node
from csms.flows.post import Handler
from csms.vault import Vault

log = structlog.get_logger("bus.post")

PURPOSE = "csms between nodes"
ASK, TAKEN, ANSWER, FAULT = "ask", "taken", "answer", "fault"
MOST_SENDERS = 1_000


@dataclass(frozen=True, slots=True)
class PostLimits:
    """`taken_s`: how long another node may take to say that it has taken a question; `answer_s`:
    how long the broker may take for one thing. `at_once`: questions of others being worked on, more
    are refused. `wake_s`: wake-ups go out no closer together. `first_s` to `most_s`: how long a
    broker that is away is left alone. `most_bytes`: of one question or answer."""

    taken_s: float = 3.0
    answer_s: float = 5.0
    at_once: int = 1_000
    wake_s: float = 0.02
    first_s: float = 0.5
    most_s: float = 15.0
    most_bytes: int = 4_000_000


@dataclass(slots=True)
class _Waiting:
    node: str
    taken: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    answer: asyncio.Future[Any] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class _Asked:
    """See `flows.post.Asked`."""

    def __init__(self, post: Post, number: int, waiting: _Waiting) -> None:
        self._post, self._number, self._waiting = post, number, waiting

    async def answer(self, within_s: float) -> Any:
        try:
            async with asyncio.timeout(within_s):
                return await self._waiting.answer
        except TimeoutError:
            node = self._waiting.node
            raise NodeUnreachable(f"{node} gave no answer in {within_s:g} s") from None
        finally:
            self._post.forget(self._number)


class Post:
    """See `flows.post.Post`. `run` it until it is cancelled.

    `me()`: this node as it lives now; `other(name)`: another that lives, None if it does not.
    `woken()` is called when the journal grew on another node. `trouble`: why nothing goes through
    at the moment, None when all is well.
    """

    def __init__(
        self,
        broker: Broker,
        prefix: str,
        vault: Vault,
        me: Callable[[], Node],
        other: Callable[[str], Node | None],
        woken: Callable[[], None],
        limits: PostLimits | None = None,
    ) -> None:
        self.handlers: dict[str, Handler] = {}
        self._broker = broker
        self._wakes = f"{prefix}/nodes/wake"
        self._box = f"{prefix}/nodes/box"
        self._vault = vault
        self._me = me
        self._other = other
        self._woken = woken
        self._limits = limits or PostLimits()
        self.trouble: str | None = "not connected so far"
        self.asked = 0
        self._client: aiomqtt.Client | None = None
        self._number = 0
        self._waiting: dict[int, _Waiting] = {}
        self._heard: dict[str, int] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._grown = asyncio.Event()
        self._wait_s = self._limits.first_s

    @property
    def under_way(self) -> int:
        """Questions of others being worked on."""
        return len(self._working)

    @property
    def at_once(self) -> int:
        return self._limits.at_once

    # -- asking --------------------------------------------------------------------------------

    def wake(self) -> None:
        """Tell the others that the journal grew. Call it on the event loop."""
        self._grown.set()

    async def ask(self, node: str, what: str, body: Mapping[str, Any]) -> _Asked:
        """See `flows.post.Post.ask`."""
        to = self._other(node)
        if to is None:
            raise NodeUnreachable(f"{node} is not among the nodes that live: csms node list")
        self._number += 1
        number, waiting = self._number, _Waiting(node)
        self._waiting[number] = waiting
        self.asked += 1
        try:
            await self._send(to.name, to.run, ASK, number, {"what": what, "body": body})
            async with asyncio.timeout(self._limits.taken_s):
                await waiting.taken
        except TimeoutError:
            self.forget(number)
            raise NodeUnreachable(
                f"{node} did not answer over the broker in {self._limits.taken_s:g} s"
            ) from None
        except BaseException:
            self.forget(number)
            raise
        return _Asked(self, number, waiting)

    def forget(self, number: int) -> None:
        """Nobody waits for that one any more."""
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.taken.cancel()
            waiting.answer.cancel()

    async def _send(self, node: str, run: str, kind: str, number: int, parcel: Any) -> None:
        """Raises `NodeUnreachable`."""
        client, me = self._client, self._me()
        if client is None:
            raise NodeUnreachable(
                f"{node} cannot be reached: the broker is away ({self.trouble}); see bus.url"
            )
        letter = {"from": me.name, "run": me.run, "kind": kind, "number": number, "parcel": parcel}
        sealed = self._vault.seal(orjson.dumps(letter).decode(), run)
        if len(sealed) > self._limits.most_bytes:
            raise NodeUnreachable(f"more than {self._limits.most_bytes} bytes for {node}")
        try:
            await client.publish(f"{self._box}/{node}", sealed, qos=0)
        except aiomqtt.MqttError as error:
            raise NodeUnreachable(f"{node} cannot be reached over the broker: {error}") from error

    # -- being asked ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Stay connected until cancelled."""
        limits = self._limits
        try:
            while True:
                try:
                    await self._connected()
                except aiomqtt.MqttError as error:
                    self._failed(f"{self._broker.shown}: {error}")
                except Exception as error:
                    log.exception("post_failed")
                    self._failed(type(error).__name__)
                await asyncio.sleep(self._wait_s * random.uniform(0.8, 1.2))  # noqa: S311
                self._wait_s = min(self._wait_s * 2, limits.most_s)
        finally:
            for task in list(self._working):
                task.cancel()

    def _failed(self, why: str) -> None:
        if why != self.trouble:
            log.warning("nodes_not_connected", why=why)
        self.trouble = why

    async def _connected(self) -> None:
        """Hear what comes; ends with an exception."""
        limits, box = self._limits, f"{self._box}/{self._me().name}"
        async with client_of(self._broker, limits.answer_s, limits.at_once) as client:
            client.pending_calls_threshold = limits.at_once
            await client.subscribe([(box, 0), (self._wakes, 0)])
            self._client = client
            self._wait_s = limits.first_s
            if self.trouble is not None:
                log.info("nodes_connected", broker=self._broker.shown)
            self.trouble = None
            waking = asyncio.create_task(self._wake_others(client), name="wake other nodes")
            try:
                # What grew while we were away.
                self._woken()
                async for message in client.messages:
                    payload = message.payload
                    if not isinstance(payload, bytes | bytearray):
                        continue
                    if str(message.topic) == self._wakes:
                        if bytes(payload).decode("ascii", "replace") != self._me().run:
                            self._woken()
                    elif len(payload) <= limits.most_bytes:
                        self._hear(bytes(payload))
            finally:
                self._client = None
                waking.cancel()
                for waiting in self._waiting.values():
                    if not waiting.taken.done():
                        waiting.taken.set_exception(
                            NodeUnreachable(f"{waiting.node}: the connection to the broker broke")
                        )

    async def _wake_others(self, client: aiomqtt.Client) -> None:
        """What grows within a moment is one wake-up."""
        while True:
            await self._grown.wait()
            self._grown.clear()
            try:
                await client.publish(self._wakes, self._me().run, qos=0)
            except aiomqtt.MqttError:
                # The reader finds out as well.
                return
            await asyncio.sleep(self._limits.wake_s)

    def _hear(self, sealed: bytes) -> None:
        """One letter. What is not from a node of ours, or comes again, is left alone."""
        try:
            letter = orjson.loads(self._vault.open(sealed.decode("ascii"), self._me().run))
            run, kind, number = str(letter["run"]), letter["kind"], int(letter["number"])
            sender, parcel = str(letter["from"]), letter["parcel"]
        except (Invalid, ValueError, KeyError, TypeError):
            # To an earlier life of this node, or somebody else's.
            log.warning("letter_not_read")
            return
        if kind == ASK:
            if number <= self._heard.get(run, 0):
                log.warning("letter_repeated", node=sender)
                return
            if len(self._heard) >= MOST_SENDERS:
                del self._heard[next(iter(self._heard))]
            self._heard[run] = number
            task = asyncio.create_task(
                self._work(sender, run, number, parcel), name=f"asked by {sender} {number}"
            )
            self._working.add(task)
            task.add_done_callback(self._working.discard)
            return
        waiting = self._waiting.get(number)
        if waiting is None or waiting.node != sender:
            return
        if not waiting.taken.done():
            waiting.taken.set_result(None)
        if kind == ANSWER and not waiting.answer.done():
            waiting.answer.set_result(parcel)
        elif kind == FAULT and not waiting.answer.done():
            waiting.answer.set_exception(NodeUnreachable(f"{sender}: {parcel}"))
            # Nobody need be waiting for it.
            waiting.answer.exception()

    async def _work(self, sender: str, run: str, number: int, parcel: Mapping[str, Any]) -> None:
        """Do what another node asks, and say so; nothing that goes wrong with it is raised."""
        handler = self.handlers.get(str(parcel.get("what")))
        kind, answer = FAULT, "does not know what it is asked for; are all nodes of one version?"
        try:
            if handler is not None and len(self._working) <= self._limits.at_once:
                await self._send(sender, run, TAKEN, number, None)
                try:
                    kind, answer = ANSWER, await handler(parcel["body"])
                except CsmsError as error:
                    kind, answer = FAULT, error.detail or error.code
                except Exception:
                    log.exception("asked_in_vain", node=sender, what=parcel.get("what"))
                    answer = "an internal error; see its log"
            elif handler is not None:
                answer = f"has more than {self._limits.at_once} questions to work on"
            await self._send(sender, run, kind, number, answer)
        except NodeUnreachable as error:
            log.warning("answer_not_sent", node=sender, why=error.detail)
