"""The examples of the description are taken by the API as they stand."""

from __future__ import annotations

from typing import Any

import pytest

from csms.api.examples import BODIES
from tests.api.conftest import Api
from tests.api.test_parties import furnish


@pytest.mark.parametrize(("method", "path"), sorted(BODIES))
async def test_it_is_no_mistake(api: Api, method: str, path: str) -> None:
    """Whatever the state of the system makes of it (there is no such partner, the station is not
    connected): the body is understood."""
    things = await furnish(api)
    named: dict[str, Any] = {**things, "action": "Reset", "partner": "South", "node": "n"}
    if "{node}" in path:
        named["action"] = "drain"
    answer = await api(method, path.format_map(named), json=BODIES[method, path])
    said = answer.json() if answer.content else {}
    assert answer.status_code in (200, 201, 404, 409), said
