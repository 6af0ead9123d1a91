"""The composition root: from settings to a running system. The only file that knows all parts."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from importlib.metadata import version as installed_version

import structlog
import uvicorn

from csms.api.server import create
from csms.api.system import System
from csms.bus.local import LocalBus
from csms.bus.mqtt import Feed, FeedLimits, broker_of
from csms.core.billing import PriceAsked
from csms.core.errors import CsmsError
from csms.core.security import Keyring
from csms.core.visitors import HomeAsked
from csms.flows import places
from csms.flows.availability import Availability
from csms.flows.commands import Commander, Performed
from csms.flows.configuration import Configuration
from csms.flows.contact import Contact, ContactLimits
from csms.flows.exchange import Answerers
from csms.flows.forgetting import Forgetter
from csms.flows.logins import Logins
from csms.flows.messages import MessageLimits, MessageLog
from csms.flows.prices import Pricer
from csms.flows.records import Biller
from csms.flows.retention import Retention
from csms.fresh import keyring_of, new_id, new_secret, now
from csms.gauges import Parts, expose
from csms.observability import Metrics
from csms.ocpi import cdrs, exchange, locations, sessions, tariffs, tokens
from csms.ocpi.addresses import Policy
from csms.ocpi.asking import Homes
from csms.ocpi.client import Client, ClientLimits
from csms.ocpi.commands import Orders
from csms.ocpi.errands import Errands
from csms.ocpi.network import CPO, EMSP, Limits, Network, OwnRole
from csms.ocpi.publisher import Pace, Publisher
from csms.ocpi.roaming import Roaming
from csms.ocpi.server import Server, beside
from csms.ocpi.vault import Vault
from csms.ocpp.admission import Admission, AdmissionLimits
from csms.ocpp.certificates import Pair
from csms.ocpp.gateway import Gateway, GatewayLimits
from csms.ocpp.link import GOING_AWAY, Link, LinkLimits
from csms.ocpp.registry import Registry
from csms.ocpp.tls import Certificates
from csms.ocpp.treatment import Treatments
from csms.ocpp.v16.registration import Intervals
from csms.settings import Settings, catalogue, taxes
from csms.storage.open import OpenStore, open_store

log = structlog.get_logger("app")

# From this share of a limit on `/readyz` warns.
FULL = 0.9
HTTP_STOP_S = 5
# A partner is told of the end of its order so long after a station would have been given up.
ORDER_SLACK_S = 5.0
HTTP_AT_ONCE = 1_000
FILES_BESIDE_LINKS = 1_500


_MODULES = (
    *tokens.MODULES,
    *locations.MODULES,
    *tariffs.MODULES,
    *sessions.MODULES,
    *cdrs.MODULES,
)


@dataclass(frozen=True, slots=True)
class Running:
    """A system that is up: where it listens, and its parts for those who started it. Ports are
    None where there is no such listener. `reload`: look at the certificate files now."""

    ocpp_port: int | None
    tls_port: int | None
    http_port: int
    station_url: str
    api: System
    store: OpenStore
    registry: Registry
    reload: Callable[[], None]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """The whole system, listening, until the block ends. Raises `CsmsError` when it cannot start,
    `OSError` when a port is taken."""
    keyring = keyring_of(settings)
    known = catalogue(settings.ocpp.quirks_file)
    tax_table = taxes(settings.prices)
    metrics, bus = Metrics(), LocalBus()
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_store(
                settings.store.url,
                max_queue=settings.store.max_queue,
                grace_s=settings.store.grace_s,
                lanes=settings.store.lanes,
                on_commit=lambda events: bus.wake(),
                on_mark=lambda name: metrics.marks.labels(name).inc(),
            )
        )
        feed = _feed(settings, store, bus)
        registry = Registry(metrics)
        commander = Commander(
            store, registry, settings.node, now, new_id, settings.ocpp.call_timeout_s
        )
        settled = await commander.recover()
        if settled:
            log.info("commands_settled_after_restart", count=settled)
        stack.push_async_callback(commander.stop)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        registry.on_late = lambda command_id, performed: _note_late(
            tasks, commander, command_id, performed
        )
        pricer = Pricer(store, tax_table, now)
        network = await stack.enter_async_context(
            _network(settings, store, keyring, pricer, metrics)
        )
        configuration = Configuration(store, registry, now, settings.ocpp.call_timeout_s)
        contact = _contact(settings, store, registry, configuration)
        availability = Availability(store, commander, now, settings.ocpp.settle_s)
        registry.on_reachable = availability.reachable
        certificates = _certificates(settings, metrics)
        messages = _message_log(settings, store)
        admission = Admission(store, keyring, _admission(settings), new_id, settings.party)
        treatments = Treatments(store, known)
        gateway = await stack.enter_async_context(
            Gateway(
                store,
                admission,
                registry,
                Answerers({PriceAsked: pricer, HomeAsked: Homes(lambda: network)}),
                metrics,
                _limits(settings),
                settings.node,
                now,
                certificates,
                messages,
                treatments,
            )
        )
        publisher = Publisher(network, bus, Pace(at_once=settings.ocpi.pushes_at_once))
        errands = Errands(network, bus, settings.ocpp.call_timeout_s + ORDER_SLACK_S)
        station_url = settings.ocpp.public_url or _address(settings, gateway)
        api = System(
            store=store,
            commander=commander,
            logins=Logins(store, registry, now, settings.ocpp.call_timeout_s),
            bus=bus,
            metrics=metrics,
            keyring=keyring,
            clock=now,
            new_id=new_id,
            new_secret=new_secret,
            seen=lambda station_id: _seen(registry, station_id),
            drop_link=lambda station_id: _drop_link(tasks, registry, station_id),
            treat=lambda station_id: _treat(tasks, registry, treatments, station_id),
            catalogue=known,
            configuration=configuration,
            contact=contact,
            taxes=tax_table,
            tolerance_percent=Decimal(str(settings.prices.tolerance_percent)),
            stopping=stopping.is_set,
            party=settings.party,
            station_url=station_url,
            warnings=lambda: _warnings(settings, store, registry, certificates, feed),
            node=settings.node,
            max_wait_s=settings.http.max_wait_s,
            max_body_bytes=settings.http.max_body_bytes,
            event_streams=settings.http.event_streams,
            connections=Roaming(network, publisher),
            errands=errands,
        )
        partner_orders = Orders(network, commander, settings.ocpp.call_timeout_s + ORDER_SLACK_S)
        server = Server(network, (*_MODULES, partner_orders.module, errands.module))
        server.on_answered = lambda module, status: metrics.partner_requests.labels(
            module, str(status)
        ).inc()
        http_port = await stack.enter_async_context(_http(settings, api, server))
        if settings.ocpi.public_url is None:
            network.reachable_at(f"http://{_host(settings.http.host)}:{http_port}/ocpi")
        expose(
            metrics,
            Parts(
                settings,
                store,
                gateway,
                registry,
                commander,
                contact,
                certificates,
                messages,
                network.client,
                publisher,
                feed,
            ),
        )
        watching = [
            tasks.create_task(contact.run(), name="contact"),
            tasks.create_task(availability.run(), name="availability"),
        ]
        watching.append(tasks.create_task(publisher.run(), name="partners"))
        telling = partner_orders.run()
        watching.append(tasks.create_task(telling, name="tell partners of their orders"))
        watching.append(tasks.create_task(errands.run(), name="give up errands"))
        if certificates is not None:
            watch = certificates.watch(settings.ocpp.tls.reload_check_s)
            watching.append(tasks.create_task(watch, name="watch the certificates"))
        if messages is not None:
            watching.append(tasks.create_task(messages.run(), name="write the message log"))
        watching.append(tasks.create_task(pricer.run(), name="settle prices"))
        if feed is not None:
            watching.append(tasks.create_task(feed.run(), name="deliver events"))
        biller = Biller(store, pricer, now, new_id)
        watching.append(tasks.create_task(biller.run(), name="seal charge detail records"))
        patience = timedelta(days=settings.ocpi.forget_within_days)
        forgetter = Forgetter(store, now, patience)
        watching.append(tasks.create_task(forgetter.run(), name="forget drivers"))
        heard = places.Watch(store, settings.ocpp.offline_grace_s, now).run()
        watching.append(tasks.create_task(heard, name="watch lost links"))
        sweeping = _retention(settings, store, metrics).run(settings.retention.sweep_minutes * 60)
        watching.append(tasks.create_task(sweeping, name="retention"))
        ports = {"ocpp_port": gateway.port, "tls_port": gateway.tls_port, "http_port": http_port}
        log.info("started", node=settings.node, **ports)
        try:
            yield Running(
                gateway.port,
                gateway.tls_port,
                http_port,
                station_url,
                api,
                store,
                registry,
                partial(_reload, certificates),
            )
        finally:
            log.info("stopping", node=settings.node)
            stopping.set()
            bus.wake()
            for task in watching:
                task.cancel()


def _feed(settings: Settings, store: OpenStore, bus: LocalBus) -> Feed | None:
    """What delivers events to a broker, None without one. Raises `Invalid`."""
    wanted = settings.bus
    if wanted.url is None:
        return None
    limits = FeedLimits(at_once=wanted.events_at_once, answer_s=wanted.answer_within_s)
    source = f"/csms/{settings.party}"
    return Feed(store, bus, broker_of(wanted.url), source, wanted.topic, now, limits)


def _retention(settings: Settings, store: OpenStore, metrics: Metrics) -> Retention:
    return Retention(
        store,
        settings.retention.ages(),
        now,
        lambda table, rows: metrics.rows_purged.labels(table).inc(rows),
    )


def _message_log(settings: Settings, store: OpenStore) -> MessageLog | None:
    wanted = settings.messages
    if not wanted.enabled:
        return None
    limits = MessageLimits(wanted.burst, wanted.per_minute, wanted.rows_per_s, wanted.max_chars)
    return MessageLog(store, limits, now)


@asynccontextmanager
async def _network(
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


def _contact(
    settings: Settings, store: OpenStore, registry: Registry, configuration: Configuration
) -> Contact:
    """What is asked of stations after they connect, told of every link."""
    ocpp = settings.ocpp
    limits = ContactLimits(ocpp.settle_s, ocpp.contacts_at_once, ocpp.contact_again_s)
    contact = Contact(store, registry, configuration, now, limits)
    registry.on_attached = contact.link_up
    registry.on_boot = contact.booted
    registry.on_detached = contact.link_down
    return contact


def _limits(settings: Settings) -> GatewayLimits:
    ocpp = settings.ocpp
    return GatewayLimits(
        host=ocpp.host,
        port=ocpp.port if ocpp.plain else None,
        tls_port=ocpp.tls.port,
        max_links=ocpp.max_links,
        max_handshakes=ocpp.max_handshakes,
        max_message_bytes=ocpp.max_message_bytes,
        open_timeout_s=ocpp.open_timeout_s,
        close_timeout_s=ocpp.close_timeout_s,
        ping_interval_s=ocpp.ping_interval_s,
        ping_timeout_s=ocpp.ping_timeout_s,
        silent_link_s=ocpp.silent_link_s,
        trusted_proxies=ocpp.trusted_proxies,
        intervals=Intervals(ocpp.heartbeat_interval_s, ocpp.boot_retry_s),
        link=LinkLimits(
            send_timeout_s=ocpp.send_timeout_s,
            call_timeouts=ocpp.call_timeouts,
            strict=ocpp.strict,
        ),
    )


def _admission(settings: Settings) -> AdmissionLimits:
    return AdmissionLimits(
        unknown=settings.ocpp.max_unknown_stations,
        let_in=settings.ocpp.unknown_stations == "pending",
        guests=settings.ocpp.max_pending_stations,
    )


def _certificates(settings: Settings, metrics: Metrics) -> Certificates | None:
    """The certificates of the listener with TLS, None without one. Raises `Invalid`."""
    tls = settings.ocpp.tls
    if not tls.certificates:
        return None
    pairs = [Pair(pair.certificate, pair.key) for pair in tls.certificates]
    return Certificates(pairs, metrics, now, tls.max_handshakes, tls.handshake_timeout_s)


def _reload(certificates: Certificates | None) -> None:
    if certificates is not None:
        certificates.reload()


def _address(settings: Settings, gateway: Gateway) -> str:
    """What stations are given to connect to where no other address is configured: the safer."""
    if gateway.tls_port is not None:
        return f"wss://{_host(settings.ocpp.host)}:{gateway.tls_port}/ocpp"
    return f"ws://{_host(settings.ocpp.host)}:{gateway.port}/ocpp"


def _host(host: str) -> str:
    """Where somebody on this machine reaches a listener."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104


def _seen(registry: Registry, station_id: str) -> datetime | None:
    link = registry.get(station_id)
    return link.last_seen_at if link else None


def _drop_link(tasks: asyncio.TaskGroup, registry: Registry, station_id: str) -> None:
    link = registry.get(station_id)
    if link is not None:
        tasks.create_task(_end(link), name=f"drop {link.identity}")


def _treat(
    tasks: asyncio.TaskGroup, registry: Registry, treatments: Treatments, station_id: str
) -> None:
    link = registry.get(station_id)
    if link is not None:
        tasks.create_task(_treat_link(link, treatments), name=f"treat {link.identity}")


async def _treat_link(link: Link, treatments: Treatments) -> None:
    """What an operator has set holds for the live link as far as it can."""
    try:
        switches = await treatments.now(link.station_id)
        if switches is not None:
            link.treat(switches)
    except Exception:
        log.exception("switches_not_applied", station=link.identity)


async def _end(link: Link) -> None:
    """End a link; nothing that goes wrong with one may end the system."""
    try:
        await link.close(GOING_AWAY, "the token was changed")
    except Exception:
        log.exception("link_not_dropped", station=link.identity)


def _note_late(
    tasks: asyncio.TaskGroup, commander: Commander, command_id: str, performed: Performed
) -> None:
    tasks.create_task(commander.note_late(command_id, performed), name=f"late {command_id}")


def _warnings(
    settings: Settings,
    store: OpenStore,
    registry: Registry,
    certificates: Certificates | None,
    feed: Feed | None,
) -> list[str]:
    """What an operator should see to before it becomes trouble."""
    found = list(certificates.warnings) if certificates else []
    if feed is not None and feed.trouble is not None:
        found.append(f"events are not delivered: {feed.trouble} (bus.url)")
    for what, used, limit, setting in (
        ("functions wait for the store", store.queued, store.max_queue, "store.max_queue"),
        ("stations are connected", len(registry), settings.ocpp.max_links, "ocpp.max_links"),
    ):
        if used > FULL * limit:
            found.append(f"{used} {what}, of at most {limit} ({setting})")
    return found


@asynccontextmanager
async def _http(settings: Settings, api: System, ocpi: Server) -> AsyncIterator[int]:
    """The operator API and what partners call, served by uvicorn inside this process."""
    config = uvicorn.Config(
        beside(create(api, installed_version("csms")), ocpi),
        host=settings.http.host,
        port=settings.http.port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=HTTP_STOP_S,
        limit_concurrency=HTTP_AT_ONCE,
    )
    server = uvicorn.Server(config)
    # Not uvicorn's own `bind_socket`, which ends the process when the port is taken.
    listener = socket.create_server(
        (settings.http.host, settings.http.port),
        family=socket.AF_INET6 if ":" in settings.http.host else socket.AF_INET,
        backlog=512,
    )
    port: int = listener.getsockname()[1]
    # Signals are the business of the command line.
    serving = asyncio.create_task(_serve(server, [listener]), name="http")
    try:
        while not server.started:
            if serving.done():
                await serving
                raise CsmsError("the HTTP server did not start")
            await asyncio.sleep(0.01)
        yield port
    finally:
        server.should_exit = True
        await serving


async def _serve(server: uvicorn.Server, sockets: list[object]) -> None:
    # `Server.serve` would take over the process's signal handlers; `_serve` is what it wraps.
    await server._serve(sockets)  # type: ignore[arg-type]


def allow_files(links: int) -> str | None:
    """Raise the limit of open files as far as it goes; a warning when it is too low for so many
    links (each is one file, and the API and the database want some as well)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = links + FILES_BESIDE_LINKS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        return (
            f"only {soft} open files are allowed, enough for {soft - FILES_BESIDE_LINKS} links: "
            f"raise the limit (ulimit -n {wanted}) or lower ocpp.max_links"
        )
    return None


def settle_memory() -> None:
    """For a process that serves many links: what has been loaded stays, so the garbage collector
    need not look at it again and again, nor at every few hundred new objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
