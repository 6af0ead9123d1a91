"""A small certificate authority of one's own: for networks that have none, and for trying TLS.

`csms init --tls` makes it. Its certificate is what stations need to know; with its key (for its
owner only) further ones can be signed. Knows files and cryptography, nothing of ours.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_YEARS, SERVER_YEARS = 20, 5
# A station whose clock is a little behind must not find a certificate from the future.
MARGIN = timedelta(days=1)
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs others, and its key."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class Made:
    """The files of a new authority: its certificate, and pairs of server certificate and key."""

    authority: Path
    authority_key: Path
    pairs: tuple[tuple[Path, Path], ...]


def make(folder: Path, names: Sequence[str], organization: str, now: datetime) -> Made:
    """Make an authority, and an RSA and an EC certificate for a server of these names (the first
    is the common name). Raises `OSError`; nothing that exists is overwritten."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = new_authority(organization, now)
    made = Made(folder / "ca.pem", folder / "ca-key.pem", _pair_files(folder))
    _write(made.authority_key, _key_pem(authority.key), 0o600)
    _write(made.authority, authority.certificate.public_bytes(Encoding.PEM), 0o644)
    keys: tuple[PrivateKey, ...] = (rsa_key(), ec.generate_private_key(ec.SECP256R1()))
    for (certificate_file, key_file), key in zip(made.pairs, keys, strict=True):
        certificate = sign(authority, key, names, organization, now)
        _write(key_file, _key_pem(key), 0o600)
        _write(certificate_file, certificate.public_bytes(Encoding.PEM), 0o644)
    return made


def _pair_files(folder: Path) -> tuple[tuple[Path, Path], ...]:
    return tuple(
        (folder / f"server-{kind}.pem", folder / f"server-{kind}-key.pem") for kind in ("rsa", "ec")
    )


def rsa_key() -> rsa.RSAPrivateKey:
    """2048 bits: what every OCPP 1.6 station has to take (1.6J 6.2.1)."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def new_authority(organization: str, now: datetime, key: PrivateKey | None = None) -> Authority:
    """An authority that may sign certificates of servers and stations, but no other authority. Its
    key is RSA, because stations that know RSA alone must be able to check what it signed."""
    key = key or rsa_key()
    name = _name(f"{organization} charging network root", organization)
    usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
    certificate = (
        _begin(name, name, key, now, AUTHORITY_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def sign(
    authority: Authority,
    key: PrivateKey,
    names: Sequence[str],
    organization: str,
    now: datetime,
    years: float = SERVER_YEARS,
) -> x509.Certificate:
    """A server certificate for that key and these host names and addresses."""
    # Static RSA suites encrypt with the certificate's key (Security Whitepaper A00.FR.317).
    usage = dict.fromkeys(_USAGES, False) | {
        "digital_signature": True,
        "key_encipherment": isinstance(key, rsa.RSAPrivateKey),
    }
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    subject = _name(names[0], organization)
    return (
        _begin(subject, authority.certificate.subject, key, now, years)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), False)
        .add_extension(identifier, critical=False)
        .sign(authority.key, hashes.SHA256())
    )


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _begin(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime, years: float
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - MARGIN)
        .not_valid_after(now + timedelta(days=365 * years))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _name(common_name: str, organization: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64]),
        ]
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(file: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
