"""From settings to the parts that they describe, each by itself: what the composition root puts
together."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version as installed_version

import structlog

from csms.bus.broker import broker_of
from csms.bus.feed import Feed, FeedLimits
from csms.bus.local import LocalBus
from csms.bus.post import PURPOSE, PostLimits
from csms.bus.post import Post as BrokerPost
from csms.core.security import Keyring
from csms.flows.membership import Membership, Pulse
from csms.flows.messages import MessageLimits, MessageLog
from csms.flows.post import NoPost
from csms.flows.prices import Pricer
from csms.flows.retention import Retention
from csms.fresh import new_id, new_secret, now
from csms.observability import Metrics
from csms.ocpi import exchange
from csms.ocpi.addresses import Policy
from csms.ocpi.client import Client, ClientLimits
from csms.ocpi.network import CPO, EMSP, Limits, Network, OwnRole
from csms.ocpp.admission import AdmissionLimits
from csms.ocpp.certificates import Pair
from csms.ocpp.gateway import GatewayLimits
from csms.ocpp.link import LinkLimits
from csms.ocpp.tls import Certificates
from csms.ocpp.v16.registration import Intervals
from csms.serving import HttpLimits
from csms.settings import Settings
from csms.storage.open import OpenStore, on_server
from csms.vault import Vault

log = structlog.get_logger("app")


def node_name(settings: Settings) -> str:
    """What this node is called. Where the settings do not say: a file has one node only, and nodes
    of a server are on machines with names of their own."""
    return settings.node or (_host_name() if on_server(settings.store.url) else "node-1")


def _host_name() -> str:
    allowed = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())
    return allowed[:64] or "node-1"


def membership_of(settings: Settings, store: OpenStore, links: Callable[[], int]) -> Membership:
    """This node among the others of its store."""
    return Membership(
        store,
        node_name(settings),
        now,
        new_id,
        version=installed_version("csms"),
        pulse=Pulse(settings.nodes.beat_s, settings.nodes.lost_after_s),
        alone=not on_server(settings.store.url),
        links=links,
        takes_stations=settings.nodes.takes_stations,
    )


def post_of(
    settings: Settings, keyring: Keyring, membership: Membership, bus: LocalBus
) -> BrokerPost | NoPost:
    """The way to other nodes. Raises `Invalid`."""
    if not on_server(settings.store.url):
        return NoPost("a database file has one node only")
    if settings.bus.url is None:
        return NoPost("nodes reach each other over an MQTT broker; set bus.url")
    return BrokerPost(
        broker_of(settings.bus.url),
        settings.bus.topic,
        Vault(keyring.keys, keyring.current, PURPOSE, "a letter of another node"),
        lambda: membership.me,
        membership.other,
        bus.woken,
        PostLimits(settings.nodes.taken_within_s, settings.bus.answer_within_s),
    )


def feed_of(settings: Settings, store: OpenStore, bus: LocalBus) -> Feed | None:
    """What delivers events to a broker, None without one. Raises `Invalid`."""
    wanted = settings.bus
    if wanted.url is None:
        return None
    limits = FeedLimits(at_once=wanted.events_at_once, answer_s=wanted.answer_within_s)
    source = f"/csms/{settings.party}"
    return Feed(store, bus, broker_of(wanted.url), source, wanted.topic, now, limits)


def retention_of(settings: Settings, store: OpenStore, metrics: Metrics) -> Retention:
    return Retention(
        store,
        settings.retention.ages(),
        now,
        lambda table, rows: metrics.rows_purged.labels(table).inc(rows),
    )


def message_log_of(settings: Settings, store: OpenStore) -> MessageLog | None:
    wanted = settings.messages
    if not wanted.enabled:
        return None
    limits = MessageLimits(wanted.burst, wanted.per_minute, wanted.rows_per_s, wanted.max_chars)
    return MessageLog(store, limits, now)


@asynccontextmanager
async def network_of(
    settings: Settings, store: OpenStore, keyring: Keyring, pricer: Pricer, metrics: Metrics
) -> AsyncIterator[Network]:
    """This network as partners see it, until the block ends."""
    ocpi = settings.ocpi
    client = Client(
        Policy.of(ocpi.allow_http, ocpi.allow_networks),
        new_id,
        ClientLimits(ocpi.timeout_s, ocpi.max_answer_bytes, ocpi.requests_at_once),
    )
    client.on_called = lambda outcome, seconds: metrics.partner_call_seconds.labels(
        outcome
    ).observe(seconds)
    named = tuple(OwnRole(p.role, p.party, p.name, p.website) for p in ocpi.parties)
    network = Network(
        store=store,
        keyring=keyring,
        vault=Vault(keyring.keys, keyring.current),
        client=client,
        roles=named or tuple(OwnRole(r, settings.party, settings.party) for r in (CPO, EMSP)),
        clock=now,
        new_id=new_id,
        new_secret=new_secret,
        price=pricer.price,
        limits=Limits(
            grace=timedelta(seconds=ocpi.token_grace_s),
            page=ocpi.page,
            max_body_bytes=ocpi.max_body_bytes,
            request_timeout_s=ocpi.answer_within_s,
            per_s=ocpi.requests_per_s,
            burst=ocpi.requests_burst,
            redeliver=ocpi.redeliver_cdrs,
        ),
    )
    if ocpi.public_url is not None:
        network.reachable_at(ocpi.public_url)
    resealed = await exchange.reseal(network)
    if resealed:
        log.info("partner_tokens_resealed", count=resealed)
    try:
        yield network
    finally:
        await client.close()


def gateway_limits(settings: Settings, *, share_ports: bool = False) -> GatewayLimits:
    ocpp = settings.ocpp
    return GatewayLimits(
        host=ocpp.host,
        port=ocpp.port if ocpp.plain and settings.nodes.takes_stations else None,
        tls_port=ocpp.tls.port,
        max_links=ocpp.max_links,
        max_handshakes=ocpp.max_handshakes,
        handshakes_at_once=ocpp.handshakes_at_once,
        handshake_wait_s=ocpp.handshake_wait_s,
        links_per_s=ocpp.links_per_s,
        max_message_bytes=ocpp.max_message_bytes,
        open_timeout_s=ocpp.open_timeout_s,
        close_timeout_s=ocpp.close_timeout_s,
        ping_interval_s=ocpp.ping_interval_s,
        ping_timeout_s=ocpp.ping_timeout_s,
        silent_link_s=ocpp.silent_link_s,
        trusted_proxies=ocpp.trusted_proxies,
        proxy_protocol=ocpp.proxy_protocol,
        share_ports=share_ports,
        intervals=Intervals(ocpp.heartbeat_interval_s, ocpp.boot_retry_s),
        link=LinkLimits(
            send_timeout_s=ocpp.send_timeout_s,
            call_timeouts=ocpp.call_timeouts,
            strict=ocpp.strict,
        ),
    )


def http_limits(settings: Settings) -> HttpLimits:
    http = settings.http
    return HttpLimits(
        header_timeout_s=http.header_timeout_s,
        body_timeout_s=http.body_timeout_s,
        send_timeout_s=http.send_timeout_s,
        trusted_proxies=http.trusted_proxies,
    )


def admission_limits(settings: Settings) -> AdmissionLimits:
    return AdmissionLimits(
        unknown=settings.ocpp.max_unknown_stations,
        let_in=settings.ocpp.unknown_stations == "pending",
        guests=settings.ocpp.max_pending_stations,
    )


def certificates_of(settings: Settings, metrics: Metrics) -> Certificates | None:
    """The certificates of the listener with TLS, None without one. Raises `Invalid`."""
    tls = settings.ocpp.tls
    if not tls.certificates or not settings.nodes.takes_stations:
        return None
    pairs = [Pair(pair.certificate, pair.key) for pair in tls.certificates]
    return Certificates(pairs, metrics, now, tls.max_handshakes, tls.handshake_timeout_s)
