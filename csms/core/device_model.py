"""The device model: what a station says of its variables, and what its operator wants of them.

Both are kept apart: a *variable* is as reported, a *desired value* is a wish that outlives links,
restarts and resets, and is reconciled with what the station reports. A value that a station lost is
set again; one that it accepts and does not keep is given up after `MAX_ATTEMPTS` and shown. Secrets
are neither stored nor desired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from csms.core import events, variables
from csms.core.entities import entity
from csms.core.errors import Invalid
from csms.core.inquiries import Declined, Found, Limits, Setting, Unsupported
from csms.core.ports import Need, Tx
from csms.core.stations import require

MAX_VARIABLES = 5_000
MAX_DESIRED = 200
MAX_ATTEMPTS = 3


class State(StrEnum):
    """Where a desired value stands.

    `wanted`: to be set when the station can be reached. `applied`: the station has it.
    `reboot_required`: it takes effect with the next reset. `rejected`, `unsupported`: the station's
    word. `not_kept`: accepted several times, and reported otherwise afterwards.
    """

    WANTED = "wanted"
    APPLIED = "applied"
    REBOOT_REQUIRED = "reboot_required"
    REJECTED = "rejected"
    UNSUPPORTED = "unsupported"
    NOT_KEPT = "not_kept"


@entity("variables", key=("station_id", "key"))
class Variable(NamedTuple):
    """A variable as its station reported it last; see `inquiries.Found`. `request_id`: the report
    that it came with, None when it was read by itself."""

    station_id: str
    key: str
    name: str
    actual: str | None
    target: str | None
    min_set: str | None
    max_set: str | None
    mutability: str | None
    data_type: str | None
    unit: str | None
    allowed: str | None
    reported_at: datetime
    request_id: int | None = None


@entity(
    "desired_values",
    key=("station_id", "key"),
    finders={"station": ("station_id",), "by_state": ("station_id", "state")},
)
class Desired(NamedTuple):
    """What a variable shall be. `by`: the operator's key or, with `template`, whoever made that
    template. `reason`: the station's own word; `attempts` counts how often it was accepted."""

    station_id: str
    key: str
    name: str
    value: str
    state: str
    by: str
    at: datetime
    template: str | None = None
    reason: str | None = None
    settled_at: datetime | None = None
    attempts: int = 0


@entity("device_models", key=("station_id",))
class DeviceModel(NamedTuple):
    """What is known of a station's device model as a whole.

    `firmware`: the one that all of this is about. `inventory`: see `core.reports.Inventory`.
    `lacks`: inquiries that the station cannot answer, so that it is not asked again.
    `verified_at`: when the desired values were last compared with what the station has.
    `templated`: templates have been applied for this firmware.
    """

    station_id: str
    firmware: str | None = None
    inventory: str = "none"
    inventory_at: datetime | None = None
    request_id: int | None = None
    attempts: int = 0
    variables: int = 0
    lacks: tuple[str, ...] = ()
    verified_at: datetime | None = None
    templated: bool = False


def needs(station_id: str) -> tuple[Need, ...]:
    """Declares the reads of a station's model and desired values."""
    return (Need(DeviceModel, None, (station_id,)), Need(Desired, "station", (station_id,)))


def needs_variables(station_id: str, names: Iterable[str]) -> tuple[Need, ...]:
    """Declares the reads of variables."""
    return tuple(Need(Variable, None, (station_id, variables.key_of(name))) for name in names)


def model(tx: Tx, station_id: str) -> DeviceModel:
    """The model of a station, empty where nothing is known yet."""
    return tx.get(DeviceModel, station_id) or DeviceModel(station_id)


# -- what the station says -------------------------------------------------------------------------


def learn(
    tx: Tx,
    station_id: str,
    found: Iterable[Found],
    now: datetime,
    request_id: int | None = None,
) -> int:
    """Store variables as reported, and compare those that are desired; how many were stored. A
    station may have `MAX_VARIABLES`; the rest is left out and marked."""
    known = model(tx, station_id)
    added = stored = 0
    for one in found:
        key = variables.key_of(one.name)
        before = tx.get(Variable, station_id, key)
        if before is None and known.variables + added >= MAX_VARIABLES:
            tx.mark("too_many_variables")
            continue
        secret = variables.is_secret(one.name) or one.mutability == "write_only"
        after = Variable(
            station_id,
            key,
            one.name,
            None if secret else one.actual,
            None if secret else one.target,
            one.min_set,
            one.max_set,
            one.mutability or (before.mutability if before else None),
            one.data_type or (before.data_type if before else None),
            one.unit or (before.unit if before else None),
            one.allowed or (before.allowed if before else None),
            now,
            request_id if request_id is not None or before is None else before.request_id,
        )
        added += before is None
        stored += 1
        tx.save(after)
        _compare(tx, station_id, after, now)
    if added:
        tx.save(known._replace(variables=known.variables + added))
    return stored


def _compare(tx: Tx, station_id: str, reported: Variable, now: datetime) -> None:
    """What a report means for the desired value, if there is one."""
    desired = tx.get(Desired, station_id, reported.key)
    if desired is None or reported.actual is None:
        return
    if variables.agree(desired.name, reported.actual, desired.value, reported.data_type):
        if desired.state != State.APPLIED:
            _settle(tx, desired, State.APPLIED, now)
        return
    if desired.state == State.REBOOT_REQUIRED:
        booted = require(tx, station_id).booted_at
        if booted is None or desired.settled_at is None or booted <= desired.settled_at:
            return
    elif desired.state != State.APPLIED:
        return
    if desired.attempts >= MAX_ATTEMPTS:
        _settle(tx, desired, State.NOT_KEPT, now, f"it reports {reported.actual}")
    else:
        tx.mark("desired_value_lost")
        _settle(tx, desired, State.WANTED, now, f"it reported {reported.actual}")


def verified(tx: Tx, station_id: str, now: datetime) -> None:
    """The desired values have been compared with what the station has. One that was to hold with
    the next boot, and cannot be read, holds since that boot: nothing says otherwise."""
    tx.save(model(tx, station_id)._replace(verified_at=now))
    booted = require(tx, station_id).booted_at
    for desired in tx.find(Desired, "by_state", station_id, State.REBOOT_REQUIRED.value):
        reported = tx.get(Variable, station_id, desired.key)
        readable = reported is not None and reported.actual is not None
        since = desired.settled_at
        if not readable and booted is not None and since is not None and booted > since:
            _settle(tx, desired, State.APPLIED, now)


def lacks(tx: Tx, station_id: str, what: str) -> None:
    """The station cannot answer that inquiry: it is not asked again with this firmware."""
    known = model(tx, station_id)
    if what not in known.lacks:
        tx.save(known._replace(lacks=tuple(sorted((*known.lacks, what)))))


def for_firmware(tx: Tx, station_id: str, firmware: str | None) -> DeviceModel:
    """The model of a station that runs that firmware: with another one everything that was learnt
    is in doubt (OCPP 2.0.1 B07.FR.14), and what it refused is tried again."""
    known = model(tx, station_id)
    if known.firmware == firmware and tx.get(DeviceModel, station_id) is not None:
        return known
    known = DeviceModel(station_id, firmware, variables=known.variables)
    tx.save(known)
    for desired in tx.find(Desired, "station", station_id):
        if desired.state in (State.REJECTED, State.UNSUPPORTED, State.NOT_KEPT):
            tx.save(desired._replace(state=State.WANTED, reason=None, attempts=0))
    return known


def limits(tx: Tx, station_id: str, instance: str) -> Limits:
    """How much the station takes in one message of that kind, as far as it has said
    (DeviceDataCtrlr, OCPP 2.0.1 B05.FR.11, B06.FR.05; GetConfigurationMaxKeys of 1.6)."""
    return Limits(
        _positive(tx, station_id, f"DeviceDataCtrlr/ItemsPerMessage[{instance}]"),
        _positive(tx, station_id, f"DeviceDataCtrlr/BytesPerMessage[{instance}]"),
    )


def needs_limits(station_id: str) -> tuple[Need, ...]:
    """Declares the reads of `limits`."""
    names = (
        f"DeviceDataCtrlr/{limit}[{instance}]"
        for limit in ("ItemsPerMessage", "BytesPerMessage")
        for instance in ("GetVariables", "SetVariables")
    )
    return needs_variables(station_id, names)


def _positive(tx: Tx, station_id: str, name: str) -> int | None:
    found = tx.get(Variable, station_id, variables.key_of(name))
    text = (found.actual or "") if found else ""
    return int(text) if text.isascii() and text.isdigit() and int(text[:9]) > 0 else None


# -- what the operator wants -----------------------------------------------------------------------


def want(
    tx: Tx,
    station_id: str,
    values: Mapping[str, str],
    by: str,
    now: datetime,
    template: str | None = None,
) -> list[Desired]:
    """Enter desired values. Those that an operator set are not touched by a template, and what is
    applied already stays so. Raises `Invalid`, also for secrets, and `NotFound`."""
    require(tx, station_id)
    present = {d.key: d for d in tx.find(Desired, "station", station_id)}
    result = []
    for given, text in values.items():
        name, value = variables.checked(given, text)
        key = variables.key_of(name)
        before = present.get(key)
        if template is not None and before is not None and before.template is None:
            tx.mark("template_value_overridden")
            continue
        if before is None and len(present) >= MAX_DESIRED:
            raise Invalid(f"a station has at most {MAX_DESIRED} desired values")
        same = before is not None and before.value == value
        if same and before is not None and (template or before.state != State.NOT_KEPT):
            settled = before.state in (State.APPLIED, State.REBOOT_REQUIRED)
            desired = before._replace(template=template)
            if template is None and not settled:
                desired = desired._replace(state=State.WANTED, reason=None, by=by, at=now)
        else:
            desired = Desired(station_id, key, name, value, State.WANTED, by, now, template)
        present[key] = desired
        result.append(desired)
        if desired != before:
            tx.save(desired)
            _journal(tx, desired, now)
    return result


def unwant(tx: Tx, station_id: str, names: Iterable[str], now: datetime) -> list[str]:
    """Desire those values no longer; the station keeps what it has. The names that were desired."""
    gone = []
    for name in names:
        desired = tx.get(Desired, station_id, variables.key_of(name))
        if desired is not None:
            tx.delete(Desired, station_id, desired.key)
            _journal(tx, desired._replace(state="no_longer"), now)
            gone.append(desired.name)
    return gone


def unapplied(tx: Tx, station_id: str) -> list[Desired]:
    """The desired values that have yet to be set."""
    return list(tx.find(Desired, "by_state", station_id, State.WANTED.value))


def settle(
    tx: Tx,
    station_id: str,
    outcomes: Iterable[tuple[str, Setting, str | None]],
    now: datetime,
    sent: Mapping[str, str] | None = None,
) -> None:
    """What the station said to the values that it was given; `sent`: name -> value, so that the
    answer to an earlier value settles nothing."""
    for name, outcome, reason in outcomes:
        desired = tx.get(Desired, station_id, variables.key_of(name))
        if desired is None or (sent is not None and sent.get(name, desired.value) != desired.value):
            continue
        accepted = outcome in (Setting.APPLIED, Setting.REBOOT_REQUIRED)
        desired = desired._replace(attempts=desired.attempts + accepted)
        _settle(tx, desired, State(outcome.value), now, reason)
        known = tx.get(Variable, station_id, desired.key)
        if outcome == Setting.APPLIED and known is not None and known.actual is not None:
            # What it has taken it has; a report may say otherwise.
            tx.save(known._replace(actual=desired.value, reported_at=now))


def refused(
    tx: Tx,
    station_id: str,
    sent: Mapping[str, str],
    answer: Declined | Unsupported,
    now: datetime,
) -> None:
    """The station would not take any of the values that it was given."""
    setting = Setting.UNSUPPORTED if isinstance(answer, Unsupported) else Setting.REJECTED
    settle(tx, station_id, [(name, setting, answer.reason) for name in sent], now, sent)


def _settle(
    tx: Tx, desired: Desired, state: State, now: datetime, reason: str | None = None
) -> None:
    after = desired._replace(state=state.value, reason=reason, settled_at=now)
    tx.save(after)
    _journal(tx, after, now)


def _journal(tx: Tx, desired: Desired, now: datetime) -> None:
    tx.record(
        events.ConfigurationChanged(
            at=now,
            station_id=desired.station_id,
            name=desired.name,
            value=desired.value,
            state=str(desired.state),
            reason=desired.reason,
            template=desired.template,
        )
    )
