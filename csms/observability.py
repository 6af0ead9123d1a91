"""Logs and metrics: what an operator sees of the inside.

Log events are stable snake_case names with keys. Secrets are redacted by key before anything is
written, in every layer, so that no call site can forget it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
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


class _Lines(structlog.PrintLogger):
    """Writes each line, or loses it: who reports a fault has to deal with it next, also while the
    disk is full or nobody reads what we say."""

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


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
        logger_factory=lambda *names: _Lines(sys.stderr),
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
        self._calls: dict[tuple[str, str], Tally] = {}
        self.registry.register(_CallTallies(self._calls))
        self._read: dict[str, Read] = {}
        self.registry.register(_Reads(self._read))
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
        self.links_ended = Counter(
            "csms_links_ended", "Links that ended", ["reason"], registry=self.registry
        )
        self.own_call_seconds = Histogram(
            "csms_own_call_seconds",
            "From a call of ours to what became of it",
            ["outcome"],
            buckets=OWN_CALL_SECONDS,
            registry=self.registry,
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
        self.http_seconds = Histogram(
            "csms_http_seconds", "Time to answer an API request", ["method"], registry=self.registry
        )
        self.http_answers = Counter(
            "csms_http_answers",
            "API requests answered",
            ["method", "status"],
            registry=self.registry,
        )
        self.http_cut = Counter(
            "csms_http_cut", "HTTP connections cut off", ["reason"], registry=self.registry
        )
        self.partner_requests = Counter(
            "csms_partner_requests",
            "Requests of partners answered",
            ["module", "status"],
            registry=self.registry,
        )
        self.partner_call_seconds = Histogram(
            "csms_partner_call_seconds",
            "From a request of ours to a partner to its answer, waiting included",
            ["outcome"],
            buckets=OWN_CALL_SECONDS,
            registry=self.registry,
        )

    def count_call(self, version: str, action: str, seconds: float) -> None:
        """One call answered, in so many seconds. `action` must come from a fixed set: every new one
        stays for ever."""
        tally = self._calls.get((version, action))
        if tally is None:
            tally = self._calls[version, action] = Tally(CALL_SECONDS)
        tally.add(seconds)

    def reads(self, **found: Read) -> None:
        """Metrics that are looked up when somebody asks, so that keeping them costs nothing; by
        name without `csms_`."""
        self._read.update({f"csms_{name}": read for name, read in found.items()})


CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
OWN_CALL_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STORE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
BATCH_SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)


class Tally:
    """A histogram in plain numbers, added to by one thread: a `Histogram` with its lock costs more
    than finding the route of a call. Whoever reads meanwhile may be one behind."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @classmethod
    def sum_of(cls, tallies: Sequence[Tally]) -> Tally:
        """One that holds the values of all of them; all have the same bounds."""
        total = cls(tallies[0].bounds)
        total.buckets = [sum(counts) for counts in zip(*(t.buckets for t in tallies), strict=True)]
        total.sum = sum(t.sum for t in tallies)
        return total

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.buckets)

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus wants it: bound and how many were at most that."""
        names = [*(str(bound) for bound in self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.buckets), strict=True))


@dataclass(frozen=True, slots=True)
class Read:
    """A metric that is read from where it is kept: a gauge, a counter or a histogram. With `labels`
    a gauge: `get` gives a value for each of what they say."""

    kind: Literal["gauge", "counter", "histogram"]
    says: str
    get: Callable[[], float | Tally | Mapping[tuple[str, ...], float]]
    labels: tuple[str, ...] = ()


class _Reads(Collector):
    """What is looked up when somebody asks."""

    def __init__(self, reads: Mapping[str, Read]) -> None:
        self._reads = reads

    def collect(self) -> Iterable[Metric]:
        for name, read in list(self._reads.items()):
            found = read.get()
            if isinstance(found, Mapping):
                gauge = GaugeMetricFamily(name, read.says, labels=read.labels)
                for values, value in found.items():
                    gauge.add_metric(values, value)
                yield gauge
            elif isinstance(found, Tally):
                histogram = HistogramMetricFamily(name, read.says)
                histogram.add_metric([], found.cumulative(), found.sum)
                yield histogram
            elif read.kind == "counter":
                yield CounterMetricFamily(name, read.says, value=found)
            else:
                yield GaugeMetricFamily(name, read.says, value=found)


class _CallTallies(Collector):
    """`csms_calls_total` and `csms_call_seconds`: what every message touches."""

    def __init__(self, calls: Mapping[tuple[str, str], Tally]) -> None:
        self._calls = calls

    def collect(self) -> Iterable[Metric]:
        labels = ["version", "action"]
        family = CounterMetricFamily("csms_calls", "Calls answered", labels=labels)
        seconds = HistogramMetricFamily(
            "csms_call_seconds", "From a call to its answer", labels=labels
        )
        for (version, action), tally in list(self._calls.items()):
            family.add_metric([version, action], tally.count)
            seconds.add_metric([version, action], tally.cumulative(), tally.sum)
        yield family
        yield seconds
