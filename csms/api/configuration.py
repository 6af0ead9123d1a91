"""The configuration of stations: what they report, what is desired, templates, reports."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from csms.api.auth import AdminWriter, OperatorWriter, Principal, Provided, Viewer
from csms.api.paging import Cursor, Limit, Page, page
from csms.api.shapes import Given, OfStation
from csms.api.stations import find
from csms.api.system import System
from csms.core import device_model, templates, variables
from csms.core.device_model import MAX_DESIRED, Desired, DeviceModel, State, Variable
from csms.core.errors import Invalid, NotFound, StationOffline
from csms.core.inquiries import NoAnswer, Scope
from csms.core.ports import Tx
from csms.core.reports import MAX_PARTS, Progress, Report, ReportPart
from csms.core.stations import Station
from csms.core.templates import Template

router = APIRouter(tags=["configuration"])
Wait = Annotated[float, Query(ge=0, description="Seconds to wait for the station")]
Names = Annotated[list[str] | None, Query(description="Only these variables")]
PAGE = 1_000
STATIONS_AT_ONCE = 200
LOOK_EVERY_S = 0.1
_running: set[asyncio.Task[Any]] = set()


# -- shapes ----------------------------------------------------------------------------------------


class VariableOut(BaseModel):
    name: str
    reported: str | None = Field(description="Null: never reported, or a secret")
    reported_at: datetime | None = None
    target: str | None = None
    mutability: str | None = None
    data_type: str | None = None
    unit: str | None = None
    allowed: str | None = Field(None, description="Values or range, as the station says")
    desired: str | None = None
    state: str | None = Field(
        None,
        description="Of the desired value: wanted, applied, reboot_required, rejected, "
        "unsupported or not_kept",
    )
    reason: str | None = Field(None, description="The station's own word")
    template: str | None = Field(None, description="The template that the value comes from")
    desired_by: str | None = None
    desired_at: datetime | None = None


class ConfigurationOut(BaseModel):
    station_id: str
    station: str
    connected: bool
    inventory: str = Field(description="Whether all that it has was reported: none, complete ...")
    inventory_at: datetime | None
    reset_needed: bool = Field(description="A value takes effect with the next reset")
    variables: list[VariableOut]
    detail: str | None = Field(None, description="What the station said when it was asked just now")


class ConfigurationChange(Given):
    values: dict[str, str | None] = Field(
        min_length=1,
        max_length=MAX_DESIRED,
        examples=[{"HeartbeatInterval": "300"}],
        description="Variable -> desired value; null: no longer desired",
    )


class RefreshNew(Given):
    names: list[str] = Field(default_factory=list, max_length=MAX_DESIRED)


class ReportNew(Given):
    scope: Scope = Scope.FULL


class ReportOut(OfStation):
    request_id: int
    scope: str
    state: str = Field(examples=[state.value for state in Progress])
    by: str
    requested_at: datetime
    received_at: datetime | None
    variables: int
    detail: str | None


class ReportWithParts(ReportOut):
    parts: list[dict[str, Any]] = Field(description="As they came, but for secrets")


class TemplateNew(Given):
    values: dict[str, str] = Field(
        min_length=1, max_length=MAX_DESIRED, examples=[{"HeartbeatInterval": "300"}]
    )
    party_id: str | None = None
    vendor: str | None = Field(None, max_length=64, examples=["ABB*"])
    model: str | None = Field(None, max_length=64)
    firmware: str | None = Field(None, max_length=64)


class TemplateOut(BaseModel):
    name: str
    party_id: str
    vendor: str | None
    model: str | None
    firmware: str | None
    values: dict[str, str]
    by: str
    at: datetime

    @classmethod
    def of(cls, t: Template) -> TemplateOut:
        return cls(**t._asdict())


class Applied(BaseModel):
    stations: int = Field(description="How many match")
    changed: int = Field(description="For how many something is desired that was not before")


# -- a station's configuration ---------------------------------------------------------------------


async def _everything(provided: System, kind: type[Any], station_id: str) -> list[Any]:
    found: list[Any] = []
    after: tuple[str, ...] | None = None
    while True:
        rows = await provided.store.reader.page(
            kind, {"station_id": station_id}, after=after, limit=PAGE
        )
        found += rows
        if len(rows) < PAGE:
            return found
        after = (station_id, rows[-1].key)


async def _shown(
    provided: System, station: Station, names: Sequence[str] | None, detail: str | None = None
) -> ConfigurationOut:
    reader = provided.store.reader
    model = await reader.get(DeviceModel, station.id) or DeviceModel(station.id)
    keys = None if names is None else {variables.key_of(name) for name in names}
    reported: dict[str, Variable] = {
        v.key: v for v in await _everything(provided, Variable, station.id)
    }
    desired: dict[str, Desired] = {
        d.key: d for d in await _everything(provided, Desired, station.id)
    }
    wanted = sorted(k for k in {*reported, *desired} if keys is None or k in keys)
    return ConfigurationOut(
        station_id=station.id,
        station=station.identity,
        connected=station.node is not None,
        inventory=model.inventory,
        inventory_at=model.inventory_at,
        reset_needed=any(d.state == State.REBOOT_REQUIRED for d in desired.values()),
        variables=[_variable(reported.get(k), desired.get(k)) for k in wanted],
        detail=detail,
    )


def _variable(v: Variable | None, d: Desired | None) -> VariableOut:
    fields: dict[str, Any] = {"name": v.name if v else d.name if d else "", "reported": None}
    if v is not None:
        fields |= {
            "reported": v.actual,
            "reported_at": v.reported_at,
            "target": v.target,
            "mutability": v.mutability,
            "data_type": v.data_type,
            "unit": v.unit,
            "allowed": v.allowed,
        }
    if d is not None:
        fields |= {
            "desired": d.value,
            "state": d.state,
            "reason": d.reason,
            "template": d.template,
            "desired_by": d.by,
            "desired_at": d.at,
        }
    return VariableOut(**fields)


async def _within(provided: System, wait_s: float, work: Coroutine[Any, Any, Any]) -> Any:
    """The result of work that goes on whoever waits for it; None when it takes longer."""
    if wait_s > provided.max_wait_s:
        work.close()
        raise Invalid(f"wait: at most {provided.max_wait_s:g} seconds")
    task = asyncio.create_task(work, name="ask a station")
    _running.add(task)
    task.add_done_callback(_running.discard)
    done, _ = await asyncio.wait((task,), timeout=wait_s)
    return task.result() if done else None


def _said(answer: object) -> str | None:
    """What to tell of an answer that is not what was hoped for."""
    if isinstance(answer, NoAnswer):
        words = {"timed_out": "it did not answer", "offline": "it is not connected"}
        return words.get(answer.reason, f"the link was {answer.reason}")
    reason = getattr(answer, "reason", None)
    return reason if isinstance(reason, str) else None


@router.get("/stations/{station}/configuration")
async def show_configuration(
    station: str, who: Viewer, provided: Provided, name: Names = None
) -> ConfigurationOut:
    """What the station reported and what is desired, side by side."""
    return await _shown(provided, await find(provided, station, who), name)


@router.patch("/stations/{station}/configuration")
async def change_configuration(
    station: str, change: ConfigurationChange, writer: OperatorWriter, wait: Wait = 0.0
) -> ConfigurationOut:
    """Desire values, or no longer. A station that is connected gets them at once, any other when it
    comes back; `wait` is for the outcome."""
    provided = writer.provided
    found = await find(provided, station, writer.who)
    await writer.run(
        "configuration_desired",
        found.identity,
        _desire,
        found.id,
        change.values,
        writer.who.key_id,
        provided.clock(),
        station_id=found.id,
        party_id=found.party_id,
    )
    answer = None
    if found.node is not None and any(v is not None for v in change.values.values()):
        answer = await _within(provided, wait, provided.configuration.apply(found.id))
    return await _shown(provided, found, list(change.values), _said(answer))


def _desire(
    tx: Tx, station_id: str, values: Mapping[str, str | None], by: str, now: datetime
) -> Mapping[str, Any]:
    wanted = {name: value for name, value in values.items() if value is not None}
    gone = [name for name, value in values.items() if value is None]
    device_model.want(tx, station_id, wanted, by, now)
    return {"unset": device_model.unwant(tx, station_id, gone, now)}


@router.post("/stations/{station}/configuration/refresh")
async def refresh_configuration(
    station: str, wanted: RefreshNew, writer: OperatorWriter, wait: Wait = 30.0
) -> ConfigurationOut:
    """Read variables from the station now; without names everything that it has."""
    provided = writer.provided
    found = await find(provided, station, writer.who)
    if found.node is None:
        raise StationOffline("the station is not connected")
    if wanted.names:
        answer = await _within(
            provided, wait, provided.configuration.refresh(found.id, wanted.names)
        )
        return await _shown(provided, found, wanted.names, _said(answer))
    report = await _reported(provided, found, Scope.FULL, "system", wait)
    return await _shown(provided, found, None, report.detail)


# -- reports ---------------------------------------------------------------------------------------


async def _reported(
    provided: System, station: Station, scope: Scope, by: str, wait_s: float
) -> Report:
    """A report, as far as it has come in that time. Raises `StationOffline`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    report: Report | None = await _within(
        provided, wait_s or LOOK_EVERY_S, provided.configuration.report(station.id, scope, by)
    )
    if report is None:
        raise StationOffline("the station is not connected, or has not answered in that time")
    while report.state == Progress.REQUESTED and loop.time() < deadline:
        await asyncio.sleep(LOOK_EVERY_S)
        now = await provided.store.reader.get(Report, station.id, report.request_id)
        report = now or report
    return report


@router.post("/stations/{station}/reports", status_code=202)
async def make_report(
    station: str, new: ReportNew, writer: OperatorWriter, wait: Wait = 30.0
) -> ReportWithParts:
    """Ask the station for a report of its variables; its parts as far as they have come after
    `wait` seconds."""
    provided = writer.provided
    found = await find(provided, station, writer.who)
    if found.node is None:
        raise StationOffline("the station is not connected")
    report = await _reported(provided, found, new.scope, writer.who.key_id, wait)
    return await _with_parts(provided, found, report)


async def _with_parts(provided: System, station: Station, report: Report) -> ReportWithParts:
    where = {"station_id": station.id, "request_id": report.request_id}
    parts = await provided.store.reader.page(ReportPart, where, limit=MAX_PARTS)
    shown = ReportOut.of(report, station.identity)
    return ReportWithParts(**shown.model_dump(), parts=[dict(p.data) for p in parts])


@router.get("/stations/{station}/reports")
async def list_reports(
    station: str, who: Viewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[ReportOut]:
    """The last reports of the station, oldest first."""
    found = await find(provided, station, who)
    return await page(
        provided.store.reader,
        Report,
        lambda report: ReportOut.of(report, found.identity),
        cursor=cursor,
        limit=limit,
        where={"station_id": found.id},
    )


@router.get("/stations/{station}/reports/{request_id}")
async def show_report(
    station: str, request_id: int, who: Viewer, provided: Provided
) -> ReportWithParts:
    """One report, with its parts as they came if an operator asked for it."""
    found = await find(provided, station, who)
    report = await provided.store.reader.get(Report, found.id, request_id)
    if report is None:
        raise NotFound(f"{found.identity} has no report {request_id}")
    return await _with_parts(provided, found, report)


# -- templates -------------------------------------------------------------------------------------


async def _template(provided: System, name: str, who: Principal) -> Template:
    found = await provided.store.reader.get(Template, name)
    if found is None or not who.sees(found.party_id):
        raise NotFound(f"no template {name}; csms config templates list shows those there are")
    return found


@router.get("/configuration-templates")
async def list_templates(
    who: Viewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[TemplateOut]:
    """What stations of a make shall have."""
    return await page(
        provided.store.reader,
        Template,
        TemplateOut.of,
        cursor=cursor,
        limit=limit,
        where={"party_id": who.only},
    )


@router.get("/configuration-templates/{template}")
async def show_template(template: str, who: Viewer, provided: Provided) -> TemplateOut:
    """One template."""
    return TemplateOut.of(await _template(provided, template, who))


@router.put("/configuration-templates/{template}")
async def put_template(template: str, new: TemplateNew, writer: AdminWriter) -> TemplateOut:
    """Make a template, or put another in its place. Stations that match get its values on their
    first contact and after a change of firmware; `apply` gives them to all at once."""
    provided, who = writer.provided, writer.who
    existing = await provided.store.reader.get(Template, template)
    if existing is not None and not who.sees(existing.party_id):
        raise Invalid(f"the name {template} is taken")
    party = who.party_for(new.party_id, existing.party_id if existing else provided.party)
    made = Template(
        template,
        party,
        new.vendor,
        new.model,
        new.firmware,
        new.values,
        who.key_id,
        provided.clock(),
    )
    answer = await writer.run("template_set", template, _put, made, party_id=party)
    return TemplateOut(**answer)


def _put(tx: Tx, template: Template) -> Mapping[str, Any]:
    return TemplateOut.of(templates.put(tx, template)).model_dump(mode="json")


@router.delete("/configuration-templates/{template}")
async def remove_template(template: str, writer: AdminWriter) -> TemplateOut:
    """Forget a template; what it brought stays desired."""
    found = await _template(writer.provided, template, writer.who)
    await writer.run("template_removed", template, _remove, template, party_id=found.party_id)
    return TemplateOut.of(found)


def _remove(tx: Tx, name: str) -> Mapping[str, Any]:
    templates.remove(tx, name)
    return {"name": name}


@router.post("/configuration-templates/{template}/apply")
async def apply_template(template: str, writer: AdminWriter) -> Applied:
    """Give the template's values to all stations that match, except where an operator has set
    another."""
    provided = writer.provided
    found = await _template(provided, template, writer.who)
    await writer.run("template_applied", template, _noted, party_id=found.party_id)
    matching = changed = 0
    after: tuple[str, ...] | None = None
    while True:
        stations = await provided.store.reader.page(
            Station, {"party_id": found.party_id}, after=after, limit=STATIONS_AT_ONCE
        )
        fitting = [s for s in stations if templates.matches(found, s)]
        results = await asyncio.gather(
            *(
                provided.store.transact(
                    templates.apply, s.id, provided.clock(), template, lane=s.id
                )
                for s in fitting
            )
        )
        for station, result in zip(fitting, results, strict=True):
            matching += 1
            if any(d.state == State.WANTED for d in result):
                changed += 1
                if station.node is not None:
                    provided.look_at(station.id)
        if len(stations) < STATIONS_AT_ONCE:
            return Applied(stations=matching, changed=changed)
        after = (stations[-1].id,)


def _noted(tx: Tx) -> Mapping[str, Any]:
    return {}
