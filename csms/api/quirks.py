"""How each station is treated, and how often it broke the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from csms.api.auth import AdminWriter, Provided, Viewer, Writer
from csms.api.shapes import SwitchOut, SwitchSet, ViolationOut
from csms.api.stations import find
from csms.api.system import System
from csms.core.policies import Policy
from csms.core.ports import Tx
from csms.core.quirks import Value, make_of, set_switch
from csms.core.stations import Station
from csms.core.violations import explain

router = APIRouter(tags=["stations"])


async def _treated(provided: System, station: Station) -> list[SwitchOut]:
    policy = await provided.store.reader.get(Policy, station.id)
    own = policy.switches if policy else {}
    return [SwitchOut.of(treated) for treated in provided.catalogue.explain(make_of(station), own)]


@router.get("/stations/{station}/switches")
async def list_switches(station: str, who: Viewer, provided: Provided) -> list[SwitchOut]:
    """How a station is treated, and where each switch comes from: the default, what is known of its
    make, or an operator."""
    return await _treated(provided, await find(provided, station, who))


@router.put("/stations/{station}/switches/{name}")
async def put_switch(
    station: str, name: str, given: SwitchSet, writer: AdminWriter
) -> list[SwitchOut]:
    """Set a switch of one station, whatever its make. What is agreed on when a link opens (version,
    compression) holds from the next link."""
    return await _set(writer, station, name, given.value)


@router.delete("/stations/{station}/switches/{name}")
async def clear_switch(station: str, name: str, writer: AdminWriter) -> list[SwitchOut]:
    """Give a switch back to what is known of the station's make."""
    return await _set(writer, station, name, None)


async def _set(writer: Writer, station: str, name: str, value: Value | None) -> list[SwitchOut]:
    provided = writer.provided
    found = await find(provided, station, writer.who)
    action = "switch_cleared" if value is None else "switch_set"
    await writer.run(
        action,
        found.identity,
        _write,
        found.id,
        name,
        value,
        provided.clock(),
        station_id=found.id,
        party_id=found.party_id,
        facts={"name": name[:64]} if value is None else {"name": name[:64], "value": value},
    )
    provided.treat(found.id)
    return await _treated(provided, found)


def _write(tx: Tx, station_id: str, name: str, value: Value | None, now: Any) -> Mapping[str, Any]:
    set_switch(tx, station_id, name, value, now)
    return {"id": station_id}


@router.get("/stations/{station}/violations")
async def list_violations(station: str, who: Viewer, provided: Provided) -> list[ViolationOut]:
    """How often a station broke the protocol, by kind, the most frequent first."""
    found = await find(provided, station, who)
    counts = sorted(found.violations.items(), key=lambda item: (-item[1], item[0]))
    return [ViolationOut(kind=k, count=n, meaning=explain(k)) for k, n in counts]
