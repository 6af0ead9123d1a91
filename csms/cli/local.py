"""Commands that run on the machine of the system itself: init, serve, check, demo.

The only file of the command line that imports the composition root. It does so inside the
functions, because that takes most of a second, which every other command would wait for.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import re
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer

from csms.cli import certificates, configuration, database
from csms.cli.demo import DemoFailed, run_demo
from csms.cli.machine import FAILED, USAGE, ConfigFile, fail, settings_of
from csms.cli.output import Format
from csms.cli.workers import Supervisor, unsuitable, until_orphaned, worker_command
from csms.core.errors import CsmsError, Invalid
from csms.settings import DEFAULT_FILE, Settings, catalogue, load

if TYPE_CHECKING:
    from csms.app import Running
    from csms.cli.authority import Made

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)
app.add_typer(database.app, name="db")

# -- init --------------------------------------------------------------------------------------


@app.command(rich_help_panel="This machine")
def init(
    config: ConfigFile = DEFAULT_FILE,
    party: Annotated[str, typer.Option(help="Country code * party id of this network.")] = "XX*CSM",
    tls: Annotated[
        bool, typer.Option("--tls", help="Make certificates, so that stations can use wss.")
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(help="With --tls: the name stations reach us by.", show_default=False),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="Where state is kept: sqlite:///PATH or postgresql://USER@HOST/DATABASE.",
            show_default="sqlite:///csms.db",
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="For people or programs.")
    ] = Format.TABLE,
) -> None:
    """Write a commented configuration and show the first admin key, once.

    With `--tls` a small certificate authority of your own is made as well, and server certificates
    for HOST; its file `tls/ca.pem` is what stations need to know. Certificates of another authority
    are named in the configuration, under [ocpp.tls]. A configuration that is there gets the
    certificates, and all else in it stays.

    Example: `csms init --party 'CA*NTH'`

    Example: `csms init --tls --host ocpp.example.com`

    Example: `csms init --store postgresql://csms@db.example.com/csms`

    Example: `export CSMS_API_KEY=$(csms init --output json | jq -r .admin_key)`
    """
    import uvloop

    from csms.fresh import new_id, new_secret
    from csms.storage.open import on_server, shown

    if host is not None and not tls:
        fail(USAGE, "--host is the name in the certificates: it needs --tls")
    if config.exists():
        if not tls:
            kept = "it holds the keys of all tokens; keep it, or choose another with --config"
            fail(FAILED, f"{config} exists already: {kept}")
        _add_certificates(config, host, output)
        return
    admin_key = f"{new_id()}.{new_secret()}"
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        made = _make_certificates(config.parent / "tls", host, party) if tls else None
        text = configuration.commented(
            party=party,
            key=secrets.token_hex(32),
            certificates=certificates.relative(made, config.parent) if made else (),
            public_url=certificates.tls_url(host),
            store_url=store,
        )
        # The file holds the key that all secrets are hashed with: for its owner only.
        descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    except OSError as error:
        fail(FAILED, f"cannot write {error.filename or config}: {error.strerror}")
    try:
        settings = load(config)
        uvloop.run(_make_key(settings, admin_key))
    except CsmsError as error:
        config.unlink()
        fail(USAGE if isinstance(error, Invalid) else FAILED, error.detail)
    if output == "json":
        kept_in = shown(settings.store.url)
        if not on_server(settings.store.url):
            kept_in = settings.store.url
        facts = {"config": str(config), "database": kept_in, "admin_key": admin_key}
        if made is not None:
            facts["ca"] = str(made.authority)
        print(json.dumps(facts))
        return
    print(f"Wrote {config} and {shown(settings.store.url)}. Keep copies of both: {config.name}")
    print("holds the key that all tokens are hashed with; csms db backup FILE copies the database.")
    print()
    if made is not None:
        certificates.tell(made, host)
        print()
    print("The first admin key, shown this once:")
    print()
    print(f"  export CSMS_API_KEY={admin_key}")
    print()
    print(f"Next:  csms serve --config {config}")
    print("then:  csms station add CP-1 --evses 2")


def _add_certificates(config: Path, host: str | None, output: str) -> None:
    """Give a configuration that is there certificates; all else in it stays."""
    settings = settings_of(config)
    text = config.read_text("utf-8")
    if settings.ocpp.tls.certificates or configuration.with_certificates(text, (), None) is None:
        fail(FAILED, f"{config} has its own certificates: see [ocpp.tls] there, and csms check")
    try:
        made = _make_certificates(config.parent / "tls", host, settings.party)
        pairs = certificates.relative(made, config.parent)
        changed = configuration.with_certificates(text, pairs, certificates.tls_url(host)) or text
        beside = config.with_name(f"{config.name}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(changed)
        beside.replace(config)
    except OSError as error:
        fail(FAILED, f"cannot write {error.filename or config}: {error.strerror}")
    if output == "json":
        print(json.dumps({"config": str(config), "ca": str(made.authority)}))
        return
    print(f"{config} names certificates now; all else in it stays.")
    certificates.tell(made, host)
    print()
    print("They are used after a restart of csms serve. What they stand for:  csms check")


def _make_certificates(folder: Path, host: str | None, party: str) -> Made:
    """Raises `OSError`."""
    from csms.cli.authority import make

    if host is not None and not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", host):
        fail(USAGE, f"--host: {host!r} is no host name; an example is ocpp.example.com")
    return make(folder, certificates.names(host), party, datetime.now(UTC))


async def _make_key(settings: Settings, admin_key: str) -> None:
    from csms.fresh import ensure_admin_key, keyring_of
    from csms.storage.open import open_store

    async with open_store(settings.store.url) as store:
        await ensure_admin_key(store, keyring_of(settings), admin_key)


# -- serve, check --------------------------------------------------------------------------


@app.command(rich_help_panel="This machine")
def serve(
    config: ConfigFile = DEFAULT_FILE,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes, one per core that is to be used.")
    ] = 1,
    worker: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the central system until Ctrl-C or SIGTERM.

    Several workers share the ports, and are nodes of one system: they need a PostgreSQL server and
    an MQTT broker, as nodes on several machines do. Worker 2 has its own API at http.port + 2. One
    more process takes no stations: it serves partners, prices and bills for all.

    Example: `csms serve`

    Example: `csms serve --workers 2`

    Example: `CSMS_OCPP__PORT=9100 csms serve --config /etc/csms/csms.toml`
    """
    from csms.observability import configure_logging

    settings = settings_of(config)
    configure_logging(settings.log_level)
    if workers > 1 and worker is None:
        why = unsuitable(settings, workers)
        if why is not None:
            fail(USAGE, why)
        start = partial(worker_command, str(config), workers)
        # The last one takes no stations.
        supervisor = Supervisor(workers + 1, start, _say)
        codes: list[int] = []
        run_until_signal(lambda stop: _supervise(supervisor, stop, codes))
        raise typer.Exit(codes[0])
    if worker is not None:
        _become(settings, workers, worker)
    run_until_signal(lambda stop: _serve(settings, stop, worker))


def _become(settings: Settings, workers: int, worker: int) -> None:
    """What is particular to one of several processes: its name, and that the last takes none."""
    with loading():
        from csms.parts import node_name

    settings.nodes.takes_stations &= worker <= workers
    settings.node = f"{node_name(settings)}-{worker if worker <= workers else 'duties'}"


def _say(text: str) -> None:
    with suppress(OSError):  # Written or not, the workers go on.
        print(f"csms: {text}", file=sys.stderr)


async def _supervise(supervisor: Supervisor, stop: asyncio.Event, codes: list[int]) -> None:
    hang_up = partial(supervisor.signal, signal.SIGHUP)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)
    codes.append(await supervisor.run(stop))


@contextmanager
def loading() -> Iterator[None]:
    """While a system's modules are loaded nothing is garbage: looking for it costs a fifth of the
    time that it takes."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _serve(settings: Settings, stop: asyncio.Event, worker: int | None = None) -> None:
    """`worker`: its number where it is one of several processes."""
    with loading():
        from csms.app import allow_files, running, settle_memory

    own_port = None
    if worker is not None:
        until_orphaned(stop.set)
        own_port = settings.http.port + worker

    warning = allow_files(settings.ocpp.max_links)
    if warning is not None:
        print(f"csms: {warning}", file=sys.stderr)
    async with running(settings, own_port) as system:
        settle_memory()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, system.reload)
        if own_port is not None:
            own = f"http://{settings.http.host}:{own_port}"
            none = "" if settings.nodes.takes_stations else " and takes no stations"
            print(f"worker {worker} is {settings.node}{none}, by itself at {own}", file=sys.stderr)
        if worker is not None and worker > 1:
            # What is said below is the same for all.
            await stop.wait()
            return
        print(f"stations connect to {system.station_url}/IDENTITY", file=sys.stderr)
        if system.tls_port is not None and system.ocpp_port is not None:
            hint = "ocpp.plain = false in the configuration closes it"
            print(f"port {system.ocpp_port} takes stations without TLS; {hint}", file=sys.stderr)
        print(
            f"operators use http://{settings.http.host}:{system.http_port}"
            f" (documentation at /docs)",
            file=sys.stderr,
        )
        await stop.wait()


def run_until_signal(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine that ends when its event is set, which SIGINT and SIGTERM do; a second
    signal ends at once. Errors of starting up become one line and an exit code."""
    import uvloop

    async def guarded() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def asked() -> None:
            if stop.is_set():
                os._exit(FAILED)
            stop.set()

        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, asked)
        await main(stop)

    try:
        uvloop.run(guarded())
    except* Invalid as errors:
        fail(USAGE, _first(errors))
    except* CsmsError as errors:
        fail(FAILED, _first(errors))
    except* OSError as errors:
        ports = "other ports are set by ocpp.port, ocpp.tls.port and http.port"
        fail(FAILED, f"{_first(errors)}; is another csms running? {ports}")


def _first(errors: BaseExceptionGroup[Any]) -> str:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error.detail if isinstance(error, CsmsError) else str(error)


@app.command(rich_help_panel="This machine")
def check(config: ConfigFile = DEFAULT_FILE) -> None:
    """Check the configuration and the database, and change nothing.

    Example: `csms check --config csms.toml`
    """
    from csms.storage.open import shown, state_of

    settings = settings_of(config)
    try:
        catalogue(settings.ocpp.quirks_file)
        database, found = shown(settings.store.url), state_of(settings.store.url)
    except CsmsError as error:
        fail(FAILED, error.detail)
    if found is None:
        print(f"{config}: ok; the database {database} will be made at the first start")
    else:
        current, head = found
        state = "up to date" if current == head else f"schema {current}, will be upgraded to {head}"
        if current is None:
            state = "empty and gets its schema at the first start"
        print(f"{config}: ok; the database {database} is {state}")
    if settings.ocpp.tls.certificates:
        _check_certificates(settings)
    for warning in settings.retention.nonsense():
        print(f"csms: warning: {warning}", file=sys.stderr)


def _check_certificates(settings: Settings) -> None:
    """A line for each certificate, and for whatever is wrong; ends the program when stations could
    not connect."""
    from csms.ocpp.certificates import Pair, inspect, kinds_missing

    tls = settings.ocpp.tls
    found = [inspect(Pair(p.certificate, p.key), datetime.now(UTC)) for p in tls.certificates]
    for one in found:
        if one.expires_at is not None and not one.fatal:
            names = ", ".join(one.names)
            print(f"{one.pair.certificate}: ok; {one.kind}, {names}, until {one.expires_at:%F}")
    notes = [str(problem) for one in found for problem in one.problems if not problem.fatal]
    missing = kinds_missing(found)
    for text in (*notes, *((missing,) if missing else ())):
        print(f"csms: warning: {text}", file=sys.stderr)
    fatal = [str(problem) for one in found for problem in one.fatal]
    if fatal:
        fail(FAILED, "\n".join(fatal))


# -- demo --------------------------------------------------------------------------------------


@app.command(rich_help_panel="This machine")
def demo(
    seconds: Annotated[float | None, typer.Option(min=1, help="End after this long.")] = None,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="For people or programs.")
    ] = Format.TABLE,
    speed: Annotated[float, typer.Option(min=1, max=60, help="Times faster than life.")] = 20.0,
    roaming: Annotated[
        bool, typer.Option("--roaming", help="Two networks whose drivers visit each other.")
    ] = False,
) -> None:
    """Run a central system with six simulated chargers of OCPP 1.6, 2.0.1 and 2.1 that charge.

    With `--roaming`: two networks, in Canada and the United States, each its own central system.
    They register with each other over OCPI, drivers of each charge at the other, and both hold the
    same bills in the end.

    It uses the ports 9000 and 8000 (and 9001 and 8001) where they are free, temporary databases,
    and leaves nothing behind. What it prints on the way can be pasted.

    Example: `csms demo`

    Example: `csms demo --seconds 30 --output json`

    Example: `csms demo --roaming`
    """
    from csms.observability import configure_logging

    configure_logging("error")
    with tempfile.TemporaryDirectory(prefix="csms-demo-") as name:
        folder, as_json = Path(name), output == "json"

        async def main(stop: asyncio.Event) -> None:
            if roaming:
                await _roaming_demo(folder, stop, seconds, speed, as_json)
            else:
                await _demo(folder, stop, seconds, speed, as_json)

        try:
            run_until_signal(main)
        except* DemoFailed as errors:
            fail(FAILED, _first(errors))


async def _demo(
    folder: Path, stop: asyncio.Event, seconds: float | None, speed: float, as_json: bool
) -> None:
    from csms.fresh import ensure_admin_key

    settings, key = _demosettings_of(folder, "demo")
    async with AsyncExitStack() as stack:
        system = await started(stack, settings)
        await ensure_admin_key(system.store, system.api.keyring, key)
        api = f"http://127.0.0.1:{system.http_port}"
        url = system.station_url
        await run_demo(api, key, url, folder, stop, seconds=seconds, as_json=as_json, speed=speed)


async def _roaming_demo(
    folder: Path, stop: asyncio.Event, seconds: float | None, speed: float, as_json: bool
) -> None:
    from csms.cli.demo_networks import EXAMPLE_TAXES, NORTH, SOUTH
    from csms.cli.demo_roaming import Side, introduction, run_roaming_demo
    from csms.fresh import ensure_admin_key

    taxes = folder / "example-taxes.csv"
    taxes.write_text(EXAMPLE_TAXES)
    async with AsyncExitStack() as stack:
        sides = []
        for number, network in enumerate((NORTH, SOUTH)):
            settings, key = _demosettings_of(
                folder, network.name.lower(), 9000 + number, 8000 + number
            )
            settings.party = network.party
            settings.prices.tax_files = (taxes,)
            settings.ocpi.allow_http = True
            settings.ocpi.allow_networks = ("127.0.0.0/8",)
            system = await started(stack, settings)
            await ensure_admin_key(system.store, system.api.keyring, key)
            api = f"http://127.0.0.1:{system.http_port}"
            headers = {"Authorization": f"Bearer {key}"}
            base = f"{api}/api/v1"
            client = httpx.AsyncClient(base_url=base, headers=headers, timeout=60)
            await stack.enter_async_context(client)
            sides.append(Side(network, api, key, system.station_url, client))

        def say(text: str) -> None:
            if not as_json:
                print(text, flush=True)

        say(introduction(sides, Path(sys.executable).parent / "csms"))
        await run_roaming_demo(
            sides, folder, stop, seconds=seconds, as_json=as_json, speed=speed, say=say
        )


def _demosettings_of(
    folder: Path, name: str, ocpp_port: int = 9000, http_port: int = 8000
) -> tuple[Settings, str]:
    from csms.fresh import new_id, new_secret

    settings = Settings.model_validate(
        {
            "node": name,
            "log_level": "error",
            "ocpp": {"host": "127.0.0.1", "port": _free(ocpp_port)},
            "http": {"port": _free(http_port)},
            "store": {"url": f"sqlite:///{folder}/{name}.db"},
            "security": {"keys": {"demo": secrets.token_hex(32)}, "current": "demo"},
        }
    )
    return settings, f"{new_id()}.{new_secret()}"


async def started(stack: AsyncExitStack, settings: Settings) -> Running:
    """The system, on the ports of the settings, or on others when somebody took one of those since
    they were looked at."""
    with loading():
        from csms.app import running

    try:
        return await stack.enter_async_context(running(settings))
    except (OSError, BaseExceptionGroup) as error:
        if not _port_is_taken(error):
            raise
    settings.ocpp.port = settings.http.port = 0
    return await stack.enter_async_context(running(settings))


def _port_is_taken(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_port_is_taken(one) for one in error.exceptions)
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE


def _free(port: int) -> int:
    """The port when nobody listens on it, else 0: any that is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
