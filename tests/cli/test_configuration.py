"""The configuration file that `csms init` writes says what the settings are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from csms.cli.configuration import commented
from csms.settings import Settings, load

KEY = "0" * 64
# What a new configuration must set itself, or leave to each machine.
NOT_DEFAULTS = {
    "party",
    "security.current",
    "security.keys",
    "ocpp.public_url",
    "ocpp.trusted_proxies",
    "http.trusted_proxies",
    "ocpi.public_url",
    "ocpi.parties",
    "ocpi.allow_networks",
    "bus.url",
}


def flat(model: BaseModel, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def flat_table(table: dict[str, Any], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in table.items():
        # The keys of these are names that somebody chose.
        if isinstance(value, dict) and name not in ("keys", "tax_accounts"):
            found |= flat_table(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def uncommented(text: str) -> str:
    """The file with every default switched on: lines such as `# port = 9000`."""
    return re.sub(r"^# ([a-z_]+ = )", r"\1", text, flags=re.MULTILINE)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "csms.toml"
    file.write_text(commented("CA*NTH", KEY))
    settings = load(file)
    assert settings.party == "CA*NTH"
    assert settings.security.keys == {"k1": KEY}
    assert settings.store.url == f"sqlite:///{tmp_path}/csms.db"


def test_every_setting_is_there_with_its_default() -> None:
    written = tomllib.loads(uncommented(commented("CA*NTH", KEY)))
    expected = flat(Settings())
    found = flat_table(written)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if name in NOT_DEFAULTS:
            continue
        assert found[name] == (list(value) if isinstance(value, tuple) else value), name


def test_certificates_and_an_address_are_written_where_there_are_some(tmp_path: Path) -> None:
    file = tmp_path / "csms.toml"
    pairs = [("tls/rsa.pem", "tls/rsa-key.pem"), ("/abs/ec.pem", "/abs/ec-key.pem")]
    url = "wss://ocpp.example.com:9443/ocpp"
    file.write_text(commented("CA*NTH", KEY, certificates=pairs, public_url=url))
    settings = load(file)
    assert settings.ocpp.public_url == url
    found = [(str(p.certificate), str(p.key)) for p in settings.ocpp.tls.certificates]
    assert found == [(f"{tmp_path}/tls/rsa.pem", f"{tmp_path}/tls/rsa-key.pem"), pairs[1]]


def test_the_reference_configuration_is_the_same_text() -> None:
    reference = Path(__file__).parents[2] / "config" / "csms.toml"
    text = commented("XX*CSM", "<64 hexadecimal digits, made by csms init>")
    assert reference.read_text() == text
