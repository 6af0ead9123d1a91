"""Errors as `application/problem+json` (RFC 9457): the one table from codes to HTTP."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from csms.core.errors import CsmsError

log = structlog.get_logger("api")

STATUS = {
    "not_found": 404,
    "already_exists": 409,
    "refused": 409,
    "invalid": 422,
    "station_offline": 409,
    "node_unreachable": 503,
    "store_unavailable": 503,
    "store_overloaded": 503,
    "store_refused": 422,
    "call_outstanding": 429,
    "unauthorized": 401,
    "forbidden": 403,
    "gone": 410,
    "partner_refused": 409,
    "partner_unreachable": 502,
    "too_many_streams": 429,
}


class Unauthorized(CsmsError):
    """No usable API key."""

    code = "unauthorized"


class Forbidden(CsmsError):
    """The key's role does not allow it."""

    code = "forbidden"


class Gone(CsmsError):
    """The events after that cursor are not kept any more."""

    code = "gone"


class TooManyStreams(CsmsError):
    """As many event streams as allowed are open."""

    code = "too_many_streams"


class Problem(BaseModel):
    """An error (RFC 9457). `code` is stable; there may be more fields, such as `command_id`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["not found"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["not_found"], description="Stable")
    detail: str = Field(description="For people", examples=["no station CP-9"])


_SAID = {
    401: "No valid API key",
    403: "The key's role or its parties do not allow it",
    404: "There is no such thing, or none that the key may know of",
    405: "Not with this method",
    409: "The present state does not allow it",
    410: "What comes after that place is not kept any more",
    411: "A Content-Length is needed",
    413: "The body is too large",
    422: "What was sent is not usable; `detail` names it",
    429: "Too much at once",
    503: "The store cannot write now, or the node that is needed cannot be reached",
}


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The descriptions of problems for the routes that may answer with them."""
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema}}
    return {status: {"description": _SAID[status], "content": content} for status in statuses}


def problem(status: int, code: str, detail: str, **facts: Any) -> JSONResponse:
    """A problem document. `code` is stable, `detail` is for people."""
    body = {"type": "about:blank", "title": code.replace("_", " "), "status": status, "code": code}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status == 503:
        headers["Retry-After"] = "5"
    return JSONResponse(
        {**body, "detail": detail, **facts}, status, headers, "application/problem+json"
    )


def install(app: FastAPI) -> None:
    """Every error that leaves the API leaves as a problem document."""

    @app.exception_handler(CsmsError)
    async def known(request: Request, error: CsmsError) -> JSONResponse:
        facts = {k: v for k, v in error.facts.items() if isinstance(v, str | int)}
        return problem(STATUS.get(error.code, 500), error.code, error.detail, **facts)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()[:10]
        ]
        return problem(422, "invalid", "; ".join(faults))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid")
        return problem(error.status_code, code, str(error.detail))

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        log.exception("request_failed", path=request.url.path, exc_info=error)
        return problem(500, "internal_error", "this is a fault of the server; see its log")
