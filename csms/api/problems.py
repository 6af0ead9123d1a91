"""Errors as `application/problem+json` (RFC 9457): the one table from codes to HTTP."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from csms.core.errors import CsmsError

log = structlog.get_logger("api")

STATUS = {
    "not_found": 404,
    "already_exists": 409,
    "refused": 409,
    "invalid": 422,
    "station_offline": 409,
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
