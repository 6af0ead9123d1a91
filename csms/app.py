"""The composition root: from settings to a running system. The only file that knows all parts;
`parts` makes those that settings describe by themselves."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from importlib.metadata import version as installed_version

import structlog

from csms.api.server import create
from csms.api.system import System
from csms.bus.feed import Feed
from csms.bus.local import LocalBus
from csms.bus.post import Post
from csms.core.billing import PriceAsked
from csms.core.nodes import Lease
from csms.core.visitors import HomeAsked
from csms.flows import places, reach
from csms.flows.availability import Availability
from csms.flows.commands import Commander, Performed
from csms.flows.configuration import Configuration
from csms.flows.contact import Contact, ContactLimits
from csms.flows.duties import Duties
from csms.flows.exchange import Answerers
from csms.flows.forgetting import Forgetter
from csms.flows.logins import Logins
from csms.flows.lost_nodes import LostNodes
from csms.flows.membership import Membership
from csms.flows.post import NoPost
from csms.flows.prices import Pricer
from csms.flows.reach import Reach
from csms.flows.records import Biller
from csms.fresh import keyring_of, new_id, new_secret, now
from csms.gauges import Parts, expose
from csms.observability import Metrics
from csms.ocpi import cdrs, locations, sessions, tariffs, tokens
from csms.ocpi.asking import Homes
from csms.ocpi.commands import Orders
from csms.ocpi.errands import Errands
from csms.ocpi.publisher import Pace, Publisher
from csms.ocpi.roaming import Roaming
from csms.ocpi.server import Server, beside
from csms.ocpp.admission import Admission
from csms.ocpp.draining import GIVEN_UP, Draining
from csms.ocpp.gateway import Gateway
from csms.ocpp.link import GOING_AWAY
from csms.ocpp.registry import Registry
from csms.ocpp.tls import Certificates
from csms.ocpp.treatment import Treatments
from csms.ocpp.upkeep import Upkeep
from csms.parts import (
    admission_limits,
    certificates_of,
    feed_of,
    gateway_limits,
    http_limits,
    membership_of,
    message_log_of,
    network_of,
    post_of,
    retention_of,
)
from csms.serving import serving
from csms.settings import Settings, catalogue, taxes
from csms.storage.open import OpenStore, open_store

log = structlog.get_logger("app")

# From this share of a limit on `/readyz` warns.
FULL = 0.9
# A partner is told of the end of its order so long after a station would have been given up.
ORDER_SLACK_S = 5.0
FILES_BESIDE_LINKS = 1_500
# How long another node may take to read all lists of a partner.
READ_ALL_S = 300.0
READ_ALL = "read_partner"

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
    duties: Duties


@asynccontextmanager
async def running(settings: Settings, own_http_port: int | None = None) -> AsyncIterator[Running]:
    """The whole system, listening, until the block ends. `own_http_port`: this process shares the
    ports of the settings with others of this machine, and has this one for itself. Raises
    `CsmsError` when it cannot start, or when another process has taken its name; `OSError` when a
    port is taken."""
    shares = own_http_port is not None
    keyring = keyring_of(settings)
    known = catalogue(settings.ocpp.quirks_file)
    tax_table = taxes(settings.prices)
    metrics, bus = Metrics(), LocalBus()
    stopping = asyncio.Event()
    call_timeout_s = settings.ocpp.call_timeout_s
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
        registry = Registry(metrics)
        membership = membership_of(settings, store, registry.__len__)
        post = post_of(settings, keyring, membership, bus)
        listeners = [_listener(settings.http.host, settings.http.port, shares=shares)]
        stack.callback(listeners[0].close)
        http_port: int = listeners[0].getsockname()[1]
        if own_http_port is not None:
            listeners.append(_listener(settings.http.host, own_http_port))
            stack.callback(listeners[1].close)
        own_port = listeners[-1].getsockname()[1]
        membership.me = membership.me._replace(
            address=f"http://{_named_host(settings.http.host)}:{own_port}"
        )
        await membership.join()
        stack.push_async_callback(membership.leave)
        lost_nodes = LostNodes(store, now)
        left_behind = await lost_nodes.settle_own(membership.me)
        if left_behind:
            log.info("left_behind_settled", count=left_behind)
        duties = Duties(store, membership, now)
        links = Reach(store, registry, post, membership.me.name)
        commander = Commander(store, links, membership.me.name, now, new_id, call_timeout_s)
        stack.push_async_callback(commander.stop)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        registry.on_late = lambda command_id, performed: _note_late(
            tasks, commander, command_id, performed
        )
        pricer = Pricer(store, tax_table, now)
        network = await stack.enter_async_context(
            network_of(settings, store, keyring, pricer, metrics)
        )
        configuration = Configuration(store, links, now, call_timeout_s)
        contact = _contact(settings, store, registry, links, configuration)
        availability = Availability(store, commander, links.holds, now, settings.ocpp.settle_s)
        registry.on_reachable = availability.reachable
        certificates = certificates_of(settings, metrics)
        messages = message_log_of(settings, store)
        treatments = Treatments(store, known)
        upkeep = Upkeep(registry, treatments, tasks)
        gateway = await stack.enter_async_context(
            Gateway(
                store,
                Admission(store, keyring, admission_limits(settings), new_id, settings.party),
                registry,
                Answerers({PriceAsked: pricer, HomeAsked: Homes(lambda: network)}),
                metrics,
                gateway_limits(settings, share_ports=shares),
                membership.me.name,
                now,
                certificates,
                messages,
                treatments,
                lambda: _refusing(membership),
                lambda station_id, generation, node: tasks.create_task(
                    links.moved(station_id, generation, node), name=f"moved {station_id}"
                ),
            )
        )
        publisher = Publisher(
            network, bus, Pace(at_once=settings.ocpi.pushes_at_once), mine=_partner_held(duties)
        )
        errands = Errands(network, bus, call_timeout_s + ORDER_SLACK_S)
        orders = Orders(network, commander, call_timeout_s + ORDER_SLACK_S)
        roaming = Roaming(network, publisher, _served_elsewhere(duties, membership, store, post))
        feed = feed_of(settings, store, bus)

        def tell(what: str, here: Callable[[str], object]) -> Callable[[str], None]:
            """Have it done about a link, on whichever node that is."""

            def about(station_id: str) -> None:
                tasks.create_task(links.tell(station_id, what, here), name=f"{what} {station_id}")

            return about

        done_here = {
            reach.DROP: upkeep.drop,
            reach.TREAT: upkeep.treat,
            reach.LOOK_AT: lambda station_id: contact.plan(station_id, 0.0),
        }
        links.serve(commander.follow, done_here, upkeep.replaced)
        post.handlers[READ_ALL] = lambda body: roaming.read_all(str(body["partner"]))
        station_url = settings.ocpp.public_url or _address(settings, gateway)
        api = System(
            store=store,
            commander=commander,
            logins=Logins(store, links, now, call_timeout_s),
            bus=bus,
            metrics=metrics,
            keyring=keyring,
            clock=now,
            new_id=new_id,
            new_secret=new_secret,
            seen=upkeep.seen,
            drop_link=tell(reach.DROP, upkeep.drop),
            treat=tell(reach.TREAT, upkeep.treat),
            look_at=tell(reach.LOOK_AT, done_here[reach.LOOK_AT]),
            catalogue=known,
            configuration=configuration,
            contact=contact,
            taxes=tax_table,
            tolerance_percent=Decimal(str(settings.prices.tolerance_percent)),
            stopping=stopping.is_set,
            unready=lambda: _unready(stopping, membership),
            party=settings.party,
            station_url=station_url,
            warnings=lambda: [
                *(certificates.warnings if certificates else ()),
                *_warnings(settings, store, registry, feed, post, membership, duties),
            ],
            node=membership.me.name,
            max_wait_s=settings.http.max_wait_s,
            max_body_bytes=settings.http.max_body_bytes,
            event_streams=settings.http.event_streams,
            connections=roaming,
            errands=errands,
        )
        server = Server(network, (*_MODULES, orders.module, errands.module))
        server.on_answered = lambda module, status: metrics.partner_requests.labels(
            module, str(status)
        ).inc()
        app = beside(create(api, installed_version("csms")), server)
        await stack.enter_async_context(serving(app, listeners, http_limits(settings), metrics))
        if settings.ocpi.public_url is None:
            network.reachable_at(f"http://{_host(settings.http.host)}:{http_port}/ocpi")
        parts = Parts(
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
            post,
            membership,
            duties,
        )
        expose(metrics, parts)

        # What every node does for itself.
        async def given_up() -> None:
            await registry.close_all(GOING_AWAY, GIVEN_UP)

        membership.on_given_up = given_up
        membership.on_change = duties.look
        draining = Draining(registry, lambda: membership.draining, settings.nodes.drain_links_per_s)
        own = {
            "membership": membership.run(),
            "duties": duties.run(),
            "contact": contact.run(),
            "availability": availability.run(),
            "partners": publisher.run(),
            "draining": draining.run(),
        }
        if isinstance(post, Post):
            bus.on_wake = post.wake
            own["other nodes"] = post.run()
        if certificates is not None:
            own["watch the certificates"] = certificates.watch(settings.ocpp.tls.reload_check_s)
        if messages is not None:
            own["write the message log"] = messages.run()
        watching = [tasks.create_task(work, name=name) for name, work in own.items()]

        # What one node does for all.
        patience = timedelta(days=settings.ocpi.forget_within_days)
        sweep_s = settings.retention.sweep_minutes * 60
        duties.add("tell partners of their orders", orders.run)
        duties.add("give up errands", errands.run)
        duties.add("settle prices", pricer.run)
        duties.add("seal charge detail records", Biller(store, pricer, now, new_id).run)
        duties.add("forget drivers", Forgetter(store, now, patience).run)
        duties.add("watch lost links", places.Watch(store, settings.ocpp.offline_grace_s, now).run)
        duties.add("retention", lambda: retention_of(settings, store, metrics).run(sweep_s))
        duties.add("settle what lost nodes left", lost_nodes.run)
        if feed is not None:
            duties.add("deliver events", feed.run)
        duties.also(
            lambda: _partner_duties(publisher),
            lambda name: publisher.drop(name.removeprefix(_PARTNER)),
        )
        duties.look()
        ports = {"ocpp_port": gateway.port, "tls_port": gateway.tls_port, "http_port": http_port}
        log.info("started", node=membership.me.name, **ports)
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
                duties,
            )
        finally:
            log.info("stopping", node=membership.me.name)
            stopping.set()
            bus.wake()
            for task in watching:
                task.cancel()


# -- nodes -----------------------------------------------------------------------------------------

_PARTNER = "partner "


async def _partner_duties(publisher: Publisher) -> list[str]:
    return [f"{_PARTNER}{partner_id}" for partner_id in await publisher.registered()]


def _partner_held(duties: Duties) -> Callable[[str], bool]:
    return lambda partner_id: duties.holds(f"{_PARTNER}{partner_id}")


def _served_elsewhere(
    duties: Duties, membership: Membership, store: OpenStore, post: Post | NoPost
) -> Callable[[str], Awaitable[list[str] | None]]:
    """Having the lists of a partner read by the node that serves it."""

    async def read(partner_id: str) -> list[str] | None:
        name = f"{_PARTNER}{partner_id}"
        if duties.holds(name):
            return None
        lease = await store.reader.get(Lease, name)
        if lease is None or membership.other(lease.node) is None:
            return None
        asked = await post.ask(lease.node, READ_ALL, {"partner": partner_id})
        steps = await asked.answer(READ_ALL_S)
        return [f"{step} (by {lease.node})" for step in steps]

    return read


def _refusing(membership: Membership) -> str | None:
    """Why no station may connect now."""
    if membership.draining:
        return "draining"
    return None if membership.living else "given_up"


def _unready(stopping: asyncio.Event, membership: Membership) -> str | None:
    """Why a balancer should send nobody here."""
    if stopping.is_set():
        return "stopping"
    if membership.draining:
        return f"{membership.me.name} is draining; csms node resume {membership.me.name} ends it"
    return None if membership.living else "this node was thought lost and begins anew"


def _warnings(
    settings: Settings,
    store: OpenStore,
    registry: Registry,
    feed: Feed | None,
    post: Post | NoPost,
    membership: Membership,
    duties: Duties,
) -> list[str]:
    """What an operator should see to before it becomes trouble."""
    found = []
    if feed is not None and feed.trouble is not None and duties.holds("deliver events"):
        found.append(f"events are not delivered: {feed.trouble} (bus.url)")
    others = membership.others()
    if isinstance(post, Post) and post.trouble is not None and others:
        found.append(f"other nodes cannot be asked: {post.trouble} (bus.url)")
    if isinstance(post, NoPost) and others:
        names = ", ".join(node.name for node in others)
        found.append(f"stations of {names} get no commands from here: set bus.url to a broker")
    if not any(node.takes_stations for node in (membership.me, *others)):
        found.append("no node takes stations: start one with nodes.takes_stations = true")
    for what, used, limit, setting in (
        ("functions wait for the store", store.queued, store.max_queue, "store.max_queue"),
        ("stations are connected", len(registry), settings.ocpp.max_links, "ocpp.max_links"),
    ):
        if used > FULL * limit:
            found.append(f"{used} {what}, of at most {limit} ({setting})")
    return found


# -- parts that know each other ------------------------------------------------------------------


def _contact(
    settings: Settings,
    store: OpenStore,
    registry: Registry,
    links: Reach,
    configuration: Configuration,
) -> Contact:
    """What is asked of stations after they connect, told of every link."""
    ocpp = settings.ocpp
    limits = ContactLimits(ocpp.settle_s, ocpp.contacts_at_once, ocpp.contact_again_s)
    contact = Contact(store, links, configuration, now, limits)
    registry.on_attached = contact.link_up
    registry.on_boot = contact.booted
    registry.on_detached = contact.link_down
    return contact


def _reload(certificates: Certificates | None) -> None:
    if certificates is not None:
        certificates.reload()


def _address(settings: Settings, gateway: Gateway) -> str:
    """What stations are given to connect to where no other address is configured: the safer."""
    tls, plain = gateway.tls_port, gateway.port
    if not settings.nodes.takes_stations:
        # Those beside it listen there.
        tls = settings.ocpp.tls.port if settings.ocpp.tls.certificates else None
        plain = settings.ocpp.port
    if tls is not None:
        return f"wss://{_host(settings.ocpp.host)}:{tls}/ocpp"
    return f"ws://{_host(settings.ocpp.host)}:{plain}/ocpp"


def _named_host(host: str) -> str:
    """What other machines may call a listener."""
    return socket.gethostname() if host in ("0.0.0.0", "::", "") else host  # noqa: S104


def _host(host: str) -> str:
    """Where somebody on this machine reaches a listener."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104


def _note_late(
    tasks: asyncio.TaskGroup, commander: Commander, command_id: str, performed: Performed
) -> None:
    tasks.create_task(commander.note_late(command_id, performed), name=f"late {command_id}")


def _listener(host: str, port: int, *, shares: bool = False) -> socket.socket:
    """A port that is ours, on which nobody is let wait yet: who connects before the system serves
    would hang, while another process that shares the port could answer. Not uvicorn's own
    `bind_socket`, which ends the process when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family)
    try:
        if family is socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # An answer is written in two parts. asyncio's own loop sets this for sockets that it has
        # made itself only, and the second part would wait 40 ms for the first to be acknowledged.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"{error.strerror} ({host} port {port})") from None
    return made


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
