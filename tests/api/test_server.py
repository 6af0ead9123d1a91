"""Health, metrics, and the limits of a request."""

from __future__ import annotations

from tests.api.conftest import Api


async def test_health_needs_no_key(api: Api) -> None:
    assert (await api("GET", "/healthz", None)).json() == {"status": "ok", "node": "node"}
    assert (await api("GET", "/readyz", None)).json() == {"status": "ready"}


async def test_readyz_says_why_not(api: Api) -> None:
    api.store.trouble = "database is locked"
    answer = await api("GET", "/readyz", None)
    assert answer.status_code == 503
    assert answer.json()["reason"] == "database is locked"


async def test_metrics_are_in_the_format_of_prometheus(api: Api) -> None:
    answer = await api("GET", "/metrics", None)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "csms_links 0.0" in answer.text


async def test_a_body_over_the_limit_is_not_read(api: Api) -> None:
    answer = await api("POST", "/tokens", content=b"x" * 10_001)
    assert answer.status_code == 413


async def test_a_body_without_a_length_is_refused(api: Api) -> None:
    async def parts() -> object:
        yield b"{}"

    answer = await api("POST", "/tokens", content=parts())
    assert answer.status_code == 411


async def test_the_description_of_the_api_is_complete(api: Api) -> None:
    described = api.app.openapi()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), f"{method} {path} does not say what it does"


async def test_what_needs_to_be_seen_to_is_told_and_the_system_is_ready(api: Api) -> None:
    api.warnings.append("server.pem: expires in 3 days")
    answer = await api("GET", "/readyz", role=None)
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "warnings": ["server.pem: expires in 3 days"]}
