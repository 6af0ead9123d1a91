"""What makes a named tuple an entity: its table name, its key, the look-ups it declares.

Entities are named tuples because a row is a tuple: it is read and written without a conversion,
compared field by field for what changed, and cannot be altered in place. `entity` registers a
class; the store builds its tables' statements from the registry and knows no entity by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

C = TypeVar("C", bound=type[Any])


@dataclass(frozen=True, slots=True)
class Shape:
    """How an entity is addressed.

    `key`: fields of the primary key. `finders`: name -> fields that `Tx.find` looks up by
    equality. `unique`: the finders with at most one result, which the database enforces as well.
    `often`: stations' messages ask for the same row again and again, by its key or by a unique
    finder, and it is small.
    """

    kind: type[Any]
    table: str
    fields: tuple[str, ...]
    key: tuple[str, ...]
    finders: Mapping[str, tuple[str, ...]]
    unique: frozenset[str]
    often: bool
    key_of: Callable[[Any], tuple[Any, ...]]
    """The key of an entity."""
    found_by: Mapping[str, Callable[[Any], tuple[Any, ...]]]
    """Finder -> the values by which an entity is found."""


SHAPES: dict[type[Any], Shape] = {}


def entity(
    table: str,
    *,
    key: tuple[str, ...],
    finders: Mapping[str, tuple[str, ...]] | None = None,
    unique: tuple[str, ...] = (),
    often: bool = False,
) -> Callable[[C], C]:
    """Declare a `NamedTuple` class to be stored in `table`."""

    def register(kind: C) -> C:
        fields: tuple[str, ...] = kind._fields
        named = [*key, *(f for columns in (finders or {}).values() for f in columns)]
        assert set(named) <= set(fields), f"{kind.__name__}: {set(named) - set(fields)}"
        assert set(unique) <= set(finders or {})
        assert all(shape.table != table for shape in SHAPES.values()), table
        SHAPES[kind] = Shape(
            kind,
            table,
            fields,
            key,
            dict(finders or {}),
            frozenset(unique),
            often,
            _getter(fields, key),
            {name: _getter(fields, columns) for name, columns in (finders or {}).items()},
        )
        return kind

    return register


def _getter(fields: tuple[str, ...], wanted: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """A function from an entity to the tuple of some of its fields, by position."""
    positions = [fields.index(f) for f in wanted]
    if len(positions) == 1:
        (only,) = positions
        return lambda entity: (entity[only],)
    return itemgetter(*positions)
