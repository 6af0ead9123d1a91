"""An MQTT broker: its address, and a connection to it."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
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


def client_of(broker: Broker, answer_s: float, at_once: int) -> aiomqtt.Client:
    """A client, to be entered. `answer_s`: how long the broker may take for one thing; `at_once`:
    messages under way to it."""
    return aiomqtt.Client(
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
