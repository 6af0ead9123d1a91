"""/nodes: the processes of the system."""

from __future__ import annotations

from csms.core import nodes
from csms.core.nodes import Lease, Node, NodeState
from csms.core.security import Role

from .conftest import NOW, Api


def two(api: Api) -> None:
    for name in "ab":
        row = Node(name, f"r-{name}", "m/1", NodeState.UP, 3, 7, "1.0", "http://x", NOW, NOW)
        api.store.run(nodes.join, row)
    leases = [Lease("settle prices", "a", "r-a", NOW), Lease("partner p1", "a", "r-a", NOW)]
    api.store.run(nodes.take, leases)


async def test_nodes_are_listed_with_what_they_do(api: Api) -> None:
    assert (await api("GET", "/nodes")).json()["items"] == []
    two(api)
    a, b = (await api("GET", "/nodes", Role.VIEWER)).json()["items"]
    assert (a["name"], a["state"], a["links"]) == ("a", "up", 7)
    assert a["duties"] == ["partner p1", "settle prices"]
    assert b["duties"] == []
    assert a["takes_stations"] is True
    assert "run" not in a


async def test_a_life_that_is_over_does_nothing(api: Api) -> None:
    two(api)
    api.store.run(nodes.lose, api.store.run(nodes.require, "a"), NOW)
    a, _ = (await api("GET", "/nodes")).json()["items"]
    assert (a["state"], a["duties"]) == ("lost", [])


async def test_draining_and_its_end(api: Api) -> None:
    two(api)
    assert (await api("POST", "/nodes/a/drain")).json()["state"] == "draining"
    last = await api("POST", "/nodes/b/drain")
    assert (last.status_code, last.json()["code"]) == (409, "refused")
    assert (await api("POST", "/nodes/b/drain", json={"force": True})).json()["state"] == "draining"
    assert (await api("POST", "/nodes/a/resume")).json()["state"] == "up"
    assert (await api("POST", "/nodes/c/drain")).status_code == 404
    assert [entry["action"] for entry in await api.audits()] == [
        "node_drain",
        "node_drain",
        "node_resume",
    ]
