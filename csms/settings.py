"""Settings: a TOML file, overridden by CSMS_* environment variables.

Every limit and time-out that an operator may want to change is here, with its unit in its name. A
mistake is reported with file, key and what is allowed, and never with a secret's value.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Sequence
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from csms.core.errors import Invalid
from csms.core.quirks import Catalogue, parse
from csms.core.taxes import TaxTable, table

DEFAULT_FILE = Path("csms.toml")
MIN_KEY_HEX = 32
SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")


def _are_networks(named: tuple[str, ...]) -> tuple[str, ...]:
    for network in named:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ValueError("must be networks such as 10.0.0.0/8 or 192.0.2.7") from error
    return named


Networks = Annotated[tuple[str, ...], AfterValidator(_are_networks)]


class CertificatePair(BaseModel):
    """Two PEM files: the server's certificate with what signed it, and its private key."""

    model_config = ConfigDict(extra="forbid")

    certificate: Path
    key: Path


class TlsSettings(BaseModel):
    """The listener for stations that speak TLS; there is one where certificates are given. An RSA
    and an EC pair together serve every station."""

    model_config = ConfigDict(extra="forbid")

    port: int = Field(9443, ge=0, le=65535)
    certificates: tuple[CertificatePair, ...] = Field((), max_length=8)
    reload_check_s: float = Field(10.0, gt=0)
    max_handshakes: int = Field(2_000, ge=1)
    handshake_timeout_s: float = Field(10.0, gt=0)


class OcppSettings(BaseModel):
    """The listeners for stations."""

    model_config = ConfigDict(extra="forbid")

    host: str = "0.0.0.0"  # noqa: S104 - stations come from outside, that is the purpose
    port: int = Field(9000, ge=0, le=65535)
    plain: bool = True
    """False: no listener without TLS."""
    public_url: str | None = None
    """What installers type into stations, when it is not wss://HOST:PORT/ocpp (or ws://)."""
    max_links: int = Field(18_000, ge=1)
    max_handshakes: int = Field(5_000, ge=1)
    handshakes_at_once: int = Field(100, ge=1)
    handshake_wait_s: float = Field(10.0, gt=0)
    links_per_s: float = Field(1_000.0, ge=1)
    max_message_bytes: int = Field(524_288, ge=4_096, le=16_777_216)
    open_timeout_s: float = Field(20.0, gt=0)
    close_timeout_s: float = Field(5.0, gt=0)
    send_timeout_s: float = Field(20.0, gt=0)
    ping_interval_s: float = Field(50.0, gt=0)
    ping_timeout_s: float = Field(50.0, gt=0)
    silent_link_s: float = Field(900.0, gt=0)
    offline_grace_s: float = Field(300.0, ge=1)
    call_timeout_s: float = Field(30.0, gt=0)
    call_timeouts: int = Field(3, ge=1)
    heartbeat_interval_s: int = Field(300, ge=1, le=86_400)
    boot_retry_s: int = Field(60, ge=1, le=86_400)
    settle_s: float = Field(10.0, ge=0)
    contacts_at_once: int = Field(10, ge=1)
    contact_again_s: float = Field(60.0, gt=0)
    strict: bool = False
    quirks_file: str = ""
    """A data file of the operator's own, beside the one that comes with the program."""
    trusted_proxies: Networks = ()
    proxy_protocol: bool = False
    """They say by the PROXY protocol for whom they connect, on the port without TLS."""
    unknown_stations: Literal["refuse", "pending"] = "refuse"
    """What becomes of a station that nobody has added: refused and listed, or let in to wait until
    an operator accepts it."""
    max_unknown_stations: int = Field(1_000, ge=1)
    max_pending_stations: int = Field(100, ge=1, le=10_000)
    tls: TlsSettings = TlsSettings()

    @model_validator(mode="after")
    def _reachable(self) -> OcppSettings:
        if not self.plain and not self.tls.certificates:
            raise ValueError("plain = false needs ocpp.tls.certificates, or nobody can connect")
        if self.proxy_protocol and not self.trusted_proxies:
            raise ValueError("proxy_protocol needs trusted_proxies: nobody else is believed")
        return self


class HttpSettings(BaseModel):
    """The operator API; on loopback until told otherwise."""

    model_config = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    max_body_bytes: int = Field(1_048_576, ge=1_024)
    header_timeout_s: float = Field(10.0, gt=0)
    body_timeout_s: float = Field(30.0, gt=0)
    send_timeout_s: float = Field(20.0, gt=0)
    max_wait_s: float = Field(60.0, gt=0)
    event_streams: int = Field(100, ge=1)
    trusted_proxies: Networks = ()


class OcpiParty(BaseModel):
    """One of our parties in one role, as partners see it."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["CPO", "EMSP"]
    party: str = Field(pattern=r"^[A-Z]{2}\*[A-Z0-9]{3}$")
    name: str = Field(min_length=1, max_length=100)
    website: str | None = Field(None, max_length=255)


class OcpiSettings(BaseModel):
    """Other networks: who we are to them, and the limits on both ways."""

    model_config = ConfigDict(extra="forbid")

    public_url: str | None = None
    """Where partners reach us, when it is not http://HOST:PORT/ocpi."""
    parties: tuple[OcpiParty, ...] = ()
    allow_http: bool = False
    allow_networks: Networks = ()
    timeout_s: float = Field(30.0, gt=0)
    max_answer_bytes: int = Field(10_000_000, ge=10_000)
    requests_at_once: int = Field(100, ge=1)
    pushes_at_once: int = Field(8, ge=1)
    max_body_bytes: int = Field(1_048_576, ge=10_000)
    requests_per_s: float = Field(200.0, gt=0)
    requests_burst: int = Field(1_000, ge=1)
    answer_within_s: float = Field(20.0, gt=0)
    page: int = Field(100, ge=1, le=1_000)
    token_grace_s: float = Field(86_400.0, ge=0)
    redeliver_cdrs: bool = True
    """False: a bill is sent once; what did not arrive a partner finds in our list."""
    forget_within_days: float = Field(7.0, ge=0)
    """How long partners that cannot be told of a token to be forgotten are waited for."""

    @field_validator("parties")
    @classmethod
    def _once(cls, parties: tuple[OcpiParty, ...]) -> tuple[OcpiParty, ...]:
        if len({(own.role, own.party) for own in parties}) != len(parties):
            raise ValueError("must name each role and party once")
        return parties


class StoreSettings(BaseModel):
    """Where state lives, and how long it may be away before stations are told."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field("sqlite:///csms.db", repr=False)
    """It may hold a password: it is shown by `storage.open.shown` only."""
    max_queue: int = Field(20_000, ge=200)
    grace_s: float = Field(10.0, ge=0)
    lanes: int = Field(1, ge=1, le=32)

    @field_validator("url")
    @classmethod
    def _supported(cls, url: str) -> str:
        file = url.startswith(SQLITE) and url != SQLITE
        server = url.startswith(POSTGRES) and url not in POSTGRES
        if not file and not server:
            raise ValueError("must be sqlite:///PATH or postgresql://USER@HOST/DATABASE")
        return url


class BusSettings(BaseModel):
    """Events for others: an MQTT broker that gets every one, None for none."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(None, repr=False)
    """It may hold a password: only `bus.broker.Broker.shown` shows it."""
    topic: str = Field("csms", pattern=r"^[^/+#\x00]+(/[^/+#\x00]+)*$", max_length=200)
    answer_within_s: float = Field(10.0, gt=0)
    events_at_once: int = Field(100, ge=1, le=1_000)

    @field_validator("url")
    @classmethod
    def _supported(cls, url: str | None) -> str | None:
        try:
            parts = urlsplit(url or "mqtt://host")
            usable = parts.scheme in ("mqtt", "mqtts") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("must be mqtt://HOST or mqtts://USER:PASSWORD@HOST:PORT")
        return url


class NodesSettings(BaseModel):
    """Several processes with one store: how each shows that it lives, and how long others wait.
    `takes_stations`: whether stations connect to this one. Where there is one to which none do, it
    does what only one may do (partners, prices, bills, events), and is never kept by stations."""

    model_config = ConfigDict(extra="forbid")

    beat_s: float = Field(1.0, gt=0)
    lost_after_s: float = Field(8.0, gt=0)
    taken_within_s: float = Field(3.0, gt=0)
    drain_links_per_s: float = Field(50.0, gt=0)
    takes_stations: bool = True

    @model_validator(mode="after")
    def _several_beats(self) -> NodesSettings:
        if self.lost_after_s < 4 * self.beat_s:
            raise ValueError("lost_after_s must be at least four times beat_s")
        return self


class MessagesSettings(BaseModel):
    """The log of OCPP messages for people: what each link may log at once and in the long run,
    what the whole process writes, and how much of each message."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    burst: int = Field(120, ge=1, le=100_000)
    per_minute: float = Field(60.0, ge=0)
    rows_per_s: int = Field(1_000, ge=1, le=100_000)
    max_chars: int = Field(2_000, ge=80, le=1_000_000)


class RetentionSettings(BaseModel):
    """How long rows of every table that grows are kept; 0: for ever. What is not settled stays: a
    transaction that is open with its samples, a command that is under way."""

    model_config = ConfigDict(extra="forbid")

    journal_days: int = Field(30, ge=0)
    samples_days: int = Field(400, ge=0)
    transactions_days: int = Field(0, ge=0)
    cdrs_days: int = Field(0, ge=0)
    quarantine_days: int = Field(365, ge=0)
    commands_days: int = Field(90, ge=0)
    aliases_days: int = Field(400, ge=0)
    disclosures_days: int = Field(730, ge=0)
    remembered_writes_hours: int = Field(48, ge=0)
    messages_hours: int = Field(72, ge=0)
    audit_days: int = Field(730, ge=0)
    nodes_days: int = Field(30, ge=0)
    unknown_stations_days: int = Field(30, ge=0)
    sweep_minutes: float = Field(15.0, gt=0)

    def ages(self) -> dict[str, timedelta | None]:
        """Setting -> how long is kept, None for ever."""
        found: dict[str, timedelta | None] = {}
        for name, value in self:
            unit = name.rpartition("_")[2]
            if unit in ("days", "hours"):
                found[name] = timedelta(**{unit: value}) if value else None
        return found

    def nonsense(self) -> list[str]:
        """What an operator will hardly want, in words."""
        found = []
        if not self.journal_days:
            found.append("retention.journal_days = 0: the journal grows with every message")
        if not self.messages_hours:
            found.append("retention.messages_hours = 0: the message log grows for ever")
        if not self.remembered_writes_hours:
            found.append("retention.remembered_writes_hours = 0: remembered answers pile up")
        if self.transactions_days and not 0 < self.samples_days <= self.transactions_days:
            found.append(
                "retention.samples_days is longer than transactions_days: "
                "samples would outlive their transactions"
            )
        if 0 < self.aliases_days < 366:
            found.append("retention.aliases_days: a station may hold an alias for a year")
        if 0 < self.quarantine_days < 7:
            found.append("retention.quarantine_days: kept reports may end before anybody looks")
        return found


class PricesSettings(BaseModel):
    """What prices need beside tariffs. `tax_files`: tables of your own, read after those that come
    with the program (unless `built_in_taxes` is false); `tax_accounts`: tax -> the account that it
    is collected under; `tolerance_percent`: by how much the bill of a partner may be off before it
    counts as differing."""

    model_config = ConfigDict(extra="forbid")

    built_in_taxes: bool = True
    tolerance_percent: float = Field(0.5, ge=0, le=100)
    tax_files: tuple[Path, ...] = Field((), max_length=100)
    tax_accounts: dict[str, str] = Field(default_factory=dict)


class SecuritySettings(BaseModel):
    """Keys for hashing secrets: id -> at least 32 hex digits. `current` makes new hashes; a key
    that is taken out makes every secret hashed with it invalid. Back these up."""

    model_config = ConfigDict(extra="forbid")

    keys: dict[str, str] = Field(default_factory=dict, repr=False)
    current: str = ""

    @field_validator("keys")
    @classmethod
    def _hex(cls, keys: dict[str, str]) -> dict[str, str]:
        for name, value in keys.items():
            try:
                bytes.fromhex(value)
            except ValueError as error:
                raise ValueError(f"key {name} must be hexadecimal") from error
            if len(value) < MIN_KEY_HEX:
                raise ValueError(f"key {name} must have at least {MIN_KEY_HEX} hex digits")
        return keys


class Settings(BaseSettings):
    """Everything that can be set. Environment: CSMS_OCPP__PORT=9001, CSMS_STORE__URL=..."""

    model_config = SettingsConfigDict(
        env_prefix="CSMS_",
        env_nested_delimiter="__",
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    node: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,64}$")
    """Empty: see `parts.node_name`."""
    party: str = Field("XX*CSM", pattern=r"^[A-Z]{2}\*[A-Z0-9]{3}$")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    ocpp: OcppSettings = OcppSettings()
    http: HttpSettings = HttpSettings()
    ocpi: OcpiSettings = OcpiSettings()
    store: StoreSettings = StoreSettings()
    bus: BusSettings = BusSettings()
    nodes: NodesSettings = NodesSettings()
    messages: MessagesSettings = MessagesSettings()
    retention: RetentionSettings = RetentionSettings()
    prices: PricesSettings = PricesSettings()
    security: SecuritySettings = SecuritySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(file: Path | None) -> Settings:
    """The settings of a file (None: the defaults) and the environment.

    Raises `Invalid` naming the file, the key and what is allowed.
    """
    if file is not None and not file.is_file():
        raise Invalid(f"{file}: no such file; make one with: csms init --config {file}")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        settings = FromFile()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{file}: not valid TOML: {error}") from error
    except SettingsError as error:
        raise Invalid(f"environment: {error}; lists and tables are written as JSON") from error
    except ValidationError as error:
        raise Invalid("\n".join(_explain(file, fault) for fault in error.errors())) from error
    if file is not None:
        settings.store.url = _beside(file, settings.store.url)
        for pair in settings.ocpp.tls.certificates:
            pair.certificate = file.parent.resolve() / pair.certificate.expanduser()
            pair.key = file.parent.resolve() / pair.key.expanduser()
        if settings.ocpp.quirks_file:
            own = file.parent.resolve() / Path(settings.ocpp.quirks_file).expanduser()
            settings.ocpp.quirks_file = str(own)
        folder = file.parent.resolve()
        own_tables = tuple(folder / path.expanduser() for path in settings.prices.tax_files)
        settings.prices.tax_files = own_tables
    return settings


def _beside(file: Path, url: str) -> str:
    """A relative database path is relative to the file that names it, not to where we were
    started."""
    if not url.startswith(SQLITE):
        return url
    path = Path(url.removeprefix(SQLITE)).expanduser()
    return f"{SQLITE}{file.parent.resolve() / path}"


def taxes(prices: PricesSettings) -> TaxTable:
    """Taxes by place and date: the tables that come with the program, and the operator's own.
    Raises `Invalid` that names file and line."""
    found: list[tuple[str, str]] = []
    if prices.built_in_taxes:
        shipped = files("csms.data").joinpath("taxes").iterdir()
        named = sorted((f for f in shipped if f.name.endswith(".csv")), key=lambda f: f.name)
        found += ((f.name, f.read_text("utf-8")) for f in named)
    for path in prices.tax_files:
        try:
            found.append((str(path), path.read_text("utf-8-sig")))
        except OSError as error:
            raise Invalid(f"{path}: {error.strerror}; prices.tax_files names it") from error
        except UnicodeDecodeError as error:
            raise Invalid(f"{path}: not UTF-8 text") from error
    return table(found, prices.tax_accounts)


def _explain(file: Path | None, fault: Any) -> str:
    """One line for one mistake. Values are left out: they may be secrets."""
    key = ".".join(str(part) for part in fault["loc"])
    variable = "CSMS_" + "__".join(str(part).upper() for part in fault["loc"])
    where = f"environment {variable}" if variable in os.environ else str(file or "settings")
    if fault["type"] == "extra_forbidden":
        return f"{where}: {key}: there is no such setting{_instead(fault['loc'])}"
    if fault["type"] == "model_type":
        wanted = ", ".join(_fields_at(fault["loc"])) or "a table"
        return f"{where}: {key}: a table is expected, with {wanted}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "string_pattern_mismatch":
        message = _PATTERNS.get(key.rpartition(".")[2], message)
    return f"{where}: {key}: {message[:1].lower()}{message[1:]}"


_PATTERNS = {
    "party": "a country code, '*' and three letters or digits, like CA*NTH",
    "node": "letters, digits and ._- only, at most 64",
}


def _instead(loc: Sequence[Any]) -> str:
    """The settings there are in its place, the likeliest first."""
    known = _fields_at(loc[:-1])
    near = difflib.get_close_matches(str(loc[-1]), known, n=3)
    if near:
        return f"; is it {' or '.join(near)}?"
    return f"; there are: {', '.join(known)}" if known else ""


def _fields_at(loc: Sequence[Any]) -> list[str]:
    """The settings of a table, by its place."""
    kind: Any = Settings
    for part in loc:
        if isinstance(part, int):
            continue
        field = getattr(kind, "model_fields", {}).get(part)
        kind = field.annotation if field is not None else None
        kind = next((a for a in get_args(kind) if hasattr(a, "model_fields")), kind)
    return list(getattr(kind, "model_fields", {}))


def catalogue(own_file: str = "") -> Catalogue:
    """What is known of makes of stations: the file that comes with the program, and the operator's
    own. Raises `Invalid` that names file and entry."""
    built_in = files("csms.data").joinpath("quirks.toml")
    found = parse(tomllib.loads(built_in.read_text("utf-8")), Catalogue(), "quirks.toml")
    if not own_file:
        return found
    try:
        data = tomllib.loads(Path(own_file).read_text("utf-8"))
    except OSError as error:
        raise Invalid(f"{own_file}: {error.strerror}; ocpp.quirks_file names it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{own_file}: not valid TOML: {error}") from error
    return parse(data, found, own_file)
