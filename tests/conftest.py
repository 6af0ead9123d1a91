"""What holds for the whole suite: which servers it has, and what was left out without them."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support import haproxy, mosquitto, postgres
from tests.support.certificates import authority


def pytest_configure(config: pytest.Config) -> None:
    """Workers find the server of their run by the process that started them."""
    os.environ.setdefault(postgres.RUN, str(os.getpid()))
    # Where Python is told to keep no compiled code, every process that a test starts would compile
    # all of it again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Tests talk to this machine alone. The world's authorities take 50 ms to read, in each of
    # thousands of HTTP clients.
    descriptor, path = tempfile.mkstemp(suffix=".pem", prefix="csms-tests-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(authority("Nobody").certificate.public_bytes(Encoding.PEM))
    os.environ["SSL_CERT_FILE"] = path
    config.add_cleanup(lambda: Path(path).unlink(missing_ok=True))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("postgres") and postgres.binaries() is None:
        pytest.skip(postgres.MISSING)
    if item.get_closest_marker("mosquitto") and mosquitto.binary() is None:
        pytest.skip(mosquitto.MISSING)
    if item.get_closest_marker("haproxy") and haproxy.binary() is None:
        pytest.skip(haproxy.MISSING)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Loudly: a suite that was left out looks like one that passed."""
    skipped = terminalreporter.getreports("skipped")
    for missing in (postgres.MISSING, mosquitto.MISSING, haproxy.MISSING):
        left_out = sum(missing in str(report.longrepr) for report in skipped)
        if left_out:
            terminalreporter.section("LEFT OUT", red=True)
            terminalreporter.line(f"{left_out} tests: {missing}", red=True)
