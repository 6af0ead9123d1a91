"""Settings that the central system may read and change."""

from __future__ import annotations

import pytest

from chargers.configuration import Change, Configuration
from chargers.profile import ChargerProfile


@pytest.fixture
def configuration() -> Configuration:
    return Configuration(ChargerProfile(id="CP-1", token="first"))


@pytest.mark.parametrize(
    ("name", "value", "change"),
    [
        ("meter_interval_s", "30", Change.DONE),
        ("meter_interval_s", " 30 ", Change.DONE),
        ("meter_interval_s", "-1", Change.REFUSED),
        ("meter_interval_s", "²", Change.REFUSED),
        ("meter_interval_s", "", Change.REFUSED),
        ("meter_interval_s", "9" * 30, Change.REFUSED),
        ("connection_timeout_s", "0", Change.REFUSED),
        ("authorize_remote_start", "True", Change.DONE),
        ("authorize_remote_start", "yes", Change.REFUSED),
        ("evses", "3", Change.READ_ONLY),
        ("colour", "red", Change.UNKNOWN),
        ("password", "", Change.REFUSED),
    ],
)
def test_changes(configuration: Configuration, name: str, value: str, change: Change) -> None:
    assert configuration.change(name, value) is change


def test_a_secret_can_be_written_and_not_read(configuration: Configuration) -> None:
    assert configuration.password == b"first"
    configuration.change("password", "second one")
    assert configuration.password == b"second one"
    assert configuration.text("password") is None


def test_a_hex_secret_is_decoded_where_it_looks_like_one(configuration: Configuration) -> None:
    configuration.change("password", "00ff10", hex_secret=True)
    assert configuration.password == b"\x00\xff\x10"
    configuration.change("password", "not-hex", hex_secret=True)
    assert configuration.password == b"not-hex"


def test_the_retry_rule_follows_its_settings(configuration: Configuration) -> None:
    configuration.change("attempts", "7")
    configuration.change("retry_interval_s", "11")
    assert (configuration.retries.attempts, configuration.retries.interval_s) == (7, 11)


def test_a_heartbeat_interval_of_0_leaves_the_choice_to_the_charger(
    configuration: Configuration,
) -> None:
    configuration.change("heartbeat_interval_s", "0")
    assert configuration.heartbeat_interval_s == 300
