"""One station's link: the asyncio shell around the machine.

The reader hands text to the machine and answers calls one after the other, each after its commit; a
station has one call open at a time (OCPP-J 4.1.1), and one that sends more is read no faster than
it is answered. The reader goes on meanwhile only where a result of ours may come: while a call of
ours is open, or an answer is awaited from outside. Our calls go out one at a time and may cross
theirs. Nothing that a station sends ends more than its own link.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from csms.core import quarantine
from csms.core.errors import StoreUnavailable
from csms.core.ids import Origin
from csms.core.ports import Ask, Outside, Reply, Store
from csms.core.quirks import DEFAULTS, Switches
from csms.core.stations import Station
from csms.flows.exchange import exchange
from csms.flows.messages import Tap
from csms.observability import Metrics
from csms.ocpp.allowance import Allowance
from csms.ocpp.routing import Answer, Payload, Refusal, count_refusal, dispatch, needs, serve
from csms.ocpp.rpc import (
    Call,
    CallOutstanding,
    ErrorCode,
    Failure,
    Ignored,
    Notice,
    Refused,
    Result,
    Rpc,
)
from csms.ocpp.versions import Protocol as Version

log = structlog.get_logger("ocpp.link")

# WebSocket close codes (RFC 6455 7.4.1).
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
POLICY = 1008
TOO_BIG = 1009
TRY_AGAIN_LATER = 1013
NOT_READING = "it did not read what was sent"
MESSAGE_TOO_LARGE = "message_too_large"


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What one link may use. A station that does not read what we send for `send_timeout_s` is cut
    off; `waiting_commands` of ours wait for their turn, more are refused; after `call_timeouts`
    calls in a row without an answer the link is cut so that the station comes back. A guest that
    makes more than `guest_calls` in `guest_window_s` is cut off: it is nobody's so far, and what it
    says is stored all the same."""

    send_timeout_s: float = 20.0
    waiting_commands: int = 16
    call_timeouts: int = 3
    strict: bool = False
    guest_calls: int = 120
    guest_window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Lost:
    """Our call got no answer: `timed_out`, or the link ended before (`closed`). `sent` False: it
    never went out."""

    reason: str
    sent: bool = field(default=True, compare=False)


class Link:
    """A live WebSocket of one station. `run` it until it returns; `call` it meanwhile.

    `on_late` is told of answers to our calls that come after their time, with the call's id; `tap`
    is where its frames are noted for people.
    `switches`: how the station is treated; `treated` tells anew, after each boot.
    """

    def __init__(
        self,
        websocket: ServerConnection,
        station: Station,
        version: Version,
        store: Store,
        outside: Outside,
        metrics: Metrics,
        limits: LinkLimits,
        clock: Callable[[], datetime],
        on_late: Callable[[Link, str, Result | Failure], None],
        tap: Tap | None = None,
        switches: Switches = DEFAULTS,
        treated: Callable[[str], Awaitable[Switches | None]] | None = None,
    ) -> None:
        self.station_id = station.id
        self.identity = station.identity
        self.generation = station.generation
        self.version = version
        self.switches = switches
        self.pinged = switches.ping
        self.last_seen_at = clock()
        self._websocket = websocket
        self._store = store
        self._outside = outside
        self._metrics = metrics
        self._limits = limits
        self._clock = clock
        self._on_late = on_late
        self._tap = tap
        self._rpc = Rpc(version.dialect.version)
        self._later: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._answer: asyncio.Future[Result | Failure | Lost] | None = None
        self._timeouts_in_a_row = 0
        self._ended = False
        self._cut_for: str | None = None
        self._treated = treated
        self._time = asyncio.get_running_loop().time
        self._opened_s = self._heard_s = self._time()
        self._booted = False
        self._settling: asyncio.Future[None] | None = None
        self.on_boot: Callable[[str], None] = lambda station_id: None
        self._guest = (
            Allowance(limits.guest_calls, limits.guest_window_s) if station.guest else None
        )

    @property
    def waiting(self) -> int:
        """Calls of ours that are out or wait for their turn."""
        return self._waiting

    @property
    def silent_s(self) -> float:
        """For how long the station has said nothing, whatever clocks have been set to meanwhile."""
        return self._time() - self._heard_s

    # -- life ----------------------------------------------------------------------------------

    async def run(self) -> str:
        """Serve the link until it ends; the reason in a word or two."""
        try:
            async with asyncio.TaskGroup() as tasks:
                try:
                    await self._read(tasks)
                finally:
                    if self._later is not None:
                        self._later.cancel()
        except* ConnectionClosed:
            # However it ended: the code and the reason say it.
            pass
        finally:
            self._end_call()
        return await self._end()

    async def _end(self) -> str:
        """Why the link ended: what we closed it for, or what the station did."""
        if self._cut_for is not None:
            return self._cut_for
        protocol = self._websocket.protocol
        closed = protocol.close_sent
        if closed is None or protocol.close_rcvd_then_sent:
            closed = protocol.close_rcvd
        elif closed.code == TOO_BIG:
            log.warning("message_too_large", station=self.identity, limit=closed.reason)
            self._metrics.frames_refused.labels(MESSAGE_TOO_LARGE).inc()
            await self.count(MESSAGE_TOO_LARGE)
            return f"{TOO_BIG} a message over the limit ({closed.reason})"
        return "connection lost" if closed is None else f"{closed.code} {closed.reason}".strip()

    async def close(self, code: int, reason: str) -> None:
        """End the link; returns when it is closed, at the latest after `close_timeout`."""
        try:
            # For room to write the close frame the library would wait without a bound.
            async with asyncio.timeout(self._websocket.close_timeout):
                await self._websocket.close(code, reason)
        except TimeoutError:
            self._websocket.transport.abort()
            await self._websocket.wait_closed()

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        receive = self._rpc.receive
        tap = self._tap
        while True:
            # Undecoded: text that is no UTF-8 is for the machine to judge, and no reason to close.
            frame = await self._websocket.recv(decode=False)
            self.last_seen_at, self._heard_s = self._clock(), self._time()
            received = receive(frame)
            if tap is not None:
                tap.heard(received, frame, self.last_seen_at)
            kind = type(received)
            if kind is Call or kind is Notice:
                await self._take(received, tasks)  # type: ignore[arg-type]
            elif isinstance(received, Result | Failure):
                await self._answered(received)
            elif isinstance(received, Refused):
                self._metrics.frames_refused.labels(received.reason).inc()
                log.info("frame_refused", station=self.identity, reason=received.reason)
                await self._send(received.frame, "error")
                await self.count(received.reason)
            elif isinstance(received, Ignored):
                self._metrics.frames_ignored.labels(received.reason).inc()
                if received.detail:
                    # What it says of a result of ours: a fault of ours, or of its reader.
                    log.warning("result_refused", station=self.identity, why=received.detail)
                    await self.count(received.reason)
                if received.late is not None:
                    self._timeouts_in_a_row = 0
                    self._on_late(self, received.late.message_id, received.late)

    # -- their calls -----------------------------------------------------------------------------

    async def _take(self, call: Call | Notice, tasks: asyncio.TaskGroup) -> None:
        """Answer a call, after the ones before it."""
        began = perf_counter()
        if self._guest is not None and not self._guest.take(self.last_seen_at):
            log.warning("link_cut_guest_says_too_much", station=self.identity)
            await self.close(POLICY, "too many calls before acceptance")
            raise self._websocket.protocol.close_exc
        if self._later is not None:
            # It has sent another call without waiting for its answer.
            await asyncio.wait((self._later,))
            self._later = None
        if self._answer is not None:
            coming = self._first_answer(call)
        else:
            answer = await self._guarded(call, self._first_answer(call))
            if not isinstance(answer, Ask):
                await self._reply(call, answer, began)
                return
            coming = self._outside_answer(answer)
        self._later = tasks.create_task(
            self._reply_later(call, coming, began), name=f"answer {self.identity}"
        )

    async def _first_answer(self, call: Call | Notice) -> Answer:
        work = dispatch(self.version.dialect, call, strict=self._limits.strict)
        if isinstance(work, Refusal):
            # Remembered before it is answered, like everything else.
            await self.count(f"{call.action[:40]}: {work.code}")
            return work
        origin = self._origin()
        return await self._store.transact(
            serve, origin, work, needs=needs(origin, work), lane=self.station_id
        )

    async def _outside_answer(self, ask: Ask[Payload]) -> Answer:
        return await exchange(self._store, self._outside, ask, self.station_id)

    async def _guarded(self, call: Call | Notice, coming: Awaitable[Answer]) -> Answer:
        """The answer that is coming, or what a station is told when we fail on its call."""
        try:
            return await coming
        except Exception as error:
            return await self._failed(call, error)

    async def _failed(self, call: Call | Notice, error: Exception) -> Answer:
        if isinstance(error, StoreUnavailable):
            # An answer would be a lie, an error would use up one of the station's attempts: it
            # keeps its message when the link ends, and what it has sent behind it as well.
            log.warning("link_closed_store_unavailable", station=self.identity, why=error.detail)
            await self.close(TRY_AGAIN_LATER, "store unavailable, try again later")
            raise self._websocket.protocol.close_exc from error
        log.error("call_failed", station=self.identity, action=call.action, exc_info=error)
        await self._keep(call, type(error).__name__)
        return Refusal(ErrorCode.INTERNAL_ERROR)

    async def _reply_later(
        self, call: Call | Notice, coming: Awaitable[Answer], began: float
    ) -> None:
        answer = await self._guarded(call, coming)
        if isinstance(answer, Ask):
            answer = await self._guarded(call, self._outside_answer(answer))
        await self._reply(call, answer, began)

    async def _reply(self, call: Call | Notice, answer: Answer, began: float) -> None:
        known = call.action if call.action in self.version.dialect.routes else "unknown"
        self._metrics.count_call(self.version.version, known, perf_counter() - began)
        if isinstance(answer, Reply):
            frame = self._rpc.result(call.message_id, answer.value)
        else:
            assert isinstance(answer, Refusal), "an Ask is answered by `exchange`"
            self._metrics.calls_refused.labels(answer.code).inc()
            frame = self._rpc.error(call.message_id, answer.code, answer.description)
        if type(call) is Call:
            kind = "result" if isinstance(answer, Reply) else "error"
            await self._send(frame, kind, call.action)
        if known == "BootNotification":
            await self._has_booted(answer)
            self.on_boot(self.station_id)

    async def _has_booted(self, answer: Reply[Payload] | Refusal) -> None:
        """Its boot is answered: it takes calls now, and its make is known."""
        self._booted = True
        self._settle_no_longer()
        if self._treated is None or type(answer) is not Reply or not answer.new_make:
            return
        try:
            switches = await self._treated(self.station_id)
        except StoreUnavailable:
            return  # As before; the next boot or link tells.
        if switches is not None:
            self.treat(switches)

    def treat(self, switches: Switches) -> None:
        """Treat the station so from now on. What is agreed on when a link opens (version,
        compression, pings where there were none) holds for the next link."""
        self.switches = switches
        if self.pinged and not switches.ping:
            self.pinged = False
            self._websocket.ping_interval = None
            if self._websocket.keepalive_task is not None:
                self._websocket.keepalive_task.cancel()

    def _origin(self) -> Origin:
        return Origin(self.station_id, self.identity, self.version.version, self._clock())

    async def count(self, kind: str) -> None:
        """Count a violation with the station; losing the count in an outage is no harm."""
        try:
            await self._store.transact(count_refusal, self._origin(), kind, lane=self.station_id)
        except StoreUnavailable:
            log.warning("violation_not_counted", station=self.identity, kind=kind)

    async def _keep(self, call: Call | Notice, reason: str) -> None:
        """A call that we failed on: what it said must not be lost with the error."""
        facts = {"action": call.action, "payload": call.payload}
        try:
            await self._store.transact(
                quarantine.put, self._origin(), "call", reason, facts, lane=self.station_id
            )
        except Exception:
            log.exception("call_not_kept", station=self.identity, action=call.action)

    # -- our calls -------------------------------------------------------------------------------

    async def call(
        self,
        message_id: str,
        action: str,
        payload: Mapping[str, Any],
        timeout_s: float,
        sending: Callable[[], Awaitable[object]] | None = None,
        *,
        lenient: bool = False,
    ) -> Result | Failure | Lost:
        """Make a call when its turn comes (one at a time, in the order of asking) and wait for its
        outcome. `timeout_s` counts from its turn, `sending` is awaited right before it goes out;
        `lenient`: no answer is no reason to cut the link. Raises `CallOutstanding` when
        `waiting_commands` others wait already."""
        if self._waiting >= self._limits.waiting_commands:
            self._metrics.own_call_seconds.labels("too_many_wait").observe(0)
            raise CallOutstanding(f"{self._waiting} calls are waiting for {self.identity}")
        self._waiting += 1
        try:
            async with self._turn:
                await self._settle()
                if self._ended:
                    return Lost("closed", sent=False)
                if sending is not None:
                    await sending()
                began = perf_counter()
                outcome = await self._call(message_id, action, payload, timeout_s, lenient)
                self._metrics.own_call_seconds.labels(_word(outcome)).observe(
                    perf_counter() - began
                )
                return outcome
        finally:
            self._waiting -= 1

    async def _settle(self) -> None:
        """Wait until the station can take a call of ours (quirks 23, 28: the switch `settle_s`)."""
        loop = asyncio.get_running_loop()
        left_s = self._opened_s + self.switches.settle_s - loop.time()
        if left_s <= 0 or self._booted or self._ended:
            return
        self._settling = loop.create_future()
        await asyncio.wait((self._settling,), timeout=left_s)
        self._settling = None

    def _settle_no_longer(self) -> None:
        if self._settling is not None and not self._settling.done():
            self._settling.set_result(None)

    async def _call(
        self,
        message_id: str,
        action: str,
        payload: Mapping[str, Any],
        timeout_s: float,
        lenient: bool,
    ) -> Result | Failure | Lost:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        frame = self._rpc.call(message_id, action, payload, deadline)
        answer: asyncio.Future[Result | Failure | Lost] = loop.create_future()
        self._answer = answer
        try:
            async with asyncio.timeout_at(deadline):
                await self._send(frame, "call", action)
                outcome = await answer
        except ConnectionClosed:
            self._rpc.abandon()
            return Lost("closed")
        except TimeoutError:
            if not answer.done() or answer.cancelled():
                self._rpc.expire(deadline)
                return await self._timed_out(action, lenient)
            # It came in the very moment that its time was up.
            outcome = answer.result()
        finally:
            self._answer = None
            # A wait that was given up must not keep the next call from its turn.
            self._rpc.expire(deadline)
        if not isinstance(outcome, Lost):
            self._timeouts_in_a_row = 0
        return outcome

    async def _timed_out(self, action: str, lenient: bool) -> Lost:
        log.warning("call_timed_out", station=self.identity, action=action)
        if lenient:
            return Lost("timed_out")
        self._timeouts_in_a_row += 1
        if self._timeouts_in_a_row >= self._limits.call_timeouts:
            # Field experience: a station that answers nothing does so again after a new connection.
            await self.close(POLICY, "no answer to several calls")
        return Lost("timed_out")

    async def _answered(self, outcome: Result | Failure) -> None:
        # Before anything that waits: meanwhile the turn may pass to the next call.
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(outcome)
        else:
            self._on_late(self, outcome.message_id, outcome)
        if isinstance(outcome, Failure) and outcome.reply is not None:
            await self._send(outcome.reply, "error", outcome.action)
        if isinstance(outcome, Result):
            faults = self.version.dialect.schemas.response_faults(outcome.action, outcome.payload)
            if faults:
                await self.count(f"{outcome.action} result: {faults[0].kind}")
                reply = self._rpc.result_error(
                    outcome.message_id, faults[0].code, f"{faults[0].path}: {faults[0].detail}"
                )
                if reply is not None:
                    await self._send(reply, "error", outcome.action)

    def _end_call(self) -> None:
        """The link is over: whoever waits for an answer will not get one."""
        self._ended = True
        self._settle_no_longer()
        self._rpc.abandon()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Lost("closed"))

    # -- sending ---------------------------------------------------------------------------------

    async def _send(self, frame: str, kind: str, action: str | None = None) -> None:
        """Send a frame; a station that does not take it in time is cut off."""
        if self._tap is not None:
            self._tap.said(kind, action, frame)
        if not self._websocket.transport.get_write_buffer_size():
            await self._websocket.send(frame)
            return
        try:
            async with asyncio.timeout(self._limits.send_timeout_s):
                await self._websocket.send(frame)
        except TimeoutError:
            log.warning("link_cut_not_reading", station=self.identity)
            self._cut_for = NOT_READING
            self._websocket.transport.abort()


def _word(outcome: Result | Failure | Lost) -> str:
    """What became of a call of ours, for metrics."""
    if isinstance(outcome, Lost):
        return outcome.reason
    return "answered" if isinstance(outcome, Result) else "error"
