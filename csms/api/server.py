"""The HTTP application: routes, errors, health, metrics."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest
from starlette.routing import BaseRoute

from csms.api import (
    administration,
    cdrs,
    charging,
    configuration,
    errands,
    examples,
    imports,
    locations,
    logins,
    messages,
    neighbours,
    nodes,
    partners,
    privacy,
    problems,
    quirks,
    roaming,
    stations,
    tariffs,
)
from csms.api.problems import Problem, declared, problem
from csms.api.system import System
from csms.observability import Read

PREFIX = "/api/v1"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ANY_ROUTE = (401, 403, 404, 405, 409, 410, 411, 413, 422, 429, 503)


def create(system: System, version: str) -> FastAPI:
    """The application over one system."""
    app = FastAPI(
        title="Charging network central system",
        version=version,
        docs_url="/docs",
        redoc_url=None,
        openapi_url="/openapi.json",
        routes=list(_routes()),
    )
    app.state.system = system
    app.state.event_streams = set()
    system.metrics.reads(
        event_streams=Read(
            "gauge", "Event streams that are open", lambda: len(app.state.event_streams)
        ),
        event_streams_limit=Read("gauge", "More get 429", lambda: system.event_streams),
    )
    problems.install(app)
    _add_health(app, system)

    @app.middleware("http")
    async def guard(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        began = time.perf_counter()
        length = request.headers.get("content-length", "0")
        response: Response
        if not length.isdigit() or int(length) > system.max_body_bytes:
            response = problem(413, "too_large", f"at most {system.max_body_bytes} bytes")
        elif "transfer-encoding" in request.headers:
            response = problem(411, "length_required", "send a Content-Length")
        else:
            response = await call_next(request)
        method = request.method if request.method in METHODS else "other"
        system.metrics.http_seconds.labels(method).observe(time.perf_counter() - began)
        system.metrics.http_answers.labels(method, str(response.status_code)).inc()
        return response

    described = app.openapi

    def openapi() -> dict[str, Any]:
        """With the form of problems, which no route returns by itself, and with examples."""
        document = described()
        template = "#/components/schemas/{model}"
        document["components"]["schemas"].setdefault(
            "Problem", Problem.model_json_schema(ref_template=template)
        )
        examples.add(document, PREFIX)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


@cache
def _routes() -> list[BaseRoute]:
    """What is under `PREFIX`. Working out what each route wants takes half a second, and is the
    same for every application in this process."""
    everything = APIRouter()
    for part in (
        stations,
        configuration,
        imports,
        logins,
        quirks,
        messages,
        charging,
        locations,
        tariffs,
        cdrs,
        roaming,
        errands,
        neighbours,
        administration,
        nodes,
        partners,
        privacy,
    ):
        everything.include_router(part.router, prefix=PREFIX, responses=declared(*ANY_ROUTE))
    return everything.routes


def _add_health(app: FastAPI, system: System) -> None:
    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process runs."""
        return {"status": "ok", "node": system.node}

    @app.get(
        "/readyz",
        tags=["health"],
        responses={503: {"description": "It cannot; `reason` says why"}},
    )
    async def readyz(response: Response) -> dict[str, Any]:
        """The process can do its work: the store writes, and it is neither on its way out nor being
        drained. `warnings`: what needs to be seen to before it cannot, such as certificates that
        expire."""
        trouble = system.store.trouble or system.unready()
        if trouble is not None:
            response.status_code = 503
            return {"status": "not ready", "reason": trouble}
        warnings = system.warnings()
        return {"status": "ready", "warnings": warnings} if warnings else {"status": "ready"}

    @app.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus metrics."""
        text = generate_latest(system.metrics.registry)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
