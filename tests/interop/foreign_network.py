"""Another network, written by others: the library `extrawest-ocpi` over dictionaries.

Runs in a process and an environment of its own (`make interop`), with the library's settings in
environment variables. It knows nothing of csms. What the library serves and pushes is its own; here
is only what it leaves to its user: keeping objects, and beginning a registration, a pull or a
command, for which it has schemas but no client. The addresses under `/hand` are for the test.

    python foreign_network.py PORT
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import APIRouter, Body
from py_ocpi import get_application
from py_ocpi.core.adapter import BaseAdapter
from py_ocpi.core.authentication.authenticator import Authenticator
from py_ocpi.core.config import settings
from py_ocpi.core.crud import Crud
from py_ocpi.core.endpoints import ENDPOINTS
from py_ocpi.core.endpoints.v_2_2_1.utils import cpo_generator
from py_ocpi.core.enums import Action, ModuleID, RoleEnum
from py_ocpi.core.utils import encode_string_base64
from py_ocpi.modules.credentials.v_2_2_1.schemas import Credentials
from py_ocpi.modules.versions.enums import VersionNumber
from py_ocpi.modules.versions.v_2_2_1.enums import InterfaceRole

VERSION = VersionNumber.v_2_2_1
INVITATION, OURS = "their-invitation-0123", "their-token-0123456789"
BASE = f"{settings.PROTOCOL}://{settings.OCPI_HOST}/{settings.OCPI_PREFIX}"
ROLES = ("CPO", "EMSP")

# (role, module) -> id -> object; of the partner: its credentials and endpoints.
objects: dict[tuple[str, str], dict[str, Any]] = {}
partner: dict[str, Any] = {}
# What was asked of this network: commands, authorizations.
asked: list[dict[str, Any]] = []
invitations, tokens = [INVITATION], []

# The library serves commands to a CPO, and does not list the address.
ENDPOINTS[VERSION][RoleEnum.cpo][ModuleID.commands] = cpo_generator.generate_endpoint(
    ModuleID.commands, InterfaceRole.receiver
)


def credentials() -> dict[str, Any]:
    party = {"country_code": settings.COUNTRY_CODE, "party_id": settings.PARTY_ID}
    details = {"name": settings.PROJECT_NAME}
    roles = [{"role": role, "business_details": details, **party} for role in ROLES]
    return {"token": OURS, "url": f"{BASE}/versions", "roles": roles}


def shelf(role: Any, module: Any) -> dict[str, Any]:
    return objects.setdefault((role.value, module.value), {})


class Kept(Crud):
    """What the library asks its user to keep."""

    @classmethod
    async def get(cls, module: Any, role: Any, id: Any, *args: Any, **kwargs: Any) -> Any:
        if module == ModuleID.credentials_and_registration:
            return credentials() if partner else None
        if module == ModuleID.commands:
            return {"result": "ACCEPTED"}
        return shelf(role, module).get(str(id).lower())

    @classmethod
    async def list(cls, module: Any, role: Any, filters: Any, *args: Any, **kwargs: Any) -> Any:
        found = list(shelf(role, module).values())
        end = filters["offset"] + filters["limit"]
        return found[filters["offset"] : end], len(found), end >= len(found)

    @classmethod
    async def create(cls, module: Any, role: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
        if module == ModuleID.credentials_and_registration:
            partner.update(data)
            invitations.clear()
            tokens[:] = [OURS]
            return credentials()
        shelf(role, module)[str(data.get("id") or data.get("uid")).lower()] = data
        return data

    @classmethod
    async def update(
        cls, module: Any, role: Any, data: Any, id: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if module == ModuleID.commands:
            data = {**data, "id": id}
        return await cls.create(module, role, data)

    @classmethod
    async def delete(cls, module: Any, role: Any, id: Any, *args: Any, **kwargs: Any) -> None:
        if module == ModuleID.credentials_and_registration:
            partner.clear()
            tokens.clear()
        else:
            shelf(role, module).pop(str(id).lower(), None)

    @classmethod
    async def do(
        cls, module: Any, role: Any, action: Any, *args: Any, data: Any = None, **kwargs: Any
    ) -> Any:
        if action == Action.get_client_token:
            return partner["credentials"]["token"]
        if action == Action.send_command:
            asked.append({"command": kwargs["command"].value, **args[0]})
            return {"result": "ACCEPTED", "timeout": 30}
        asked.append({"authorize": data["token_uid"], **(data["location_reference"] or {})})
        token = shelf(role, module)[str(data["token_uid"]).lower()]
        allowed = "ALLOWED" if token["valid"] else "BLOCKED"
        return {"allowed": allowed, "token": token, "authorization_reference": "FOREIGN-1"}


class Known(Authenticator):
    """The tokens that open this network."""

    @classmethod
    async def get_valid_token_c(cls) -> list[str]:
        return tokens

    @classmethod
    async def get_valid_token_a(cls) -> list[str]:
        return invitations


# -- what the library has no client for ------------------------------------------------------------

hand = APIRouter(prefix="/hand")
Given = Annotated[dict, Body()]
SCHEMA = {
    ModuleID.locations: BaseAdapter.location_adapter,
    ModuleID.tariffs: BaseAdapter.tariff_adapter,
    ModuleID.sessions: BaseAdapter.session_adapter,
    ModuleID.cdrs: BaseAdapter.cdr_adapter,
    ModuleID.tokens: BaseAdapter.token_adapter,
}


async def call(method: str, url: str, token: str, body: Any = None) -> httpx.Response:
    headers = {"authorization": f"Token {encode_string_base64(token)}"}
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.request(method, url, headers=headers, json=body)


def endpoint(module: str, role: str) -> str:
    found = partner["endpoints"]["endpoints"]
    return next(e["url"] for e in found if (e["identifier"], e["role"]) == (module, role))


@hand.get("/kept/{role}/{module}")
async def kept(role: RoleEnum, module: ModuleID) -> Any:
    return list(shelf(role, module).values())


@hand.put("/kept/{role}/{module}")
async def keep(role: RoleEnum, module: ModuleID, body: Given) -> Any:
    made = SCHEMA[module](body).dict()
    return await Kept.create(module, role, made)


@hand.get("/asked")
async def what_was_asked() -> Any:
    return asked


@hand.get("/partner")
async def the_partner() -> Any:
    return partner


@hand.post("/register")
async def register(body: Given) -> Any:
    """Begin a registration with an invitation; the answers of the other side."""
    url, token = body["url"], body["token"]
    versions = (await call("GET", url, token)).json()["data"]
    details = next(v["url"] for v in versions if v["version"] == VERSION.value)
    found = (await call("GET", details, token)).json()["data"]
    there = next(e["url"] for e in found["endpoints"] if e["identifier"] == "credentials")
    tokens[:] = [OURS]
    answer = (await call("POST", there, token, credentials())).json()
    theirs = Credentials(**answer["data"])
    partner.update({"credentials": theirs.dict(), "endpoints": found})
    return {"status_code": answer["status_code"], "roles": [r.role for r in theirs.roles]}


@hand.post("/pull/{module}")
async def pull(module: ModuleID) -> Any:
    """Read a list of the other side, page after page; the library's schema reads the objects."""
    role = RoleEnum.cpo if module == ModuleID.tokens else RoleEnum.emsp
    url: str | None = endpoint(module.value, "SENDER")
    if module == ModuleID.sessions:
        url = f"{url}?date_from=2020-01-01T00:00:00Z"
    taken = 0
    while url:
        answer = await call("GET", url, partner["credentials"]["token"])
        for each in answer.json()["data"]:
            await Kept.create(module, role, SCHEMA[module](each).dict())
            taken += 1
        url = answer.links.get("next", {}).get("url")
    return {"taken": taken}


@hand.post("/order/{command}")
async def order(command: str, body: Given) -> Any:
    """A command to the other side, answered to the address that the library serves."""
    back = f"{BASE}/emsp/{VERSION.value}/commands/{command.lower()}-1"
    url = f"{endpoint('commands', 'RECEIVER')}/{command}"
    answer = await call(
        "POST", url, partner["credentials"]["token"], {"response_url": back, **body}
    )
    return answer.json()


@hand.post("/authorize/{uid}")
async def authorize(uid: str) -> Any:
    """Ask the other side whether a token of its may charge."""
    url = f"{endpoint('tokens', 'SENDER')}/{uid}/authorize"
    return (await call("POST", url, partner["credentials"]["token"])).json()


app = get_application(
    [VERSION],
    [RoleEnum.cpo, RoleEnum.emsp],
    Kept,
    [
        ModuleID.credentials_and_registration,
        ModuleID.locations,
        ModuleID.tariffs,
        ModuleID.tokens,
        ModuleID.sessions,
        ModuleID.cdrs,
        ModuleID.commands,
    ],
    Known,
    http_push=True,
)
app.include_router(hand)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
