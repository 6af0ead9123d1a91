"""The API is what its own description says: cases made from the OpenAPI document, against the real
application in this process (schemathesis).

`CSMS_FUZZ_EXAMPLES` sets how many cases each operation gets, `make fuzz-api` sets it high and takes
other cases at each run.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.conftest import SECRETS, Api, serving
from tests.api.test_parties import MADE, PREFIX, furnish

EXAMPLES = int(os.environ.get("CSMS_FUZZ_EXAMPLES", "15"))
SEEDED = "CSMS_FUZZ_EXAMPLES" not in os.environ
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
KEYS = [*SECRETS.values(), "nobody.knows", None]


class Described:
    """One system with one of everything in it, and its description."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._serving = serving()
        self.api: Api = self.loop.run_until_complete(self._serving.__aenter__())
        self.things = self.loop.run_until_complete(furnish(self.api))
        self.schema = schemathesis.openapi.from_dict(self.api.app.openapi())

    def close(self) -> None:
        self.loop.run_until_complete(self._serving.__aexit__(None, None, None))
        self.loop.close()


@pytest.fixture(scope="module")
def described() -> Any:
    made = Described()
    yield made
    made.close()


def operations() -> list[str]:
    made = Described()
    try:
        return sorted(found.ok().label for found in made.schema.get_all_operations())
    finally:
        made.close()


@pytest.mark.parametrize("label", operations())
def test_every_answer_is_as_described(described: Described, label: str) -> None:
    (operation,) = [
        found.ok() for found in described.schema.get_all_operations() if found.ok().label == label
    ]
    name = label.replace(PREFIX, "")
    existing = {k: v for k, v in described.things.items() if f"{{{k}}}" in name}

    @settings(
        max_examples=EXAMPLES,
        derandomize=SEEDED,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), known=st.booleans(), key=st.sampled_from(KEYS))
    def run(case: Any, known: bool, key: str | None) -> None:
        if known and existing:
            case.path_parameters = {**(case.path_parameters or {}), **existing}
        if label.endswith("/events"):
            # A stream that follows has no end.
            case.query = {**(case.query or {}), "follow": "false"}
        request = case.as_transport_kwargs(base_url="http://api")
        headers = {k: v for k, v in dict(request["headers"]).items() if k != "Authorization"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        answer = described.loop.run_until_complete(_send(described.api, request, headers))
        case.validate_response(answer, checks=CHECKS)

    run()


async def _send(api: Api, request: dict[str, Any], headers: dict[str, str]) -> Any:
    body = {k: v for k, v in request.items() if k in ("json", "content", "data")}
    if isinstance(body.get("data"), bytes | str):
        body["content"] = body.pop("data")
    return await api._client.request(
        request["method"], request["url"], params=request.get("params"), headers=headers, **body
    )


def test_problems_are_declared_for_every_operation(described: Described) -> None:
    document = described.api.app.openapi()
    for path, methods in document["paths"].items():
        if not path.startswith(PREFIX):
            continue
        for method, operation in methods.items():
            assert operation["security"] == [{"HTTPBearer": []}], path
            for status in ("401", "403", "404", "409", "422", "503"):
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"], (method, path, status)


def test_every_body_has_an_example(described: Described) -> None:
    document = described.api.app.openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                assert content["example"], (method, path)
    names = list(document["components"]["schemas"])
    assert not [name for name in names if name.startswith("csms__")], "two models have one name"
    assert set(MADE) <= {label.replace(PREFIX, "") for label in operations()}
