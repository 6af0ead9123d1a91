"""One live WebSocket connection to the central system, with the `ocpp` package on it.

Knows messages only as objects of the `ocpp` package: which ones there are is the business of
the dialects. Works around what the package leaves to its user: the end of a link wakes a waiting
call, an unknown action is answered in 2.1 too, and errors are told apart from bad answers.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import importlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ocpp.messages
from ocpp.exceptions import NotImplementedError as ActionNotImplemented
from ocpp.exceptions import OCPPError
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from chargers.faults import FaultyConnection
from chargers.ledger import Ledger

log = logging.getLogger(__name__)

# The package would validate each message in a thread pool, which costs 290 microseconds more
# than it saves.
ocpp.messages.ASYNC_VALIDATION = False

# The package logs whole messages, passwords in ChangeConfiguration among them, and a traceback
# for every refused action. What matters of that is logged here instead.
_silent = logging.getLogger("chargers.silent")
_silent.disabled = True

OPEN_TIMEOUT_S = 10.0
MAX_MESSAGE_BYTES = 1 << 20
# What a central system means by refusing a link.
_REFUSALS = {
    401: ": the identity and the token do not belong together",
    404: ": nobody has added that identity there",
}

Handler = Callable[..., Any]
"""Takes a call's fields as keywords, returns the result object of the `ocpp` package."""


class CallFailed(Exception):
    """A call did not end with a usable result."""


class Refused(CallFailed):
    """The central system answered with a CALLERROR."""


class Unusable(CallFailed):
    """The central system's result does not fit the schema."""


class Unanswered(CallFailed):
    """No answer within the time-out."""


class LinkLost(CallFailed):
    """The connection ended before the answer came."""


class ConnectFailed(Exception):
    """No connection came about; the text says why, for a person to read."""


@functools.cache
def _session_class(package: str) -> Any:
    """The `ChargePoint` of one version, with the gaps closed that concern a charger."""
    base: Any = importlib.import_module(package).ChargePoint

    class Session(base):  # type: ignore[misc]
        last_answer: Any = None
        noticed: Callable[[str], None]

        async def _handle_call(self, msg: Any) -> Any:
            known = isinstance(msg.action, str) and msg.action in self.route_map
            self.noticed(str(msg.action))
            if not known:
                # The package answers this for 1.6 and 2.0.1, for 2.1 it stays silent.
                raise ActionNotImplemented(details={})
            try:
                return await super()._handle_call(msg)
            except OCPPError as error:
                log.warning("%s: %s answered with an error: %s", self.id, msg.action, error)
                raise

        async def _get_specific_response(self, unique_id: str, timeout: float) -> Any:
            response = await super()._get_specific_response(unique_id, timeout)
            self.last_answer = response
            return response

    return Session


class Wire:
    """A connection that is up. One call at a time goes out; calls that come in are handled
    in their order. Use `open`, then `serve` until it returns; `call` works meanwhile.
    """

    def __init__(
        self,
        connection: ClientConnection | FaultyConnection,
        package: str,
        charger_id: str,
        routes: Mapping[str, Handler],
        ledger: Ledger,
        timeout_s: float,
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._id = charger_id
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        session = _session_class(package)(charger_id, connection, timeout_s, _silent)
        session.route_map = {
            action: {"_on_action": _audible(handler), "_skip_schema_validation": False}
            for action, handler in routes.items()
        }
        session.noticed = self._received
        self._session = session

    @property
    def up(self) -> bool:
        return not self._closed.done()

    async def serve(self) -> None:
        """Read and handle messages until the connection ends, in whatever way."""
        try:
            async for text in self._connection:
                await self._route(text)
        except ConnectionClosed:
            pass
        finally:
            if not self._closed.done():
                self._closed.set_result(None)

    async def _route(self, text: str | bytes) -> None:
        try:
            await self._session.route_message(text)
        except ConnectionClosed:
            raise
        except Exception:
            # The package lets some malformed messages through as exceptions. A charger
            # outlives what it is sent.
            log.exception("%s: cannot handle a message", self._id)

    async def call(self, payload: Any) -> Any:
        """Send a call and return the result object. Raises a `CallFailed`.

        The end of the connection ends the waiting at once, whatever the time-out.
        """
        action = type(payload).__name__
        if self._closed.done():
            raise LinkLost(action)
        self._ledger.sent[action] += 1
        asking = asyncio.create_task(self._ask(payload), name=f"{self._id} call {action}")
        try:
            await asyncio.wait({asking, self._closed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not asking.done():
                asking.cancel()
        if not asking.done():
            raise LinkLost(action)
        return asking.result()

    async def _ask(self, payload: Any) -> Any:
        session = self._session
        session.last_answer = None
        action = type(payload).__name__
        try:
            result = await session.call(payload, suppress=False)
        except TimeoutError:
            self._ledger.unanswered += 1
            log.warning("%s: no answer to %s", self._id, action)
            raise Unanswered(action) from None
        except ConnectionClosed:
            raise LinkLost(action) from None
        except Exception as error:
            # Of many kinds: the package has errors outside its own hierarchy for legal error
            # codes that it does not know, and TypeErrors for fields that it does not know.
            answer = session.last_answer
            if answer is None:
                raise  # our own message does not fit the schema: a fault of this package
            self._ledger.messages += 1
            if answer.message_type_id == ocpp.messages.MessageType.CallError:
                self._ledger.rejected += 1
                reason = f"{answer.error_code}: {answer.error_description}"
                log.warning("%s: %s was refused (%s)", self._id, action, reason)
                raise Refused(f"{action}: {reason}") from None
            self._ledger.unusable += 1
            log.warning("%s: unusable answer to %s: %s", self._id, action, error)
            raise Unusable(f"{action}: {error}") from None
        self._ledger.messages += 1
        return result

    def _received(self, action: str) -> None:
        self._ledger.received[action] += 1
        log.info("%s: asked for %s", self._id, action)

    async def close(self) -> None:
        """Close politely, waiting a few seconds at most for the other side."""
        await self._connection.close()

    def abort(self) -> None:
        """Cut the TCP connection without a word, as a pulled network cable does."""
        self._connection.transport.abort()


def _audible(handler: Handler) -> Handler:
    """The package answers for a handler that raises, and tells nobody."""

    @functools.wraps(handler)
    def handle(**fields: Any) -> Any:
        try:
            return handler(**fields)
        except Exception:
            log.exception("a handler failed: %s", handler.__name__)
            raise

    return handle


@functools.cache
def trusting(authority: Path) -> ssl.SSLContext:
    """What checks a central system's certificate: signed by that authority (a PEM file), for the
    host in the URL. Raises `OSError` and `ssl.SSLError` for a file that cannot be used."""
    return ssl.create_default_context(cafile=authority)


async def open_connection(
    url: str,
    charger_id: str,
    subprotocol: str,
    password: bytes | None,
    authority: Path | None = None,
) -> ClientConnection:
    """Connect to `<url>/<id>`. Raises `ConnectFailed` when that does not work out. `authority`:
    the only one that may have signed the certificate of a wss address; None: those of the
    machine."""
    address = f"{url.rstrip('/')}/{quote(charger_id, safe='')}"
    secure = url.startswith("wss:")
    headers = {}
    if password is not None:
        credentials = base64.b64encode(charger_id.encode() + b":" + password).decode()
        headers["Authorization"] = f"Basic {credentials}"
    try:
        connection = await connect_websocket(
            address,
            subprotocols=[Subprotocol(subprotocol)],
            additional_headers=headers,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=2.0,
            max_size=MAX_MESSAGE_BYTES,
            # Saves 50 kB per connection; chargers without compression are common.
            compression=None,
            proxy=None,
            ssl=(trusting(authority) if authority else True) if secure else None,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        why = _REFUSALS.get(status, "")
        raise ConnectFailed(f"{address} answered HTTP {status}{why}") from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise ConnectFailed(f"{address}: {error or type(error).__name__}") from error
    if connection.subprotocol != subprotocol:
        await connection.close()
        raise ConnectFailed(f"{address} does not speak {subprotocol}")
    return connection


Connect = Callable[[str, str, str, bytes | None, Path | None], Awaitable[ClientConnection]]
"""`open_connection`, or what takes its place."""

Caller = Callable[[Any], Awaitable[Any]]
"""`Wire.call`, as a dialect sees it."""
