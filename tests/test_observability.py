"""What an operator sees, and what nobody may see."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from csms.observability import REDACTED, Metrics, Read, Tally, configure_logging, redact


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    kept = structlog.get_config()
    yield
    structlog.configure(**kept)


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "token_uid",
        "password",
        "BasicAuthPassword",
        "api_key",
        "client_secret",
        "Authorization",
    ],
)
def test_values_whose_key_sounds_like_a_secret_are_not_written(key: str) -> None:
    assert redact(None, "info", {"event": "x", key: "hunter2"}) == {"event": "x", key: REDACTED}


def test_a_secret_deep_inside_is_not_written() -> None:
    event: dict[str, Any] = {
        "event": "called",
        "payload": {"key": "k", "nested": [{"password": "hunter2"}, 5], "station": "CS 1"},
    }
    written = redact(None, "info", event)
    assert "hunter2" not in str(written)
    assert written["payload"]["station"] == "CS 1"
    assert written["payload"]["nested"][1] == 5


def test_what_was_given_to_the_log_is_not_changed() -> None:
    payload = {"password": "hunter2"}
    redact(None, "info", {"event": "called", "payload": payload})
    assert payload == {"password": "hunter2"}


def test_the_name_of_an_event_is_no_secret() -> None:
    assert redact(None, "info", {"event": "token_changed"}) == {"event": "token_changed"}


def test_json_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", as_json=True)
    log = structlog.get_logger("test")
    log.debug("not_written")
    log.info("link_opened", station="CS 1", password="hunter2")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("failed")
    out, err = capsys.readouterr()
    assert out == ""
    opened, failed = (json.loads(line) for line in err.splitlines())
    assert (opened["event"], opened["level"], opened["station"]) == ("link_opened", "info", "CS 1")
    assert opened["password"] == REDACTED
    assert "ValueError: why" in failed["exception"]


@pytest.mark.parametrize(("level", "lines"), [("debug", 2), ("warning", 1), ("nonsense", 1)])
def test_the_level(capsys: pytest.CaptureFixture[str], level: str, lines: int) -> None:
    configure_logging(level, as_json=True)
    log = structlog.get_logger("test")
    log.debug("one")
    log.warning("two")
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_a_log_that_cannot_be_written_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reports a fault goes on to deal with it."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("sys.stderr", io.TextIOWrapper(full, write_through=True))
        configure_logging("debug", as_json=True)
        log = structlog.get_logger("x")
        for say in (log.debug, log.info, log.warning, log.error, log.exception, log.critical):
            say("anything")
        with pytest.raises(OSError, match="No space"):
            print("anything", file=sys.stderr, flush=True)
        monkeypatch.undo()


def test_readable_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", as_json=False)
    structlog.get_logger("test").info("link_opened", station="CS 1")
    err = capsys.readouterr().err
    assert "link_opened" in err
    assert not err.startswith("{")


def test_two_systems_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.count_call("1.6", "Heartbeat", 0.003)
    one.count_call("1.6", "Heartbeat", 99.0)
    labels = {"version": "1.6", "action": "Heartbeat"}
    assert one.registry.get_sample_value("csms_calls_total", labels) == 2
    assert other.registry.get_sample_value("csms_calls_total", labels) is None
    bucket = one.registry.get_sample_value("csms_call_seconds_bucket", {**labels, "le": "0.005"})
    assert bucket == 1
    assert one.registry.get_sample_value("csms_call_seconds_count", labels) == 2
    assert one.registry.get_sample_value("csms_call_seconds_sum", labels) == pytest.approx(99.003)


def test_a_tally_is_a_histogram() -> None:
    tally = Tally((1.0, 5.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        tally.add(value)
    assert tally.cumulative() == [("1.0", 2), ("5.0", 3), ("+Inf", 4)]
    assert (tally.count, tally.sum) == (4, 12.0)


def test_what_is_kept_elsewhere_is_looked_up_when_asked_for() -> None:
    metrics, waiting = Metrics(), [1]
    metrics.reads(
        waiting=Read("gauge", "Waiting", lambda: len(waiting)),
        written=Read("counter", "Written", lambda: 7),
        batch=Read("histogram", "Batches", lambda: Tally((1.0,))),
    )
    waiting.append(2)
    value = metrics.registry.get_sample_value
    assert (value("csms_waiting"), value("csms_written_total")) == (2, 7)
    assert value("csms_batch_count") == 0
