"""TLS for stations: OCPP security profile 2 (Security Whitepaper A00.FR.3xx, OCPP 2.0.1 A00).

One context serves every handshake; what is renewed on disk is loaded into it, so that new
handshakes use it and links that are up are not touched. Files that cannot be used leave the old
ones in place.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import weakref
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog

from csms.core.errors import Invalid
from csms.observability import Metrics
from csms.ocpp.certificates import Inspected, Pair, inspect, kinds_missing

log = structlog.get_logger("ocpp.tls")

# The four suites that every central system has to offer (Security Whitepaper A00.FR.317, FR.421;
# OCPP 2.0.1 A00.FR.318), and the forward-secret ones for RSA certificates. OpenSSL leaves out the
# static RSA suites unless they are named. TLS 1.3 has suites of its own.
CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    )
)
Stamp = tuple[tuple[int, int, int] | None, ...]


class _Context(ssl.SSLContext):
    """A server context with at most `most` handshakes under way; more are refused at once, before
    anything was computed for them.

    One that failed is not told here: it counts until its object is gone (with uvloop at once), at
    most for `timeout_s`.
    """

    most = 0
    timeout_s = 0.0
    under_way: weakref.WeakKeyDictionary[ssl.SSLObject, float]

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        now = time.monotonic()
        if len(self.under_way) >= self.most:
            for handshake, began in list(self.under_way.items()):
                if now - began > self.timeout_s:
                    del self.under_way[handshake]
        if len(self.under_way) >= self.most:
            raise ssl.SSLError("too many handshakes are under way")
        made = super().wrap_bio(*args, **more)
        self.under_way[made] = now
        return made


def shaken(handshake: object) -> None:
    """A handshake is done: its link is counted elsewhere from here on."""
    if isinstance(handshake, ssl.SSLObject) and isinstance(handshake.context, _Context):
        handshake.context.under_way.pop(handshake, None)


def server_context(most: int = 2_000, timeout_s: float = 10.0) -> ssl.SSLContext:
    """A context without certificates: TLS 1.2 and 1.3, the suites above, no compression. `most`
    handshakes may be under way, none for longer than `timeout_s` (which the listener sees to)."""
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.most, context.timeout_s = most, timeout_s
    context.under_way = weakref.WeakKeyDictionary()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


class Certificates:
    """The certificate files of a listener, and the context that serves them.

    Raises `Invalid` when made with files that cannot be used at all. `trouble` says what is wrong
    with the files on disk while older ones are served.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        metrics: Metrics,
        clock: Callable[[], datetime],
        max_handshakes: int = 2_000,
        handshake_timeout_s: float = 10.0,
    ) -> None:
        self._pairs = tuple(pairs)
        self._metrics = metrics
        self._clock = clock
        self.handshake_timeout_s = handshake_timeout_s
        self.context = server_context(max_handshakes, handshake_timeout_s)
        self.trouble: str | None = None
        self._stamp = self._stamps()
        inspected = self._inspect()
        broken = self._unusable(inspected, starting=True)
        if broken is not None:
            raise Invalid(f"{broken}; csms check tells more")
        self._load(inspected)

    def reload(self) -> bool:
        """Serve what is on disk now, for new handshakes; whether it could be used. Otherwise the
        old certificates stay, and `trouble` says why."""
        self._stamp = self._stamps()
        inspected = self._inspect()
        broken = self._unusable(inspected, starting=False)
        if broken is not None:
            if broken != self.trouble:
                log.error("certificates_not_reloaded", why=broken)
            self.trouble = broken
            self._metrics.tls_broken.set(1)
            return False
        self._load(inspected)
        log.info("certificates_reloaded", files=[str(p.certificate) for p in self._pairs])
        return True

    async def watch(self, every_s: float) -> None:
        """Reload whenever the files have changed; runs until it is cancelled. Files in trouble are
        looked at again each time."""
        while True:
            await asyncio.sleep(every_s)
            self.look()

    def look(self) -> None:
        """Reload if the files are others than last time, or were in trouble."""
        if self.trouble is not None or self._stamps() != self._stamp:
            self.reload()
        if self.trouble is None:
            self._expiring()

    @property
    def handshakes(self) -> int:
        """Handshakes under way."""
        context = self.context
        return len(context.under_way) if isinstance(context, _Context) else 0

    @property
    def warnings(self) -> list[str]:
        """What an operator should see to, beside `trouble`."""
        return [self.trouble] if self.trouble else list(self._soon)

    # -- parts ---------------------------------------------------------------------------------

    def _inspect(self) -> list[Inspected]:
        now = self._clock()
        return [inspect(pair, now) for pair in self._pairs]

    def _unusable(self, inspected: Sequence[Inspected], *, starting: bool) -> str | None:
        """The first reason not to use these files. One that has expired is no reason not to start:
        the others may serve, and nothing better is there."""
        for one in inspected:
            for problem in one.fatal:
                expired = one.expires_at is not None and one.expires_at <= self._clock()
                if not (starting and expired and len(one.fatal) == 1):
                    return str(problem)
        # What only OpenSSL can tell, tried where nothing depends on it.
        attempt = server_context()
        for pair in self._pairs:
            try:
                attempt.load_cert_chain(pair.certificate, pair.key)
            except (ssl.SSLError, OSError) as error:
                return f"{pair.certificate}: cannot be used: {error}"
        return None

    def _load(self, inspected: Sequence[Inspected]) -> None:
        for pair in self._pairs:
            self.context.load_cert_chain(pair.certificate, pair.key)
        self.trouble = None
        self._metrics.tls_broken.set(0)
        for one in inspected:
            if one.expires_at is not None:
                gauge = self._metrics.tls_expires.labels(str(one.pair.certificate))
                gauge.set(one.expires_at.timestamp())
        missing = kinds_missing(inspected)
        if missing is not None:
            log.warning("certificate_kind_missing", why=missing)
        self._served = list(inspected)
        self._soon: list[str] = []
        self._expiring()

    def _expiring(self) -> None:
        """Say once that a certificate being served has expired or is about to."""
        soon = [
            str(problem)
            for one in (inspect(one.pair, self._clock()) for one in self._served)
            for problem in one.problems
            if "expire" in problem.what
        ]
        for text in soon:
            if text not in self._soon:
                log.warning("certificate_expires", why=text)
        self._soon = soon

    def _stamps(self) -> Stamp:
        """What tells one version of the files from another; links to files are followed."""
        found: list[tuple[int, int, int] | None] = []
        for file in (file for pair in self._pairs for file in pair):
            try:
                state = file.stat()
                found.append((state.st_mtime_ns, state.st_size, state.st_ino))
            except OSError:
                found.append(None)
        return tuple(found)
