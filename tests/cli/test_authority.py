"""The certificate authority that `csms init --tls` makes."""

from __future__ import annotations

import ipaddress
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from csms.cli.authority import make
from csms.ocpp.certificates import Pair, inspect
from tests.support.certificates import today

NAMES = ("ocpp.example.com", "localhost", "127.0.0.1", "::1")


def loaded(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_an_authority_and_a_pair_of_each_kind(tmp_path: Path) -> None:
    made = make(tmp_path / "tls", NAMES, "CA*NTH", today())
    root = loaded(made.authority)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    # Stations that know RSA alone have to check its signature.
    assert isinstance(root.public_key(), rsa.RSAPublicKey)
    kinds = []
    for certificate_file, key_file in made.pairs:
        found = inspect(Pair(certificate_file, key_file), today())
        assert (found.problems, found.names) == ((), NAMES)
        certificate = loaded(certificate_file)
        certificate.verify_directly_issued_by(root)
        (common,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        (organization,) = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        assert (common.value, organization.value) == ("ocpp.example.com", "CA*NTH")
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        addresses = alternatives.value.get_values_for_type(x509.IPAddress)
        assert ipaddress.ip_address("127.0.0.1") in addresses
        kinds.append(type(certificate.public_key()))
    assert issubclass(kinds[0], rsa.RSAPublicKey)
    assert issubclass(kinds[1], ec.EllipticCurvePublicKey)


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    made = make(tmp_path / "tls", NAMES, "CA*NTH", today())
    keys = [made.authority_key, *(key for _, key in made.pairs)]
    assert [stat.S_IMODE(file.stat().st_mode) for file in keys] == [0o600] * 3
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    made = make(tmp_path, NAMES, "CA*NTH", today())
    before = made.authority_key.read_bytes()
    with pytest.raises(FileExistsError):
        make(tmp_path, NAMES, "CA*NTH", today())
    assert made.authority_key.read_bytes() == before


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        make(tmp_path, ("strasse\u00df.example",), "CA*NTH", today())


def test_openssl_takes_what_was_made(tmp_path: Path) -> None:
    made = make(tmp_path, NAMES, "CA*NTH", today())
    context = ssl.create_default_context(cafile=made.authority)
    assert len(context.get_ca_certs()) == 1
