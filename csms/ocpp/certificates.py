"""What is wrong with a server's certificate files, in words that name the file and the next step.

Files only: nothing here opens a socket. `Problem.fatal` ones cannot be served; the others are what
stations of the field or the specifications object to.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtensionOID, NameOID

EXPIRES_SOON = timedelta(days=30)
# OCPP Security Whitepaper A00.FR.501, FR.502; OCPP 1.6J 6.2.1 for the size.
MIN_RSA_BITS, MIN_EC_BITS, MAX_RSA_BYTES = 2048, 224, 2048


class Pair(NamedTuple):
    """A certificate file (the server's own first, then what signed it) and its key file."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `fatal`: the pair cannot be used as it is."""

    file: Path
    what: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


@dataclass(frozen=True, slots=True)
class Inspected:
    """A pair that was looked at: `kind` is RSA or EC, `expires_at` None when it cannot be read."""

    pair: Pair
    problems: tuple[Problem, ...]
    kind: str | None = None
    expires_at: datetime | None = None
    names: tuple[str, ...] = ()

    @property
    def fatal(self) -> tuple[Problem, ...]:
        return tuple(p for p in self.problems if p.fatal)


def inspect(pair: Pair, now: datetime) -> Inspected:
    """Read both files and judge them: readable, matching, valid at `now`, chain in order, strong
    enough for OCPP security profile 2."""
    chain, unreadable = _read_chain(pair.certificate)
    key, key_unreadable = _read_key(pair.key)
    problems = [p for p in (unreadable, key_unreadable) if p is not None]
    if not chain:
        return Inspected(pair, tuple(problems))
    own = chain[0]
    problems += _key_problems(pair, own, key)
    problems += _validity(pair.certificate, own, now)
    problems += _chain_problems(pair.certificate, chain)
    names = _names(own)
    problems += _name_problems(pair.certificate, names)
    kind = "EC" if isinstance(own.public_key(), ec.EllipticCurvePublicKey) else "RSA"
    return Inspected(pair, tuple(problems), kind, own.not_valid_after_utc, names)


def kinds_missing(inspected: Sequence[Inspected]) -> str | None:
    """Why the mandated cipher suites cannot all be offered (A00.FR.317, FR.421), None when they
    can: two of them need an RSA certificate, two an EC one."""
    missing = {"RSA", "EC"} - {one.kind for one in inspected}
    if not missing or not inspected:
        return None
    kind = missing.pop()
    return (
        f"there is no {kind} certificate, so stations that speak {kind} suites only cannot "
        "connect: add a second pair to ocpp.tls.certificates"
    )


def _read_chain(file: Path) -> tuple[list[x509.Certificate], Problem | None]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes()), None
    except OSError as error:
        return [], Problem(file, f"cannot be read: {error.strerror}")
    except ValueError:
        return [], Problem(file, "holds no certificate in PEM form (BEGIN CERTIFICATE)")


def _read_key(file: Path) -> tuple[object | None, Problem | None]:
    try:
        content = file.read_bytes()
        mode = file.stat().st_mode
    except OSError as error:
        return None, Problem(file, f"cannot be read: {error.strerror}")
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        what = "is protected by a passphrase; store it without: openssl pkey -in FILE -out FILE"
        return None, Problem(file, what)
    except ValueError:
        return None, Problem(file, "holds no private key in PEM form (BEGIN PRIVATE KEY)")
    if mode & stat.S_IROTH:
        return key, Problem(file, f"can be read by everybody: chmod 600 {file}", fatal=False)
    return key, None


def _key_problems(pair: Pair, own: x509.Certificate, key: object | None) -> list[Problem]:
    public = own.public_key()
    problems = []
    if key is not None:
        expected = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        held = key.public_key().public_bytes(  # type: ignore[attr-defined]
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        if held != expected:
            what = f"is not the key of {pair.certificate}: put the pair together again"
            problems.append(Problem(pair.key, what))
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < MIN_RSA_BITS:
            what = f"an RSA key of {public.key_size} bits is too short; OCPP asks for 2048"
            problems.append(Problem(pair.certificate, what))
        if len(own.public_bytes(Encoding.DER)) > MAX_RSA_BYTES:
            what = "is larger than the 2048 bytes that OCPP 1.6 stations need to take"
            problems.append(Problem(pair.certificate, what, fatal=False))
    elif isinstance(public, ec.EllipticCurvePublicKey):
        if public.curve.key_size < MIN_EC_BITS:
            problems.append(Problem(pair.certificate, "the EC key is too short; use secp256r1"))
    else:
        what = "is neither RSA nor EC, which no OCPP cipher suite can use"
        problems.append(Problem(pair.certificate, what))
    return problems


def _validity(file: Path, own: x509.Certificate, now: datetime) -> list[Problem]:
    begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
    if ends <= now:
        return [Problem(file, f"expired on {ends:%Y-%m-%d}: get a new one; stations refuse it")]
    if begins > now:
        what = f"is valid only from {begins:%Y-%m-%d %H:%M} UTC: is the clock right?"
        return [Problem(file, what)]
    if ends - now < EXPIRES_SOON:
        left = (ends - now).days
        what = f"expires in {left} days, on {ends:%Y-%m-%d}: get a new one"
        return [Problem(file, what, fatal=False)]
    return []


def _chain_problems(file: Path, chain: list[x509.Certificate]) -> list[Problem]:
    for number, (below, above) in enumerate(pairwise(chain), start=2):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature):
            what = (
                f"certificate {number} did not sign the one before it: the server's own comes "
                "first, then the intermediate that signed it, and so on"
            )
            return [Problem(file, what)]
    if len(chain) == 1 and chain[0].issuer == chain[0].subject:
        what = "is signed by itself: stations need it as their root, and no other may follow it"
        return [Problem(file, what, fatal=False)]
    return []


def _names(own: x509.Certificate) -> tuple[str, ...]:
    """The names that it stands for: subject alternative names, else the common name."""
    try:
        found = own.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return tuple(str(a.value) for a in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    assert isinstance(found, x509.SubjectAlternativeName)
    hosts = found.get_values_for_type(x509.DNSName)
    return (*hosts, *(str(a) for a in found.get_values_for_type(x509.IPAddress)))


def _name_problems(file: Path, names: tuple[str, ...]) -> list[Problem]:
    if not names:
        return [Problem(file, "names no host, so stations refuse it: get one for your host name")]
    wild = [name for name in names if name.startswith("*.")]
    if wild:
        what = f"{wild[0]} is a wildcard, which OCPP stations may refuse: name the host"
        return [Problem(file, what, fatal=False)]
    return []
