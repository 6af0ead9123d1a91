"""Logs and metrics: what an operator sees of the inside.

Log events are stable snake_case names with keys. Secrets are redacted by key before anything is
written, in every layer, so that no call site can forget it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_SECRET_WORDS = ("token", "password", "secret", "authorization", "api_key", "authorizationkey")
REDACTED = "[redacted]"


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: values whose key sounds like a secret are not written, however deep
    they are."""
    for key, value in event.items():
        if key != "event":
            event[key] = _shown(key, value)
    return event


def _shown(key: object, value: Any) -> Any:
    if isinstance(key, str) and any(word in key.lower() for word in _SECRET_WORDS):
        return REDACTED
    if isinstance(value, Mapping):
        return {name: _shown(name, part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(None, part) for part in value]
    return value


def configure_logging(level: str = "info", *, as_json: bool | None = None) -> None:
    """Send logs to stderr: readable on a terminal, JSON lines otherwise."""
    to_terminal = sys.stderr.isatty() if as_json is None else not as_json
    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if to_terminal
        else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, level.upper(), logging.INFO)
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries log through the standard library; their chatter about single sockets is not ours.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("websockets").setLevel(logging.CRITICAL)


class Metrics:
    """All metrics of one process, in a registry of their own (several systems may share one)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.links = Gauge("csms_links", "Live links of stations", registry=self.registry)
        self._calls: dict[tuple[str, str], int] = {}
        self.registry.register(_CallCounts(self._calls))
        self.calls_refused = Counter(
            "csms_calls_refused", "Calls answered with an error", ["code"], registry=self.registry
        )
        self.frames_refused = Counter(
            "csms_frames_refused", "Frames that are no message", ["reason"], registry=self.registry
        )
        self.frames_ignored = Counter(
            "csms_frames_ignored", "Messages without effect", ["reason"], registry=self.registry
        )
        self.handshakes_refused = Counter(
            "csms_handshakes_refused", "Links refused", ["reason"], registry=self.registry
        )
        self.tls_expires = Gauge(
            "csms_tls_certificate_expires_seconds",
            "When a certificate that is served expires (Unix time)",
            ["file"],
            registry=self.registry,
        )
        self.tls_broken = Gauge(
            "csms_tls_files_broken",
            "1 while the certificate files on disk cannot be used and older ones are served",
            registry=self.registry,
        )
        self.marks = Counter(
            "csms_marks", "Rare branches taken in the core", ["mark"], registry=self.registry
        )
        self.rows_purged = Counter(
            "csms_rows_purged", "Rows deleted by retention", ["table"], registry=self.registry
        )
        self.store_queue = Gauge(
            "csms_store_queue", "Functions waiting for the store", registry=self.registry
        )
        self.http_seconds = Histogram(
            "csms_http_seconds", "Time to answer an API request", ["method"], registry=self.registry
        )

    def count_call(self, version: str, action: str) -> None:
        """One call answered. `action` must come from a fixed set: every new one stays for ever."""
        key = (version, action)
        self._calls[key] = self._calls.get(key, 0) + 1


class _CallCounts(Collector):
    """`csms_calls_total` from plain numbers: the only metric that every message touches, and a
    `Counter` with its lock costs more than finding the route."""

    def __init__(self, calls: Mapping[tuple[str, str], int]) -> None:
        self._calls = calls

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily("csms_calls", "Calls answered", labels=["version", "action"])
        for (version, action), count in list(self._calls.items()):
            family.add_metric([version, action], count)
        yield family
