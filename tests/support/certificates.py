"""Certificates for tests: a real authority and what it signed, made once for all tests."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from csms.cli.authority import Authority, PrivateKey, new_authority, rsa_key, sign
from csms.observability import Metrics
from csms.ocpp.certificates import Pair
from csms.ocpp.tls import Certificates

NAMES = ("localhost", "127.0.0.1")
RSA, EC = "rsa", "ec"


def today() -> datetime:
    """Handshakes are checked against the machine's clock, so certificates are made by it."""
    return datetime.now(UTC)


@cache
def authority(name: str = "Test") -> Authority:
    return new_authority(name, today())


@cache
def key(kind: str, number: int = 1) -> PrivateKey:
    """One key for many tests: making an RSA key takes long."""
    return rsa_key() if kind == RSA else ec.generate_private_key(ec.SECP256R1())


def write_pair(
    folder: Path,
    kind: str = RSA,
    *,
    names: tuple[str, ...] = NAMES,
    days: float = 400,
    began_days_ago: float = 1,
    number: int = 1,
) -> Pair:
    """A certificate of the test authority and its key, as files; written over what is there.
    `number` tells keys of one kind apart."""
    begins = today() - timedelta(days=began_days_ago - 1)
    made = sign(authority(), key(kind, number), names, "Test", begins, years=days / 365)
    pair = Pair(folder / f"{kind}.pem", folder / f"{kind}-key.pem")
    pair.certificate.write_bytes(made.public_bytes(Encoding.PEM))
    pem = key(kind, number).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair.key.touch(mode=0o600)
    pair.key.write_bytes(pem)
    return pair


def served(folder: Path, *kinds: str, metrics: Metrics | None = None) -> Certificates:
    """What a listener is given: pairs of these kinds, RSA and EC unless told otherwise."""
    pairs = [write_pair(folder, kind) for kind in kinds or (RSA, EC)]
    return Certificates(pairs, metrics or Metrics(), today)


def station_context(ciphers: str | None = None) -> ssl.SSLContext:
    """How a station connects: it trusts the test authority alone. `ciphers`: TLS 1.2 with these."""
    context = ssl.create_default_context(
        cadata=authority().certificate.public_bytes(Encoding.PEM).decode()
    )
    if ciphers is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    return context
