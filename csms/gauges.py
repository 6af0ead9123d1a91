"""What the parts of a running system keep anyway, as metrics: read when somebody asks.

docs/metrics.md says what each tells, and which setting each limit comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

from csms.bus.feed import Feed
from csms.flows.commands import Commander
from csms.flows.contact import Contact
from csms.flows.duties import Duties
from csms.flows.membership import Membership
from csms.flows.messages import MessageLog
from csms.flows.post import Post
from csms.observability import Metrics, Read
from csms.ocpi.client import Client
from csms.ocpi.publisher import Publisher
from csms.ocpp.gateway import Gateway
from csms.ocpp.registry import Registry
from csms.ocpp.tls import Certificates
from csms.settings import Settings
from csms.storage.open import OpenStore


@dataclass(frozen=True, slots=True)
class Parts:
    """Whatever keeps something worth reading. None: the system has no such part."""

    settings: Settings
    store: OpenStore
    gateway: Gateway
    registry: Registry
    commander: Commander
    contact: Contact
    certificates: Certificates | None
    messages: MessageLog | None
    client: Client
    publisher: Publisher
    feed: Feed | None
    post: Post
    membership: Membership
    duties: Duties


def expose(metrics: Metrics, parts: Parts) -> None:
    """Add the metrics of all parts."""
    metrics.reads(**_of_store(parts), **_of_stations(parts), **_of_partners(parts))
    metrics.reads(**_of_nodes(parts))
    if parts.certificates is not None:
        metrics.reads(**_of_tls(parts.settings, parts.certificates))
    if parts.messages is not None:
        metrics.reads(**_of_messages(parts.messages))
    if parts.feed is not None:
        metrics.reads(**_of_feed(parts.feed))


def _of_store(parts: Parts) -> dict[str, Read]:
    store, settings = parts.store, parts.settings.store
    return {
        "store_queue": Read("gauge", "Functions waiting for the store", lambda: store.queued),
        "store_queue_limit": Read("gauge", "More are refused", lambda: store.max_queue),
        "store_lanes": Read("gauge", "Batches that may run at once", lambda: settings.lanes),
        "store_batch_functions": Read(
            "histogram", "Functions of a batch", lambda: store.batch_functions
        ),
        "store_batch_seconds": Read("histogram", "Time of a batch", lambda: store.batch_seconds),
        "store_commit_seconds": Read("histogram", "Time of a commit", lambda: store.commit_seconds),
        "store_trouble": Read(
            "gauge", "1 while the store cannot write", lambda: float(store.trouble is not None)
        ),
        "store_conflicts": Read(
            "counter",
            "Batches run again because another writer was quicker",
            lambda: store.conflicts,
        ),
        "reader_connections_busy": Read(
            "gauge", "Reads under way", lambda: getattr(store.reader, "busy", 0)
        ),
        "reader_connections_busy_limit": Read(
            "gauge", "More reads wait", lambda: getattr(store.reader, "size", 0)
        ),
    }


def _of_stations(parts: Parts) -> dict[str, Read]:
    ocpp, gateway, registry = parts.settings.ocpp, parts.gateway, parts.registry
    commander, contact = parts.commander, parts.contact
    return {
        "links_limit": Read("gauge", "More stations get 503", lambda: ocpp.max_links),
        "handshakes": Read("gauge", "Attempts to connect under way", lambda: gateway.handshakes),
        "handshakes_silent": Read(
            "gauge", "Connections that have sent no request yet", lambda: gateway.silent
        ),
        "handshakes_slowed": Read(
            "gauge", "Refused attempts whose answer is being delayed", lambda: gateway.slowed
        ),
        "handshakes_limit": Read("gauge", "More get 503", lambda: ocpp.max_handshakes),
        "commands_under_way": Read(
            "gauge", "Commands being sent or awaiting their answer", lambda: commander.under_way
        ),
        "calls_waiting": Read(
            "gauge",
            "Calls of ours that are out or wait for their turn",
            lambda: sum(link.waiting for link in registry),
        ),
        "contacts": Read(
            "gauge", "Stations being asked after they connected", lambda: contact.under_way
        ),
        "contacts_limit": Read("gauge", "More wait", lambda: ocpp.contacts_at_once),
        "contacts_planned": Read(
            "gauge", "Stations to be asked, now or later", lambda: contact.planned
        ),
    }


def _of_tls(settings: Settings, certificates: Certificates) -> dict[str, Read]:
    most = settings.ocpp.tls.max_handshakes
    return {
        "tls_handshakes": Read(
            "gauge", "TLS handshakes under way", lambda: certificates.handshakes
        ),
        "tls_handshakes_limit": Read("gauge", "More are cut off", lambda: most),
    }


def _of_partners(parts: Parts) -> dict[str, Read]:
    client, publisher, ocpi = parts.client, parts.publisher, parts.settings.ocpi
    return {
        "partner_calls": Read(
            "gauge", "Requests of ours that are out or wait", lambda: client.under_way
        ),
        "partner_calls_limit": Read(
            "gauge", "More wait for their turn", lambda: ocpi.requests_at_once
        ),
        "partner_behind_seconds": Read(
            "gauge",
            "For how long a change has waited to reach a partner",
            publisher.behind,
            ("partner", "module"),
        ),
    }


def _of_messages(messages: MessageLog) -> dict[str, Read]:
    return {
        "messages_waiting": Read("gauge", "Messages to be logged", lambda: len(messages.waiting)),
        "messages_waiting_limit": Read("gauge", "More are left out", lambda: messages.room),
        "messages_logged": Read("counter", "Messages logged", lambda: messages.written),
        "messages_left_out": Read(
            "counter", "Messages not logged, for a limit", lambda: messages.left_out
        ),
    }


def _of_feed(feed: Feed) -> dict[str, Read]:
    return {
        "bus_published": Read("counter", "Events taken by the broker", lambda: feed.published),
        "bus_behind_seconds": Read(
            "gauge", "For how long an event has waited for the broker", lambda: feed.behind_s
        ),
        "bus_trouble": Read(
            "gauge", "1 while no event is delivered", lambda: float(feed.trouble is not None)
        ),
    }


def _of_nodes(parts: Parts) -> dict[str, Read]:
    membership, duties, post = parts.membership, parts.duties, parts.post
    return {
        "nodes_alive": Read(
            "gauge", "Nodes that live, this one too", lambda: len(membership.others()) + 1
        ),
        "node_sure": Read(
            "gauge", "1 while this node may do what only one may", lambda: float(membership.sure)
        ),
        "node_duties": Read("gauge", "What this node does for all", lambda: len(duties.held)),
        "node_questions": Read("counter", "What this node has asked others", lambda: post.asked),
        "node_answers": Read(
            "gauge", "Questions of other nodes being worked on", lambda: post.under_way
        ),
        "node_answers_limit": Read("gauge", "More are refused", lambda: post.at_once),
        "node_bus_trouble": Read(
            "gauge", "1 while no other node can be asked", lambda: float(post.trouble is not None)
        ),
    }
