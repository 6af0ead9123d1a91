"""The command line against the real system with simulated chargers, in one process."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from typer.testing import CliRunner, Result
from websockets.asyncio.client import connect

from chargers.car import Car
from chargers.charger import Charger
from chargers.clock import ScaledClock
from chargers.profile import ChargerProfile
from csms.app import running
from csms.cli.main import app
from csms.fresh import ensure_admin_key
from csms.settings import HttpSettings, OcppSettings, SecuritySettings, Settings, StoreSettings

T = TypeVar("T")
VERSIONS = ("1.6", "2.0.1", "2.1")


class Network:
    """A central system and its chargers, on an event loop in a thread of their own."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(
            ocpp=OcppSettings(host="127.0.0.1", port=0, call_timeout_s=2.0),
            http=HttpSettings(port=0),
            store=StoreSettings(url=f"sqlite:///{folder}/csms.db"),
            security=SecuritySettings(keys={"a": "00" * 32}, current="a"),
        )
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="network")
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        self._chargers: AsyncExitStack

    async def _live(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with running(self.settings) as system, AsyncExitStack() as self._chargers:
                await ensure_admin_key(system.store, system.api.keyring, "adm.secret")
                self.http_url = f"http://127.0.0.1:{system.http_port}"
                self.station_url = system.station_url
                self._ready.set()
                await self._end.wait()
        finally:
            self._ready.set()

    def __enter__(self) -> Network:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something on the network's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def charger(self, version: str, identity: str, token: str) -> Charger:
        """A charger that is connected and accepted."""

        async def begin() -> Charger:
            profile = ChargerProfile(id=identity, token=token, version=version, evses=2)
            charger = Charger(profile, self.station_url, clock=ScaledClock(20.0))
            await self._chargers.enter_async_context(charger)
            await charger.booted()
            return charger

        return self.do(begin())

    def until(self, charger: Charger, condition: Callable[[], bool]) -> None:
        """Wait for something that a charger does."""
        self.do(charger.until(condition))

    def csms(self, *words: str, key: str = "adm.secret") -> Result:
        """One run of the command line."""
        env = {"CSMS_URL": self.http_url, "CSMS_API_KEY": key}
        result = CliRunner().invoke(app, words, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    def json(self, *words: str) -> Any:
        """What a program gets of a command that succeeds."""
        result = self.csms(*words, "--output", "json")
        assert (result.exit_code, result.stderr) == (0, "")
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    # The log of the system would end in what the command line prints.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with Network(tmp_path_factory.mktemp("network")) as network:
            yield network
    finally:
        structlog.reset_defaults()


@pytest.mark.parametrize("version", VERSIONS)
def test_from_adding_a_station_to_the_end_of_a_transaction(network: Network, version: str) -> None:
    identity, uid = f"ST {version}", f"CARD-{version}"
    added = network.json("station", "add", identity, "--evses", "2")
    assert added["url"] == network.station_url
    network.json("token", "add", uid)
    charger = network.charger(version, identity, added["token"])

    shown = network.json("station", "show", identity)
    assert (shown["connected"], shown["version"], shown["vendor"]) == (True, version, "Simulated")
    assert identity in network.csms("station", "list").stdout

    network.do(_call(lambda: charger.plug_in(1, Car())))
    started = network.csms("station", "start", identity, "--token", uid, "--evse", "1")
    assert (started.exit_code, started.stderr) == (0, "")
    assert started.stdout.startswith("accepted; ")
    ledger = charger.ledger.transactions
    network.until(charger, lambda: bool(ledger) and ledger[0].start_acknowledged)

    (open_one,) = network.json("transaction", "list", "--open", "--station", identity)
    assert open_one["token_uid"] == uid
    command = network.json("command", "show", open_one["command_id"])
    assert (command["kind"], command["transaction_id"]) == ("start_charging", open_one["id"])
    network.until(charger, lambda: bool(ledger[0].readings))

    number = str(open_one["id"])
    stopped = network.csms("station", "stop", identity)
    assert (
        stopped.stdout == f"accepted; transaction {number} ends: csms transaction show {number}\n"
    )
    network.until(charger, lambda: ledger[0].stop_acknowledged)
    ended = network.json("transaction", "show", number, "--meter-values")
    assert (ended["open"], ended["energy_wh"]) == (False, ledger[0].energy_wh)
    assert len(ended["meter_values"]) >= len(ledger[0].readings)

    lines = network.csms(
        "events", "--after", "0", "--no-follow", "--station", identity, "-o", "json"
    ).stdout.splitlines()
    kinds = [json.loads(line)["event"] for line in lines]
    wanted = ("station_onboarded", "station_connected", "transaction_started", "transaction_ended")
    assert [kind for kind in kinds if kind in wanted] == list(wanted)


async def _call(fn: Callable[[], None]) -> None:
    fn()


@pytest.fixture(scope="module")
def stations(network: Network) -> dict[str, str]:
    """A connected station of each version."""
    found = {}
    for version in VERSIONS:
        identity = f"C-{version}"
        token = network.json("station", "add", identity, "--evses", "2")["token"]
        network.charger(version, identity, token)
        found[version] = identity
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "words",
    [
        "unlock {} --evse 2 --connector 1",
        "availability {} inoperative --evse 2",
        "availability {} operative --evse 2",
        "trigger {} heartbeat",
        "trigger {} status --evse 1",
    ],
)
def test_commands_that_every_version_knows(
    network: Network, stations: dict[str, str], version: str, words: str
) -> None:
    result = network.csms("station", *words.format(stations[version]).split())
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("accepted")


def test_raw_calls(network: Network, stations: dict[str, str]) -> None:
    payload = '{"key": ["HeartbeatInterval"]}'
    result = network.csms("station", "call", stations["1.6"], "GetConfiguration", payload)
    assert json.loads(result.stdout)["configurationKey"][0]["key"] == "HeartbeatInterval"
    wrong = network.csms("station", "call", stations["1.6"], "GetConfiguration", '{"key": 1}')
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "/key" in wrong.stderr
    unknown = network.csms("station", "call", stations["1.6"], "GetVariables", "{}")
    assert unknown.exit_code == 1


def test_a_call_error_is_no_result(network: Network, stations: dict[str, str]) -> None:
    payload = '{"connectorId": 1, "duration": 10}'
    words = ("station", "call", stations["1.6"], "GetCompositeSchedule", payload)
    result = network.csms(*words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "answered with the error NotImplemented" in result.stderr
    as_json = network.csms(*words, "-o", "json")
    assert json.loads(as_json.stdout)["outcome"] == "error"


def test_a_station_that_is_offline(network: Network) -> None:
    network.json("station", "add", "AWAY")
    result = network.csms("station", "reset", "AWAY")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("csms: the station is not connected; csms station show AWAY")
    as_json = network.csms("station", "reset", "AWAY", "--output", "json")
    assert as_json.exit_code == 4
    assert json.loads(as_json.stdout)["status"] == "failed"


async def bare_link(network: Network, identity: str, secret: str) -> Any:
    """A station that boots, and does nothing by itself after that."""
    link = await connect(
        f"{network.station_url}/{identity}",
        subprotocols=["ocpp1.6"],  # type: ignore[list-item]
        additional_headers={"Authorization": f"Basic {secret}"},
    )
    boot = {"chargePointVendor": "a", "chargePointModel": "b"}
    await ask(link, "BootNotification", boot)
    return link


async def ask(link: Any, action: str, payload: dict[str, Any]) -> None:
    """One call of a station that is answered with a result."""
    await link.send(json.dumps([2, action, action, payload]))
    assert json.loads(await link.recv())[0] == 3


def test_a_station_that_does_not_answer(network: Network) -> None:
    token = network.json("station", "add", "SILENT")["token"]
    secret = base64.b64encode(f"SILENT:{token}".encode()).decode()

    link = network.do(bare_link(network, "SILENT", secret))
    try:
        still_open = network.csms("station", "reset", "SILENT", "--wait", "0.1")
        assert (still_open.exit_code, still_open.stdout) == (5, "")
        assert "SILENT has not answered within 0.1 s; csms command show" in still_open.stderr
        waited_for = network.csms("station", "trigger", "SILENT", "boot", "--wait", "20")
        assert waited_for.exit_code == 5
        assert waited_for.stderr.startswith("csms: timed out: ")
        raw = network.csms("station", "call", "SILENT", "ClearCache", "-o", "json")
        assert raw.exit_code == 5
        assert json.loads(raw.stdout)["outcome"] == "timeout"
    finally:
        network.do(link.close())


def test_an_unknown_station_is_seen_and_let_in(network: Network) -> None:
    async def knock() -> None:
        profile = ChargerProfile(id="GHOST", token="x")
        async with Charger(profile, network.station_url) as charger:
            await charger.until(lambda: charger.ledger.connections_failed > 0)

    network.do(knock())
    assert "GHOST" in [row["identity"] for row in network.json("station", "unknown")]
    network.json("station", "add", "GHOST")
    assert "GHOST" not in [row["identity"] for row in network.json("station", "unknown")]


def test_verdicts_and_a_new_token(network: Network) -> None:
    first = network.json("station", "add", "DECIDED")
    for verb, word in (("pending", "pending"), ("reject", "rejected"), ("accept", "accepted")):
        assert network.json("station", verb, "DECIDED")["registration"] == word
    second = network.json("station", "rotate", "DECIDED")
    assert second["token"] != first["token"]


def test_the_same_station_twice(network: Network) -> None:
    network.json("station", "add", "TWICE")
    result = network.csms("station", "add", "TWICE")
    assert result.exit_code == 1
    assert result.stderr == (
        "csms: a station named TWICE exists; csms station rotate TWICE gives it a new token\n"
    )


def test_tokens(network: Network) -> None:
    network.json("token", "add", "Mixed/Case", "--expires", "2031-12-31", "--group", "g")
    network.json("token", "add", "Shared")
    network.json("token", "add", "Shared", "--kind", "app")
    assert network.csms("token", "block", "Shared").exit_code == 2
    blocked = network.json("token", "block", "shared", "--kind", "app")
    assert (blocked["kind"], blocked["blocked"]) == ("app", True)
    assert not network.json("token", "unblock", "shared", "--kind", "app")["blocked"]
    assert {"Mixed/Case", "Shared"} <= {row["uid"] for row in network.json("token", "list")}
    assert network.csms("token", "add", "Shared").exit_code == 1


def test_keys_and_roles(network: Network) -> None:
    viewer = network.json("key", "create", "a viewer", "--role", "viewer")
    assert network.csms("station", "list", key=viewer["key"]).exit_code == 0
    refused = network.csms("station", "add", "X", key=viewer["key"])
    assert refused.exit_code == 1
    assert "needs the role admin; the key has viewer" in refused.stderr
    assert network.json("key", "revoke", viewer["id"])["revoked_at"] is not None
    revoked = network.csms("station", "list", key=viewer["key"])
    assert (revoked.exit_code, revoked.stdout) == (1, "")
    assert revoked.stderr.startswith("csms: this API key is not valid; set CSMS_API_KEY")


def test_lists_over_more_than_one_page(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csms.cli.client.PAGE_ITEMS", 2)
    for number in range(5):
        network.json("token", "add", f"PAGED-{number}")
    uids = [row["uid"] for row in network.json("token", "list")]
    paged = sorted(uid for uid in uids if uid.startswith("PAGED-"))
    assert paged == [f"PAGED-{number}" for number in range(5)]
    assert len(network.json("token", "list", "--limit", "3")) == 3


def test_the_quarantine(network: Network) -> None:
    token = network.json("station", "add", "CONFUSED")["token"]
    secret = base64.b64encode(f"CONFUSED:{token}".encode()).decode()

    async def confuse() -> None:
        link = await bare_link(network, "CONFUSED", secret)
        stop = {"transactionId": 4711, "meterStop": 1, "timestamp": "2031-05-01T10:00:00Z"}
        await ask(link, "StopTransaction", stop)
        await link.close()

    network.do(confuse())
    (report,) = network.json("quarantine", "list")
    assert network.json("quarantine", "show", report["id"]) == report
    assert network.csms("quarantine", "show", "nothing").exit_code == 1


def test_events_of_a_station_that_is_not_there(network: Network) -> None:
    result = network.csms("events", "--station", "NOBODY")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no station NOBODY" in result.stderr


def test_events_beyond_the_end(network: Network) -> None:
    result = network.csms("events", "--after", "999999999")
    assert result.exit_code == 1
    assert "the journal ends before it; begin anew with: csms events" in result.stderr
