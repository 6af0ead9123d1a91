"""Settings: a TOML file, overridden by the environment; mistakes named with file and key."""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from csms.core.errors import Invalid
from csms.settings import RetentionSettings, Settings, catalogue, load

SECRET = "deadbeefdeadbeefdeadbeefdeadbeef"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("CSMS_"):
            monkeypatch.delenv(name)


def written(folder: Path, text: str) -> Path:
    file = folder / "csms.toml"
    file.write_text(text)
    return file


def complaint(file: Path | None) -> str:
    with pytest.raises(Invalid) as caught:
        load(file)
    return caught.value.detail


def test_without_a_file_everything_has_its_default() -> None:
    settings = load(None)
    assert (settings.ocpp.port, settings.http.host) == (9000, "127.0.0.1")
    assert (settings.store.url, settings.security.keys) == ("sqlite:///csms.db", {})
    assert settings.ocpp.strict is False


def test_a_file_and_above_it_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(
        tmp_path,
        f'party = "CA*NTH"\n[ocpp]\nport = 9100\nmax_links = 5\n'
        f'[security]\ncurrent = "k1"\nkeys = {{k1 = "{SECRET}"}}\n',
    )
    monkeypatch.setenv("CSMS_OCPP__PORT", "9200")
    monkeypatch.setenv("CSMS_NODE", "north")
    settings = load(file)
    assert (settings.ocpp.port, settings.ocpp.max_links) == (9200, 5)
    assert (settings.node, settings.party) == ("north", "CA*NTH")
    assert settings.security.keys == {"k1": SECRET}


def test_what_belongs_to_the_command_line_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """DESIGN 6: CSMS_URL and CSMS_API_KEY."""
    monkeypatch.setenv("CSMS_URL", "http://localhost:8000")
    monkeypatch.setenv("CSMS_API_KEY", "k.s")
    assert load(None).node == ""


def test_lists_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSMS_OCPP__TRUSTED_PROXIES", '["10.0.0.0/8"]')
    assert load(None).ocpp.trusted_proxies == ("10.0.0.0/8",)


# -- mistakes --------------------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "no.toml"
    assert complaint(file) == f"{file}: no such file; make one with: csms init --config {file}"


@pytest.mark.parametrize("text", ["[ocpp", "port = ", "\x00"])
def test_a_file_that_is_no_toml(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    assert complaint(file).startswith(f"{file}: not valid TOML: ")


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    file = tmp_path / "csms.toml"
    file.write_bytes('node = "Stra\xdfe"'.encode("latin-1"))
    assert complaint(file).startswith(f"{file}: not valid TOML: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[ocpp]\nprot = 9000", "ocpp.prot: there is no such setting; is it port"),
        ("colour = 1", "colour: there is no such setting"),
        ("[ocpp]\nport = 70000", "ocpp.port: input should be less than or equal to 65535"),
        ('[ocpp]\nport = "x"', "ocpp.port: input should be a valid integer"),
        ("[ocpp]\nping_interval_s = 0", "ocpp.ping_interval_s: input should be greater than 0"),
        ("[ocpp]\nmax_message_bytes = 1", "ocpp.max_message_bytes: input should be greater than"),
        ('[ocpp]\ntrusted_proxies = ["10.0.0.1/8"]', "ocpp.trusted_proxies: "),
        ('[ocpp]\ntrusted_proxies = ["proxy.local"]', "ocpp.trusted_proxies: "),
        ('[http]\ntrusted_proxies = ["10.0.0.1/8"]', "http.trusted_proxies: must be networks such"),
        ('[ocpi]\nallow_networks = ["proxy.local"]', "ocpi.allow_networks: must be networks such"),
        (
            '[store]\nurl = "mysql://x"',
            "store.url: must be sqlite:///PATH or postgresql://USER@HOST/DATABASE",
        ),
        (
            '[store]\nurl = "sqlite:///"',
            "store.url: must be sqlite:///PATH or postgresql://USER@HOST/DATABASE",
        ),
        ('party = "Canada"', "party: a country code, '*' and three letters or digits, like CA*NTH"),
        ('log_level = "loud"', "log_level: input should be 'debug', 'info'"),
        ('node = "a/b"', "node: letters, digits and ._- only, at most 64"),
        ('[security]\nkeys = {k1 = "xyz"}', "security.keys: key k1 must be hexadecimal"),
        (
            '[security]\nkeys = {k1 = "ab"}',
            "security.keys: key k1 must have at least 32 hex digits",
        ),
        ("ocpp = 5", "ocpp: a table is expected, with host, port"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = written(tmp_path, text)
    assert complaint(file).startswith(f"{file}: {words}")


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, 'party = "x"\n[ocpp]\nport = -1\nprot = 1\n')
    assert len(complaint(file).splitlines()) == 3


def test_a_mistake_in_the_environment_is_named_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSMS_OCPP__PORT", "many")
    assert complaint(None) == (
        "environment CSMS_OCPP__PORT: ocpp.port: input should be a valid integer, "
        "unable to parse string as an integer"
    )


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSMS_OCPP__PROT", "9000")
    assert "ocpp.prot: there is no such setting" in complaint(None)


def test_a_list_in_the_environment_that_is_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSMS_OCPP__TRUSTED_PROXIES", "10.0.0.0/8")
    assert complaint(None).startswith("environment: ")


def test_a_secret_is_never_in_a_complaint_or_a_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for keys in (
        f'{{k1 = "{SECRET}zz"}}',
        f'["{SECRET}"]',
        f'"{SECRET}"',
        f'{{k1 = ["{SECRET}"]}}',
    ):
        assert SECRET not in complaint(written(tmp_path, f"[security]\nkeys = {keys}"))
    monkeypatch.setenv("CSMS_SECURITY__KEYS", f"{{k1: {SECRET}")
    assert SECRET not in complaint(None)
    monkeypatch.delenv("CSMS_SECURITY__KEYS")
    settings = load(written(tmp_path, f'[security]\nkeys = {{k1 = "{SECRET}"}}'))
    assert SECRET not in repr(settings)
    assert isinstance(settings, Settings)


def test_certificates_are_named_beside_the_file(tmp_path: Path) -> None:
    text = '[ocpp.tls]\ncertificates = [{ certificate = "tls/c.pem", key = "/keys/k.pem" }]\n'
    (pair,) = load(written(tmp_path, text)).ocpp.tls.certificates
    assert (pair.certificate, pair.key) == (tmp_path / "tls/c.pem", Path("/keys/k.pem"))


def test_without_any_listener_nobody_could_connect(tmp_path: Path) -> None:
    said = complaint(written(tmp_path, "[ocpp]\nplain = false\n"))
    assert said.endswith("plain = false needs ocpp.tls.certificates, or nobody can connect")


# -- what is known of makes of stations ------------------------------------------------------------


def test_the_file_that_comes_with_the_program_is_read() -> None:
    known = catalogue()
    assert len(known.entries) >= 5
    assert all("#" in entry.source for entry in known.entries)


def test_what_people_see_in_config_is_what_is_packaged() -> None:
    root = Path(__file__).parent.parent
    assert (root / "config/quirks.toml").resolve() == root / "csms/data/quirks.toml"
    project = tomllib.loads((root / "pyproject.toml").read_text())
    packaged = project["tool"]["setuptools"]["package-data"]["csms"]
    assert any(Path("data/quirks.toml").match(pattern) for pattern in packaged)


def test_a_file_of_the_operators_own_is_beside_the_configuration(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[[entry]]\nname = "mine"\nvendor = "X"\nsource = "seen"\nswitches = { ping = false }\n'
    )
    settings = load(written(tmp_path, '[ocpp]\nquirks_file = "own.toml"\n'))
    assert settings.ocpp.quirks_file == str(own)
    assert catalogue(settings.ocpp.quirks_file).entries[-1].name == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file or directory; ocpp.quirks_file names it"),
        ("[[entry", "not valid TOML: "),
        ("[[entry]]\n", "entry 1: name: is needed"),
    ],
)
def test_a_mistake_in_it_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    own = tmp_path / "own.toml"
    if text is not None:
        own.write_text(text)
    with pytest.raises(Invalid) as caught:
        catalogue(str(own))
    assert caught.value.detail.startswith(f"{own}: {words}")


def test_how_long_rows_are_kept() -> None:
    ages = Settings().retention.ages()
    assert ages["journal_days"] == timedelta(days=30)
    assert ages["messages_hours"] == timedelta(hours=72)
    assert ages["transactions_days"] is None
    assert "sweep_minutes" not in ages


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"journal_days": 0}, "journal grows"),
        ({"messages_hours": 0}, "message log"),
        ({"remembered_writes_hours": 0}, "remembered"),
        ({"transactions_days": 100}, "outlive"),
        ({"transactions_days": 100, "samples_days": 100}, ""),
        ({"transactions_days": 100, "samples_days": 0}, "outlive"),
        ({"quarantine_days": 1}, "before anybody looks"),
    ],
)
def test_ages_that_nobody_wants_are_told(changes: dict[str, int], said: str) -> None:
    found = RetentionSettings(**changes).nonsense()
    assert said in "".join(found) if said else not found
