"""What is said of certificate files (OCPP Security Whitepaper A00.FR.501 to FR.511)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from csms.cli.authority import sign
from csms.ocpp.certificates import Inspected, Pair, inspect, kinds_missing
from tests.support.certificates import EC, NAMES, RSA, authority, key, today, write_pair


def problems(pair: Pair) -> list[str]:
    return [str(problem) for problem in inspect(pair, today()).problems]


def fatal(pair: Pair) -> list[str]:
    return [str(problem) for problem in inspect(pair, today()).fatal]


@pytest.mark.parametrize(("kind", "said"), [(RSA, "RSA"), (EC, "EC")])
def test_a_good_pair_has_no_problems(tmp_path: Path, kind: str, said: str) -> None:
    found = inspect(write_pair(tmp_path, kind), today())
    assert (found.problems, found.kind, found.names) == ((), said, NAMES)
    assert found.expires_at is not None


def test_files_that_are_not_there_or_hold_something_else(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "c.pem", tmp_path / "k.pem")
    assert problems(pair) == [
        f"{pair.certificate}: cannot be read: No such file or directory",
        f"{pair.key}: cannot be read: No such file or directory",
    ]
    for file in pair:
        file.write_text("nothing of that sort")
    assert problems(pair) == [
        f"{pair.certificate}: holds no certificate in PEM form (BEGIN CERTIFICATE)",
        f"{pair.key}: holds no private key in PEM form (BEGIN PRIVATE KEY)",
    ]


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    pair = write_pair(tmp_path, EC)
    other = write_pair(tmp_path / "other", EC, number=2)
    assert fatal(pair._replace(key=other.key)) == [
        f"{other.key}: is not the key of {pair.certificate}: put the pair together again"
    ]


def test_a_key_with_a_passphrase_says_how_to_take_it_off(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, EC)
    locked = key(EC).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )
    pair.key.write_bytes(locked)
    (said,) = fatal(pair)
    assert "openssl pkey" in said


def test_a_key_that_everybody_can_read(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    pair.key.chmod(0o644)
    assert problems(pair) == [f"{pair.key}: can be read by everybody: chmod 600 {pair.key}"]
    assert fatal(pair) == []


@pytest.mark.parametrize(
    ("days", "began_days_ago", "said", "is_fatal"),
    [
        (400, 1, None, False),
        (20, 1, "expires in 20 days", False),
        (5, 10, "expired on", True),
        (400, -5, "is valid only from", True),
    ],
)
def test_its_time(
    tmp_path: Path, days: float, began_days_ago: float, said: str | None, is_fatal: bool
) -> None:
    # From before it is made, which takes a while; its own times are of whole seconds.
    now = today() - timedelta(seconds=1)
    found = inspect(write_pair(tmp_path, days=days, began_days_ago=began_days_ago), now)
    assert [said in p.what for p in found.problems] == ([True] if said else [])
    assert bool(found.fatal) is is_fatal


def test_a_chain_in_the_right_order_and_in_the_wrong_one(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    own = pair.certificate.read_bytes()
    above = authority().certificate.public_bytes(Encoding.PEM)
    pair.certificate.write_bytes(own + above)
    assert problems(pair) == []
    pair.certificate.write_bytes(own + authority("Other").certificate.public_bytes(Encoding.PEM))
    (said,) = fatal(pair)
    assert "certificate 2 did not sign the one before it" in said


def test_one_that_signed_itself_may_serve(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    pem = authority().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair.key.write_bytes(pem)
    pair.certificate.write_bytes(authority().certificate.public_bytes(Encoding.PEM))
    assert fatal(pair) == []
    assert any("signed by itself" in said for said in problems(pair))


def test_a_wildcard_is_against_ocpp(tmp_path: Path) -> None:
    """A00.FR.511: stations may refuse it."""
    (said,) = problems(write_pair(tmp_path, names=("*.example.com",)))
    assert "wildcard" in said


def test_keys_that_are_too_short_or_of_a_kind_that_no_suite_uses(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    short = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    for held, said in ((short, "1024 bits"), (ed25519.Ed25519PrivateKey.generate(), "neither")):
        made = sign(authority(), held, NAMES, "Test", today())  # type: ignore[arg-type]
        pair.certificate.write_bytes(made.public_bytes(Encoding.PEM))
        pem = held.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pair.key.write_bytes(pem)
        assert [said in text for text in fatal(pair)] == [True]


def test_all_four_suites_need_both_kinds(tmp_path: Path) -> None:
    both: list[Inspected] = [inspect(write_pair(tmp_path, kind), today()) for kind in (RSA, EC)]
    assert kinds_missing(both) is None
    assert "no EC certificate" in str(kinds_missing(both[:1]))
    assert "no RSA certificate" in str(kinds_missing(both[1:]))
    assert kinds_missing([]) is None
