"""A real PostgreSQL server for tests: started when the first test wants one, shared by all workers
of a run, ended with the run even when that is killed.

It listens on a free port of loopback, in a folder of its own, with the durability that it has by
default. A small process of ours (`python -m tests.support.postgres`) holds it and ends it when the
process that runs the tests is gone. The server refuses to run as root: then it runs as the user
that its package made, or as nobody.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psycopg

from csms.storage.schema import engine_on, upgrade
from csms.storage.server import server_of
from csms.storage.tables import metadata
from tests.support.system import free_port

RUN = "CSMS_TEST_RUN"
"""Environment variable: the process that runs the tests."""
START_WITHIN_S = 60.0
LOOK_EVERY_S = 0.5
TEMPLATE = "template_csms"
SECURED = "secured"
"""The user that needs a password, for tests that make it; all others get in without."""
MISSING = (
    "PostgreSQL is not installed, so what concerns it was LEFT OUT; "
    "as root: make test-deps (or apt-get install postgresql)"
)


@cache
def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`; None where PostgreSQL is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda f: -_major(f))
    named = shutil.which("initdb")
    if named is not None:
        folders.append(Path(named).resolve().parent)
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


def _major(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


class Cluster:
    """One server: its folder, its port, who it runs as."""

    def __init__(self, folder: Path, port: int) -> None:
        found = binaries()
        assert found is not None, MISSING
        self.binaries, self.data, self.port = found, folder / "data", port
        self.log = folder / "log"
        self._user = _unprivileged() if os.getuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """`initdb`."""
        folder = self.data.parent
        folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        how = ("--username=csms", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        self._run("initdb", f"--pgdata={self.data}", *how)
        rules = self.data / "pg_hba.conf"
        by_password = f"host all {SECURED} 127.0.0.1/32 scram-sha-256\n"
        rules.write_text(by_password + rules.read_text())

    def follow(self, primary: Cluster) -> None:
        """Be made as a copy of one that runs, which takes no writes and follows it."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            os.chown(self.data.parent, self._user.pw_uid, self._user.pw_gid)
        whom = ("--host=127.0.0.1", f"--port={primary.port}", "--username=csms")
        how = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        self._run("pg_basebackup", f"--pgdata={self.data}", *whom, *how)

    def promote(self) -> None:
        """Take writes from now on."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        assert self._process is None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self.binaries / "postgres",
                    *("-D", self.data, "-p", str(self.port), "-k", ""),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"),
                ],
                stdout=log,
                stderr=log,
                cwd="/",
                **self._as_user(),
            )
        until = time.monotonic() + START_WITHIN_S
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.Error:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: as an administrator does. SIGQUIT: at once, as when it crashes."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """The folder, when it has been stopped."""
        shutil.rmtree(self.data.parent, ignore_errors=True)

    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def url(self, database: str) -> str:
        return f"postgresql://csms@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.binaries / program, *arguments],
            check=True,
            capture_output=True,
            cwd="/",
            **self._as_user(),
        )

    def _as_user(self) -> dict[str, object]:
        """A process group of its own, so that Ctrl-C in a terminal is for the tests alone."""
        if self._user is None:
            return {"process_group": 0}
        user = self._user
        return {"process_group": 0, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("there is no user that PostgreSQL could run as")


# -- the one that all tests of a run share ---------------------------------------------------------


@cache
def shared() -> str:
    """The address of the server's template database, whose schema is in place."""
    run = os.environ.setdefault(RUN, str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"csms-test-postgres-{run}"
    folder.mkdir(exist_ok=True)
    address = folder / "address"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not address.exists():
            holder = subprocess.Popen(
                [sys.executable, "-m", "tests.support.postgres", run, folder],
                cwd=Path(__file__).parent.parent.parent,
                start_new_session=True,
            )
            until = time.monotonic() + START_WITHIN_S
            while not address.exists():
                assert holder.poll() is None, "the test server did not start"
                assert time.monotonic() < until, "the test server takes too long"
                time.sleep(0.05)
            upgrade(engine_on(server_of(address.read_text())))
    return address.read_text()


_numbers = count()
_free: list[str] = []


@contextmanager
def database() -> Iterator[str]:
    """The address of a database with its schema in place and no rows. It is used again by later
    tests of this process: making one takes most of a second on a slow disk."""
    url = _free.pop() if _free else _made(TEMPLATE)
    try:
        yield url
    finally:
        _clean(url)
        _free.append(url)


@contextmanager
def bare_database() -> Iterator[str]:
    """The address of a database with nothing in it; gone afterwards."""
    url = _made("template0")
    try:
        yield url
    finally:
        base, _, name = url.rpartition("/")
        with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _made(template: str) -> str:
    base = shared().rpartition("/")[0]
    name = f"t{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return f"{base}/{name}"


def end_sessions(url: str) -> None:
    """As an administrator does: all sessions of the database are ended."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def _clean(url: str) -> None:
    end_sessions(url)
    with psycopg.connect(url) as connection:
        connection.execute("SET synchronous_commit = off")
        for name in metadata.tables:
            connection.execute(f"DELETE FROM {name}")
        connection.execute("SELECT setval('journal_seq_seq', 1, false)")


def _hold(run: int, folder: Path) -> None:
    """Run a server until the process `run` is gone."""
    cluster = Cluster(folder / "cluster", free_port())
    try:
        cluster.make()
        cluster.start()
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        beside = folder / "address.new"
        beside.write_text(cluster.url(TEMPLATE))
        beside.rename(folder / "address")
        while _lives(run) and not cluster.ended():
            time.sleep(LOOK_EVERY_S)
    finally:
        cluster.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # One that has ended and that nobody has asked about is still listed.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state not in ("Z", "X")


if __name__ == "__main__":
    _hold(int(sys.argv[1]), Path(sys.argv[2]))
