"""Payloads from the schemas: those that fit, and those that nearly do.

Names, numbers and times come from small pools, so that messages of one example speak of the same
transactions, tokens and connectors; a pool holds what fits as well as what is at its edge.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hypothesis import strategies as st

FOLDERS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}
MAX_ITEMS = 3
TIMES = (
    "2024-05-01T12:00:00Z",
    "2024-05-01T12:00:30.500Z",
    "2024-05-01T12:10:00Z",
    "2024-05-01T13:00:00+00:00",
    "2024-05-01T08:20:00-04:00",
    "1970-01-01T00:00:00Z",
    "2036-02-07T06:28:16Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
)
# What a field of that name holds: pools by the name of the field.
NAMED: dict[str, tuple[str, ...]] = {
    "idTag": ("CARD", "card", "OTHER", "BLOCKED", "nobody", " "),
    "idToken": ("CARD", "card", "OTHER", "BLOCKED", "nobody", "|", ""),
    "transactionId": ("tx-1", "tx-2", "good-0", "#1", "", "0" * 36),
    "value": ("0", "1000", "1500.5", "1.5", "-1", "1e3", "999999999999", "NaN", "abc", ""),
    "actualValue": ("Available", "Occupied", "true", "", "1"),
    "name": ("AvailabilityState", "Connector", "EVSE", "Power", ""),
    "unit": ("Wh", "kWh", "W", ""),
    "measurand": ("Energy.Active.Import.Register", "SoC"),
}
NUMBERS = (0, 1, 2, 3, 7, 60, 1_000, 1_500, 99_999, 2**31 - 1, -1)
TEXTS = ("x", "North", "Ünïcode 🔌", " padded ", "a\u0301", "0", "-")


@cache
def schema(version: str, name: str) -> dict[str, Any]:
    """A schema file of the `ocpp` package, as it is."""
    text = files("ocpp").joinpath(FOLDERS[version], "schemas", f"{name}.json")
    found: dict[str, Any] = json.loads(text.read_text("utf-8-sig"))
    return found


@cache
def requests(version: str) -> dict[str, str]:
    """Action -> name of the schema of its request."""
    names = sorted(f.name for f in files("ocpp").joinpath(FOLDERS[version], "schemas").iterdir())
    stems = [n.removesuffix(".json") for n in names if n.endswith(".json")]
    return {stem.removesuffix("Request"): stem for stem in stems if not stem.endswith("Response")}


_TO_STATION = re.compile(
    r"^(?:Adjust|AFRR|Cancel|CertificateSigned|Change|Clear(?!ed)|Cost|Customer|Delete|Extended|"
    r"Get(?!15118|Certificate(?:Status|Chain))|Install|NotifyAllowed|NotifyWeb|Publish(?!Firmware"
    r"Status)|Remote|Request|ReserveNow|Reset|Send|Set|SignedUpdate|Trigger|Unlock|Unpublish|"
    r"Update|UsePriority)"
)


def to_station(action: str) -> bool:
    """Whether only a central system sends this action, in every version that has it."""
    return _TO_STATION.match(action) is not None


# -- what fits -------------------------------------------------------------------------------------


@cache
def valid(version: str, name: str) -> st.SearchStrategy[Any]:
    """Payloads that fit the schema of that name."""
    root = schema(version, name)
    return _of(root, "", root.get("definitions", {}), {})


def _of(
    node: dict[str, Any],
    field: str,
    definitions: dict[str, Any],
    done: dict[tuple[str, str], st.SearchStrategy[Any]],
) -> st.SearchStrategy[Any]:
    ref = node.get("$ref")
    if ref is not None:
        key = (ref, field)
        if key not in done:
            done[key] = _of(definitions[ref.rpartition("/")[2]], field, definitions, done)
        return done[key]
    if "enum" in node:
        return st.sampled_from(node["enum"])
    kind = node.get("type")
    if kind == "object" or "properties" in node:
        return _object(node, definitions, done)
    if kind == "array":
        least = node.get("minItems", 0)
        most = max(least, min(node.get("maxItems", MAX_ITEMS), MAX_ITEMS))
        items = _of(node.get("items", {}), field, definitions, done)
        return st.lists(items, min_size=least, max_size=most)
    if kind == "string":
        return _text(node, field)
    if kind in ("integer", "number"):
        return _number(node, kind)
    if kind == "boolean":
        return st.booleans()
    return st.sampled_from((None, 1, "x", {"any": [1]}, [True]))


def _object(
    node: dict[str, Any],
    definitions: dict[str, Any],
    done: dict[tuple[str, str], st.SearchStrategy[Any]],
) -> st.SearchStrategy[Any]:
    fields = {
        name: _of(sub, name, definitions, done) for name, sub in node.get("properties", {}).items()
    }
    required = {name: fields.get(name, st.just("x")) for name in node.get("required", [])}
    optional = {name: made for name, made in fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def _text(node: dict[str, Any], field: str) -> st.SearchStrategy[str]:
    if node.get("format") == "date-time":
        return st.sampled_from(TIMES)
    least, most = node.get("minLength", 0), node.get("maxLength")
    pool = [
        text
        for text in (*NAMED.get(field, ()), *TEXTS, "m" * (most or 300))
        if least <= len(text) and (most is None or len(text) <= most)
    ]
    return st.sampled_from(pool)


def _number(node: dict[str, Any], kind: str) -> st.SearchStrategy[float]:
    low, high = node.get("minimum"), node.get("maximum")
    pool: list[float] = [
        number
        for number in (*NUMBERS, low, high)
        if number is not None
        and (low is None or number >= low)
        and (high is None or number <= high)
    ]
    if kind == "number":
        pool += [n + 0.5 for n in pool if high is None or n + 0.5 <= high]
    return st.sampled_from([int(n) if kind == "integer" else n for n in pool])


# -- what nearly fits ------------------------------------------------------------------------------

ODD_TEXTS = (
    "\x00",
    "CARD\x00",
    "\ud800",
    "a\udfffb",
    "\x10\x0e",
    "\u202e",
    "\ufeff",
    "\r\nX-Injected: 1",
    "'; DROP TABLE transactions; --",
    "9" * 400,
    "",
    " ",
    "NaN",
    "1e999999999",
    "-Infinity",
)
HUGE = (2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 10**400, 1e308, -1e-308)
NO_NUMBERS = (float("nan"), float("inf"), float("-inf"))


def nested(depth: int) -> Any:
    """Objects in lists in objects."""
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"d": value}
    return value


@dataclass(frozen=True)
class Bent:
    """A payload with one change. `kind` names the change, `fault` what a validator would call it
    where that is certain: missing_field, unknown_field, too_long, wrong_type, unknown_value."""

    payload: Any
    kind: str
    fault: str | None = None


@st.composite
def nearly(draw: st.DrawFn, version: str, name: str) -> Bent:
    """A payload that fits, with one mutation."""
    root = schema(version, name)
    payload = copy.deepcopy(draw(valid(version, name)))
    places = list(_places(root, payload, root.get("definitions", {}), ()))
    kind = draw(st.sampled_from(tuple(_MUTATIONS)))
    wanted, mutate = _MUTATIONS[kind]
    able = [place for place in places if wanted(place)]
    if not able:
        return Bent(payload, "none")
    place = draw(st.sampled_from(able))
    fault = mutate(draw, place)
    if place.owner is None:
        return Bent(place.root, kind, fault)
    return Bent(payload, kind, fault)


@dataclass
class _Place:
    """A value in a payload and the schema node that describes it."""

    node: dict[str, Any]
    value: Any
    owner: Any
    step: Any
    required: tuple[str, ...]
    root: Any = None

    def put(self, value: Any) -> None:
        if self.owner is None:
            self.root = value
        else:
            self.owner[self.step] = value


def _places(
    node: dict[str, Any], value: Any, definitions: dict[str, Any], way: tuple[Any, ...]
) -> list[_Place]:
    ref = node.get("$ref")
    if ref is not None:
        node = definitions[ref.rpartition("/")[2]]
    found = [_Place(node, value, None, None, tuple(node.get("required", ())), value)]
    parts: list[tuple[Any, Any, dict[str, Any]]] = []
    if isinstance(value, dict):
        fields = node.get("properties", {})
        parts = [(k, v, fields[k]) for k, v in value.items() if k in fields]
    elif isinstance(value, list):
        parts = [(i, v, node.get("items", {})) for i, v in enumerate(value)]
    for step, part, sub in parts:
        inner = _places(sub, part, definitions, (*way, step))
        inner[0].owner, inner[0].step = value, step
        found += inner
    return found


def _type(place: _Place) -> str:
    return str(place.node.get("type", ""))


def _missing(draw: st.DrawFn, place: _Place) -> str:
    del place.value[draw(st.sampled_from(place.required))]
    return "missing_field"


def _extra(draw: st.DrawFn, place: _Place) -> str | None:
    place.value[draw(st.sampled_from(("extra", "", "id\x00", "connectorId2", "__proto__")))] = 1
    return "unknown_field" if place.node.get("additionalProperties") is False else None


def _wrong_type(draw: st.DrawFn, place: _Place) -> str | None:
    others: dict[str, tuple[Any, ...]] = {
        "string": (1, 1.5, True, [], {}),
        "integer": ("x", True, [], {}, 1.5),
        "number": ("x", True, [], {}),
        "boolean": ("yes", 1, []),
        "object": ("x", 1, []),
        "array": ("x", 1, {}),
    }
    place.put(draw(st.sampled_from(others[_type(place)])))
    return "wrong_type" if place.owner is not None else None


def _null(draw: st.DrawFn, place: _Place) -> str | None:
    place.put(None)
    return "wrong_type" if place.owner is not None and _type(place) else None


def _too_long(draw: st.DrawFn, place: _Place) -> str:
    place.put("L" * (place.node["maxLength"] + draw(st.sampled_from((1, 50, 5_000)))))
    return "too_long"


def _odd_text(draw: st.DrawFn, place: _Place) -> None:
    place.put(draw(st.sampled_from(ODD_TEXTS)))


def _enum(draw: st.DrawFn, place: _Place) -> str:
    first = str(place.node["enum"][0])
    place.put(draw(st.sampled_from(("Nonsense", first.lower() + " ", "", first + "\x00"))))
    return "unknown_value"


def _huge(draw: st.DrawFn, place: _Place) -> None:
    place.put(draw(st.sampled_from(HUGE)))


def _no_number(draw: st.DrawFn, place: _Place) -> None:
    place.put(draw(st.sampled_from(NO_NUMBERS)))


def _deep(draw: st.DrawFn, place: _Place) -> None:
    place.put(nested(draw(st.sampled_from((3, 40, 61, 70, 300)))))


def _many(draw: st.DrawFn, place: _Place) -> None:
    place.put([copy.deepcopy(place.value[0]) for _ in range(draw(st.sampled_from((30, 400))))])


_Wanted = Callable[[_Place], bool]
_Mutate = Callable[[st.DrawFn, _Place], str | None]
_MUTATIONS: dict[str, tuple[_Wanted, _Mutate]] = {
    "missing": (lambda p: isinstance(p.value, dict) and bool(p.required), _missing),
    "extra": (lambda p: isinstance(p.value, dict), _extra),
    "wrong_type": (lambda p: _type(p) != "" and "enum" not in p.node, _wrong_type),
    "null": (lambda p: True, _null),
    "too_long": (lambda p: "maxLength" in p.node, _too_long),
    "odd_text": (lambda p: _type(p) == "string", _odd_text),
    "enum": (lambda p: "enum" in p.node, _enum),
    "huge": (lambda p: _type(p) in ("integer", "number"), _huge),
    "no_number": (lambda p: _type(p) in ("integer", "number"), _no_number),
    "deep": (lambda p: p.owner is not None, _deep),
    "many": (lambda p: isinstance(p.value, list) and bool(p.value), _many),
}
