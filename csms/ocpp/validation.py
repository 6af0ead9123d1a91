"""Does a payload fit the schema of its action, and if not, where and why.

The schemas are those inside the `ocpp` package. Two readers share them, because they have opposite
needs. A compiled `jsonschema-rs` validator says yes to a good payload in a microsecond or two, all
that nearly every message needs. For a bad one its list of errors is built whole and quotes the
payload (measured: 1.8 s for 100,000 faults), so the faults come from a short walk of our own that
stops at a limit and quotes nothing. The tests hold the two to the same verdict.

All schemas are read as draft 4, also those of 2.x that name draft 6. They use nothing that differs
but one thing: in draft 6 `5.0` is an integer. Here it is a fault, so that whoever reads a checked
payload may rely on `int`; `repair` turns 5.0 into 5.

Formats are not checked: times are parsed leniently by those who need them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jsonschema_rs
import orjson

from csms.ocpp.rpc import ErrorCode, Version

FAULTS_REPORTED: Final = 20
"""Enough for a person or a counter."""

FAULTS_REPAIRABLE: Final = 5_000
"""The limit to ask with before `repair`: one fault in each sample of a long transaction's data."""

_PATH_NAME_CHARS = 64

_FOLDERS: Final[Mapping[Version, str]] = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}

_CODES: Final[Mapping[str, ErrorCode]] = {
    "missing_field": ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    "too_many": ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    "too_few": ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    # 1.6 words it "not conform the PDU structure"; 2.x has nothing nearer.
    "unknown_field": ErrorCode.FORMAT_VIOLATION,
    "bad_format": ErrorCode.FORMAT_VIOLATION,
    "wrong_type": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    "too_long": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "too_short": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "unknown_value": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "out_of_range": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "other": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
}
"""Every kind of fault and the error that reports it (OCPP-J 2.0.1 4.3)."""


@dataclass(slots=True, eq=False)
class Rule:
    """One node of a schema, resolved: what a value must be. `type` is "" where anything goes."""

    type: str = ""
    options: frozenset[str] | None = None
    min_length: int | None = None
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    multiple_of: Decimal | None = None
    min_items: int | None = None
    max_items: int | None = None
    items: Rule | None = None
    fields: dict[str, Rule] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    closed: bool = False


ANYTHING: Final = Rule()


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a payload.

    `kind` is stable: missing_field, unknown_field, wrong_type, too_long, too_short, unknown_value,
    out_of_range, too_many, too_few, bad_format, other. `detail` is short and never quotes a value.
    `steps` lead to the faulty value (for a missing or unknown field: to where it is or should be),
    `rule` is what it should be, `optional` says that its field may be left out.
    """

    kind: str
    detail: str
    steps: tuple[str | int, ...]
    rule: Rule = field(default=ANYTHING, repr=False, compare=False)
    optional: bool = False

    @property
    def path(self) -> str:
        """The place as a JSON pointer (RFC 6901); names are cut at 64 characters."""
        return "".join(f"/{_escaped(step)}" for step in self.steps)

    @property
    def code(self) -> ErrorCode:
        """The error that tells a station of it."""
        return _CODES[self.kind]


class Schemas:
    """The schemas of one version, compiled when first needed. Get it with `Schemas.of`."""

    __slots__ = ("_requests", "_responses", "_rules", "_version", "actions")

    def __init__(self, version: Version) -> None:
        self._version: Version = version
        self._requests: dict[str, jsonschema_rs.Draft4Validator] = {}
        self._responses: dict[str, jsonschema_rs.Draft4Validator] = {}
        self._rules: dict[str, Rule] = {}
        names = [entry.name.removesuffix(".json") for entry in _folder(version).iterdir()]
        # 1.6 calls the request of Heartbeat "Heartbeat", 2.x "HeartbeatRequest"; the SEND of 2.1
        # has neither suffix.
        self.actions: frozenset[str] = frozenset(
            name.removesuffix("Request")
            for name in names
            if not name.endswith("Response") and not name.startswith("__")
        )

    @classmethod
    def of(cls, version: Version) -> Schemas:
        """The schemas of `version`; one object per process."""
        return _schemas_of(version)

    def request_faults(
        self, action: str, payload: Mapping[str, Any], limit: int = FAULTS_REPORTED
    ) -> tuple[Fault, ...]:
        """What is wrong with the payload of a CALL or SEND: () when it is valid.

        At most `limit` faults; the time is linear in the payload up to the last of them. `action`
        is one of `actions`, else `KeyError`.
        """
        validator = self._requests.get(action)
        if validator is None:
            validator = self._requests[action] = self._compiled(self._request_name(action))
        if _is_valid(validator, payload):
            return ()
        return self._faults(self._request_name(action), payload, limit)

    def response_faults(
        self, action: str, payload: Mapping[str, Any], limit: int = FAULTS_REPORTED
    ) -> tuple[Fault, ...]:
        """The same for a CALLRESULT. A SEND has none: `KeyError`."""
        validator = self._responses.get(action)
        if validator is None:
            validator = self._responses[action] = self._compiled(self._response_name(action))
        if _is_valid(validator, payload):
            return ()
        return self._faults(self._response_name(action), payload, limit)

    def _request_name(self, action: str) -> str:
        if action not in self.actions:
            raise KeyError(action)
        if self._version == "1.6" or action == "NotifyPeriodicEventStream":
            return action
        return f"{action}Request"

    def _response_name(self, action: str) -> str:
        if action not in self.actions or action == "NotifyPeriodicEventStream":
            raise KeyError(action)
        return f"{action}Response"

    def _schema(self, name: str) -> dict[str, Any]:
        # Some of the files begin with a byte order mark.
        text = _folder(self._version).joinpath(f"{name}.json").read_text("utf-8-sig")
        schema: dict[str, Any] = orjson.loads(text)
        return schema

    def _compiled(self, name: str) -> jsonschema_rs.Draft4Validator:
        return jsonschema_rs.Draft4Validator(self._schema(name), validate_formats=False)

    def _faults(self, name: str, payload: Mapping[str, Any], limit: int) -> tuple[Fault, ...]:
        rule = self._rules.get(name)
        if rule is None:
            schema = self._schema(name)
            rule = self._rules[name] = _rule(schema, schema.get("definitions", {}), {})
        walk = _Walk(limit)
        walk.check(rule, payload, False)
        # An empty list would declare the payload valid against the validator's word.
        return tuple(walk.found) or (Fault("other", "the payload does not fit its schema", ()),)


def scalar_fault(rule: Rule, value: object) -> tuple[str, str] | None:
    """The kind and detail of what is wrong with a value that has no parts, or None."""
    if type(value) is str:
        return _text_fault(rule, value)
    if type(value) is int or type(value) is float:
        return _number_fault(rule, value)
    if type(value) is Decimal and value.is_finite():
        return _number_fault(rule, value)
    if type(value) is bool:
        return None if rule.type in ("", "boolean") else _wrong_type(rule)
    return None if rule.type == "" else _wrong_type(rule)


def _text_fault(rule: Rule, value: str) -> tuple[str, str] | None:
    if rule.type not in ("", "string"):
        return _wrong_type(rule)
    if rule.options is not None and value not in rule.options:
        return "unknown_value", "not one of the specified values"
    if rule.max_length is not None and len(value) > rule.max_length:
        return "too_long", f"more than {rule.max_length} characters"
    if rule.min_length is not None and len(value) < rule.min_length:
        return "too_short", f"fewer than {rule.min_length} characters"
    return None


def _number_fault(rule: Rule, value: int | float | Decimal) -> tuple[str, str] | None:
    if rule.type not in ("", "number") and not (rule.type == "integer" and type(value) is int):
        return _wrong_type(rule)
    if rule.minimum is not None and value < rule.minimum:
        return "out_of_range", f"less than {rule.minimum:g}"
    if rule.maximum is not None and value > rule.maximum:
        return "out_of_range", f"more than {rule.maximum:g}"
    # The decimal text is what the station wrote: 16.1 is a multiple of 0.1, its binary is not.
    # Beyond 2**53 a float is whole, and a quotient may have more digits than a `Decimal` keeps.
    step = rule.multiple_of
    if step is not None and -(2**53) < value < 2**53 and Decimal(str(value)) % step != 0:
        return "other", f"not a multiple of {step}"
    return None


def _wrong_type(rule: Rule) -> tuple[str, str]:
    return "wrong_type", f"not of type {rule.type}"


class _Walk:
    """Collects the faults of one payload, in its order, until there are `limit`."""

    __slots__ = ("_limit", "_trail", "found")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._trail: list[str | int] = []
        self.found: list[Fault] = []

    def check(self, rule: Rule, value: Any, optional: bool) -> bool:
        """Note what is wrong with `value` and its parts; False when the limit is reached.

        It goes as deep as the schema does, which is not recursive, however deep the payload is.
        """
        if rule.type == "object" and isinstance(value, Mapping):
            return self._object(rule, value)
        if rule.type == "array" and type(value) is list:
            return self._array(rule, value, optional)
        problem = scalar_fault(rule, value)
        return problem is None or self._note(*problem, rule, optional)

    def _object(self, rule: Rule, value: Mapping[str, Any]) -> bool:
        trail = self._trail
        for name in rule.required:
            if name not in value:
                trail.append(name)
                more = self._note("missing_field", "is missing", rule.fields.get(name, ANYTHING))
                trail.pop()
                if not more:
                    return False
        for name, part in value.items():
            sub = rule.fields.get(name)
            if sub is None and not rule.closed:
                continue
            trail.append(name)
            if sub is None:
                more = self._note("unknown_field", "not a field of this message")
            else:
                more = self.check(sub, part, name not in rule.required)
            trail.pop()
            if not more:
                return False
        return True

    def _array(self, rule: Rule, value: list[Any], optional: bool) -> bool:
        more = True
        if rule.min_items is not None and len(value) < rule.min_items:
            more = self._note("too_few", f"fewer than {rule.min_items} items", rule, optional)
        elif rule.max_items is not None and len(value) > rule.max_items:
            more = self._note("too_many", f"more than {rule.max_items} items", rule, optional)
        if rule.items is None:
            return more
        trail = self._trail
        for index, part in enumerate(value):
            if not more:
                return False
            trail.append(index)
            more = self.check(rule.items, part, False)
            trail.pop()
        return more

    def _note(self, kind: str, detail: str, rule: Rule = ANYTHING, optional: bool = False) -> bool:
        self.found.append(Fault(kind, detail, tuple(self._trail), rule, optional))
        return len(self.found) < self._limit


def _rule(node: Mapping[str, Any], definitions: Mapping[str, Any], done: dict[str, Rule]) -> Rule:
    """Turn a schema node into a `Rule`; `done` holds those of the definitions met so far."""
    ref = node.get("$ref")
    if ref is not None:
        name = ref.removeprefix("#/definitions/")
        if name not in done:
            done[name] = _rule(definitions[name], definitions, done)
        return done[name]
    step = node.get("multipleOf")
    items = node.get("items")
    return Rule(
        type=node.get("type", ""),
        options=frozenset(node["enum"]) if "enum" in node else None,
        min_length=node.get("minLength"),
        max_length=node.get("maxLength"),
        minimum=node.get("minimum"),
        maximum=node.get("maximum"),
        multiple_of=None if step is None else Decimal(repr(step)),
        min_items=node.get("minItems"),
        max_items=node.get("maxItems"),
        items=None if items is None else _rule(items, definitions, done),
        fields={
            name: _rule(sub, definitions, done) for name, sub in node.get("properties", {}).items()
        },
        required=tuple(node.get("required", ())),
        closed=node.get("additionalProperties") is False,
    )


def _is_valid(validator: jsonschema_rs.Draft4Validator, payload: Any) -> bool:
    try:
        return validator.is_valid(payload)
    except ValueError:
        # No JSON at all, such as a lone surrogate or nesting beyond the validator's limit.
        return False


def _escaped(step: str | int) -> str:
    return str(step)[:_PATH_NAME_CHARS].replace("~", "~0").replace("/", "~1")


def _folder(version: Version) -> Any:
    return files("ocpp").joinpath(_FOLDERS[version], "schemas")


@cache
def _schemas_of(version: Version) -> Schemas:
    return Schemas(version)
