"""An MQTT broker: its address, and a connection to it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import aiomqtt

from csms.core.errors import Invalid

SCHEMES = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """Where events go, and as whom we log in."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None

    @property
    def shown(self) -> str:
        """For people: without the password."""
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def broker_of(url: str) -> Broker:
    """The broker of `mqtt://USER:PASSWORD@HOST:PORT` (`mqtts` over TLS; user, password and port may
    be left out). Raises `Invalid`."""
    parts = urlsplit(url)
    try:
        port = parts.port or SCHEMES[parts.scheme]
    except (KeyError, ValueError):
        raise Invalid("must be mqtt://HOST or mqtts://USER:PASSWORD@HOST:PORT") from None
    if not parts.hostname:
        raise Invalid("must name a host, like mqtt://broker.example.com")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return Broker(parts.hostname, port, parts.scheme == "mqtts", user, password)


class BrokerClient(aiomqtt.Client):
    """A connection to a broker, to be entered, that can publish much at once."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._untaken: set[int] = set()
        self._all_taken: asyncio.Future[None] | None = None

    async def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish topics and payloads in that order, at least once each (QoS 1); returns when the
        broker has taken them all. One call at a time. Raises `aiomqtt.MqttError`, at once when the
        connection is lost: any part may have arrived then.

        There is one wait for all of them: a task and a wait for each (`publish`) cost two thirds
        of the whole.
        """
        self._untaken.clear()
        self._all_taken = asyncio.get_running_loop().create_future()
        for topic, payload in messages:
            sent = self._client.publish(topic, payload, qos=1)
            if sent.rc:
                raise aiomqtt.MqttCodeError(sent.rc, "Could not publish message")
            self._untaken.add(sent.mid)
        if not self._untaken:
            return
        ends: tuple[asyncio.Future[None], ...] = (self._all_taken, self._disconnected)
        await asyncio.wait(ends, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
        if not self._all_taken.done():
            lost = self._disconnected.done()
            raise aiomqtt.MqttError("Disconnected" if lost else "Operation timed out")

    def _on_publish(self, client: Any, userdata: Any, mid: int, *more: Any) -> None:
        """The broker has taken a message; called when what it says is read, never by publishing."""
        if mid not in self._untaken:
            super()._on_publish(client, userdata, mid, *more)
            return
        self._untaken.discard(mid)
        if not self._untaken and self._all_taken is not None and not self._all_taken.done():
            self._all_taken.set_result(None)


def client_of(broker: Broker, answer_s: float, at_once: int) -> BrokerClient:
    """A client, to be entered. `answer_s`: how long the broker may take for one thing; `at_once`:
    messages under way to it."""
    return BrokerClient(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        timeout=answer_s,
        max_inflight_messages=at_once,
        # What nodes say is short, and often two things in a row: the second must not wait for the
        # other side's acknowledgement of the first.
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        tls_context=ssl.create_default_context() if broker.tls else None,
    )
