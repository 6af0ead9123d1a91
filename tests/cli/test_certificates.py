"""What people are told of certificates."""

from __future__ import annotations

from pathlib import Path

from csms.cli import certificates
from csms.cli.authority import Made

MADE = Made(Path("/c/tls/ca.pem"), Path("/c/tls/ca.key"), ((Path("/c/tls/a"), Path("/c/tls/b")),))


def test_names_are_those_given_and_this_machine() -> None:
    named = certificates.names("ocpp.example.com")
    assert named == ("ocpp.example.com", "localhost", "127.0.0.1", "::1")
    assert certificates.names("localhost") == ("localhost", "127.0.0.1", "::1")
    assert len(certificates.names(None)) == 4


def test_what_stations_type_in() -> None:
    assert certificates.tls_url("a.example.com") == "wss://a.example.com:9443/ocpp"
    assert certificates.tls_url(None) is None


def test_files_are_named_beside_the_configuration() -> None:
    assert certificates.relative(MADE, Path("/c")) == [("tls/a", "tls/b")]
