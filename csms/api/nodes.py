"""Nodes: the processes of this system, and moving stations away from one before it is restarted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from csms.api.auth import NetworkAdminWriter, NetworkViewer, Provided
from csms.api.paging import MAX_LIMIT, Cursor, Limit, Page, page
from csms.api.shapes import Given
from csms.core import nodes
from csms.core.nodes import Lease, Node, NodeState
from csms.core.ports import Tx

router = APIRouter()


class NodeOut(BaseModel):
    """One process. `duties`: what only one node does, and this one does."""

    name: str
    state: NodeState
    links: int = Field(description="Stations connected to it")
    duties: list[str]
    version: str
    address: str = Field(description="Of its operator API")
    joined_at: datetime
    beat_at: datetime = Field(description="Its last sign of life, by its own clock")
    takes_stations: bool = Field(description="Whether stations connect to it")

    @classmethod
    def of(cls, node: Node, leases: list[Lease]) -> NodeOut:
        held = [lease.name for lease in leases if (lease.node, lease.run) == (node.name, node.run)]
        row = node._asdict()
        shown = {n: row[n] for n in cls.model_fields if n != "duties"}
        return cls(duties=sorted(held) if node.alive else [], **shown)


class DrainAction(StrEnum):
    """`drain`: its stations and duties go to others, and it takes none; `resume` ends that."""

    DRAIN = "drain"
    RESUME = "resume"


class DrainHow(Given):
    force: bool = Field(False, description="Drain although no other node is up")


@router.get("/nodes", tags=["nodes"])
async def list_nodes(
    who: NetworkViewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[NodeOut]:
    """The processes of this system, also those that ended or were lost lately."""
    reader = provided.store.reader
    leases = await reader.page(Lease, limit=MAX_LIMIT)
    return await page(
        reader, Node, lambda node: NodeOut.of(node, leases), cursor=cursor, limit=limit
    )


@router.post("/nodes/{node}/{action}", tags=["nodes"])
async def act_on_node(
    node: str, action: DrainAction, writer: NetworkAdminWriter, how: DrainHow | None = None
) -> NodeOut:
    """Drain a node before it is restarted, or let it take stations again. 409 for a node that does
    not live, and for the last one that is up (unless `force`)."""
    now, force = writer.provided.clock(), how is not None and how.force
    told = await writer.run(f"node_{action}", node, _act, node, action, now, force)
    return NodeOut(**told)


def _act(tx: Tx, name: str, action: DrainAction, now: datetime, force: bool) -> Mapping[str, Any]:
    if action is DrainAction.DRAIN:
        node = nodes.drain(tx, name, now, force)
    else:
        node = nodes.resume(tx, name, now)
    return NodeOut.of(node, []).model_dump(mode="json")
